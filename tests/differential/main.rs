//! Random but plausible trees of bases, overlays and components, rendered by us and by the reference.
//!
//! `cargo test --test differential` renders a fixed sample. `TREES=n` renders n trees, `TREES=forever`
//! until something differs or it is stopped; `SEED=n` begins elsewhere. What differs is shrunk and
//! printed as a case for `tests/suite`.

mod chance;
mod compare;
mod mangled;
mod objects;
mod odd;
mod settings;
mod shrink;
mod texts;
mod tree;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use compare::{Difference, Reference};

/// How many trees a plain run renders.
const SAMPLE: u64 = 120;

/// After how many trees a long run says how far it is.
const PROGRESS: u64 = 250;

/// The first seed of a plain run.
const FIRST: u64 = 1;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_trees_are_rendered_as_the_reference_does() {
    let Some(reference) = Reference::find() else { return };
    let first = number("SEED").unwrap_or(FIRST);
    let is_endless = std::env::var("TREES").is_ok_and(|value| value == "forever");
    let last = if is_endless { u64::MAX } else { first + number("TREES").unwrap_or(SAMPLE) };
    let next = AtomicU64::new(first);
    let found: Mutex<Vec<Difference>> = Mutex::default();
    let accepted = AtomicU64::new(0);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let is_over = is_endless && !found.lock().expect("no panic").is_empty();
            if seed >= last || is_over {
                return;
            }
            if seed > first && (seed - first).is_multiple_of(PROGRESS) {
                eprintln!("{} trees rendered", seed - first);
            }
            let tree = tree::tree(seed);
            match compare::compare(&reference, &tree) {
                Ok(is_accepted) => accepted.fetch_add(u64::from(is_accepted), Ordering::Relaxed),
                Err(kind) => {
                    let tree = shrink::shrink(&reference, tree, kind);
                    found.lock().expect("no panic").push(Difference { seed, tree, kind });
                    0
                }
            };
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let count = next.load(Ordering::Relaxed).min(last) - first;
    let accepted = accepted.into_inner();
    eprintln!("{count} trees rendered, {accepted} of them accepted by both");
    let found = found.into_inner().expect("no panic");
    let shown: String = found.iter().map(|one| one.text(&reference)).collect();
    assert!(found.is_empty(), "\n{} of {count} trees differ\n{shown}", found.len());
    assert!(accepted * 4 > count, "many trees shall be accepted, or little is compared");
}
