//! Those who wait for changes: watches, and the controllers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::rehearsal::store::Table;

/// How many watches may be open; a server on a node of some size bears about as many.
const WATCHES: usize = 10_000;

/// All who wait, each for the changes of one table or of all.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Arc<Mutex<Seats>>);

#[derive(Debug, Default)]
struct Seats {
    /// The number of the last one.
    last: u64,
    taken: usize,
    wakers: BTreeMap<Option<Table>, BTreeMap<u64, Option<Waker>>>,
}

/// One who waits, as long as this lives.
#[derive(Debug)]
pub(super) struct Seat {
    waiting: Waiting,
    table: Option<Table>,
    number: u64,
}

impl Waiting {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a watch; `None` where too many are open.
    pub(super) fn seat(&self, table: &Table) -> Option<Seat> {
        let is_free = self.seats().taken < WATCHES;
        is_free.then(|| self.take(Some(table.clone())))
    }

    /// A seat for who wants to know of everything.
    pub(super) fn seat_for_all(&self) -> Seat {
        self.take(None)
    }

    fn take(&self, table: Option<Table>) -> Seat {
        let mut seats = self.seats();
        seats.last += 1;
        seats.taken += 1;
        let number = seats.last;
        seats.wakers.entry(table.clone()).or_default().insert(number, None);
        Seat { waiting: self.clone(), table, number }
    }

    /// Wakes who waits for the changes of a table.
    pub(super) fn wake(&self, table: &Table) {
        let mut wakers = Vec::new();
        let mut seats = self.seats();
        for key in [None, Some(table.clone())] {
            let waiting = seats.wakers.get_mut(&key).into_iter().flat_map(BTreeMap::values_mut);
            wakers.extend(waiting.filter_map(Option::take));
        }
        drop(seats);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Seat {
    /// Asks to be woken by the next change.
    pub(super) fn wait(&self, waker: &Waker) {
        let mut seats = self.waiting.seats();
        let own = seats.wakers.get_mut(&self.table).and_then(|all| all.get_mut(&self.number));
        if let Some(own) = own {
            *own = Some(waker.clone());
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.waiting.seats();
        seats.taken -= 1;
        if let Some(all) = seats.wakers.get_mut(&self.table) {
            all.remove(&self.number);
            if all.is_empty() {
                seats.wakers.remove(&self.table);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn table(resource: &str) -> Table {
        Table { group: "".into(), resource: resource.into() }
    }

    #[test]
    fn a_change_wakes_who_waits_for_its_table_once() {
        let (waiting, pods, maps) = (Waiting::default(), table("pods"), table("configmaps"));
        let seats = [waiting.seat(&pods), waiting.seat(&maps), Some(waiting.seat_for_all())];
        let counts = [(); 3].map(|()| Arc::new(Count::default()));
        for (seat, count) in seats.iter().flatten().zip(&counts) {
            seat.wait(&Arc::clone(count).into());
        }
        waiting.wake(&pods);
        waiting.wake(&pods);
        assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [1, 0, 1]);
    }

    #[test]
    fn seats_are_bounded_and_given_back() {
        let (waiting, pods) = (Waiting::default(), table("pods"));
        let all: Vec<_> = (0..WATCHES).map_while(|_| waiting.seat(&pods)).collect();
        assert_eq!(all.len(), WATCHES);
        assert!(waiting.seat(&pods).is_none());
        drop(all);
        assert!(waiting.seat(&pods).is_some());
        assert!(waiting.seats().wakers.is_empty());
    }
}
