//! Which directories of a tree are built for their own sake: kustomizations that nobody refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{FileKind, Files, clean};
use crate::kustomization::{self, Kustomization};
use crate::layer::{Reader, has_kustomization};
use crate::limits::Limits;

/// The kustomizations below a directory.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Roots {
    /// Those that no other one refers to, sorted by path; components never are among them.
    pub unreferenced: Vec<PathBuf>,
    /// All but components, sorted by path.
    pub every: Vec<PathBuf>,
}

/// Finds the kustomizations in and below `top`; hidden folders are left out.
///
/// A file that cannot be decoded refers to nobody: building it tells what is wrong with it.
///
/// # Errors
/// Where `top` is no directory, or there are more directories below it than a build may read files.
pub fn find(files: &dyn Files, top: &Path, limits: &Limits) -> Result<Roots> {
    let reader = Reader::new(files, *limits, true);
    let mut found: BTreeMap<PathBuf, Option<Kustomization>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut queue = vec![reader.top(top)?.directory];
    while let Some(directory) = queue.pop() {
        // Symbolic links may lead back to where we were.
        if !seen.insert(directory.clone()) {
            continue;
        }
        if seen.len() > limits.files {
            let message = format!("more than {} directories", limits.files);
            return Err(Error::new(ErrorKind::Limit, Place::file(files.shown(top)), message));
        }
        if has_kustomization(files, &directory) {
            found.insert(directory.clone(), decoded(&reader, &directory, limits));
        }
        queue.extend(folders(files, &directory)?);
    }
    Ok(roots(&found))
}

fn decoded(reader: &Reader<'_>, directory: &Path, limits: &Limits) -> Option<Kustomization> {
    let layer = reader.top(directory).ok()?;
    let (source, _) = reader.kustomization(&layer).ok()?;
    kustomization::decode(&source, limits).ok()
}

fn folders(files: &dyn Files, directory: &Path) -> Result<Vec<PathBuf>> {
    let names = files.list(directory)?;
    let visible = names.iter().filter(|name| !name.to_string_lossy().starts_with('.'));
    let paths = visible.map(|name| directory.join(name));
    let folders = paths.filter(|path| files.kind(path) == FileKind::Directory);
    Ok(folders.filter_map(|path| files.canonical(&path)).collect())
}

fn roots(found: &BTreeMap<PathBuf, Option<Kustomization>>) -> Roots {
    let mut referenced = BTreeSet::new();
    for (directory, kustomization) in found {
        let Some(kustomization) = kustomization else { continue };
        let Kustomization { resources, components, generators, transformers, validators, .. } =
            kustomization;
        let lists = [resources, components, generators, transformers, validators];
        referenced.extend(lists.into_iter().flatten().map(|entry| clean(&directory.join(entry))));
    }
    let is_component = |one: &Option<Kustomization>| one.as_ref().is_some_and(|k| k.is_component);
    let every = found.iter().filter(|(_, kustomization)| !is_component(kustomization));
    let every: Vec<PathBuf> = every.map(|(directory, _)| directory.clone()).collect();
    let unreferenced = every.iter().filter(|one| !referenced.contains(*one)).cloned().collect();
    Roots { unreferenced, every }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Memory;

    fn find_in(tree: &[(&str, &str)]) -> Roots {
        let mut files = Memory::default();
        for (path, text) in tree {
            files.insert(path, text.to_string());
        }
        find(&files, Path::new("/"), &Limits::PERSON).expect("a directory")
    }

    #[test]
    fn a_base_is_no_root() {
        let roots = find_in(&[
            ("base/kustomization.yaml", "namePrefix: a-\n"),
            ("prod/kustomization.yaml", "resources: [../base]\n"),
            ("parts/kustomization.yaml", "kind: Component\nnamePrefix: b-\n"),
            (".git/kustomization.yaml", "namePrefix: c-\n"),
        ]);
        assert_eq!(roots.unreferenced, [PathBuf::from("/prod")]);
        assert_eq!(roots.every, [PathBuf::from("/base"), PathBuf::from("/prod")]);
    }

    #[test]
    fn a_broken_kustomization_is_a_root() {
        let roots = find_in(&[("a/kustomization.yaml", "resources: [\n")]);
        assert_eq!(roots.unreferenced, [PathBuf::from("/a")]);
    }
}
