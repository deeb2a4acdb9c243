//! The keys to what SOPS encrypted, from where the `sops` program takes them, and from files that are named.

use std::fmt;
use std::path::{Path, PathBuf};

use overlay::error::{Error, ErrorKind, Place, Result};
use overlay::files::{Disk, Files};
use overlay::sops::Keys;

use crate::settings::Settings;

/// Most bytes of a file with keys.
const FILE_BYTES: usize = 16 << 20;

/// What the environment says about keys. Its `Debug` shows none.
#[derive(Clone, Default)]
pub struct Environment {
    /// `SOPS_AGE_KEY`: keys of age themselves.
    pub age_key: Option<String>,
    /// `SOPS_AGE_KEY_FILE`: a file with them.
    pub age_key_file: Option<PathBuf>,
    /// `sops/age/keys.txt` in the user's configuration directory, which need not exist.
    pub configured: Option<PathBuf>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { age_key: _, age_key_file, configured } = self;
        f.debug_struct("Environment")
            .field("age_key_file", age_key_file)
            .field("configured", configured)
            .finish_non_exhaustive()
    }
}

/// All keys at hand: those of the environment, and those in `files`, of age or exported from GnuPG.
///
/// # Errors
/// Where a file that is named cannot be read, or something holds no keys. No message repeats any.
pub fn keys(files: &[PathBuf], settings: &Settings) -> Result<Keys> {
    let mut keys = Keys::default();
    let Environment { age_key, age_key_file, configured } = &settings.keys;
    let found = configured.as_ref().filter(|file| file.is_file());
    if let Some(text) = age_key {
        keys.add_age(text, &"SOPS_AGE_KEY".into())?;
    }
    for path in age_key_file.iter().chain(found).chain(files) {
        add(&mut keys, &settings.directory.join(path), settings)?;
    }
    Ok(keys)
}

fn add(keys: &mut Keys, path: &Path, settings: &Settings) -> Result<()> {
    let disk = Disk::new(settings.directory.clone());
    let shown = disk.shown(path);
    let content = disk.read(path, FILE_BYTES)?;
    keys.add_file(&content, &shown).map_err(|error| {
        let message = format!("no keys in it: {}", error.message());
        let failed = Error::new(ErrorKind::Invalid, Place::file(shown.clone()), message);
        match error.remedy() {
            Some(remedy) => failed.hint(remedy),
            None => failed,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key whose bytes are all 0x42.
    const KEY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";

    fn settings(age_key: Option<&str>, file: Option<PathBuf>) -> Settings {
        let keys = Environment {
            age_key: age_key.map(str::to_owned),
            age_key_file: file,
            configured: None,
        };
        Settings { directory: "/".into(), keys, ..Settings::default() }
    }

    #[test]
    fn nothing_in_the_environment_is_no_key() {
        assert!(keys(&[], &settings(None, None)).is_ok_and(|keys| keys.is_empty()));
    }

    #[test]
    fn keys_come_from_the_variable_and_from_files() {
        let found = keys(&[], &settings(Some(KEY), None)).expect("a key");
        assert!(!found.is_empty());
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), format!("# mine\n{KEY}\n")).expect("written");
        let found = keys(&[file.path().to_owned()], &settings(None, None)).expect("a key");
        assert!(!found.is_empty());
    }

    #[test]
    fn what_is_no_key_is_not_repeated() {
        let settings = settings(Some("AGE-SECRET-KEY-1CANARY"), Some("/nowhere/keys.txt".into()));
        let error = keys(&[], &settings).expect_err("no key");
        assert!(!format!("{error} {error:?} {settings:?}").contains("CANARY"), "{error}");
    }
}
