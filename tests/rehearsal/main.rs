//! Requests to a real API server and its answers, recorded, sent to the API in memory: it must
//! answer the same. What differs and is meant to stands in `differences.txt`, with its reason; what
//! stands there and does not differ is an error too.
//!
//! The transcripts lie beside the repository, or where `OVERLAY_CONFORMANCE` says. To see what
//! differs in one scenario: `SHOW=patch/json-patch-ops cargo test --test rehearsal -- --nocapture`;
//! in all: `DIFFERENCES=FILE`.

#![expect(clippy::unwrap_used, reason = "a transcript that cannot be read fails the test")]
#![expect(clippy::disallowed_methods, reason = "the transcripts are files beside the repository")]

mod bindings;
#[cfg(feature = "cluster")]
mod clients;
#[cfg(all(feature = "cluster", unix))]
mod limits;
#[cfg(feature = "cluster")]
mod site;
mod speed;
mod transcript;
mod writes;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use transcript::{Scenario, Verdict};

/// Steps that are meant to differ: `group/name#step`, counted from 1, and why.
fn exceptions() -> BTreeMap<&'static str, &'static str> {
    let lines = include_str!("differences.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").expect(line)).collect()
}

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
    let exceptions = exceptions();
    let mut groups: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut report, mut settled, mut met) = (String::new(), String::new(), 0);
    for scenario in Scenario::all(&path) {
        let name = format!("{}/{}", scenario.group, scenario.name);
        if only.as_ref().is_some_and(|only| !name.starts_with(only)) {
            continue;
        }
        let verdicts = scenario.replay();
        let (good, all) = groups.entry(scenario.group.clone()).or_default();
        *all += verdicts.len();
        for (at, verdict) in verdicts.iter().enumerate() {
            let step = format!("{name}#{}", at + 1);
            let meant = exceptions.get(&*step);
            met += usize::from(meant.is_some());
            match (verdict, meant) {
                (Verdict::Same, None) => *good += 1,
                (Verdict::Same, Some(why)) => {
                    *good += 1;
                    writeln!(settled, "{step}: {why}").unwrap();
                }
                (Verdict::Differs(_), Some(_)) if only.is_none() => {}
                (Verdict::Differs(why), _) => {
                    writeln!(report, "{step}: {}\n    {why}", scenario.title(at)).unwrap();
                }
            }
        }
    }
    if let Some(file) = std::env::var_os("DIFFERENCES") {
        std::fs::write(file, &report).unwrap();
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
    assert!(report.is_empty(), "differences that are not listed:\n{report}");
    if only.is_none() {
        assert!(settled.is_empty(), "these no longer differ:\n{settled}");
        assert_eq!(met, exceptions.len(), "differences.txt names steps that are not there");
    }
}
