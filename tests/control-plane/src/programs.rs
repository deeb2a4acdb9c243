//! The servers' programs, which `build.sh` builds from Go modules and keeps outside the checkout.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::error::{Doing, Error, Result};

/// The modules that a control plane cannot be without.
pub const SERVER: &[&str] = &["etcd", "kubernetes"];
/// The module of the pretended nodes.
pub const NODES: &[&str] = &["kwok"];
/// The modules of Flux's controllers.
pub const FLUX: &[&str] = &["kustomize-controller", "source-controller"];
/// The module of the `flux` program.
pub const FLUX_PROGRAM: &[&str] = &["flux"];

/// Keeps two tests of one binary from starting the script at the same time; it locks against other processes itself.
static BUILDING: Mutex<()> = Mutex::new(());

/// Where the programs of some modules are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// One of each module.
    folders: Vec<PathBuf>,
}

impl Programs {
    /// Builds the modules unless that has been done before, which takes minutes, and returns their folders.
    ///
    /// # Errors
    /// Without Go, or where the module proxy cannot be reached.
    pub fn build(modules: &[&str]) -> Result<Self> {
        let _guard = BUILDING.lock();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.sh");
        let output = Command::new(&script)
            .args(modules)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .doing(format_args!("run \"{}\"", script.display()))?;
        if !output.status.success() {
            return Err(Error::new(format!("\"{}\": {}", script.display(), output.status)));
        }
        let folders = String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect();
        Ok(Self { folders })
    }

    /// The programs of some modules, or nothing where they cannot be built, so that a test can be left out.
    ///
    /// Says so on standard error, past what a test's own output goes through.
    ///
    /// # Errors
    /// Where they cannot be built and `CI=true`.
    pub fn for_a_test(modules: &[&str]) -> Result<Option<Self>> {
        match Self::build(modules) {
            Ok(programs) => Ok(Some(programs)),
            Err(error) if std::env::var("CI").as_deref() == Ok("true") => Err(error),
            Err(error) => {
                let _ = writeln!(
                    std::io::stderr(),
                    "\n*** SKIPPED, there are no programs of {}: {error}\n",
                    modules.join(", ")
                );
                Ok(None)
            }
        }
    }

    /// The path of a program, e.g. `kube-apiserver`.
    pub fn program(&self, name: &str) -> PathBuf {
        let mut paths = self.folders.iter().map(|folder| folder.join("bin").join(name));
        let found = paths.find(|path| path.is_file());
        // What starts it says that it is not there.
        found.unwrap_or_else(|| name.into())
    }

    /// The CustomResourceDefinitions of Flux, a file each.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn definitions(&self) -> Result<Vec<PathBuf>> {
        self.files("crds")
    }

    /// What kwok lets happen to nodes and Pods, a file for each change of state.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn stages(&self) -> Result<Vec<PathBuf>> {
        self.files("stages")
    }

    fn files(&self, name: &str) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for folder in self.folders.iter().map(|folder| folder.join(name)) {
            if !folder.is_dir() {
                continue;
            }
            let entries =
                std::fs::read_dir(&folder).doing(format_args!("read \"{}\"", folder.display()))?;
            files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
        }
        files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
        Ok(files)
    }
}
