//! What a person at a terminal sees: the cases of `terminal/*.txt`, played in process.
//!
//! A file holds cases, each begun by a line `=== name of the case`, with its files as sections begun
//! by `-- path --` and one section `-- terminal --`: command lines after `$`, what they print (lines
//! on standard error behind `! `), and `exit N` where N is not 0. They run in the folder of `cd`; `git`, `cp` and `rm`
//! are those of the machine.
//!
//! `SUITE=write cargo test -p kubectl-overlay --test terminal` writes what is printed anew; read the
//! difference before you commit it.
#![expect(clippy::disallowed_methods, reason = "tests read their cases from the disk")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use kubectl_overlay::settings::Settings;
use support::Recorder;

/// The section that is played.
const TERMINAL: &str = "terminal";

struct Case {
    name: String,
    /// Name and text.
    sections: Vec<(String, String)>,
}

#[test]
fn commands_print_what_the_cases_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/terminal");
    let writes = std::env::var_os("SUITE").is_some_and(|value| value == "write");
    let mut failures = String::new();
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|one| one.unwrap().path()).collect();
    files.sort();
    for file in files {
        let before = std::fs::read_to_string(&file).unwrap();
        let cases: Vec<_> = read(&before).into_iter().map(played).collect();
        let after = write(&cases);
        if writes {
            std::fs::write(&file, after).unwrap();
        } else if before != after {
            let diff = similar::TextDiff::from_lines(&before, &after);
            let _ = writeln!(failures, "{}\n{}", file.display(), diff.unified_diff());
        }
    }
    assert!(failures.is_empty(), "{failures}\nSUITE=write takes it over");
}

fn read(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("=== ") {
            cases.push(Case { name: name.to_owned(), sections: Vec::new() });
            continue;
        }
        let case = cases.last_mut().expect("a file begins with a case");
        match line.strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --")) {
            Some(name) => case.sections.push((name.to_owned(), String::new())),
            None => {
                let (_, text) = case.sections.last_mut().expect("a case begins with a section");
                let _ = writeln!(text, "{line}");
            }
        }
    }
    cases
}

fn write(cases: &[Case]) -> String {
    let mut text = String::new();
    for Case { name, sections } in cases {
        let _ = writeln!(text, "=== {name}");
        for (name, content) in sections {
            let _ = write!(text, "-- {name} --\n{content}");
        }
    }
    text
}

fn played(mut case: Case) -> Case {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in case.sections.iter().filter(|(name, _)| name != TERMINAL) {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    for (_, text) in case.sections.iter_mut().filter(|(name, _)| name == TERMINAL) {
        *text = play(text, folder.path());
    }
    case
}

fn play(text: &str, folder: &Path) -> String {
    let mut played = String::new();
    let mut directory = folder.to_path_buf();
    for line in text.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let _ = writeln!(played, "$ {line}");
        match line.split_once(' ') {
            Some(("cd", path)) => directory = folder.join(path),
            Some(("git" | "cp" | "rm", _)) => tool(line, &directory),
            _ => played.push_str(&run(line, &directory, folder)),
        }
    }
    played
}

/// A program of the machine, which has to succeed and whose output is not shown. Commits are always the same.
fn tool(line: &str, directory: &Path) {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command.args(words).current_dir(directory);
    for (name, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "a"),
        ("GIT_AUTHOR_EMAIL", "a@example.org"),
        ("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z"),
        ("GIT_COMMITTER_NAME", "a"),
        ("GIT_COMMITTER_EMAIL", "a@example.org"),
        ("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z"),
    ] {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

fn run(line: &str, directory: &Path, folder: &Path) -> String {
    let recorder = Recorder::default();
    let settings = Settings {
        directory: PathBuf::from(directory),
        // None of the machine's.
        kubeconfig: Some("kubeconfig".into()),
        ..Settings::default()
    };
    let words = line.split_whitespace();
    let code = support::run(words, &settings, recorder.stream(""), recorder.stream("! "));
    let mut text = recorder.text().replace(&*folder.to_string_lossy(), "");
    // Lines of a case have no blanks at their ends, which editors would take away.
    text = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if code != 0 {
        let _ = writeln!(text, "exit {code}");
    }
    text
}
