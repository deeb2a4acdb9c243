//! Programs that a build may run: Helm for charts, and functions. None unless the caller allows it.
//!
//! A build that runs none is a function of its files; one that does is as good as its programs.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Place, Result};

/// The programs that a build may run.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    /// Helm (`--enable-helm`).
    pub helm: Option<Helm>,
    /// Functions (`--enable-alpha-plugins`).
    pub functions: Option<Functions>,
}

/// How Helm is called.
#[derive(Clone, Debug)]
pub struct Helm {
    /// The program (`--helm-command`).
    pub command: PathBuf,
    /// What charts are told about the version of the cluster, where they are not told by the
    /// kustomization (`--helm-kube-version`).
    pub kube_version: String,
    /// The same about its APIs (`--helm-api-versions`).
    pub api_versions: Vec<String>,
    /// Whether Helm says more where it fails (`--helm-debug`).
    pub debug: bool,
}

/// How functions are run.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    /// Whether programs of this machine may be functions (`--enable-exec`).
    pub exec: bool,
    /// Whether containers that ask for it get a network (`--network`).
    pub network: bool,
    /// Whether containers run as the user of this process (`--as-current-user`).
    pub as_current_user: bool,
    /// Variables for all functions (`--env`): `NAME=value`, or `NAME` for the value it has here.
    pub env: Vec<String>,
    /// Mounts for all containers (`--mount`), as Docker writes them.
    pub mounts: Vec<String>,
    /// Where kustomize's older plugins are, if there are any.
    pub home: Option<PathBuf>,
}

/// One run of a program.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// The program, by name or path.
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [OsString],
    /// Variables beside those of this process.
    pub(crate) environment: &'a [(OsString, OsString)],
    /// Without one, that of this process.
    pub(crate) directory: Option<&'a Path>,
    pub(crate) input: &'a [u8],
    /// Bytes of output.
    pub(crate) limit: usize,
    /// The longest that it may run, where that is bounded.
    pub(crate) time: Option<Duration>,
}

/// What Helm is asked to do.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) arguments: &'a [OsString],
    /// Where its own files lie.
    pub(crate) home: &'a Path,
    pub(crate) input: &'a [u8],
    /// Bytes of output.
    pub(crate) limit: usize,
}

/// The longest that one run of Helm may take.
const HELM_TIME: Duration = Duration::from_secs(300);

impl Helm {
    /// What Helm prints; `place` is who asked for it.
    ///
    /// # Errors
    /// Where it cannot be run, fails, or takes too long or prints too much.
    pub(crate) fn run(&self, asked: &Asked<'_>, place: &Place) -> Result<Vec<u8>> {
        let variable = |name: &str, below: &str| (name.into(), asked.home.join(below).into());
        let environment = [
            ("HELM_CONFIG_HOME".into(), asked.home.into()),
            variable("HELM_CACHE_HOME", ".cache"),
            variable("HELM_DATA_HOME", ".data"),
        ];
        let call = Call {
            program: &self.command,
            arguments: asked.arguments,
            environment: &environment,
            directory: None,
            input: asked.input,
            limit: asked.limit,
            time: Some(HELM_TIME),
        };
        let what = asked.arguments.first().map_or_else(String::new, |first| {
            format!("{} {}", self.command.display(), first.to_string_lossy())
        });
        let finished = call.run(place).map_err(|error| match error.kind() {
            ErrorKind::External => {
                error.hint("install Helm, or say where it is with --helm-command")
            }
            _ => error,
        })?;
        finished.output(&what, place)
    }
}

/// What a program that ran to its end left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) output: Vec<u8>,
    pub(crate) messages: String,
    pub(crate) success: bool,
    /// Such as `exit status: 1`.
    pub(crate) status: String,
}

/// Bytes of a program's messages that are kept; its first ones tell most.
const MESSAGES: u64 = 64 << 10;

impl Call<'_> {
    /// Runs the program to its end; `place` is who asked for it.
    ///
    /// # Errors
    /// Where it cannot be started, or exceeds what it may write or its time.
    pub(crate) fn run(&self, place: &Place) -> Result<Finished> {
        let failed = |error: std::io::Error| {
            let message = format!("cannot run \"{}\": {error}", self.program.display());
            Error::new(ErrorKind::External, place.clone(), message)
        };
        let child = self.command().spawn().map_err(failed)?;
        let child = Mutex::new(child);
        let gathered = self.gather_in_time(&child, place)?;
        let mut child = lock(&child);
        let limit = u64::try_from(self.limit).unwrap_or(u64::MAX);
        let exceeds = |output: &[u8]| u64::try_from(output.len()).unwrap_or(u64::MAX) > limit;
        match gathered {
            Ok((output, _)) if exceeds(&output) => {
                end(&mut child);
                let name = self.program.display();
                let message = format!("\"{name}\" writes more than {limit} bytes");
                Err(Error::new(ErrorKind::Limit, place.clone(), message))
            }
            Ok((output, messages)) => {
                let status = child.wait().map_err(failed)?;
                let messages = String::from_utf8_lossy(&messages).into_owned();
                let success = status.success();
                Ok(Finished { output, messages, success, status: status.to_string() })
            }
            Err(error) => {
                end(&mut child);
                Err(failed(error))
            }
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(directory) = self.directory {
            command.current_dir(directory);
        }
        command
    }

    /// What the program says, unless its time runs out: then it is ended.
    fn gather_in_time(&self, child: &Mutex<Child>, place: &Place) -> Result<Gathered> {
        let Some(time) = self.time else { return Ok(self.gather(child)) };
        let is_late = AtomicBool::new(false);
        let (done, wait) = mpsc::channel::<()>();
        let gathered = std::thread::scope(|scope| {
            let is_late = &is_late;
            scope.spawn(move || {
                if wait.recv_timeout(time) == Err(mpsc::RecvTimeoutError::Timeout) {
                    is_late.store(true, Ordering::Relaxed);
                    end(&mut lock(child));
                }
            });
            let gathered = self.gather(child);
            drop(done);
            gathered
        });
        if is_late.load(Ordering::Relaxed) {
            let name = self.program.display();
            let message = format!("\"{name}\" takes longer than {} s", time.as_secs());
            return Err(Error::new(ErrorKind::Limit, place.clone(), message));
        }
        Ok(gathered)
    }

    /// Feeds the program and takes what it says, all at once: each pipe holds only so much.
    fn gather(&self, child: &Mutex<Child>) -> Gathered {
        let pipes =
            |child: &mut Child| (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (stdin, stdout, stderr) = pipes(&mut lock(child));
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // A program that does not want its input may close it; that is its business.
                stdin.map(|mut stdin| stdin.write_all(self.input))
            });
            let messages = scope.spawn(move || {
                let mut messages = Vec::new();
                if let Some(mut stderr) = stderr {
                    stderr.by_ref().take(MESSAGES).read_to_end(&mut messages)?;
                    std::io::copy(&mut stderr, &mut std::io::sink())?;
                }
                Ok::<_, std::io::Error>(messages)
            });
            let mut output = Vec::new();
            if let Some(stdout) = stdout {
                let most = u64::try_from(self.limit).unwrap_or(u64::MAX).saturating_add(1);
                let read = stdout.take(most).read_to_end(&mut output);
                if read.is_err() || output.len() > self.limit {
                    // Else the other threads would wait for a program that waits for its reader.
                    end(&mut lock(child));
                }
                read?;
            }
            let messages = messages.join().map_err(|_| std::io::ErrorKind::Other)??;
            Ok((output, messages))
        })
    }
}

/// What a program printed, and what it had to say about it.
type Gathered = std::io::Result<(Vec<u8>, Vec<u8>)>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while it was held changes nothing about the program.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a program that is not needed any more.
fn end(child: &mut Child) {
    // It may have ended by itself, which is as good.
    let _ = child.kill();
    let _ = child.wait();
}

impl Finished {
    /// The output, or an error with the end of what the program said.
    ///
    /// # Errors
    /// Where it did not succeed.
    pub(crate) fn output(self, what: &str, place: &Place) -> Result<Vec<u8>> {
        if self.success {
            return Ok(self.output);
        }
        let said = self.messages.trim();
        let message = match said {
            "" => format!("{what} failed: {}", self.status),
            said => format!("{what} failed: {said}"),
        };
        Err(Error::new(ErrorKind::External, place.clone(), message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_within(
        script: &str,
        input: &[u8],
        limit: usize,
        time: Option<Duration>,
    ) -> Result<Finished> {
        let arguments = ["-c".into(), script.into()];
        let call = Call {
            program: Path::new("sh"),
            arguments: &arguments,
            environment: &[("GREETING".into(), "hello".into())],
            directory: Some(Path::new("/")),
            input,
            limit,
            time,
        };
        call.run(&Place::file("kustomization.yaml"))
    }

    fn run(script: &str, input: &[u8], limit: usize) -> Result<Finished> {
        run_within(script, input, limit, None)
    }

    #[test]
    fn a_program_gets_its_input_and_variables() {
        let input = vec![b'x'; 1 << 20];
        let finished = run("printf $GREETING; cat", &input, 2 << 20).expect("runs");
        assert_eq!(finished.output.len(), input.len() + 5);
        assert!(finished.success);
    }

    #[test]
    fn a_failure_says_what_the_program_said() {
        let finished = run("echo no good >&2; exit 3", b"", 10).expect("runs");
        let error = finished.output("it", &Place::file("k")).expect_err("failed");
        assert_eq!(error.message(), "it failed: no good");
    }

    #[test]
    fn a_program_that_never_stops_writing_is_ended() {
        let error = run("yes", b"", 1 << 20).expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::Limit);
    }

    #[test]
    fn a_program_that_never_ends_is_ended() {
        let time = Some(Duration::from_millis(20));
        let error = run_within("exec cat /dev/zero >&2", b"", 10, time).expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert_eq!(
            run_within("exit 3", b"", 10, Some(HELM_TIME)).expect("runs").status,
            "exit status: 3"
        );
    }

    #[test]
    fn a_program_need_not_read() {
        assert!(run("exit 0", &vec![b'x'; 1 << 20], 10).expect("runs").success);
    }
}
