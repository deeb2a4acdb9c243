//! Renders the cases under `tests/suite` and compares the text.
//!
//! A file holds cases, each begun by a line `=== name of the case`, with its files as sections
//! begun by `-- path --`. Some sections are no files:
//!
//! - `-- output --`: what is printed, or
//! - `-- error --`: what the refusal says,
//! - `-- warnings --`: what is warned of, one a line; not compared where it is missing,
//! - `-- directory --`: the directory that is built, `.` where it is missing,
//! - `-- differs --`: why the reference does something else; it is not asked then.
//!
//! `SUITE=write cargo test --test suite` writes the sections anew; read the difference before you
//! commit it.

#![expect(clippy::disallowed_methods, reason = "tests read their cases from the disk")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use overlay::build::{Options, build, print};
use overlay::files::Memory;
use overlay::limits::Limits;
use overlay::store::Store;

/// A case as it stands in its file.
struct Case {
    name: String,
    sections: Vec<Section>,
}

struct Section {
    name: String,
    text: String,
}

/// What a build says.
struct Said {
    outcome: Result<String, String>,
    warnings: String,
}

impl Case {
    fn section(&self, name: &str) -> Option<&str> {
        self.sections.iter().find(|one| one.name == name).map(|one| one.text.as_str())
    }

    fn directory(&self) -> &str {
        self.section("directory").map_or(".", str::trim)
    }

    fn files(&self) -> impl Iterator<Item = &Section> {
        let others = ["output", "error", "warnings", "directory", "differs"];
        self.sections.iter().filter(move |one| !others.contains(&one.name.as_str()))
    }

    fn build(&self) -> Said {
        let mut files = Memory::default();
        for file in self.files() {
            files.insert(&file.name, file.text.clone());
        }
        let root = overlay::files::clean(&Path::new("/").join(self.directory()));
        let built = build(&files, &Store::default(), &Options::default(), &root);
        let mut warnings = String::new();
        for warning in &built.warnings {
            let _ = writeln!(warnings, "{}: {}", warning.place, warning.message);
        }
        let printed = built.output.and_then(|resources| print(&resources, &Limits::PERSON));
        Said { outcome: printed.map_err(|error| format!("{error}\n")), warnings }
    }

    /// The case as it would be right.
    fn corrected(&self) -> String {
        let said = self.build();
        let mut text = format!("=== {}\n", self.name);
        let mut section = |name: &str, body: &str| {
            let _ = write!(text, "-- {name} --\n{body}");
        };
        for one in &self.sections {
            if !matches!(one.name.as_str(), "output" | "error" | "warnings") {
                section(&one.name, &one.text);
            }
        }
        match &said.outcome {
            Ok(output) => section("output", output),
            Err(error) => section("error", error),
        }
        if self.section("warnings").is_some() {
            section("warnings", &said.warnings);
        }
        text
    }

    /// The case as it stands.
    fn text(&self) -> String {
        let mut text = format!("=== {}\n", self.name);
        for Section { name, text: body } in &self.sections {
            let _ = write!(text, "-- {name} --\n{body}");
        }
        text
    }
}

/// The files of the suite, with their cases.
fn suite() -> Vec<(PathBuf, Vec<Case>)> {
    let mut files = Vec::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("the suite") {
            let path = entry.expect("an entry of the suite").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "txt") {
                let text = std::fs::read_to_string(&path).expect("a file of cases");
                files.push((path, cases(&text)));
            }
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("=== ") {
            cases.push(Case { name: name.trim().to_owned(), sections: Vec::new() });
            continue;
        }
        let case = cases.last_mut().expect("a file of cases begins with `=== name`");
        let header = line.strip_prefix("-- ").and_then(|rest| rest.trim_end().strip_suffix(" --"));
        match (header, case.sections.last_mut()) {
            (Some(name), _) => {
                case.sections.push(Section { name: name.to_owned(), text: String::new() });
            }
            (None, Some(section)) => section.text.push_str(line),
            (None, None) => assert_eq!(line.trim(), "", "text before the first section"),
        }
    }
    cases
}

/// The lines of both, those that differ marked.
fn difference(expected: &str, actual: &str) -> String {
    let mut text = String::new();
    for change in similar::TextDiff::from_lines(expected, actual).iter_all_changes() {
        let sign = match change.tag() {
            similar::ChangeTag::Delete => '-',
            similar::ChangeTag::Insert => '+',
            similar::ChangeTag::Equal => ' ',
        };
        let _ = write!(text, "{sign}{change}");
    }
    text
}

#[test]
fn every_case_is_rendered_as_it_says() {
    let writes = std::env::var_os("SUITE").is_some_and(|value| value == "write");
    let mut failures = String::new();
    let mut count = 0;
    for (path, cases) in suite() {
        let mut text = String::new();
        for case in &cases {
            count += 1;
            let (expected, actual) = (case.text(), case.corrected());
            if expected != actual && !writes {
                let file = path.display();
                let _ =
                    writeln!(failures, "{file}: {}\n{}", case.name, difference(&expected, &actual));
            }
            text.push_str(&actual);
        }
        if writes {
            std::fs::write(&path, text).expect("a writable suite");
        }
    }
    assert!(count > 0, "the suite is empty");
    assert!(failures.is_empty(), "\n{failures}");
}

/// The reference: a `kubectl` with the kustomize whose output is ours, if there is one.
fn reference() -> Option<&'static str> {
    let version = Command::new("kubectl").args(["version", "--client"]).output().ok()?;
    String::from_utf8_lossy(&version.stdout)
        .contains("Kustomize Version: v5.8.1")
        .then_some("kubectl")
}

#[test]
fn the_reference_says_the_same() {
    let Some(program) = reference() else {
        let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!is_ci, "kubectl with kustomize v5.8.1 is needed; tests/peers.sh brings it");
        // Past what the test runner holds back of tests that succeed.
        let message = b"SKIPPED: no kubectl with kustomize v5.8.1; tests/peers.sh brings it\n";
        std::io::stderr().write_all(message).expect("an open stderr");
        return;
    };
    let suite = suite();
    let cases: Vec<&Case> = suite.iter().flat_map(|(_, cases)| cases).collect();
    let cases: Vec<&Case> =
        cases.into_iter().filter(|case| case.section("differs").is_none()).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let shares = cases.chunks(cases.len().div_ceil(threads).max(1));
    let failures: String = std::thread::scope(|scope| {
        let run = |share: &'_ [&Case]| -> String {
            share.iter().filter_map(|case| contradiction(program, case)).collect()
        };
        let workers: Vec<_> = shares.map(|share| scope.spawn(move || run(share))).collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    assert!(failures.is_empty(), "\n{failures}");
}

/// How the reference contradicts a case.
fn contradiction(program: &str, case: &Case) -> Option<String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for file in case.files() {
        let path = directory.path().join(&file.name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, &file.text).expect("a file");
    }
    let built = Command::new(program)
        .args(["kustomize", case.directory()])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .expect("a program that runs");
    let stdout = String::from_utf8_lossy(&built.stdout);
    let stderr = String::from_utf8_lossy(&built.stderr);
    let name = &case.name;
    match (case.section("output"), built.status.success()) {
        (Some(expected), true) if expected == stdout => None,
        (Some(expected), true) => Some(format!("{name}\n{}", difference(expected, &stdout))),
        (Some(_), false) => Some(format!("{name}: the reference refuses it: {stderr}\n")),
        (None, true) => Some(format!("{name}: the reference accepts it:\n{stdout}\n")),
        (None, false) => None,
    }
}
