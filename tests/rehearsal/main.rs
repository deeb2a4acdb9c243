//! Requests to a real API server and its answers, recorded, sent to the API in memory: it must
//! answer the same.
//!
//! The transcripts lie beside the repository, or where `OVERLAY_CONFORMANCE` says. To see what
//! differs in one scenario: `SHOW=patch/json-patch-ops cargo test --test rehearsal -- --nocapture`;
//! in all: `DIFFERENCES=FILE`.

#![expect(clippy::unwrap_used, reason = "a transcript that cannot be read fails the test")]
#![expect(clippy::disallowed_methods, reason = "the transcripts are files beside the repository")]

mod bindings;
mod speed;
mod transcript;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use transcript::{Scenario, Verdict};

/// The steps that are answered alike, by group, of how many. They may only grow.
const FLOOR: &[(&str, usize)] = &[
    ("admission", 28),
    ("crd", 235),
    ("crd-ssa", 90),
    ("create", 45),
    ("defaults", 93),
    ("delete", 839),
    ("discovery", 30),
    ("dryrun", 310),
    ("errors", 783),
    ("fieldvalidation", 403),
    ("immutable", 161),
    ("list", 312),
    ("managedfields", 267),
    ("patch", 65),
    ("ssa", 453),
    ("ssa-lists", 157),
    ("ssa-values", 80),
    ("subresource", 168),
    ("update", 526),
    ("validation", 532),
    ("warnings", 29),
];

fn transcripts() -> Option<PathBuf> {
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let path = given.unwrap_or_else(beside).join("apiserver");
    path.is_dir().then_some(path)
}

#[test]
fn recorded_requests_are_answered_alike() {
    let Some(path) = transcripts() else {
        assert!(std::env::var_os("CI").is_none(), "the recorded transcripts are not there");
        eprintln!("SKIPPED: the recorded transcripts are not there; set OVERLAY_CONFORMANCE");
        return;
    };
    let only = std::env::var("SHOW").ok();
    let mut groups: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut report = String::new();
    for scenario in Scenario::all(&path) {
        let name = format!("{}/{}", scenario.group, scenario.name);
        if only.as_ref().is_some_and(|only| !name.starts_with(only)) {
            continue;
        }
        let verdicts = scenario.replay();
        let (good, all) = groups.entry(scenario.group.clone()).or_default();
        *all += verdicts.len();
        for (at, verdict) in verdicts.iter().enumerate() {
            match verdict {
                Verdict::Same => *good += 1,
                Verdict::Differs(why) => {
                    writeln!(report, "{name} {}: {}\n    {why}", at + 1, scenario.title(at))
                        .unwrap();
                }
            }
        }
    }
    if let Some(file) = std::env::var_os("DIFFERENCES") {
        std::fs::write(file, &report).unwrap();
    } else if only.is_some() {
        println!("{report}");
    }
    let sum = groups.values().fold((0, 0), |sum, group| (sum.0 + group.0, sum.1 + group.1));
    let line = |name: &str, (good, all): (usize, usize)| {
        let percent = 100.0 * good as f64 / (all as f64).max(1.0);
        println!("{name:16} {good:5} of {all:5}  {percent:5.1} %");
    };
    for (name, score) in &groups {
        line(name, *score);
    }
    line("all", sum);
    if only.is_none() {
        for (group, floor) in FLOOR {
            let (good, _) = groups[*group];
            assert!(
                good >= *floor,
                "{group}: {good} steps are answered alike, {floor} were before"
            );
        }
    }
}
