//! Which overlay this is, whatever folder its repository was cloned into.
//!
//! The inventory is named after it, so it has to be the same for everybody who syncs the overlay, and
//! another one for any other overlay: it is made of the repository's address and the overlay's place
//! in the repository.

use std::path::{Path, PathBuf};

use overlay::files::{FileKind, Files, clean};
use overlay::flux::sources::address;
use overlay::inventory::{Location, Owner};

use crate::find::HOMES;

/// How large a Git configuration may be.
const CONFIG_BYTES: usize = 1 << 20;

/// The longest name of a ConfigMap. Source: Kubernetes, DNS subdomain names.
const NAME_BYTES: usize = 253;

/// How many folders name an overlay that is in no repository.
const FOLDERS: usize = 3;

/// The overlay in the directory `root`.
#[must_use]
pub fn owner(files: &dyn Files, root: &Path) -> Owner {
    let root = files.canonical(root).unwrap_or_else(|| clean(root));
    match repository(files, &root) {
        Some(repository) => Owner {
            repository: origin(files, &repository).unwrap_or_default(),
            path: slashes(root.strip_prefix(&repository).unwrap_or(&root)),
        },
        None => Owner { repository: String::new(), path: slashes(&last_folders(&root)) },
    }
}

/// Where the inventory of an overlay is, in `namespace`; `name` is what the user calls it.
#[must_use]
pub fn location(owner: &Owner, namespace: &str, name: Option<&str>) -> Location {
    let name = name.map_or_else(|| format!("overlay-{}", slug(owner)), str::to_owned);
    Location { namespace: namespace.to_owned(), name }
}

/// The root of the repository.
fn repository(files: &dyn Files, root: &Path) -> Option<PathBuf> {
    let mut above = root.ancestors();
    above.find(|dir| files.kind(&dir.join(".git")) != FileKind::Missing).map(Path::to_path_buf)
}

fn last_folders(root: &Path) -> PathBuf {
    let count = root.components().count();
    let names = root.components().filter(|part| matches!(part, std::path::Component::Normal(_)));
    names.skip(count.saturating_sub(FOLDERS + 1)).collect()
}

fn slashes(path: &Path) -> String {
    let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
    names.join("/")
}

/// The address that the repository was cloned from.
fn origin(files: &dyn Files, repository: &Path) -> Option<String> {
    let remotes = remotes(files, repository);
    remotes.into_iter().find_map(|(name, address)| (name == "origin").then_some(address))
}

/// The names and addresses of the repositories that this one is a clone of, or pushes to.
#[must_use]
pub fn remotes(files: &dyn Files, repository: &Path) -> Vec<(String, String)> {
    let read = || files.read(&git_folder(files, repository)?.join("config"), CONFIG_BYTES).ok();
    let config = read().unwrap_or_default();
    let mut remotes = Vec::new();
    let mut name = None;
    for line in String::from_utf8_lossy(&config).lines().map(str::trim) {
        if line.starts_with('[') {
            let section = line.strip_prefix("[remote \"").and_then(|rest| rest.strip_suffix("\"]"));
            name = section.map(str::to_owned);
        } else if let Some(url) = line.strip_prefix("url")
            && let Some(url) = url.trim_start().strip_prefix('=')
            && let Some(name) = name.take()
        {
            remotes.push((name, address(url.trim())));
        }
    }
    remotes
}

/// The folder with the configuration; `.git` of a linked work tree is a file that names one.
fn git_folder(files: &dyn Files, repository: &Path) -> Option<PathBuf> {
    let git = repository.join(".git");
    if files.kind(&git) == FileKind::Directory {
        return Some(git);
    }
    let text = files.read(&git, CONFIG_BYTES).ok()?;
    let folder = String::from_utf8_lossy(&text).trim().strip_prefix("gitdir:")?.trim().to_owned();
    let folder = clean(&repository.join(folder));
    match files.read(&folder.join("commondir"), CONFIG_BYTES) {
        Ok(common) => Some(clean(&folder.join(String::from_utf8_lossy(&common).trim()))),
        Err(_) => Some(folder),
    }
}

/// What the owner is called within a name: the repository's name and the folders, without those that
/// only say that an overlay follows.
fn slug(owner: &Owner) -> String {
    let repository = owner.repository.rsplit('/').next().unwrap_or_default();
    let folders = owner.path.split('/').filter(|name| !HOMES.contains(name));
    let parts = std::iter::once(repository).chain(folders);
    let parts: Vec<_> = parts.map(plain).filter(|part| !part.is_empty()).collect();
    let name = parts.join("-");
    let most = NAME_BYTES - "overlay-".len();
    let name = if name.len() > most { name[name.len() - most..].to_owned() } else { name };
    let name = name.trim_matches('-');
    if name.is_empty() { "root".to_owned() } else { name.to_owned() }
}

/// Lower-case letters, digits and dashes only.
fn plain(text: &str) -> String {
    let letter = |letter: char| match letter.to_ascii_lowercase() {
        letter @ ('a'..='z' | '0'..='9') => letter,
        _ => '-',
    };
    text.chars().map(letter).collect::<String>().trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use overlay::files::Memory;

    use super::*;

    fn cloned(url: &str) -> Memory {
        let mut files = Memory::default();
        let config =
            format!("[core]\n\tbare = false\n[remote \"origin\"]\n\tfetch = +x\n\turl = {url}\n");
        files.insert("work/shop/.git/config", config);
        files.insert("work/shop/web/overlays/production/kustomization.yaml", "");
        files
    }

    fn owner_of(files: &Memory) -> Owner {
        owner(files, Path::new("/work/shop/web/overlays/production"))
    }

    #[test]
    fn one_repository_has_one_address() {
        for url in [
            "https://github.com/example/shop",
            "https://me:secret@github.com/example/shop.git",
            "https://GitHub.com:443/example/shop/",
            "git@github.com:example/shop.git",
            "ssh://git@github.com/example/shop.git",
        ] {
            assert_eq!(owner_of(&cloned(url)).repository, "github.com/example/shop", "{url}");
        }
    }

    #[test]
    fn the_name_says_repository_and_place() {
        let owner = owner_of(&cloned("https://github.com/example/Shop.git"));
        assert_eq!(owner.path, "web/overlays/production");
        assert_eq!(location(&owner, "x", None).name, "overlay-shop-web-production");
        assert_eq!(location(&owner, "x", Some("mine")).name, "mine");
    }

    #[test]
    fn without_a_repository_the_last_folders_count() {
        let mut files = Memory::default();
        files.insert("home/me/work/nginx/overlays/production/kustomization.yaml", "");
        let owner = owner(&files, Path::new("/home/me/work/nginx/overlays/production"));
        assert_eq!(owner.path, "nginx/overlays/production");
        assert_eq!(location(&owner, "x", None).name, "overlay-nginx-production");
    }

    #[test]
    fn a_linked_work_tree_has_the_address_of_its_repository() {
        let mut files = cloned("https://github.com/example/shop");
        files.insert("work/shop/.git/worktrees/b/commondir", "../..\n");
        files.insert("work/b/.git", "gitdir: /work/shop/.git/worktrees/b\n");
        files.insert("work/b/prod/kustomization.yaml", "");
        let owner = owner(&files, Path::new("/work/b/prod"));
        assert_eq!(
            (owner.repository.as_str(), owner.path.as_str()),
            ("github.com/example/shop", "prod")
        );
    }

    #[test]
    fn every_name_is_one_of_a_config_map() {
        for path in ["", "..", "Ä/ö", "---", &"x/".repeat(400)] {
            let owner = Owner { repository: String::new(), path: path.to_owned() };
            let name = location(&owner, "x", None).name;
            assert!(name.len() <= NAME_BYTES && !name.ends_with('-'), "{name}");
        }
    }
}
