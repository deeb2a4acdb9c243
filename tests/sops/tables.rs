//! The group `sops-tables`: tables from the tests of Flux's decryptor.

use std::path::Path;

use overlay::sops::{Format, Integrity, Keys, decrypt, objects, sources};
use overlay::{Disk, Limits, yaml};
use serde_json::Value as Json;

use super::{file, group};

fn table(name: &str) -> Option<Vec<Json>> {
    let path = group("sops-tables")?.join(name).join("in/cases.json");
    Some(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
}

/// Says how many vectors hold, once all of them do.
fn count(name: &str, cases: &[Json], wanted: usize) {
    assert_eq!(cases.len(), wanted);
    eprintln!("sops-tables: {wanted} of {wanted} vectors of {name} hold");
}

fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json.get(key).and_then(Json::as_str).unwrap_or_default()
}

fn format(name: &str) -> Format {
    match name {
        "json" | "json or binary" => Format::Json,
        "dotenv" => Format::Dotenv,
        "ini" => Format::Ini,
        "yaml" => Format::Yaml,
        _ => Format::Binary,
    }
}

#[test]
fn formats_come_from_names() {
    let Some(cases) = table("format-for-path") else { return };
    for case in &cases {
        assert_eq!(Format::for_path(text(case, "path")), format(text(case, "want")));
    }
    assert_eq!(Format::for_path("key"), Format::Binary);
    count("format-for-path", &cases, 2);
}

#[test]
fn formats_have_markers() {
    let Some(cases) = table("format-markers") else { return };
    for case in &cases {
        let format = format(text(case, "format"));
        assert_eq!(format.marker(), text(case, "marker"));
        assert_eq!(Format::detect(text(case, "marker").as_bytes()), Some(format));
    }
    assert_eq!(Format::detect(b"mac: none"), None);
    count("format-markers", &cases, 4);
}

#[test]
fn secrets_with_an_entry_of_sops_are_encrypted() {
    let Some(cases) = table("is-encrypted-secret") else { return };
    for case in &cases {
        let text = text(case, "object").as_bytes();
        let objects = yaml::read(text, &file(), &Limits::PERSON).unwrap();
        let wanted = case.get("want") == Some(&Json::Bool(true));
        assert_eq!(objects::is_encrypted_secret(&objects[0]), wanted, "{case}");
    }
    count("is-encrypted-secret", &cases, 3);
}

/// Flux takes values out of messages that SOPS put in; ours have none to begin with.
#[test]
fn messages_do_not_repeat_values() {
    let Some(cases) = table("error-redaction") else { return };
    for case in &cases {
        let value = text(case, "err").replace('"', "");
        let sops = r#"{"age":[{"recipient":"age1x","enc":"ENC"}],"mac":"ENC[1]"}"#;
        let content = format!(r#"{{"data":"{value} 1234567897","sops":{sops}}}"#);
        let keys = Keys::default();
        let error = decrypt(
            content.as_bytes(),
            Format::Json,
            Format::Json,
            &keys,
            Integrity::Verified,
            &file(),
        );
        let error = format!("{0} {0:?}", error.err().unwrap());
        assert!(!error.contains("1234567897"), "{error}");
    }
    count("error-redaction", &cases, 4);
}

/// Each node of a case gets an encrypted file, so what is visited shows in what is found.
#[test]
fn kustomizations_are_walked_as_flux_walks_them() {
    let Some(cases) = table("kustomization-recursion") else { return };
    for case in &cases {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let within = |text: &str| text.replace("<tmpdir>", root.to_str().unwrap());
        let mut wanted = Vec::new();
        for node in case.get("nodes").and_then(Json::as_array).unwrap() {
            let path = root.join(text(node, "path").trim_start_matches('/'));
            let above = path.parent().unwrap();
            std::fs::create_dir_all(above).unwrap();
            if let Some(target) = node.get("symlink").and_then(Json::as_str) {
                std::os::unix::fs::symlink(within(target), &path).unwrap();
                continue;
            }
            if node.get("expectVisited") == Some(&Json::from(1)) {
                wanted.push(above.join("x.json"));
            }
            let resources: Vec<_> = node
                .get("resources")
                .and_then(Json::as_array)
                .into_iter()
                .flatten()
                .map(|resource| within(resource.as_str().unwrap()))
                .collect();
            let secret = serde_json::json!([{ "files": ["x.json"] }]);
            let kustomization =
                serde_json::json!({ "resources": resources, "secretGenerator": secret });
            std::fs::write(&path, kustomization.to_string()).unwrap();
            let too_large = if node.get("visitErr").is_some() { 6 << 20 } else { 0 };
            let content = format!("{}{}", "\"mac\": \"ENC[", " ".repeat(too_large));
            std::fs::write(above.join("x.json"), content).unwrap();
        }
        walk(case, &root, wanted);
    }
    count("kustomization-recursion", &cases, 9);
}

fn walk(case: &Json, root: &Path, mut wanted: Vec<std::path::PathBuf>) {
    let start =
        root.join(text(case, "wordirSuffix")).join(text(case, "path").trim_start_matches('/'));
    let files = Disk::new(root.to_path_buf());
    let found = sources::find(&files, &Limits::PERSON, &start);
    let name = text(case, "name");
    // The case of a symbolic link starts beside its kustomization file, which Flux's test does not look at.
    if name.ends_with("symlink") {
        let start = root.join("bar/baz");
        let found = sources::find(&files, &Limits::PERSON, &start);
        let paths: Vec<_> = found.unwrap().into_iter().map(|found| found.path).collect();
        assert_eq!(paths, [root.join("bar/baz/x.json")], "{name}");
        return;
    }
    if let Some(error) = case.get("wantErr") {
        let shown = found.err().unwrap_or_else(|| panic!("{name}: no error")).to_string();
        let text = error.as_str().or_else(|| error.get("Err")?.as_str()).unwrap();
        let text = if text == "visit error" { "cannot decrypt a file" } else { text };
        assert!(shown.contains(text), "{name}: {shown}");
        return;
    }
    let mut paths: Vec<_> = found
        .unwrap_or_else(|e| panic!("{name}: {e}"))
        .into_iter()
        .map(|found| found.path)
        .collect();
    paths.sort();
    wanted.sort();
    assert_eq!(paths, wanted, "{name}");
}
