//! What Flux's own tests say about the kustomization that it builds.

use std::path::{Path, PathBuf};

use overlay::build::{self, Options, Order};
use overlay::files::Memory;
use overlay::flux::{self, Spec};
use overlay::store::Store;
use overlay::{Limits, Resources};
use serde_json::Value;

use crate::recorded::shared;

/// What only Flux's command line does, what needs the network, what is no build.
const OTHERS: &[&str] = &[
    "ignore-gitlab",
    "ignore-sops",
    "source-ignore",
    "remote-resource",
    "component-path",
    "components-test",
    // Flux adds a custom schema to the built-in one; we, as kustomize, replace it.
    "openapi-path-adds",
    "must-not-leak",
];

fn load(files: &mut Memory, root: &Path, directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.insert_directory(path.strip_prefix(root).unwrap());
            load(files, root, &path);
        } else {
            files.insert(path.strip_prefix(root).unwrap(), std::fs::read(&path).unwrap());
        }
    }
}

fn spec(case: &Path) -> Spec {
    let Ok(text) = std::fs::read_to_string(case.join("in/ks.yaml")) else { return Spec::default() };
    let object: Value = serde_yaml::from_str(&text).unwrap();
    serde_json::from_value(object["spec"].clone()).unwrap()
}

fn render(case: &Path, asserted: &Value) -> overlay::Result<Resources> {
    let text = |key: &str, or: &str| asserted[key].as_str().unwrap_or(or).to_owned();
    let dir = text("dir", "in/dir");
    let root = text("root", &dir);
    let mut files = Memory::default();
    files.insert_directory("/");
    load(&mut files, &case.join(&root), &case.join(&root));
    let path = dir.strip_prefix(root.as_str()).unwrap_or_default().to_owned();
    let spec = Spec { path, ..spec(case) };
    let options = Options {
        limits: Limits::WEBHOOK,
        unrestricted: true,
        order: Order::None,
        ..Options::default()
    };
    flux::render(&files, &Store::default(), &options, &spec).output
}

fn judge(case: &Path) -> Result<(), String> {
    let asserted: Value =
        serde_json::from_slice(&std::fs::read(case.join("case.json")).unwrap()).unwrap();
    let fails = asserted["want_build_error"] == true || asserted["want_generate_error"] == true;
    let built = match (render(case, &asserted), fails) {
        (Err(_), true) => return Ok(()),
        (Ok(_), true) => return Err("builds, but should not".into()),
        (Err(error), false) => return Err(format!("does not build: {error}")),
        (Ok(built), false) => built,
    };
    let printed = build::print(&built, &Limits::WEBHOOK).map_err(|error| error.to_string())?;
    let count = built.iter().count() as u64;
    if asserted["assert_resources"].as_u64().is_some_and(|wanted| wanted != count) {
        return Err(format!("has {count} objects"));
    }
    for key in ["assert_container_image", "assert_name_contains", "assert_namespace"] {
        if asserted[key].as_str().is_some_and(|wanted| !printed.contains(wanted)) {
            return Err(format!("{key} does not hold:\n{printed}"));
        }
    }
    match std::fs::read_to_string(case.join("expected.yaml")) {
        Ok(expected) if expected != printed => Err(format!("prints\n{printed}")),
        _ => Ok(()),
    }
}

#[test]
fn builds_what_flux_builds() {
    let Some(group) = shared("flux/generator") else { return };
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(group).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let is_ours =
        |case: &&PathBuf| !OTHERS.iter().any(|other| case.to_string_lossy().contains(other));
    let wrong: Vec<String> = cases
        .iter()
        .filter(is_ours)
        .filter_map(|case| judge(case).err().map(|why| format!("{}: {why}", case.display())))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
