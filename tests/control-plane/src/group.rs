//! Processes that end with this one, and the folder they work in.
//!
//! All servers join one process group. Its first member, the anchor, and a guard beside it both read from pipes that
//! only this program writes to: however it ends, by a return, a panic, a signal or `SIGKILL`, the pipes close, the
//! guard kills the group and removes the folder. That needs neither a signal handler nor a destructor that runs,
//! so that a control plane may live in a `static`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use crate::error::{Doing, Error, Result};

/// Reads until the pipe closes, then kills the group `$1` and removes the folder `$2`.
///
/// A killed process may still be writing while the folder goes, hence the second attempt.
const GUARD: &str = r#"
while read -r _; do :; done
kill -s KILL -- "-$1" 2>/dev/null
rm -rf -- "$2" 2>/dev/null || { sleep 1; rm -rf -- "$2"; }
"#;

/// Bytes of a server's log that an error shows.
const LOG_TAIL: u64 = 3000;

/// A process group with its folder.
pub(crate) struct Group {
    folder: PathBuf,
    anchor: Child,
    guard: Child,
    servers: Mutex<Vec<Server>>,
}

struct Server {
    name: String,
    child: Child,
}

impl Group {
    /// Makes the folder and an empty group.
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("control-plane-")
            .tempdir()
            .doing("make a folder for the servers")?;
        let anchor = own_group("cat").spawn().doing("start \"cat\"")?;
        let guard = own_group("sh")
            .args(["-c", GUARD, "guard"])
            .arg(anchor.id().to_string())
            .arg(folder.path())
            .spawn()
            .doing("start \"sh\"")?;
        // From here on it is the guard that removes it.
        Ok(Self { folder: folder.keep(), anchor, guard, servers: Mutex::default() })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a folder inside.
    pub(crate) fn subfolder(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::create_dir_all(&path).doing(format_args!("make \"{}\"", path.display()))?;
        Ok(path)
    }

    /// Starts a server, with its output in a file and a home of its own.
    pub(crate) fn start(&self, name: &str, command: &mut Command) -> Result<()> {
        let log =
            File::create(self.log_file(name)).doing(format_args!("make the log of {name}"))?;
        let home = self.subfolder("home")?;
        let child = command
            .process_group(self.anchor.id().cast_signed())
            .current_dir(&self.folder)
            .env("HOME", &home)
            .env("TMPDIR", self.subfolder("tmp")?)
            .stdin(Stdio::null())
            .stdout(log.try_clone().doing("share a log")?)
            .stderr(log)
            .spawn()
            .doing(format_args!("start {name}"))?;
        self.lock().push(Server { name: name.to_owned(), child });
        Ok(())
    }

    /// Fails if a server has ended, which none does by itself.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        let mut servers = self.lock();
        let Some(server) = servers.iter_mut().rfind(|server| server.name == name) else {
            return Err(Error::new(format!("{name} was not started")));
        };
        match server.child.try_wait().doing(format_args!("ask for {name}"))? {
            None => Ok(()),
            Some(status) => {
                let how = status
                    .signal()
                    .map_or_else(|| status.to_string(), |signal| format!("signal {signal}"));
                Err(Error::new(format!("{name} ended ({how})\n{}", self.log_tail(name))))
            }
        }
    }

    /// Kills one server and waits for its end.
    pub(crate) fn kill(&self, name: &str) {
        for server in self.lock().iter_mut().filter(|server| server.name == name) {
            let _ = server.child.kill();
            let _ = server.child.wait();
        }
    }

    pub(crate) fn log_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// The end of what a server has printed.
    pub(crate) fn log_tail(&self, name: &str) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(self.log_file(name)) {
            let size = file.metadata().map_or(0, |metadata| metadata.len());
            let _ = file.seek(SeekFrom::Start(size.saturating_sub(LOG_TAIL)));
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Server>> {
        self.servers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        let _ = self.anchor.wait();
        for mut server in self.lock().drain(..) {
            let _ = server.child.wait();
        }
    }
}

/// A process that a Ctrl-C on the terminal does not reach, with a pipe to it.
fn own_group(program: &str) -> Command {
    let mut command = Command::new(program);
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn dropping_ends_the_processes_and_removes_the_folder() {
        let group = Group::new().unwrap();
        group.start("sleeper", Command::new("sleep").arg("1000")).unwrap();
        group.check("sleeper").unwrap();
        let folder = group.folder().to_owned();
        let process = group.lock()[0].child.id();
        drop(group);
        assert!(!folder.exists());
        assert!(!Path::new(&format!("/proc/{process}")).exists());
    }

    #[test]
    fn a_server_that_ended_is_named_with_its_log() {
        let group = Group::new().unwrap();
        group
            .start("failing", Command::new("sh").args(["-c", "echo no such flag; exit 3"]))
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let error = loop {
            match group.check("failing") {
                Err(error) => break error.to_string(),
                Ok(()) => assert!(Instant::now() < deadline),
            }
        };
        assert_eq!(error, "failing ended (exit status: 3)\nno such flag\n");
    }
}
