//! The program, run in process, and what it prints.

use std::ffi::OsString;
use std::io::Write;
use std::sync::{Arc, Mutex};

use kubectl_overlay::output::{Console, Streams};
use kubectl_overlay::settings::Settings;

/// Keeps what is written, as a terminal without colours would show it.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<String>>);

/// One stream of a recorder.
struct Stream {
    recorder: Recorder,
    /// What each of its lines begins with.
    mark: &'static str,
}

impl Recorder {
    /// A stream into it, each of whose lines begins with `mark`.
    pub(crate) fn stream(&self, mark: &'static str) -> Box<dyn Write + Send> {
        let stream: Box<dyn Write + Send> = Box::new(Stream { recorder: self.clone(), mark });
        Box::new(anstream::StripStream::new(stream))
    }

    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut text = self.recorder.0.lock().unwrap();
        for line in String::from_utf8_lossy(bytes).split_inclusive('\n') {
            if text.is_empty() || text.ends_with('\n') {
                text.push_str(self.mark);
            }
            text.push_str(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The exit code of a command line, the program's name included; its streams are those given.
pub(crate) fn run(
    words: impl IntoIterator<Item = impl Into<OsString>>,
    settings: &Settings,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
) -> u8 {
    let console = Console::new(Streams { out, err, input: Box::new(std::io::empty()) });
    kubectl_overlay::run(words.into_iter().map(Into::into), settings, &console)
}
