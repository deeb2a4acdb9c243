//! Everything that the program shows: data on standard output, all else on standard error.

pub mod changes;
pub mod diff;
pub mod plan;
pub mod progress;
pub mod table;

use std::fmt::Display;
use std::io::{BufRead, ErrorKind, IoSlice, Write};
use std::sync::{Arc, Mutex, PoisonError};

use overlay::error::{Error, Warning};
use serde_json::{Value as Json, json};

use crate::settings::Settings;

/// The streams of a run; a clone is another handle to the same ones.
#[derive(Clone)]
pub struct Console {
    out: Shared<dyn Write + Send>,
    err: Shared<dyn Write + Send>,
    input: Shared<dyn BufRead + Send>,
}

/// A stream that several handles share, each locked for itself: somebody waits for input while others
/// go on writing.
type Shared<T> = Arc<Mutex<Box<T>>>;

/// Standard output, which has every byte of what has no colours in it.
struct Data {
    plain: std::io::Stdout,
    painted: anstream::AutoStream<std::io::Stdout>,
}

impl Data {
    fn new() -> Self {
        let painted = anstream::AutoStream::auto(std::io::stdout());
        Self { plain: std::io::stdout(), painted }
    }
}

impl Write for Data {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        // Looking for a colour in each byte of a large document takes as long as printing it.
        if is_painted(data) { self.painted.write(data) } else { self.plain.write(data) }
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> std::io::Result<usize> {
        if !pieces.iter().any(|piece| is_painted(piece)) {
            return self.plain.write_vectored(pieces);
        }
        let first = pieces.iter().find(|piece| !piece.is_empty());
        first.map_or(Ok(0), |first| self.write(first))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.plain.flush()
    }
}

/// Whether there may be a colour in it.
fn is_painted(data: &[u8]) -> bool {
    overlay::find::byte(ESCAPE, data).is_some()
}

/// What every colour begins with.
const ESCAPE: u8 = 0x1b;

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
            out: Box::new(Data::new()),
            err: Box::new(anstream::AutoStream::auto(std::io::stderr())),
            input: Box::new(std::io::BufReader::new(std::io::stdin())),
        })
    }

    /// Other streams, for tests.
    #[must_use]
    pub fn new(streams: Streams) -> Self {
        let Streams { out, err, input } = streams;
        Self {
            out: Arc::new(Mutex::new(out)),
            err: Arc::new(Mutex::new(err)),
            input: Arc::new(Mutex::new(input)),
        }
    }

    /// Writes data as it is.
    ///
    /// A reader that went away (`| head`) is no failure of the command.
    pub fn print(&self, data: &str) {
        write(&self.out, data);
    }

    /// Writes data that is in pieces, all at once.
    pub fn print_all(&self, pieces: &[String]) {
        write_all(&self.out, pieces);
    }

    /// Writes a line of data.
    pub fn print_line(&self, line: impl Display) {
        self.print(&format!("{line}\n"));
    }

    /// Says something as it is.
    pub fn say(&self, text: &str) {
        write(&self.err, text);
    }

    /// Says one line.
    pub fn say_line(&self, line: impl Display) {
        self.say(&format!("{line}\n"));
    }

    /// Reports a failure.
    pub fn error(&self, error: &Error) {
        self.say_line(format_args!("error: {}", visible(&error.to_string())));
    }

    /// Reports what the author of a file hardly meant.
    pub fn warn(&self, warning: &Warning) {
        let message = visible(&warning.message);
        self.say_line(format_args!("warning: {}: {message}", warning.place));
    }

    /// Asks a question that only `y` or `yes` answers with yes.
    #[must_use]
    pub fn confirm(&self, question: &str) -> bool {
        self.say(&format!("{question} [y/N] "));
        let mut answer = String::new();
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let read = input.read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }
}

/// A failure as data: `place`, `message` and `hint` (null where there is none), in `from` the places that led to
/// it, the nearest first, and in `others` what is told along with it, of the same shape.
#[must_use]
pub fn failure(error: &Error) -> Json {
    let mut places = error.places().iter().map(ToString::to_string);
    json!({
        "place": places.next(),
        "message": error.message(),
        "hint": error.remedy(),
        "from": places.collect::<Vec<_>>(),
        "others": error.others().iter().map(failure).collect::<Vec<_>>(),
    })
}

/// Text from files and servers with its control characters spelt out, so that it cannot move the cursor
/// or repaint what stands above it; line breaks stay.
#[must_use]
pub fn visible(text: &str) -> String {
    let is_odd = |letter: char| letter.is_control() && letter != '\n';
    if !text.contains(is_odd) {
        return text.to_owned();
    }
    let mut shown = String::new();
    for letter in text.chars() {
        if is_odd(letter) {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}

fn write(stream: &Shared<dyn Write + Send>, text: &str) {
    write_all(stream, &[text]);
}

fn write_all(stream: &Shared<dyn Write + Send>, pieces: &[impl AsRef<str>]) {
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    let slices = pieces.iter().map(|piece| IoSlice::new(piece.as_ref().as_bytes()));
    let mut slices: Vec<_> = slices.filter(|slice| !slice.is_empty()).collect();
    let mut left = slices.as_mut_slice();
    while !left.is_empty() {
        match stream.write_vectored(left) {
            Ok(0) => break,
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = stream.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes one byte at a time, and is interrupted before each.
    struct Slow(Arc<Mutex<Vec<u8>>>, bool);

    impl Write for Slow {
        fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::Interrupted.into());
            }
            let mut seen = self.0.lock().expect("no panic");
            seen.extend(data.first());
            Ok(data.len().min(1))
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn pieces_are_written_to_the_last_byte() {
        let seen = Arc::default();
        let out = Box::new(Slow(Arc::clone(&seen), false));
        let (err, input) = (Box::new(std::io::sink()), Box::new(std::io::empty()));
        let console = Console::new(Streams { out, err, input });
        console.print_all(&["ab".to_owned(), String::new(), "c".to_owned()]);
        assert_eq!(*seen.lock().expect("no panic"), b"abc");
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(visible("plain\nä"), "plain\nä");
        assert_eq!(visible("a\u{1b}[2Jb\r"), "a\\u{1b}[2Jb\\u{d}");
    }
}
