//! The groups `sourceignore`, `untar` and `securefs`.

use std::path::{Path, PathBuf};

use overlay::flux::ignore::Rules;
use overlay::flux::rooted::{Rooted, joined};
use overlay::{Disk, ErrorKind, Memory, archive};
use serde_json::Value as Json;

fn table(group: &str, name: &str) -> Vec<Json> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    let path = given.unwrap_or(beside).join("flux").join(group).join(name).join("in/cases.json");
    match std::fs::read(path) {
        Ok(cases) => serde_json::from_slice(&cases).unwrap(),
        Err(_) => {
            eprintln!("SKIPPED: there are no recorded cases of {group}/{name}");
            Vec::new()
        }
    }
}

fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json.get(key).and_then(Json::as_str).unwrap_or_default()
}

fn texts<'a>(json: &'a Json, key: &str) -> Vec<&'a str> {
    json.get(key).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect()
}

fn check(case: &Json, rules: &Rules) {
    for (key, wanted) in [("matches", true), ("mismatches", false)] {
        for path in texts(case, key) {
            assert_eq!(rules.excludes(Path::new(path), false), wanted, "{case}: {path}");
        }
    }
}

#[test]
fn what_is_left_out_of_artifacts() {
    let tables = ["default-patterns", "vcs-patterns", "read-patterns"]
        .map(|name| table("sourceignore", name));
    let mut vectors = 0;
    for (number, case) in
        tables.iter().enumerate().flat_map(|(n, cases)| cases.iter().map(move |c| (n, c)))
    {
        let domain = texts(case, "domain");
        let mut rules = match number {
            0 => Rules::default_in(&domain),
            1 => Rules::version_control_in(&domain),
            _ => Rules::default(),
        };
        rules.add(text(case, "ignore"), &domain);
        for pattern in case.get("patterns").and_then(Json::as_array).into_iter().flatten() {
            rules.add(text(pattern, "pattern"), &[]);
        }
        check(case, &rules);
        vectors += 1;
    }
    assert!(vectors == 8 || tables[0].is_empty());
}

#[test]
fn archives_are_unpacked_within_limits() {
    let cases = table("untar", "limits-and-traversal");
    let mut beside = 0;
    for case in &cases {
        let size = case
            .get("content")
            .and_then(|content| content.get("random_bytes"))
            .and_then(Json::as_u64);
        let content = vec![7; usize::try_from(size.unwrap()).unwrap()];
        // Ours is over all that is unpacked, headers and end included.
        let overhead = 512 + 1024 + 512;
        let bytes = match case.get("maxUntarSize").and_then(Json::as_i64) {
            Some(most) if most > 0 => u64::try_from(most).unwrap(),
            _ => size.unwrap() + overhead,
        };
        let limits = archive::Limits { bytes, ..archive::Limits::WEBHOOK };
        let packed = super::archive(&[(text(case, "fileName"), &content)]);
        let result = archive::unpack(&packed, &limits);
        if case.get("targetDir").is_some_and(|target| !target.is_string()) {
            // Nothing is written to a directory that a link could lead out of.
            beside += 1;
            assert!(result.is_ok());
            continue;
        }
        let error = result.err().map(|error| error.kind());
        let wanted = match text(case, "wantErr") {
            "" => None,
            wanted if wanted.contains("bigger than") => Some(ErrorKind::Limit),
            _ => Some(ErrorKind::Forbidden),
        };
        assert_eq!(error, wanted, "{case}");
    }
    assert!(cases.is_empty() || (cases.len(), beside) == (10, 1));
}

#[test]
fn paths_stay_within_their_root() {
    let cases = table("securefs", "secure-path-join");
    for case in &cases {
        let found = joined(Path::new(text(case, "root")), Path::new(text(case, "path")));
        assert_eq!(found, Path::new(text(case, "wantAbs")), "{case}");
    }
    assert!(cases.is_empty() || cases.len() == 3);
}

#[test]
fn links_do_not_lead_out_of_a_root() {
    let cases = table("securefs", "is-path-inside-root");
    for case in &cases {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let within = |text: &str| text.replace("<root>", root.to_str().unwrap());
        for file in case.get("files").and_then(Json::as_array).into_iter().flatten() {
            let path = root.join(text(file, "name"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match file.get("symlink").and_then(Json::as_str) {
                Some(target) => std::os::unix::fs::symlink(within(target), &path).unwrap(),
                None => std::fs::write(&path, "").unwrap(),
            }
        }
        let inner = root.join(text(case, "rootSuffix"));
        std::fs::create_dir_all(&inner).unwrap();
        let disk = Disk::new(root.clone());
        let path = within(text(case, "path"));
        let allowed = Rooted::new(&disk, &inner).allows(Path::new(&path));
        assert_eq!(allowed, text(case, "wantErr") == "ok", "{case}");
    }
    assert!(cases.is_empty() || cases.len() == 7);
}

#[test]
fn clones_may_be_read_by_the_beginning_of_their_path() {
    let cases = table("securefs", "allowed-prefixes");
    for case in &cases {
        let mut files = Memory::default();
        files.insert_directory("/work");
        files.insert_directory(text(case, "s"));
        let mut rooted = Rooted::new(&files, Path::new("/work"));
        for prefix in texts(case, "prefixes") {
            rooted = rooted.and(PathBuf::from(prefix));
        }
        let wanted = case.get("want") == Some(&Json::Bool(true));
        assert_eq!(rooted.allows(Path::new(text(case, "s"))), wanted, "{case}");
    }
    assert!(cases.is_empty() || cases.len() == 3);
}
