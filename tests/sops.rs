//! Decrypts what SOPS encrypted: the cases recorded from Flux, and files that the real `sops` makes here.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the data are read where they lie, and helpers of tests are tests too"
)]

#[cfg(feature = "sops-cloud")]
#[path = "sops/cloud.rs"]
mod cloud;
#[path = "sops/flux.rs"]
mod flux;
#[path = "sops/program.rs"]
mod program;
#[path = "sops/secrecy.rs"]
mod secrecy;
#[cfg(feature = "sops-cloud")]
#[allow(dead_code, reason = "other tests use more of it")]
#[path = "sources/server.rs"]
mod server;
#[path = "sops/tables.rs"]
mod tables;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use overlay::sops::Keys;

/// A group of the recorded data, where they stand beside the checkout.
fn group(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    let found = Some(given.unwrap_or(beside).join("flux").join(name)).filter(|path| path.is_dir());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "no recorded cases of {name}"
        );
        eprintln!("SKIPPED: there are no recorded cases of {name}");
    }
    found
}

fn cases(group: &Path) -> Vec<PathBuf> {
    let mut cases: Vec<_> =
        std::fs::read_dir(group).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap()
}

fn file() -> Arc<str> {
    "secret".into()
}

/// The keys of a case, as entries of the Secret that Flux reads.
fn keys(folder: &Path) -> Keys {
    let mut keys = Keys::default();
    for key in std::fs::read_dir(folder).into_iter().flatten() {
        let key = key.unwrap().path();
        let entry = name(&key).replace(".txt", ".agekey");
        keys.add_secret_entry(&entry, &std::fs::read(&key).unwrap(), "keys").unwrap();
    }
    keys
}
