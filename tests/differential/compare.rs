//! What we make of a tree, and what the reference makes of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use overlay::build::{Options, build, print};
use overlay::store::Store;
use overlay::{Limits, Memory};

/// Files by path; `top` is built.
pub(crate) type Tree = BTreeMap<String, String>;

/// The directory that is built.
pub(crate) const TOP: &str = "top";

/// How two renders differ.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Both accept, and print other bytes.
    Bytes,
    /// Only the reference refuses.
    Accepted,
    /// Only we refuse.
    Refused,
}

/// A tree on which the two differ.
pub(crate) struct Difference {
    pub(crate) seed: u64,
    pub(crate) tree: Tree,
    pub(crate) kind: Kind,
}

/// `kubectl` with kustomize 5.8.1.
pub(crate) struct Reference;

impl Reference {
    /// Finds it on PATH; without it the test is skipped loudly, and fails in CI.
    pub(crate) fn find() -> Option<Self> {
        let version = Command::new("kubectl").args(["version", "--client"]).output();
        let has = |text: &[u8]| String::from_utf8_lossy(text).contains("Kustomize Version: v5.8.1");
        if version.is_ok_and(|version| has(&version.stdout)) {
            return Some(Self);
        }
        let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!is_ci, "kubectl with kustomize v5.8.1 is needed; tests/peers.sh brings it");
        let message = b"SKIPPED: no kubectl with kustomize v5.8.1; tests/peers.sh brings it\n";
        std::io::stderr().write_all(message).expect("an open stderr");
        None
    }

    /// Its output, or its message.
    pub(crate) fn render(&self, tree: &Tree) -> Result<String, String> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in tree {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        }
        let built = Command::new("kubectl")
            .args(["kustomize", TOP])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .output()
            .expect("a program that runs");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        if built.status.success() { Ok(text(built.stdout)) } else { Err(text(built.stderr)) }
    }
}

/// What we refuse on reading, and the reference where it prints the object: one that a generator replaces, or a
/// patch deletes, it never prints. README says so.
const REFUSED_EARLIER: &str = "a block of text that begins with a tab";

fn ours(tree: &Tree) -> Result<String, String> {
    let mut files = Memory::default();
    for (name, text) in tree {
        files.insert(name, text.clone());
    }
    let root = Path::new("/").join(TOP);
    let built = build(&files, &Store::default(), &Options::default(), &root);
    let printed = built.output.and_then(|resources| print(&resources, &Limits::PERSON));
    printed.map_err(|error| error.to_string())
}

/// Whether both accept or both refuse the tree, or how they differ.
pub(crate) fn compare(reference: &Reference, tree: &Tree) -> Result<bool, Kind> {
    match (ours(tree), reference.render(tree)) {
        (Ok(ours), Ok(theirs)) if ours == theirs => Ok(true),
        (Ok(_), Ok(_)) => Err(Kind::Bytes),
        (Err(_), Err(_)) => Ok(false),
        (Err(error), Ok(_)) if error.contains(REFUSED_EARLIER) => Ok(false),
        (Ok(_), Err(_)) => Err(Kind::Accepted),
        (Err(_), Ok(_)) => Err(Kind::Refused),
    }
}

impl Difference {
    /// As a case of the suite, with what is wrong about it.
    pub(crate) fn text(&self, reference: &Reference) -> String {
        let mut text = format!("=== seed_{}\n", self.seed);
        for (name, body) in &self.tree {
            let _ = write!(text, "-- {name} --\n{body}");
        }
        let said = |outcome: Result<String, String>| {
            outcome.unwrap_or_else(|error| format!("refused: {error}"))
        };
        let (ours, theirs) = (said(ours(&self.tree)), said(reference.render(&self.tree)));
        let _ =
            writeln!(text, "{:?}; the reference has the lines with -, we those with +", self.kind);
        for change in similar::TextDiff::from_lines(&theirs, &ours).iter_all_changes() {
            let sign = match change.tag() {
                similar::ChangeTag::Delete => '-',
                similar::ChangeTag::Insert => '+',
                similar::ChangeTag::Equal => ' ',
            };
            let _ = write!(text, "{sign}{change}");
        }
        text.push('\n');
        text
    }
}
