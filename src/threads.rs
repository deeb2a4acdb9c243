//! Work on many objects at once, spread over the cores.
//!
//! What comes out never depends on it: results keep the order of the items, and of several failures
//! the first in that order is told. Little work stays on the thread that has it, and a machine that
//! gives no threads does without.

use std::hint::black_box;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// From how many items on other threads are worth their start, about 100 µs.
const LEAST: usize = 600;

/// Room for values as deep as [`Limits`](crate::Limits) allow.
const STACK_BYTES: usize = 8 << 20;

/// How many runs each thread gets: who is done early takes another.
const RUNS: usize = 8;

/// Helpers that start with the first work that is worth them.
#[derive(Clone, Debug, Default)]
pub struct Threads(Option<Arc<Pool>>);

#[derive(Debug)]
struct Pool {
    /// With the thread that has the work; 0 for as many as there are cores.
    count: usize,
    started: OnceLock<Option<rayon::ThreadPool>>,
}

impl Threads {
    /// As many as `count`; for 0 as many as there are cores.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let pool = Pool { count, started: OnceLock::new() };
        Self((count != 1).then(|| Arc::new(pool)))
    }

    /// The helpers, where `items` are worth them.
    fn helpers(&self, items: usize) -> Option<&rayon::ThreadPool> {
        let pool = self.0.as_ref().filter(|_| items >= LEAST)?;
        pool.started.get_or_init(|| start(pool.count)).as_ref()
    }

    /// What `step` makes of each item, in their order; `each` of them stands for that many.
    pub fn map<T: Sync, R: Send>(
        &self,
        items: &[T],
        each: usize,
        step: impl Fn(&T) -> R + Sync + Send,
    ) -> Vec<R> {
        match self.helpers(items.len().saturating_mul(each)) {
            Some(pool) => {
                let runs = items.chunks(run_length(items.len(), pool));
                let step = |run: &[T]| run.iter().map(&step).collect::<Vec<_>>();
                share(pool, runs, step).into_iter().flatten().collect()
            }
            None => items.iter().map(step).collect(),
        }
    }

    /// What `step` makes of each of the runs that `items` are cut into, in their order.
    pub fn map_runs<T: Sync, R: Send>(
        &self,
        items: &[T],
        step: impl Fn(&[T]) -> R + Sync + Send,
    ) -> Vec<R> {
        match self.helpers(items.len()) {
            Some(pool) => share(pool, items.chunks(run_length(items.len(), pool)), step),
            None => vec![step(items)],
        }
    }

    /// Lets `step` change each of the runs that `items` are cut into.
    ///
    /// # Errors
    /// The first of those that `step` gives.
    pub fn change_runs<T: Send, E: Send>(
        &self,
        items: &mut [T],
        step: impl Fn(&mut [T]) -> Result<(), E> + Sync + Send,
    ) -> Result<(), E> {
        match self.helpers(items.len()) {
            Some(pool) => {
                let length = run_length(items.len(), pool);
                share(pool, items.chunks_mut(length), step).into_iter().collect()
            }
            None => step(items),
        }
    }
}

/// Shares the runs between the helpers and this thread, which would have to wait for them otherwise.
fn share<T: Send, R: Send>(
    pool: &rayon::ThreadPool,
    runs: impl Iterator<Item = T> + Send,
    step: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let left = Mutex::new(runs.enumerate());
    let done = Mutex::new(Vec::new());
    // What panics takes the whole build along, so nothing half done is ever seen.
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some((at, run)) = next() {
            let made = step(run);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, made));
        }
    };
    pool.in_place_scope(|scope| {
        for _ in 0..pool.current_num_threads() {
            scope.spawn(|_| work());
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, made)| made).collect()
}

fn start(count: usize) -> Option<rayon::ThreadPool> {
    let count = match count {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        count => count,
    };
    let helpers = count.checked_sub(1).filter(|helpers| *helpers > 0)?;
    take_room(2 * ROOM_BYTES);
    let threads = rayon::ThreadPoolBuilder::new().num_threads(helpers);
    threads.stack_size(STACK_BYTES).start_handler(|_| take_room(ROOM_BYTES)).build().ok()
}

/// What a thread takes of the address space at once.
const ROOM_BYTES: usize = 8 << 20;

/// Has the allocator ask for room in one piece, and keep it.
///
/// The one of the GNU C library asks for each page that a second thread needs by a system call of its
/// own, which makes two threads slower than one. It takes the size of a large piece that is given back
/// for the size up to which it keeps what it has. Nothing is touched, so this costs no memory.
fn take_room(bytes: usize) {
    drop(black_box(Vec::<u8>::with_capacity(bytes)));
}

fn run_length(items: usize, pool: &rayon::ThreadPool) -> usize {
    items.div_ceil((pool.current_num_threads() + 1) * RUNS).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        let items: Vec<usize> = (0..1_000).collect();
        let threads = Threads::new(4);
        assert_eq!(threads.map(&items, 1, |item| item + 1), (1..=1_000).collect::<Vec<_>>());
        let runs = threads.map_runs(&items, <[usize]>::to_vec);
        assert!(runs.len() > 1);
        assert_eq!(runs.concat(), items);
    }

    #[test]
    fn the_first_failure_is_told() {
        let mut items: Vec<usize> = (0..1_000).collect();
        let fail_late = |run: &mut [usize]| {
            run.iter().find(|item| **item >= 300).map_or(Ok(()), |item| Err(*item))
        };
        assert_eq!(Threads::new(4).change_runs(&mut items, fail_late), Err(300));
        assert_eq!(Threads::default().change_runs(&mut items, fail_late), Err(300));
    }

    #[test]
    fn little_work_stays_where_it_is() {
        let here = std::thread::current().id();
        let ids = Threads::new(4).map(&[(); 3], 1, |()| std::thread::current().id());
        assert!(ids.iter().all(|id| *id == here));
    }
}
