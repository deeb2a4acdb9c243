//! Flux's own tests, its golden files and vectors taken from running it, against this engine.
//!
//! The data does not belong to the repository: `OVERLAY_CONFORMANCE` names its folder, else it is looked
//! for beside the checkout. Where it is missing the tests skip and say so; in CI (`CI=true`) they fail.
//! Every group prints how many of its vectors hold. What is meant to differ stands, with its reason, in
//! `differences.txt`; what stands there and does not differ is an error too.

#![expect(clippy::disallowed_methods, reason = "tests read their cases from the disk")]
#![expect(clippy::print_stderr, reason = "counts and what is skipped are said")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

mod applying;
mod building;
mod data;
#[cfg(feature = "rehearsal")]
mod expressions;
mod health;
mod paths;
#[cfg(feature = "sops")]
mod showing;
mod substitution;
