//! Work on many objects at once, spread over the cores.
//!
//! What comes out never depends on it: results keep the order of the items, and of several failures
//! the first in that order is told. Little work stays on the thread that has it, and a machine that
//! gives no threads does without.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// From how many items on other threads are worth their start, about 150 µs.
const LEAST: usize = 400;

/// More do not help: what only one can do takes a quarter of the time of one.
const MOST_THREADS: usize = 8;

/// Room for values as deep as [`Limits`](crate::Limits) allow.
const STACK_BYTES: usize = 8 << 20;

/// How many runs each thread gets: who is done early takes another.
const RUNS: usize = 8;

/// How long a helper stays awake without work. To wake one takes up to a millisecond on a virtual machine,
/// longer than most steps of a build.
const AWAKE: Duration = Duration::from_millis(3);

/// Helpers that start with the first work that is worth them.
///
/// Whoever has a first such piece of work becomes one of them for good, so a thread that builds many times
/// keeps its `Threads`: others that it makes have no helpers.
#[derive(Clone, Debug, Default)]
pub struct Threads(Option<Arc<Pool>>);

#[derive(Debug)]
struct Pool {
    /// With the thread that has the work; 0 for as many as there are cores.
    count: usize,
    started: OnceLock<Option<rayon::ThreadPool>>,
    watch: Arc<Watch>,
}

/// Who stays awake.
#[derive(Debug, Default)]
struct Watch {
    awake: AtomicUsize,
    is_over: AtomicBool,
}

impl Threads {
    /// As many as `count`; for 0 as many as there are cores.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let pool = Pool { count, started: OnceLock::new(), watch: Arc::default() };
        Self((count != 1).then(|| Arc::new(pool)))
    }

    /// The helpers, where `items` are worth them.
    fn helpers(&self, items: usize) -> Option<&rayon::ThreadPool> {
        let pool = self.0.as_ref().filter(|_| items >= LEAST)?;
        let threads = pool.started.get_or_init(|| start(pool.count)).as_ref()?;
        pool.keep_awake(threads);
        Some(threads)
    }

    /// Has a helper that is awake make what will be needed soon; nothing, where there is none.
    pub fn ahead(&self, step: impl FnOnce() + Send + 'static) {
        let started = self.0.as_ref().and_then(|pool| pool.started.get());
        if let Some(Some(threads)) = started {
            threads.spawn(step);
        }
    }

    /// What `step` makes of each item, in their order; `each` of them stands for that many.
    pub fn map<'a, T: Sync, R: Send>(
        &self,
        items: &'a [T],
        each: usize,
        step: impl Fn(&'a T) -> R + Sync + Send,
    ) -> Vec<R> {
        match self.helpers(items.len().saturating_mul(each)) {
            Some(pool) => {
                let runs = items.chunks(run_length(items.len(), pool));
                let step = |run: &'a [T]| run.iter().map(&step).collect::<Vec<_>>();
                share(pool, runs, step).into_iter().flatten().collect()
            }
            None => items.iter().map(step).collect(),
        }
    }

    /// What `step` makes of each of the runs that `items` are cut into, in their order; it is told how many
    /// items come before the run.
    pub fn map_runs<'a, T: Sync, R: Send>(
        &self,
        items: &'a [T],
        step: impl Fn(usize, &'a [T]) -> R + Sync + Send,
    ) -> Vec<R> {
        match self.helpers(items.len()) {
            Some(pool) => {
                let length = run_length(items.len(), pool);
                let runs = (0..).step_by(length).zip(items.chunks(length));
                share(pool, runs, |(first, run)| step(first, run))
            }
            None => vec![step(0, items)],
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

impl Pool {
    /// Has the helpers look out for work, those that have gone to sleep again too.
    fn keep_awake(&self, threads: &rayon::ThreadPool) {
        let helpers = threads.current_num_threads() - 1;
        for _ in self.watch.awake.swap(helpers, Ordering::Relaxed)..helpers {
            let watch = Arc::clone(&self.watch);
            threads.spawn(move || watch.keep());
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.watch.is_over.store(true, Ordering::Relaxed);
    }
}

impl Watch {
    /// Does what there is to do until there has been nothing for a while. The thread that has the work
    /// itself never looks out for it.
    fn keep(&self) {
        let mut idle = Instant::now();
        let is_helper = rayon::current_thread_index() != Some(0);
        while is_helper && !self.is_over.load(Ordering::Relaxed) && idle.elapsed() < AWAKE {
            match rayon::yield_now() {
                Some(rayon::Yield::Executed) => idle = Instant::now(),
                _ => (0..SPINS).for_each(|_| spin_loop()),
            }
        }
        self.awake.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long one looks away from the work that may come: about 100 ns.
const SPINS: usize = 16;

/// Shares the runs between all threads, of which this one is the first: a helper that comes late
/// finds nothing left, and nobody waits for it.
///
/// Each begins with a part of its own, which is the same in every step: what a thread has allocated it
/// mostly changes and frees itself, and two that free what the other allocates from wait for each other.
fn share<T: Send, R: Send>(
    pool: &rayon::ThreadPool,
    runs: impl Iterator<Item = T>,
    step: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let todo: Vec<_> = runs.map(|run| Mutex::new(Some(run))).collect();
    let done: Vec<_> = todo.iter().map(|_| Mutex::new(None)).collect();
    let threads = pool.current_num_threads();
    let first = |part: usize| todo.len() * part / threads;
    let parts: Vec<_> = (0..threads).map(|one| Mutex::new(first(one)..first(one + 1))).collect();
    let work = || {
        let own = rayon::current_thread_index().unwrap_or_default();
        let next = || {
            let others = (1..threads).map(|offset| (own + offset) % threads);
            let mut theirs = others.filter_map(|other| lock(&parts[other]).next_back());
            let mine = lock(&parts[own]).next();
            mine.or_else(|| theirs.next())
        };
        while let Some(at) = next() {
            let run = lock(&todo[at]).take();
            let made = run.map(&step);
            *lock(&done[at]) = made;
        }
    };
    pool.in_place_scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|_| work());
        }
        work();
    });
    let made =
        done.into_iter().map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner));
    made.flatten().collect()
}

/// What panics takes the whole build along, so nothing half done is ever seen.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(count: usize) -> Option<rayon::ThreadPool> {
    let count = if count == 0 { cores().min(MOST_THREADS) } else { count };
    if count < 2 {
        return None;
    }
    take_room(2 * ROOM_BYTES);
    let home = core();
    let begin = move |_| {
        leave(home);
        take_room(ROOM_BYTES);
    };
    let threads = rayon::ThreadPoolBuilder::new().num_threads(count).use_current_thread();
    let threads = threads.stack_size(STACK_BYTES).start_handler(begin).build().ok();
    // One that waits for this core comes to leave it.
    std::thread::yield_now();
    threads
}

/// How many threads can run at once.
fn cores() -> usize {
    match allowed() {
        // How much of them is granted is written in files that take longer to read than the little work that is
        // worth two threads.
        Some(few) if few <= 2 => few,
        _ => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    }
}

/// How many cores this thread may run on, where that is known.
#[cfg(target_os = "linux")]
fn allowed() -> Option<usize> {
    usize::try_from(rustix::thread::sched_getaffinity(None).ok()?.count()).ok()
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> Option<usize> {
    None
}

/// The core that this thread runs on, where that is known.
///
/// Source: proc(5), the field `processor` of `stat`, which is the 39th.
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "it is no file of a build")]
fn core() -> Option<usize> {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
    // The second field is a name in parentheses, with whatever in it.
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_ascii_whitespace().nth(39 - 3)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn core() -> Option<usize> {
    None
}

/// Has this thread go on on another core than `home`, if there is one.
///
/// On virtual machines Linux starts a thread where the one that makes it runs, and leaves it there waiting for
/// up to three milliseconds. Afterwards the thread may run on all cores again.
#[cfg(target_os = "linux")]
fn leave(home: Option<usize>) {
    use rustix::thread::{sched_getaffinity, sched_setaffinity};
    let (Some(home), Ok(all)) = (home, sched_getaffinity(None)) else { return };
    let mut others = all;
    others.unset(home);
    if others.count() > 0 && sched_setaffinity(None, &others).is_ok() {
        // Where it cannot be given back, it stays on those.
        let _ = sched_setaffinity(None, &all);
    }
}

#[cfg(not(target_os = "linux"))]
fn leave(_home: Option<usize>) {}

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
    items.div_ceil(pool.current_num_threads() * RUNS).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        let items: Vec<usize> = (0..1_000).collect();
        let threads = Threads::new(4);
        assert_eq!(threads.map(&items, 1, |item| item + 1), (1..=1_000).collect::<Vec<_>>());
        let runs = threads.map_runs(&items, |first, run| (first, run.to_vec()));
        assert!(runs.len() > 1);
        assert!(runs.iter().all(|(first, run)| run.first() == Some(first)));
        assert_eq!(runs.into_iter().flat_map(|(_, run)| run).collect::<Vec<_>>(), items);
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

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_knows_its_core() {
        let all = rustix::thread::sched_getaffinity(None).expect("known");
        assert!(all.is_set(core().expect("known")));
    }

    #[test]
    fn little_work_stays_where_it_is() {
        let here = std::thread::current().id();
        let ids = Threads::new(4).map(&[(); 3], 1, |()| std::thread::current().id());
        assert!(ids.iter().all(|id| *id == here));
    }
}
