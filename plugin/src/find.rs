//! Which directory an overlay's name means.
//!
//! What is typed is a directory, or a name: `production` is `overlays/production`,
//! `shop/overlays/production`, `clusters/production` and the like, in the working directory or, where
//! nothing there has that name, in the next directory above it, up to the root of the repository.

use std::path::{Path, PathBuf};

use overlay::error::{Error, ErrorKind, Place, Result};
use overlay::files::{FileKind, Files, clean};
use overlay::layer::has_kustomization;
use overlay::nearest::nearest;

/// The folders whose members go by their names.
pub(crate) const HOMES: &[&str] = &["overlays", "clusters", "environments", "envs"];

/// How many folders may stand between a directory and `overlays`.
const DEPTH: usize = 2;

/// The directory that `typed` means.
///
/// # Errors
/// Where nothing or more than one directory goes by that name.
pub fn find(files: &dyn Files, directory: &Path, typed: &str) -> Result<PathBuf> {
    let path = clean(&directory.join(typed));
    if is_path(typed) || has_kustomization(files, &path) {
        return existing(files, path, typed);
    }
    for level in levels(files, directory) {
        let mut found: Vec<_> =
            overlays(files, level).into_iter().filter(|path| path.ends_with(typed)).collect();
        match found.len() {
            0 => {}
            1 => return Ok(found.remove(0)),
            _ => return Err(several(files, typed, &found)),
        }
    }
    if files.kind(&path) == FileKind::Missing {
        return Err(nothing(files, directory, typed));
    }
    existing(files, path, typed)
}

/// The names that may be typed in `directory`, sorted, with their directories.
#[must_use]
pub fn names(files: &dyn Files, directory: &Path) -> Vec<(String, PathBuf)> {
    let mut names: Vec<_> = levels(files, directory)
        .iter()
        .flat_map(|level| overlays(files, level))
        .filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)))
        .collect();
    names.sort();
    // A level sees what is below it, and so do those above.
    names.dedup();
    names
}

/// Whether what is typed can only be a path.
fn is_path(typed: &str) -> bool {
    typed.contains(['/', std::path::MAIN_SEPARATOR]) || matches!(typed, "" | "." | "..")
}

fn existing(files: &dyn Files, path: PathBuf, typed: &str) -> Result<PathBuf> {
    let kind = if typed.is_empty() { FileKind::Missing } else { files.kind(&path) };
    let message = match kind {
        FileKind::Directory => return Ok(path),
        FileKind::Missing => "no such directory",
        FileKind::File | FileKind::Other => "is no directory",
    };
    let error = Error::new(ErrorKind::Missing, Place::file(typed), message);
    let hint = "name the directory that holds the kustomization file";
    Err(if kind == FileKind::Missing { error } else { error.hint(hint) })
}

/// The working directory and those above it up to the root of its repository; without a repository
/// the working directory alone.
fn levels<'a>(files: &dyn Files, directory: &'a Path) -> Vec<&'a Path> {
    let above: Vec<_> = directory.ancestors().collect();
    let root = above.iter().position(|dir| files.kind(&dir.join(".git")) != FileKind::Missing);
    above.into_iter().take(root.unwrap_or(0) + 1).collect()
}

/// The overlays that can be named from one level, sorted.
fn overlays(files: &dyn Files, level: &Path) -> Vec<PathBuf> {
    let mut parents = vec![level.to_path_buf()];
    let mut found = Vec::new();
    for _ in 0..=DEPTH {
        let homes = parents.iter().flat_map(|dir| HOMES.iter().map(|home| dir.join(home)));
        let members = homes.flat_map(|home| folders(files, &home));
        found.extend(members.filter(|dir| has_kustomization(files, dir)));
        parents = parents.iter().flat_map(|dir| folders(files, dir)).collect();
    }
    found.sort();
    found.dedup();
    found
}

/// The folders in a directory but hidden ones and what build tools leave behind.
fn folders(files: &dyn Files, directory: &Path) -> Vec<PathBuf> {
    if files.kind(directory) != FileKind::Directory {
        return Vec::new();
    }
    let names = files.list(directory).unwrap_or_default();
    let is_shown = |name: &PathBuf| {
        let name = name.to_string_lossy();
        !name.starts_with('.') && name != "node_modules" && name != "target"
    };
    let paths = names.into_iter().filter(is_shown).map(|name| directory.join(name));
    paths.filter(|path| files.kind(path) == FileKind::Directory).collect()
}

fn several(files: &dyn Files, typed: &str, found: &[PathBuf]) -> Error {
    let list: Vec<_> = found.iter().map(|path| format!("  {}", files.shown(path))).collect();
    let message = format!("more than one overlay has this name:\n{}", list.join("\n"));
    Error::new(ErrorKind::Invalid, Place::file(typed), message).hint("type the directory instead")
}

fn nothing(files: &dyn Files, directory: &Path, typed: &str) -> Error {
    let error = Error::new(ErrorKind::Missing, Place::file(typed), "no overlay has this name");
    let names = names(files, directory);
    let near = nearest(typed, names.iter().map(|(name, _)| name.as_str()));
    let near = near.and_then(|near| names.iter().find(|(name, _)| name == near));
    match near {
        Some((_, path)) => error.hint(format!("did you mean {}?", files.shown(path))),
        None if names.is_empty() => error.hint("type the directory that holds the kustomization"),
        None => {
            let mut list: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
            list.dedup();
            list.truncate(10);
            error.hint(format!("there are: {}", list.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use overlay::files::Memory;

    use super::*;

    fn repository() -> Memory {
        let mut files = Memory::default();
        for path in [
            "repo/.git/HEAD",
            "repo/overlays/production/kustomization.yaml",
            "repo/overlays/staging/kustomization.yml",
            "repo/overlays/notes/README.md",
            "repo/shop/overlays/production/Kustomization",
            "repo/shop/overlays/test/kustomization.yaml",
            "repo/shop/base/kustomization.yaml",
            "repo/fleet/clusters/west/kustomization.yaml",
            "overlays/outside/kustomization.yaml",
        ] {
            files.insert(path, "");
        }
        files
    }

    fn find_in(directory: &str, typed: &str) -> Result<String> {
        let found = find(&repository(), Path::new(directory), typed);
        found.map(|path| path.to_string_lossy().into_owned())
    }

    #[test]
    fn a_directory_is_what_it_is() {
        assert_eq!(find_in("/repo/shop", "base").expect("a directory"), "/repo/shop/base");
        assert_eq!(find_in("/repo", "./shop/base").expect("a directory"), "/repo/shop/base");
        assert_eq!(find_in("/repo/shop/base", ".").expect("a directory"), "/repo/shop/base");
    }

    #[test]
    fn a_name_is_looked_for_in_the_usual_folders() {
        assert_eq!(find_in("/repo", "staging").expect("one"), "/repo/overlays/staging");
        assert_eq!(find_in("/repo", "test").expect("one"), "/repo/shop/overlays/test");
        assert_eq!(find_in("/repo", "west").expect("one"), "/repo/fleet/clusters/west");
    }

    #[test]
    fn the_nearest_level_decides() {
        let found = find_in("/repo/shop", "production").expect("one");
        assert_eq!(found, "/repo/shop/overlays/production");
        assert_eq!(find_in("/repo/shop", "staging").expect("above"), "/repo/overlays/staging");
    }

    #[test]
    fn several_of_one_level_are_listed() {
        let error = find_in("/repo", "production").expect_err("two");
        assert_eq!(
            error.to_string(),
            "production: more than one overlay has this name:\n  repo/overlays/production\n  \
             repo/shop/overlays/production\nhint: type the directory instead"
        );
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        let error = find_in("/repo", "stagign").expect_err("misspelt");
        assert_eq!(
            error.to_string(),
            "stagign: no overlay has this name\nhint: did you mean repo/overlays/staging?"
        );
        let error = find_in("/repo", "elsewhere").expect_err("far from all");
        assert!(error.to_string().ends_with("there are: production, staging, test, west"));
    }

    #[test]
    fn the_repository_is_not_left() {
        assert!(find_in("/repo", "outside").is_err());
    }

    #[test]
    fn folders_without_a_kustomization_have_no_name() {
        assert!(find_in("/repo", "notes").is_err());
    }

    #[test]
    fn a_file_is_no_overlay() {
        let error = find_in("/repo", "overlays/notes/README.md").expect_err("a file");
        assert!(error.to_string().contains("is no directory"), "{error}");
    }
}
