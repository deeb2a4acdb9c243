//! Everything that the program shows: data on standard output, all else on standard error.

pub mod changes;
pub mod diff;
pub mod plan;
pub mod progress;
pub mod table;

use std::fmt::Display;
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use overlay::error::{Error, Warning};

use crate::settings::Settings;

/// The streams of a run; a clone is another handle to the same ones.
#[derive(Clone)]
pub struct Console {
    streams: Arc<Mutex<Streams>>,
}

/// Where text comes from and goes to.
pub struct Streams {
    /// Data: documents, differences, tables.
    pub out: Box<dyn Write + Send>,
    /// What is said about it.
    pub err: Box<dyn Write + Send>,
    /// Answers to questions.
    pub input: Box<dyn BufRead + Send>,
}

impl Console {
    /// The streams of this process, which drop colours where nobody can see them.
    #[must_use]
    pub fn of_process(_settings: &Settings) -> Self {
        Self::new(Streams {
            out: Box::new(anstream::AutoStream::auto(std::io::stdout())),
            err: Box::new(anstream::AutoStream::auto(std::io::stderr())),
            input: Box::new(std::io::BufReader::new(std::io::stdin())),
        })
    }

    /// Other streams, for tests.
    #[must_use]
    pub fn new(streams: Streams) -> Self {
        Self { streams: Arc::new(Mutex::new(streams)) }
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes data as it is.
    ///
    /// A reader that went away (`| head`) is no failure of the command.
    pub fn print(&self, data: &str) {
        let mut streams = self.lock();
        let _ = streams.out.write_all(data.as_bytes());
        let _ = streams.out.flush();
    }

    /// Writes a line of data.
    pub fn print_line(&self, line: impl Display) {
        self.print(&format!("{line}\n"));
    }

    /// Says something as it is.
    pub fn say(&self, text: &str) {
        let mut streams = self.lock();
        let _ = streams.err.write_all(text.as_bytes());
        let _ = streams.err.flush();
    }

    /// Says one line.
    pub fn say_line(&self, line: impl Display) {
        self.say(&format!("{line}\n"));
    }

    /// Reports a failure.
    pub fn error(&self, error: &Error) {
        self.say_line(format_args!("error: {error}"));
    }

    /// Reports what the author of a file hardly meant.
    pub fn warn(&self, warning: &Warning) {
        self.say_line(format_args!("warning: {}: {}", warning.place, warning.message));
    }

    /// Asks a question that only `y` or `yes` answers with yes.
    #[must_use]
    pub fn confirm(&self, question: &str) -> bool {
        self.say(&format!("{question} [y/N] "));
        let mut answer = String::new();
        let read = self.lock().input.read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }
}
