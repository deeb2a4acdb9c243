//! Programs that tests need and that do not belong to the repository.

use std::path::PathBuf;

/// A program of `PATH`, or of `tests/peers.sh`.
pub(crate) fn peer(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([cache.join("overlay-test-peers")]);
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is needed: run tests/peers.sh");
        eprintln!("SKIPPED: there is no {name} (tests/peers.sh brings it)");
    }
    found
}
