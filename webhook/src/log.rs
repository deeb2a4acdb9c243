//! Log lines: one JSON object each, on standard error.
//!
//! A line names objects and counts things. What an object *holds* never gets here: not its spec, not a
//! rendered manifest, not the message of a failed build, which may quote one.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

/// How grave a line is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// What an operator wants to have seen.
    Info,
    /// What an operator should look at.
    Error,
}

/// Writes one line: when, how grave, what happened and to what.
pub fn line(level: Level, message: &str, fields: &[(&str, Value)]) {
    let text = text(level, SystemTime::now(), message, fields);
    // Nobody is left to tell where standard error is closed.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a line that needs no action.
pub fn info(message: &str, fields: &[(&str, Value)]) {
    line(Level::Info, message, fields);
}

/// Writes a line that does.
pub fn error(message: &str, fields: &[(&str, Value)]) {
    line(Level::Error, message, fields);
}

fn text(level: Level, now: SystemTime, message: &str, fields: &[(&str, Value)]) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let mut line = Map::new();
    line.insert("level".into(), if level == Level::Info { "info" } else { "error" }.into());
    line.insert("ts".into(), ((seconds * 1000.0).round() / 1000.0).into());
    line.insert("msg".into(), message.into());
    for (key, value) in fields {
        line.insert((*key).to_owned(), value.clone());
    }
    let mut text = Value::Object(line).to_string();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_is_one_object_of_json() {
        let now = UNIX_EPOCH + Duration::from_millis(1500);
        let text = text(Level::Info, now, "a\nb", &[("name", "x".into())]);
        assert_eq!(text.lines().count(), 1);
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["ts"], 1.5);
        assert_eq!(line["name"], "x");
        assert_eq!(line["msg"], "a\nb");
    }
}
