//! Kustomizations of many shapes, rendered by us and by the real Flux.
//!
//! `shapes/*.txt` hold one each. `controller` lets source-controller and kustomize-controller reconcile all of them and
//! compares what they applied; `program` compares the bytes that the `flux` program prints.
#![expect(clippy::disallowed_methods, reason = "tests read and write files of their own")]
#![expect(clippy::print_stderr, reason = "counts and what is skipped are said")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

#[path = "../../../differential/chance.rs"]
mod chance;
#[path = "../../../differential/compare.rs"]
#[expect(dead_code, reason = "trees are compared with another reference here")]
mod compare;
mod controller;
#[path = "../../../differential/mangled.rs"]
mod mangled;
#[path = "../../../differential/objects.rs"]
mod objects;
#[path = "../../../differential/odd.rs"]
mod odd;
mod program;
#[path = "../../../differential/settings.rs"]
mod settings;
mod shape;
#[path = "../../../../plugin/tests/support/mod.rs"]
mod support;
#[path = "../../../differential/texts.rs"]
mod texts;
#[path = "../../../differential/tree.rs"]
mod tree;
