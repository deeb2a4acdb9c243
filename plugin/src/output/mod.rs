//! Everything that the program shows: data on standard output, all else on standard error.

use std::fmt::Display;
use std::io::Write;

use overlay::error::{Error, Warning};

use crate::settings::Settings;

/// The two streams of a run.
pub struct Console {
    /// Data: documents, differences, tables.
    out: Box<dyn Write + Send>,
    /// What is said about it.
    err: Box<dyn Write + Send>,
}

impl Console {
    /// The streams of this process, which drop colours where nobody can see them.
    #[must_use]
    pub fn of_process(_settings: &Settings) -> Self {
        Self {
            out: Box::new(anstream::AutoStream::auto(std::io::stdout())),
            err: Box::new(anstream::AutoStream::auto(std::io::stderr())),
        }
    }

    /// Other streams, for tests.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self { out, err }
    }

    /// Writes data as it is.
    ///
    /// A reader that went away (`| head`) is no failure of the command.
    pub fn print(&mut self, data: &str) {
        let _ = self.out.write_all(data.as_bytes());
        let _ = self.out.flush();
    }

    /// Writes a line of data.
    pub fn print_line(&mut self, line: impl Display) {
        self.print(&format!("{line}\n"));
    }

    /// Says something as it is.
    pub fn say(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes());
        let _ = self.err.flush();
    }

    /// Says one line.
    pub fn say_line(&mut self, line: impl Display) {
        self.say(&format!("{line}\n"));
    }

    /// Reports a failure.
    pub fn error(&mut self, error: &Error) {
        self.say_line(format_args!("error: {error}"));
    }

    /// Reports what the author of a file hardly meant.
    pub fn warn(&mut self, warning: &Warning) {
        self.say_line(format_args!("warning: {}: {}", warning.place, warning.message));
    }
}
