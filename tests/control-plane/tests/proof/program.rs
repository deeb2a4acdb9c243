//! The bytes that `flux build kustomization --dry-run` prints, and ours: for every shape, for the recorded cases where
//! they are at hand, and for a sample of random trees.
//!
//! `TREES=n` compares n trees, `SEED=n` begins elsewhere.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use control_plane::GitServer;
use control_plane::programs::{self, Programs};
use kubectl_overlay::settings::Settings;
use overlay::{Limits, yaml};
use similar::TextDiff;
use tempfile::TempDir;

use crate::chance::Chance;
use crate::shape::{BASE, Names, shapes};
use crate::support::{self, Recorder};
use crate::tree;

/// How many trees a plain run compares.
const SAMPLE: u64 = 40;

/// What Flux refuses and we print: what it says, and why we do not.
const MEANT: &[(&str, &str)] = &[(
    "json: unsupported type: map[interface {}]interface {}",
    "keys of stringData that look like numbers become some in the program's copy, which it then cannot print",
)];

/// A directory to build by a Kustomization, in a folder of its own.
struct Input {
    name: String,
    folder: TempDir,
    /// Which directory of the folder.
    path: String,
    /// Where the Kustomization stands in the folder.
    file: String,
    more: Vec<String>,
}

/// What a program says.
struct Said {
    is_content: bool,
    out: String,
    err: String,
}

fn flux() -> Option<PathBuf> {
    Some(Programs::for_a_test(programs::FLUX_PROGRAM).unwrap()?.program("flux"))
}

#[test]
fn every_shape_is_printed_alike() {
    let Some(flux) = flux() else { return };
    let git = GitServer::start().unwrap();
    git.commit("base", BASE).unwrap();
    let url = git.url("");
    let names =
        Names { namespace: "shop", source: "flux-system", git: url.trim_end_matches("/.git") };
    let inputs = shapes().into_iter().map(|shape| {
        let shape = shape.placed(&names);
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in shape.files(false) {
            write(&folder.path().join(path), text);
        }
        let file = format!("{}.yaml", shape.name);
        write(&folder.path().join(&file), shape.kustomization());
        let path = shape.name.clone();
        Input { name: shape.name, folder, path, file, more: Vec::new() }
    });
    let inputs: Vec<Input> = inputs.collect();
    let count = inputs.len();
    assert_eq!(judge(&flux, inputs), count, "some are refused by both");
}

#[test]
fn recorded_cases_are_printed_alike() {
    let Some(flux) = flux() else { return };
    let Some(data) = data() else { return };
    let mut inputs = Vec::new();
    for case in folders(&data.join("generator")) {
        let input = Input::copied(&case, "in/dir", "in/ks.yaml", &[]);
        // They are without names.
        let file = input.folder.path().join(&input.file);
        let text = std::fs::read_to_string(&file).unwrap();
        if !text.contains("\nmetadata:") {
            write(&file, &format!("metadata: {{name: case, namespace: flux-system}}\n{text}"));
        }
        inputs.push(input);
    }
    for (case, path, more) in [
        ("podinfo", "in/podinfo", &[][..]),
        ("podinfo-without-service", "in/delete-service", &[]),
        ("ignore-paths", "in/ignore", &["--ignore-paths", "!configmap.yaml,!secret.yaml"]),
        ("var-substitution", "in/var-substitution", &[]),
    ] {
        let case = data.join("flux-build").join(case);
        inputs.push(Input::copied(&case, path, "in/flux/podinfo-kustomization.yaml", more));
    }
    let repository = data.join("example-repo/_repo");
    for cluster in ["production", "staging"] {
        for (name, path) in [
            ("apps", format!("apps/{cluster}")),
            ("infra-controllers", "infrastructure/controllers".to_owned()),
            ("infra-configs", "infrastructure/configs".to_owned()),
        ] {
            let file = if name == "apps" { "apps" } else { "infrastructure" };
            let file = format!("clusters/{cluster}/{file}.yaml");
            let mut input = Input::copied(&repository, &path, &file, &[]);
            name.clone_into(&mut input.name);
            inputs.push(input);
        }
    }
    judge(&flux, inputs);
}

#[test]
fn random_trees_are_printed_alike() {
    let Some(flux) = flux() else { return };
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let (first, count) = (number("SEED").unwrap_or(1), number("TREES").unwrap_or(SAMPLE));
    let mut accepted = 0;
    let seeds: Vec<u64> = (first..first + count).collect();
    // Not all folders at once.
    for seeds in seeds.chunks(100) {
        accepted += judge(&flux, seeds.iter().map(|seed| Input::random(*seed)).collect());
    }
    eprintln!("{count} random trees, {accepted} of them accepted by both");
}

impl Input {
    fn copied(from: &Path, path: &str, file: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copied = Command::new("cp").arg("-r").arg(from.join(".")).arg(folder.path()).status();
        assert!(copied.unwrap().success());
        Self {
            name: from.file_name().unwrap().to_string_lossy().into_owned(),
            folder,
            path: path.to_owned(),
            file: file.to_owned(),
            more: more.iter().map(|&word| word.to_owned()).collect(),
        }
    }

    /// A random tree with a Kustomization that says something of its own about it.
    fn random(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in tree::tree(seed) {
            write(&folder.path().join(name), &text);
        }
        let spec = [
            "  targetNamespace: apps\n",
            "  namePrefix: pre-\n",
            "  nameSuffix: -post\n",
            "  commonMetadata:\n    labels: {team: a}\n    annotations: {note: \"1\"}\n",
            "  images:\n  - name: nginx\n    newTag: \"9\"\n",
            "  postBuild:\n    substitute: {name: value}\n",
            "  buildMetadata: [originAnnotations]\n",
            "  patches:\n  - target: {kind: Deployment}\n    patch: |\n      - op: add\n        path: /metadata/labels\n        value: {patched: \"true\"}\n",
        ];
        let mut chance = Chance::new(seed);
        let spec: String = spec.into_iter().filter(|_| chance.percent(30)).collect();
        let object = format!(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: tree\n  \
             namespace: flux-system\nspec:\n  interval: 1h\n  prune: true\n  path: ./top\n  \
             sourceRef: {{kind: GitRepository, name: tree}}\n{spec}"
        );
        write(&folder.path().join("tree.yaml"), &object);
        let name = format!("seed {seed}");
        Self { name, folder, path: "top".into(), file: "tree.yaml".into(), more: Vec::new() }
    }

    /// The words after the program's name.
    fn words(&self) -> Vec<String> {
        let (name, namespace) = self.object();
        let words =
            ["build", "kustomization", &name, "--namespace", &namespace, "--path", &self.path];
        let words = words.into_iter().chain(["--kustomization-file", &self.file, "--dry-run"]);
        words.map(str::to_owned).chain(self.more.iter().cloned()).collect()
    }

    /// Name and namespace of the Kustomization.
    fn object(&self) -> (String, String) {
        let text = std::fs::read(self.folder.path().join(&self.file)).unwrap();
        let documents = yaml::read(&text, &"file".into(), &Limits::default()).unwrap();
        let text = |object: &overlay::Value, field: &str| {
            object.text_at(&["metadata", field]).unwrap_or("flux-system").to_owned()
        };
        let is_it = |object: &&overlay::Value| {
            object.text_at(&["kind"]) == Some("Kustomization")
                && (self.file == "in/ks.yaml"
                    || !self.file.contains("infrastructure")
                    || text(object, "name") == self.name)
        };
        let object = documents.iter().find(is_it).unwrap();
        (text(object, "name"), text(object, "namespace"))
    }

    fn theirs(&self, flux: &Path) -> Said {
        let output = Command::new(flux)
            .args(self.words())
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let is_content = output.status.success();
        Said { is_content, out: text(output.stdout), err: text(output.stderr) }
    }

    fn ours(&self) -> Said {
        let (out, err) = (Recorder::default(), Recorder::default());
        let settings = Settings {
            directory: self.folder.path().to_owned(),
            cache: Some(self.folder.path().join(".cache")),
            ..Settings::default()
        };
        let words = ["kubectl-overlay", "flux"].map(str::to_owned).into_iter().chain(self.words());
        let code = support::run(words, &settings, out.stream(""), err.stream(""));
        Said { is_content: code == 0, out: out.text(), err: err.text() }
    }

    /// Whether both accept it or both refuse it, or how they differ.
    fn judge(&self, flux: &Path) -> Result<bool, String> {
        let (ours, theirs) = (self.ours(), self.theirs(flux));
        match (ours.is_content, theirs.is_content) {
            (true, true) if ours.out == theirs.out => Ok(true),
            (false, false) => Ok(false),
            (true, true) => {
                let diff = TextDiff::from_lines(&theirs.out, &ours.out);
                let diff = diff.unified_diff().to_string();
                Err(format!("{}: - is Flux's, + ours\n{diff}", self.name))
            }
            (false, true) => Err(format!("{}: only we refuse it: {}", self.name, ours.err)),
            (true, false) if self.is_meant(&theirs) => Ok(false),
            (true, false) => Err(format!("{}: only Flux refuses it: {}", self.name, theirs.err)),
        }
    }

    fn is_meant(&self, theirs: &Said) -> bool {
        let found = MEANT.iter().find(|(words, _)| theirs.err.contains(words));
        if let Some((_, why)) = found {
            eprintln!("{} is meant to differ: {why}", self.name);
        }
        found.is_some()
    }
}

/// Compares all, some at a time; how many are accepted by both.
fn judge(flux: &Path, inputs: Vec<Input>) -> usize {
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<Result<bool, String>>> = Mutex::default();
    let work = || {
        while let Some(input) = inputs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = input.judge(flux);
            outcomes.lock().unwrap().push(outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let accepted = outcomes.iter().filter(|one| **one == Ok(true)).count();
    let mut wrong: Vec<&String> = outcomes.iter().filter_map(|one| one.as_ref().err()).collect();
    wrong.sort();
    let count = inputs.len();
    eprintln!(
        "{count} inputs, {accepted} printed alike, {} refused by both or meant to differ",
        count - accepted - wrong.len()
    );
    let shown: String = wrong.iter().map(|one| format!("{one}\n")).collect();
    assert!(wrong.is_empty(), "\n{} of {count} differ\n{shown}", wrong.len());
    accepted
}

/// The recorded cases of Flux, which lie beside the checkout on the project's own machines.
fn data() -> Option<PathBuf> {
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = here.ancestors().map(|folder| folder.join("shared/conformance"));
    let found =
        given.into_iter().chain(beside).map(|one| one.join("flux")).find(|one| one.is_dir());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "there are no cases");
        eprintln!("SKIPPED: there are no recorded cases");
    }
    found
}

/// The folders in a folder that hold a Kustomization and what it builds.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries
        .filter(|path| path.join("in/ks.yaml").is_file() && path.join("in/dir").is_dir())
        .collect();
    folders.sort();
    folders
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
