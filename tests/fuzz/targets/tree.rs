//! Builds of a tree in memory.

use std::path::Path;

use overlay::build::{Options, build, print};
use overlay::store::Store;
use overlay::{Limits, Memory};

/// Renders `/top`, as the webhook would.
pub(crate) fn render(files: &Memory) {
    let limits = Limits { output_bytes: 1 << 20, ..Limits::WEBHOOK };
    let options = Options { limits, ..Options::default() };
    let built = build(files, &Store::default(), &options, Path::new("/top"));
    if let Ok(resources) = built.output {
        let _ = print(&resources, &limits);
    }
}

/// The parts of an input, which a NUL separates.
#[allow(dead_code, reason = "not every target has two parts")]
pub(crate) fn parts(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    (&data[..at], data.get(at + 1..).unwrap_or_default())
}
