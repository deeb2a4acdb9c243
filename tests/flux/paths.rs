//! What a build may see: nothing outside its root, of an archive nothing that leads there, and nothing that is left
//! out of artifacts.

use std::path::{Path, PathBuf};

use overlay::archive;
use overlay::files::{Disk, Files as _};
use overlay::flux::ignore::Rules;
use overlay::flux::rooted::{Rooted, joined};
use serde_json::Value as Json;

use crate::data::{Tally, cases};

/// Makes the files of a vector in a directory of their own, and asks whether the path is inside.
#[cfg(unix)]
fn is_inside(vector: &Json) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let placed = |text: &str| text.replace("<root>", &root.to_string_lossy());
    for file in vector["files"].as_array().into_iter().flatten() {
        let path = root.join(file["name"].as_str().unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match file["symlink"].as_str() {
            Some(target) => std::os::unix::fs::symlink(placed(target), path).unwrap(),
            None => std::fs::write(path, "x").unwrap(),
        }
    }
    let below = root.join(vector["rootSuffix"].as_str().unwrap_or_default());
    std::fs::create_dir_all(&below).unwrap();
    let files = Disk::new(root.clone());
    let rooted = Rooted::new(&files, &below);
    let path = PathBuf::from(placed(vector["path"].as_str().unwrap()));
    let allowed = rooted.allows(&path);
    if !allowed {
        assert!(rooted.read(&path, 10).is_err());
    }
    allowed
}

#[cfg(unix)]
#[test]
fn nothing_outside_the_root_is_read() {
    let Some(cases) = cases("securefs") else { return };
    let mut tally = Tally::new("securefs");
    for case in &cases {
        for (index, vector) in case.vectors().iter().enumerate() {
            let text = |key: &str| vector[key].as_str().unwrap_or_default();
            let is_right = match case.name.as_str() {
                "is-path-inside-root" => is_inside(vector) == (text("wantErr") == "ok"),
                "allowed-prefixes" => {
                    let files = Disk::new(PathBuf::from("/"));
                    let mut rooted = Rooted::new(&files, Path::new("/nowhere"));
                    for prefix in vector["prefixes"].as_array().unwrap() {
                        rooted = rooted.and(prefix.as_str().unwrap().into());
                    }
                    rooted.is_named(Path::new(text("s"))) == (vector["want"] == true)
                }
                _ => {
                    joined(Path::new(text("root")), Path::new(text("path")))
                        == Path::new(text("wantAbs"))
                }
            };
            tally.add(case, Some(index), if is_right { Ok(()) } else { Err(vector.to_string()) });
        }
    }
    tally.finish();
}

/// An archive with one file, compressed.
fn packed(name: &str, size: usize) -> Vec<u8> {
    let content = vec![7; size];
    let mut header = tar::Header::new_gnu();
    // The library that writes refuses what an attacker would not.
    let bytes = name.as_bytes();
    header.as_old_mut().name[..bytes.len()].copy_from_slice(bytes);
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut builder = tar::Builder::new(encoder);
    builder.append(&header, content.as_slice()).unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

#[test]
fn archives_are_unpacked_within_bounds() {
    let Some(cases) = cases("untar") else { return };
    let mut tally = Tally::new("untar");
    for case in &cases {
        for (index, vector) in case.vectors().iter().enumerate() {
            let name = vector["fileName"].as_str().unwrap();
            let size = vector["content"]["random_bytes"].as_u64().unwrap_or_default();
            let bytes = match vector["maxUntarSize"].as_i64() {
                Some(most) if most >= 0 => most as u64,
                _ => archive::Limits::WEBHOOK.bytes,
            };
            let limits = archive::Limits { bytes, ..archive::Limits::WEBHOOK };
            let unpacked = archive::unpack(&packed(name, size as usize), &limits);
            let outcome = match (unpacked, vector["wantErr"].as_str()) {
                (Err(_), Some(_)) => Ok(()),
                (Ok(_), Some(wanted)) => Err(format!("is unpacked, though {wanted}")),
                (Err(error), None) => Err(error.to_string()),
                (Ok(files), None) if files.bytes() as u64 == size => Ok(()),
                (Ok(files), None) => Err(format!("{} bytes", files.bytes())),
            };
            tally.add(case, Some(index), outcome);
        }
    }
    tally.finish();
}

#[test]
fn artifacts_are_without_what_patterns_name() {
    let Some(cases) = cases("sourceignore") else { return };
    let mut tally = Tally::new("sourceignore");
    for case in &cases {
        for (index, vector) in case.vectors().iter().enumerate() {
            let texts = |key: &str| {
                let texts = vector[key].as_array().into_iter().flatten();
                texts.map(|text| text.as_str().unwrap()).collect::<Vec<_>>()
            };
            let domain = texts("domain");
            let mut rules = match case.name.as_str() {
                "default-patterns" => Rules::default_in(&domain),
                "vcs-patterns" => Rules::version_control_in(&domain),
                _ => Rules::default(),
            };
            rules.add(vector["ignore"].as_str().unwrap_or_default(), &domain);
            for pattern in vector["patterns"].as_array().into_iter().flatten() {
                rules.add(pattern["pattern"].as_str().unwrap(), &[]);
            }
            let excludes = |path: &&str| rules.excludes(Path::new(path), false);
            let is_right =
                texts("matches").iter().all(excludes) && !texts("mismatches").iter().any(excludes);
            tally.add(case, Some(index), if is_right { Ok(()) } else { Err(vector.to_string()) });
        }
    }
    tally.finish();
}
