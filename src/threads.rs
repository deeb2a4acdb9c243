//! Work on many objects at once, spread over the cores.
//!
//! What comes out never depends on it: results keep the order of the items, and of several failures
//! the first in that order is told. Little work stays on the thread that has it, and a machine that
//! gives no threads does without.

use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

/// From how many items on other threads are worth their start, about 100 µs.
const LEAST: usize = 600;

/// Room for values as deep as [`Limits`](crate::Limits) allow.
const STACK_BYTES: usize = 8 << 20;

/// Threads that start with the first work that is worth them.
#[derive(Clone, Debug, Default)]
pub struct Threads(Option<Arc<Pool>>);

#[derive(Debug)]
struct Pool {
    /// 0 for as many as there are cores.
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

    /// The threads, where `items` are worth them.
    fn pool(&self, items: usize) -> Option<&rayon::ThreadPool> {
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
        match self.pool(items.len().saturating_mul(each)) {
            Some(pool) => pool.install(|| items.par_iter().map(step).collect()),
            None => items.iter().map(step).collect(),
        }
    }

    /// What `step` makes of each of the runs that `items` are cut into, in their order.
    pub fn map_runs<T: Sync, R: Send>(
        &self,
        items: &[T],
        step: impl Fn(&[T]) -> R + Sync + Send,
    ) -> Vec<R> {
        match self.pool(items.len()) {
            Some(pool) => {
                let length = run_length(items.len(), pool);
                pool.install(|| items.par_chunks(length).map(step).collect())
            }
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
        match self.pool(items.len()) {
            Some(pool) => {
                let length = run_length(items.len(), pool);
                let failed = pool.install(|| {
                    let runs = items.par_chunks_mut(length);
                    runs.map(|run| step(run).err()).find_map_first(|error| error)
                });
                failed.map_or(Ok(()), Err)
            }
            None => step(items),
        }
    }
}

fn start(count: usize) -> Option<rayon::ThreadPool> {
    let count = match count {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        count => count,
    };
    let threads = rayon::ThreadPoolBuilder::new().num_threads(count).stack_size(STACK_BYTES);
    (count > 1).then(|| threads.build().ok()).flatten()
}

/// A few runs for each thread: who is done early takes another.
fn run_length(items: usize, pool: &rayon::ThreadPool) -> usize {
    items.div_ceil(pool.current_num_threads() * 4).max(1)
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
