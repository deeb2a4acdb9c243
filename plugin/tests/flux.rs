//! `flux build kustomization` against the golden files of the flux program, byte for byte.
//!
//! The data does not belong to the repository; see `tests/flux` of the library.
#![expect(clippy::disallowed_methods, reason = "tests read their cases from the disk")]
#![expect(clippy::print_stderr, reason = "counts and what is skipped are said")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

#[path = "../../tests/flux/data.rs"]
#[expect(dead_code, reason = "the library's tests use more of it")]
mod data;
mod support;

use std::path::Path;

use data::{Case, Tally, cases};
use kubectl_overlay::settings::Settings;
use support::Recorder;

/// Exit code, standard output, standard error.
fn run(directory: &Path, words: &[&str]) -> (u8, String, String) {
    let (out, err) = (Recorder::default(), Recorder::default());
    let settings = Settings { directory: directory.to_owned(), ..Settings::default() };
    let words = ["kubectl-overlay"].iter().chain(words);
    let code = support::run(words, &settings, out.stream(""), err.stream(""));
    (code, out.text(), err.text())
}

/// The words of a command line, quotes taken off.
fn words(command: &str) -> Vec<&str> {
    command.split(' ').map(|word| word.trim_matches('"')).collect()
}

fn judge(case: &Case) -> Result<(), String> {
    let command = case.said["command"].as_str().unwrap();
    let line = words(command);
    let line = line.strip_prefix(&["flux"]).unwrap();
    if let Some(wanted) = case.said["stderr_contains"].as_str() {
        let (code, _, err) = run(&case.path, &[&["flux"], line].concat());
        let is_right = code == 1 && err.contains(wanted);
        return if is_right { Ok(()) } else { Err(format!("exit {code}: {err}")) };
    }
    let wanted = case.text("expected.yaml");
    let file = case.said["kustomization_file"].as_str().unwrap();
    for more in [&[][..], &["--in-memory-build=true"], &["--in-memory-build=false"], &["--dry-run"]]
    {
        let line = [&["flux"], line, &["--kustomization-file", file], more].concat();
        let before = data::tree(&case.path);
        let (code, out, err) = run(&case.path, &line);
        if code != 0 || out != wanted {
            return Err(format!("exit {code}: {err}\n{out}\n--- instead of\n{wanted}"));
        }
        let after = data::tree(&case.path);
        if format!("{before:?}") != format!("{after:?}") {
            return Err("the directory has changed".into());
        }
    }
    Ok(())
}

#[test]
fn prints_the_bytes_of_the_flux_program() {
    let Some(cases) = cases("flux-build") else { return };
    let mut tally = Tally::new("flux-build");
    for case in &cases {
        tally.add(case, None, judge(case));
    }
    tally.finish();
}

/// Labels that are a text are refused, as the program does, and one that is a number is printed; that Flux drops
/// them all then is told.
#[test]
fn labels_that_are_no_texts_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let kustomization = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n\
        metadata: {name: apps, namespace: flux-system}\nspec:\n  path: ./apps\n  prune: true\n  interval: 1m\n  \
        sourceRef: {kind: GitRepository, name: apps}\n";
    std::fs::create_dir(path("apps")).unwrap();
    std::fs::write(path("ks.yaml"), kustomization).unwrap();
    let line = "flux build kustomization apps --path apps --dry-run --kustomization-file ks.yaml";
    let built = |labels: &str| {
        let object =
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels:\n{labels}");
        std::fs::write(path("apps/a.yaml"), object).unwrap();
        run(folder.path(), &words(line))
    };
    let (code, out, err) = built("    app = web\n");
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(
        err.contains("apps/a.yaml:5:3: labels of ConfigMap \"a\" are a scalar and no map"),
        "{err}"
    );
    let (code, out, err) = built("    app: web\n    version: 2\n");
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("    version: 2\n"), "{out}");
    assert!(err.contains("apps/a.yaml:7:5: a label of ConfigMap \"a\" is no string"), "{err}");
}
