//! `flux diff kustomization` against the golden files of the flux program, on a Kubernetes API in memory.
//!
//! The data does not belong to the repository; see `tests/flux` of the library.
#![expect(clippy::disallowed_methods, reason = "tests read their cases from the disk")]
#![expect(clippy::print_stderr, reason = "counts and what is skipped are said")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

#[path = "../../tests/flux/data.rs"]
#[expect(dead_code, reason = "the library's tests use more of it")]
mod data;
#[path = "support/served.rs"]
mod served;
mod support;

use std::path::Path;

use data::{Case, Tally, cases};
use kubectl_overlay::settings::Settings;
use overlay::flux::normalize;
use overlay::{Limits, json, yaml};
use serde_json::Value as Json;
use served::Served;
use support::Recorder;

/// Exit code, standard output, standard error.
fn run(served: &Served, directory: &Path, words: &[&str]) -> (u8, String, String) {
    let (out, err) = (Recorder::default(), Recorder::default());
    let settings = Settings {
        directory: directory.to_owned(),
        kubeconfig: Some(served.kubeconfig().into()),
        ..Settings::default()
    };
    let words = ["kubectl-overlay"].iter().chain(words);
    let code = support::run(words, &settings, out.stream(""), err.stream(""));
    (code, out.text(), err.text())
}

/// The objects of the cluster, in the form in which Flux's own tests apply them.
fn cluster(case: &Case) -> Vec<Json> {
    let mut paths: Vec<_> = std::fs::read_dir(case.path.join("in/cluster"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut objects = Vec::new();
    for path in paths {
        let text = std::fs::read(path).unwrap();
        for document in yaml::read(&text, &"cluster.yaml".into(), &Limits::WEBHOOK).unwrap() {
            let mut object = json::to_json(&document).unwrap();
            normalize::object(&mut object);
            objects.push(object);
        }
    }
    objects
}

fn judge(case: &Case) -> Result<(), String> {
    let served = Served::new(&["flux-system"]);
    served.apply(&cluster(case));
    let before = served.version();
    let command = case.said["command"].as_str().unwrap();
    let line: Vec<_> = command.split(' ').map(|word| word.trim_matches('"')).collect();
    let (code, out, err) = run(&served, &case.path, &line);
    let said = || format!("exit {code}: {err}\n{out}");
    if Some(u64::from(code)) != case.said["exit_code"].as_u64() {
        return Err(said());
    }
    if served.version() != before {
        return Err(format!("something was written\n{}", said()));
    }
    if let Some(wanted) = case.said["stderr_contains"].as_str() {
        return if err.contains(wanted) { Ok(()) } else { Err(said()) };
    }
    let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    let wanted = case.text("expected.txt");
    if trimmed(&out).trim_end() == trimmed(&wanted).trim_end() {
        Ok(())
    } else {
        Err(format!("{}\n--- instead of\n{wanted}", said()))
    }
}

#[test]
fn shows_what_the_flux_program_shows() {
    let Some(cases) = cases("flux-diff") else { return };
    let mut tally = Tally::new("flux-diff");
    for case in &cases {
        let command = case.said["command"].as_str().unwrap();
        let words: Vec<_> = command.split(' ').skip(1).collect();
        assert_eq!(words[..2], ["diff", "kustomization"]);
        tally.add(case, None, judge(case));
    }
    tally.finish();
}
