//! What the program takes from its environment, read once at the start.
//!
//! Nothing below `main` asks the environment, so that tests state theirs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use overlay::threads::Threads;

use crate::keys;

/// The environment of a run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The working directory.
    pub directory: PathBuf,
    /// `KUBECONFIG`: a list of files.
    pub kubeconfig: Option<OsString>,
    /// The home directory, for `~/.kube/config`.
    pub home: Option<PathBuf>,
    /// Where the directory of kustomize's older plugins may be; the first that exists counts.
    pub plugin_homes: Vec<PathBuf>,
    /// Where remote bases are kept: `kubectl-overlay` in the user's cache directory.
    pub cache: Option<PathBuf>,
    /// `KUBECTL_EXTERNAL_DIFF`: the program that shows differences.
    pub external_diff: Option<String>,
    /// `HTTPS_PROXY`: the way to clusters whose kubeconfig names no other.
    pub proxy: Option<String>,
    /// `NO_PROXY`: the hosts that are reached without it.
    pub no_proxy: String,
    /// `SOPS_AGE_KEY` and the like: where the keys are to what SOPS encrypted.
    pub keys: keys::Environment,
    /// What helps with large builds.
    pub threads: Threads,
    /// Whether standard input is a terminal, so that somebody can be asked.
    pub can_ask: bool,
    /// Whether standard error is a terminal that can redraw lines.
    pub can_redraw: bool,
    /// Whether data on standard output may be coloured.
    pub colour: bool,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The directories where kustomize looks for plugins.
///
/// Source: kustomize `api/konfig/plugins.go`, `DefaultAbsPluginHome`.
fn plugin_homes() -> Vec<PathBuf> {
    let below = |directory: PathBuf| directory.join("kustomize/plugin");
    let home = std::env::home_dir();
    let homes = [
        variable("KUSTOMIZE_PLUGIN_HOME").map(PathBuf::from),
        variable("XDG_CONFIG_HOME").map(|directory| below(directory.into())),
        home.clone().map(|directory| below(directory.join(".config"))),
        home.map(below),
    ];
    homes.into_iter().flatten().collect()
}

/// Source: XDG base directory specification.
fn cache() -> Option<PathBuf> {
    let chosen = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = chosen.or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
    Some(cache.join("kubectl-overlay"))
}

/// Source: SOPS `age/keysource.go`.
fn keys_of_sops() -> keys::Environment {
    let home = || Some(std::env::home_dir()?.join(".config"));
    let configuration = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    let configured = configuration.map(|folder| folder.join("sops/age/keys.txt"));
    keys::Environment {
        age_key: variable("SOPS_AGE_KEY"),
        age_key_file: variable("SOPS_AGE_KEY_FILE").map(PathBuf::from),
        configured,
    }
}

impl Settings {
    /// Reads them from this process.
    #[must_use]
    pub fn from_environment() -> Self {
        use std::io::IsTerminal;
        let dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let stdout = anstream::AutoStream::choice(&std::io::stdout());
        Self {
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            kubeconfig: std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()),
            home: std::env::home_dir(),
            plugin_homes: plugin_homes(),
            cache: cache(),
            external_diff: variable("KUBECTL_EXTERNAL_DIFF"),
            proxy: variable("HTTPS_PROXY").or_else(|| variable("https_proxy")),
            no_proxy: variable("NO_PROXY").or_else(|| variable("no_proxy")).unwrap_or_default(),
            keys: keys_of_sops(),
            threads: Threads::new(0),
            can_ask: std::io::stdin().is_terminal(),
            can_redraw: std::io::stderr().is_terminal() && !dumb && variable("CI").is_none(),
            colour: stdout != anstream::ColorChoice::Never,
        }
    }

    /// The kubeconfig files in the order in which they count, which need not exist.
    ///
    /// Source: kubectl; `--kubeconfig` stands alone, then `KUBECONFIG`, then `~/.kube/config`.
    #[must_use]
    pub fn kubeconfig_files(&self, flag: Option<&Path>) -> Vec<PathBuf> {
        match (flag, &self.kubeconfig, &self.home) {
            (Some(file), _, _) => vec![self.directory.join(file)],
            (None, Some(list), _) => {
                let mut files: Vec<_> = std::env::split_paths(list)
                    .filter(|file| !file.as_os_str().is_empty())
                    .map(|file| self.directory.join(file))
                    .collect();
                files.dedup();
                files
            }
            (None, None, Some(home)) => vec![home.join(".kube/config")],
            (None, None, None) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            directory: "/work".into(),
            kubeconfig: Some("/a:b:".into()),
            home: Some("/home/me".into()),
            ..Settings::default()
        }
    }

    #[test]
    fn the_flag_stands_alone() {
        let files = settings().kubeconfig_files(Some(Path::new("c")));
        assert_eq!(files, [PathBuf::from("/work/c")]);
    }

    #[cfg(unix)]
    #[test]
    fn the_variable_is_a_list_of_files() {
        let files = settings().kubeconfig_files(None);
        assert_eq!(files, [PathBuf::from("/a"), PathBuf::from("/work/b")]);
    }

    #[test]
    fn the_file_at_home_comes_last() {
        let settings = Settings { kubeconfig: None, ..settings() };
        assert_eq!(settings.kubeconfig_files(None), [PathBuf::from("/home/me/.kube/config")]);
    }
}
