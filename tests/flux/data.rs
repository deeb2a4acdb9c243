//! The cases on the disk, and the count of what holds.

use std::path::{Path, PathBuf};

use overlay::files::Memory;
use serde_json::Value as Json;

/// One case of a group.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) said: Json,
}

/// What became of the vectors of a group.
pub(crate) struct Tally {
    group: &'static str,
    held: usize,
    wrong: Vec<String>,
    intended: Vec<String>,
    /// Entries of the list that were met.
    met: Vec<String>,
    cases: Vec<String>,
}

/// The cases of a group in the order of their names; none where there is no data.
pub(crate) fn cases(group: &'static str) -> Option<Vec<Case>> {
    let beside = ["/../shared/conformance", "/../../shared/conformance"]
        .map(|beside| PathBuf::from(format!("{}{beside}", env!("CARGO_MANIFEST_DIR"))));
    let beside = beside.iter().find(|folder| folder.is_dir()).unwrap_or(&beside[0]);
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    let folder = given.unwrap_or_else(|| beside.clone()).join("flux").join(group);
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no {}", folder.display());
        eprintln!("SKIPPED {group}: there is no {}", folder.display());
        return None;
    }
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.join("case.json").is_file());
    paths.sort();
    let case = |path: PathBuf| Case {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        said: json(&path.join("case.json")),
        path,
    };
    Some(paths.into_iter().map(case).collect())
}

pub(crate) fn json(path: &Path) -> Json {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Case {
    pub(crate) fn text(&self, path: &str) -> String {
        self.try_text(path).unwrap_or_else(|| panic!("{} has no {path}", self.name))
    }

    pub(crate) fn try_text(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.path.join(path)).ok()
    }

    /// The vectors of a table.
    pub(crate) fn vectors(&self) -> Vec<Json> {
        match json(&self.path.join(self.said["vectors"].as_str().unwrap_or("in/cases.json"))) {
            Json::Array(vectors) => vectors,
            other => panic!("{}: {other}", self.name),
        }
    }

    /// A folder of the case as a tree of its own.
    pub(crate) fn tree(&self, folder: &str) -> Memory {
        tree(&self.path.join(folder))
    }
}

/// A folder as a tree of its own.
pub(crate) fn tree(folder: &Path) -> Memory {
    fn load(files: &mut Memory, root: &Path, folder: &Path) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            let inside = path.strip_prefix(root).unwrap();
            if path.is_dir() {
                files.insert_directory(inside);
                load(files, root, &path);
            } else {
                files.insert(inside, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut files = Memory::default();
    files.insert_directory("/");
    load(&mut files, folder, folder);
    files
}

impl Tally {
    pub(crate) fn new(group: &'static str) -> Self {
        let intended = include_str!("differences.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(": "))
            .map(|(name, _)| name.to_owned())
            .filter(|name| name.split('/').next() == Some(group))
            .collect();
        Self { group, held: 0, wrong: Vec::new(), intended, met: Vec::new(), cases: Vec::new() }
    }

    /// Counts a vector: what is wrong with it, or nothing.
    pub(crate) fn add(&mut self, case: &Case, vector: Option<usize>, outcome: Result<(), String>) {
        if !self.cases.contains(&case.name) {
            self.cases.push(case.name.clone());
        }
        let whole = format!("{}/{}", self.group, case.name);
        let name = match vector {
            Some(index) => format!("{whole}#{index}"),
            None => whole.clone(),
        };
        let listed = [&name, &whole].into_iter().find(|name| self.intended.contains(name)).cloned();
        match (outcome, listed) {
            (Ok(()), None) => self.held += 1,
            (Ok(()), Some(_)) if vector.is_some() => self.held += 1,
            (Ok(()), Some(listed)) => {
                self.wrong.push(format!("{listed} does not differ: strike it off the list"));
            }
            (Err(_), Some(listed)) => self.met.push(listed),
            (Err(why), None) => self.wrong.push(format!("{name}: {why}")),
        }
    }

    /// Prints the count.
    ///
    /// # Panics
    /// Where something is wrong that is not meant to be.
    pub(crate) fn finish(mut self) {
        let (held, meant) = (self.held, self.met.len());
        let total = held + meant + self.wrong.len();
        let cases = self.cases.len();
        eprintln!(
            "{}: {held} of {total} vectors in {cases} cases hold, {meant} differ on purpose",
            self.group
        );
        for listed in &self.intended {
            if !self.met.contains(listed) {
                self.wrong.push(format!("{listed} does not differ: strike it off the list"));
            }
        }
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}
