//! The groups `sops` and `flux-sops-mask`.

use std::path::Path;

use overlay::build::{self, Options};
use overlay::sops::{Keys, mask, objects, sources};
use overlay::store::Store;
use overlay::{Limits, Memory, Resources, yaml};
use serde_json::Value as Json;

use super::{cases, group, keys, name};

/// What a case is short of, and where it is tested instead.
const ELSEWHERE: &[(&str, &str)] = &[(
    "vault-transit",
    "the file is plain: it is encrypted against a local server in `tests/sops/cloud.rs`",
)];

fn tree(folder: &Path, at: &str, files: &mut Memory) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let at = format!("{at}/{}", name(&path));
        match path.is_dir() {
            true => tree(&path, &at, files),
            false => files.insert(at, std::fs::read(&path).unwrap()),
        }
    }
}

/// What Flux does: sources, build, objects.
fn rendered(files: &Memory, directory: &str, keys: Option<&Keys>) -> overlay::Result<Resources> {
    let options = Options { unrestricted: true, ..Options::default() };
    let (store, directory) = (Store::default(), Path::new(directory));
    let mut resources = match keys {
        Some(keys) => {
            let files = sources::decrypt(files, &Limits::WEBHOOK, directory, keys)?;
            build::build(&files, &store, &options, directory).output?
        }
        None => build::build(files, &store, &options, directory).output?,
    };
    for resource in resources.iter_mut() {
        let file = resource.origin.file.clone();
        if let Some(keys) = keys {
            objects::decrypt(&mut resource.value, keys, &file)?;
        }
        objects::check(&resource.value, &file)?;
    }
    Ok(resources)
}

fn printed(resources: &Resources) -> String {
    let mut out = String::new();
    for resource in resources.iter() {
        if !out.is_empty() {
            out.push_str("---\n");
        }
        yaml::write(&resource.value, &mut out).unwrap();
    }
    out
}

/// Documents as this library prints them, so that quotes and order of keys do not count.
fn normal(text: &str) -> String {
    let documents = yaml::read(text.as_bytes(), &"expected".into(), &Limits::PERSON).unwrap();
    let mut texts: Vec<_> = documents
        .iter()
        .map(|document| {
            let mut out = String::new();
            yaml::write(document, &mut out).unwrap();
            out
        })
        .collect();
    texts.sort();
    texts.join("---\n")
}

#[test]
fn cases_of_the_decryptor_give_what_flux_gives() {
    let Some(group) = group("sops") else { return };
    let (mut passed, mut elsewhere) = (0, 0);
    for case in cases(&group) {
        let name = name(&case);
        if ELSEWHERE.iter().any(|(known, _)| *known == name) {
            elsewhere += 1;
            continue;
        }
        check(&case, name);
        passed += 1;
    }
    eprintln!("sops: {passed} passed, {elsewhere} elsewhere");
    assert_eq!((passed, elsewhere), (14, 1));
}

fn check(case: &Path, name: &str) {
    let json: Json =
        serde_json::from_slice(&std::fs::read(case.join("case.json")).unwrap()).unwrap();
    let mut files = Memory::default();
    tree(&case.join("in/dir"), "dir", &mut files);
    let keys = keys(&case.join("in/keys"));
    let configured = json.get("decryption").is_none_or(|value| !value.is_null());
    let directory = match name {
        "dotenv-in-component" => {
            files.insert("overlay/kustomization.yaml", "components: [../dir]");
            "/overlay"
        }
        "remote-base-with-encrypted-dotenv" => return remote(&files, &keys),
        _ => "/dir",
    };
    let result = rendered(&files, directory, configured.then_some(&keys));
    if json.get("want_error") == Some(&Json::Bool(true)) {
        let error = result.err().unwrap_or_else(|| panic!("{name}: no error")).to_string();
        for wanted in ["error_suffix", "error_contains"] {
            if let Some(wanted) = json.get(wanted).and_then(Json::as_str) {
                assert!(error.contains(wanted), "{name}: {error}");
            }
        }
        return;
    }
    let resources = result.unwrap_or_else(|error| panic!("{name}: {error}"));
    let printed = printed(&resources);
    match std::fs::read_to_string(case.join("expected.yaml")) {
        Ok(expected) => assert_eq!(normal(&printed), normal(&expected), "{name}"),
        // Opted out: it is as it was.
        Err(_) => assert!(printed.contains("key: ENC["), "{name}: {printed}"),
    }
}

/// An address among the resources is passed over, and so are the files that it stands for.
fn remote(files: &Memory, keys: &Keys) {
    use overlay::Files as _;
    let decrypted = sources::decrypt(files, &Limits::WEBHOOK, Path::new("/dir"), keys).unwrap();
    assert_eq!(&*decrypted.read(Path::new("/dir/env.env"), 100).unwrap(), b"key=value\n");
}

#[test]
fn cases_of_masks_give_what_the_flux_program_gives() {
    let Some(group) = group("flux-sops-mask") else { return };
    let mut passed = 0;
    for case in cases(&group) {
        let read = |path: &str| std::fs::read(case.join(path)).unwrap();
        let limits = Limits::PERSON;
        let mut objects = yaml::read(&read("in/secret.yaml"), &"secret".into(), &limits).unwrap();
        let was = objects[0].clone();
        let masked = mask::mask(&mut objects[0]);
        assert_eq!(masked, objects[0] != was);
        let mut out = String::new();
        yaml::write(&objects[0], &mut out).unwrap();
        let expected = String::from_utf8(read("expected.yaml")).unwrap();
        assert_eq!(normal(&out), normal(&expected), "{}", name(&case));
        passed += 1;
    }
    eprintln!("flux-sops-mask: {passed} passed");
    assert_eq!(passed, 3);
}
