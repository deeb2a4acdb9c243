//! The process that unpacks an artifact and builds an overlay, once, and ends.
//!
//! What it works on may be written to hurt: to loop, to fill memory, to overflow the stack. A thread can be neither
//! stopped nor bounded, a process can; so the program starts itself anew for each build, without environment and
//! with limits of the kernel, gives it the archive and kills it when nobody waits any more.

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use overlay::build::{self, Order};
use overlay::files::Memory;
use overlay::flux;
use overlay::store::Store;
use overlay::threads::Threads;
use overlay::{ErrorKind, Limits, Warned, archive};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use serde::{Deserialize, Serialize};

/// The only argument of a worker; not for people.
pub const FLAG: &str = "--render-worker";
/// Most that a worker may report, in bytes; messages and warnings are cut long before.
pub const REPORT_BYTES: u64 = 1 << 20;
/// Longest message of a report, in bytes.
const MESSAGE_BYTES: usize = 64 << 10;
/// Most warnings of a report.
const WARNINGS: usize = 100;
/// Stack of the build: nesting is limited long before it is used up.
const STACK_BYTES: usize = 32 << 20;
/// Limits of a build; what is read counts a dozen times in memory at worst.
const LIMITS: Limits = Limits { total_bytes: 24 << 20, ..Limits::WEBHOOK };

/// What a worker reads first, on one line; the archive follows.
#[derive(Debug, Deserialize, Serialize)]
pub struct Task {
    /// What is built, and with what.
    pub spec: flux::Spec,
    /// What the archive may unpack to.
    pub unpacked_bytes: u64,
    /// What the worker may allocate.
    pub memory_bytes: u64,
    /// What it may use of a processor, in seconds, should nobody be left to kill it.
    pub seconds: u64,
}

/// What a worker writes, and all that it does.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Report {
    /// It builds.
    Built {
        /// How many objects it has.
        objects: usize,
        /// What its author may have meant otherwise.
        warnings: Vec<String>,
    },
    /// It does not, and why.
    Broken(String),
    /// The archive is refused.
    Archive(String),
    /// It exceeds a limit; it may well build with more room.
    Limit(String),
}

/// Does the work of a worker: a task on standard input, a report on standard output.
///
/// Without a report the code is a failure, and nothing is said about why: it could quote what was read.
pub fn main() -> ExitCode {
    let mut input = Vec::new();
    // The one who starts us bounds what it sends.
    let Ok(_) = std::io::stdin().lock().read_to_end(&mut input) else { return ExitCode::FAILURE };
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return ExitCode::FAILURE };
    let Ok(task) = serde_json::from_slice::<Task>(&input[..end]) else { return ExitCode::FAILURE };
    confine(&task);
    let run = move || catch_unwind(AssertUnwindSafe(|| report(&task, &input[end + 1..])));
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
    let Ok(Ok(Ok(report))) = thread.map(std::thread::JoinHandle::join) else {
        return ExitCode::FAILURE;
    };
    let written = serde_json::to_vec(&report)
        .map_err(std::io::Error::other)
        .and_then(|report| std::io::stdout().lock().write_all(&report));
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Asks the kernel for limits. Where it refuses, those of the build still hold.
fn confine(task: &Task) {
    let limit = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    let _ = setrlimit(Resource::Data, limit(task.memory_bytes));
    let _ = setrlimit(Resource::Cpu, limit(task.seconds));
    // A core would hold what was decrypted or secret.
    let _ = setrlimit(Resource::Core, limit(0));
    #[cfg(target_os = "linux")]
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
}

fn report(task: &Task, archive: &[u8]) -> Report {
    let limits = archive::Limits { bytes: task.unpacked_bytes, ..archive::Limits::WEBHOOK };
    match archive::unpack(archive, &limits) {
        Ok(files) => build(&files, &task.spec),
        Err(error) => Report::Archive(cut(error.to_string())),
    }
}

/// The build as Flux does it: unrestricted within the artifact, in the order of accumulation.
fn build(files: &Memory, spec: &flux::Spec) -> Report {
    let options = build::Options {
        limits: LIMITS,
        unrestricted: true,
        order: Order::None,
        // Others are being judged at the same time.
        threads: Threads::default(),
        ..build::Options::default()
    };
    let store = Store::new(LIMITS.total_bytes);
    let Warned { output, warnings } = flux::render(files, &store, &options, spec);
    match output {
        Ok(resources) => {
            let warnings = warnings.iter().take(WARNINGS);
            let warnings = warnings.map(|w| cut(format!("{}: {}", w.place, w.message))).collect();
            Report::Built { objects: resources.iter().count(), warnings }
        }
        Err(error) if error.kind() == ErrorKind::Limit => Report::Limit(cut(error.to_string())),
        Err(error) => Report::Broken(cut(error.to_string())),
    }
}

fn cut(mut text: String) -> String {
    let end = (0..=MESSAGE_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}
