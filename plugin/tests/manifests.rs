//! The manifests of a release name every archive with its checksum.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]
#![expect(clippy::disallowed_methods, reason = "reads what it has written itself")]

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

const PLATFORMS: &[(&str, &str, &str)] = &[
    ("linux", "amd64", "tar.gz"),
    ("linux", "arm64", "tar.gz"),
    ("darwin", "amd64", "tar.gz"),
    ("darwin", "arm64", "tar.gz"),
    ("windows", "amd64", "zip"),
];

fn run(checksums: &str, folder: &Path) -> std::process::Output {
    std::fs::write(folder.join("checksums.txt"), checksums).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests.sh");
    let mut command = Command::new(script);
    command.arg("1.2.3").arg(folder.join("checksums.txt")).arg(folder).output().unwrap()
}

fn read(path: &Path) -> Json {
    let text = std::fs::read(path).unwrap();
    let documents = overlay::yaml::read(&text, &"manifest".into(), &overlay::Limits::PERSON);
    overlay::json::to_json(&documents.unwrap()[0]).unwrap()
}

#[test]
fn each_platform_has_its_archive_and_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let mut checksums = String::new();
    for (at, (os, arch, end)) in PLATFORMS.iter().enumerate() {
        let _ = writeln!(checksums, "{at:064x}  kubectl-overlay_1.2.3_{os}_{arch}.{end}");
    }
    let output = run(&checksums, folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let krew = read(&folder.path().join("krew/overlay.yaml"));
    assert_eq!((&krew["kind"], &krew["spec"]["version"]), (&"Plugin".into(), &"v1.2.3".into()));
    // Source: krew's guide; `kubectl krew search` shows one line.
    assert!(krew["spec"]["shortDescription"].as_str().unwrap().len() <= 50);
    let flux = read(&folder.path().join("flux/overlay.yaml"));
    for (at, (os, arch, end)) in PLATFORMS.iter().enumerate() {
        let (sum, name) =
            (format!("{at:064x}"), format!("kubectl-overlay_1.2.3_{os}_{arch}.{end}"));
        let one = &krew["spec"]["platforms"][at];
        assert_eq!(one["selector"]["matchLabels"]["os"], *os);
        assert_eq!(one["sha256"], sum);
        assert!(one["uri"].as_str().unwrap().ends_with(&name));
        let one = &flux["versions"][0]["platforms"][at];
        assert_eq!(one["checksum"], format!("sha256:{sum}"));
        assert!(one["url"].as_str().unwrap().ends_with(&name));
    }
}

#[test]
fn a_missing_checksum_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("", folder.path());
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("has no line for kubectl-overlay_1.2.3_linux_amd64.tar.gz"), "{said}");
}
