//! Where files come from, and what of them an artifact holds: declarations, Git, and servers on this machine.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the data are read where they lie, and helpers of tests are tests too"
)]

#[cfg(feature = "sops-cloud")]
#[path = "sources/bucket.rs"]
mod bucket;
#[path = "sources/declared.rs"]
mod declared;
#[path = "sources/discover.rs"]
mod discover;
#[path = "sources/git.rs"]
mod git;
#[path = "sources/registry.rs"]
mod registry;
#[path = "sources/releases.rs"]
mod releases;
#[allow(dead_code, reason = "other tests use more of it")]
#[path = "sources/server.rs"]
mod server;

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use overlay::flux::sources::Source;

/// A compressed archive of files whose names may be anything.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        tar.extend(header.as_bytes());
        tar.extend(*content);
        tar.resize(tar.len().div_ceil(512) * 512, 0);
    }
    tar.extend([0; 1024]);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&tar).unwrap();
    encoder.finish().unwrap()
}

fn digest(content: &[u8]) -> String {
    use sha2::Digest as _;
    let hex: String = sha2::Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

/// What a source has at a path from its root, as text.
fn text(source: &Source, path: &str) -> Option<String> {
    let content = source.files.read(&source.root.join(path), 1 << 20).ok()?;
    Some(String::from_utf8(content.to_vec()).unwrap())
}

#[test]
fn a_working_tree_shows_what_its_artifact_would_hold() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let write = |path: &str, content: &str| {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), content).unwrap();
    };
    write("a.yaml", "a");
    write(".sourceignore", "/out/\n*.bak\n!sub/kept.bak\n");
    write("out/b.yaml", "b");
    write("sub/x.bak", "x");
    write("sub/kept.bak", "kept");
    write(".github/workflows/ci.yaml", "ci");
    write("logo.png", "kept, since there are patterns");
    write("spec/c.yaml", "c");
    std::os::unix::fs::symlink("a.yaml", root.join("link.yaml")).unwrap();
    std::os::unix::fs::symlink("sub", root.join("linked")).unwrap();
    let source = overlay::flux::sources::working_tree(&root, &root, Some("/spec/")).unwrap();
    assert_eq!(text(&source, "a.yaml").as_deref(), Some("a"));
    assert_eq!(text(&source, "sub/kept.bak").as_deref(), Some("kept"));
    for kept in [".github/workflows/ci.yaml", "logo.png"] {
        assert!(text(&source, kept).is_some(), "{kept}");
    }
    for gone in ["out/b.yaml", "sub/x.bak", "link.yaml", "linked/kept.bak", "spec/c.yaml"] {
        assert_eq!(text(&source, gone), None, "{gone}");
    }
    let names = source.files.list(&root.join("sub")).unwrap();
    assert_eq!(names, [Path::new("kept.bak")]);
    let error = source.files.read(&root.join("sub/x.bak"), 10).unwrap_err();
    assert!(error.remedy().unwrap().contains("leaves it out of the artifact"), "{error}");
    let error = source.files.read(&root.join("link.yaml"), 10).unwrap_err();
    assert!(error.remedy().unwrap().contains("no symbolic links"), "{error}");
}
