//! From the bytes of a body to a tree.

use std::sync::Arc;

use serde_json::Value;

use crate::Limits;
use crate::rehearsal::media;

/// A body as a tree, JSON or YAML; the error says what is wrong with the text.
pub(super) fn tree(body: &[u8], content_type: Option<&str>) -> Result<Value, String> {
    if media::plain(content_type).ends_with("json") {
        return json(body);
    }
    // JSON is YAML too, and read much faster.
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    yaml(body)
}

/// JSON, with the errors of Go.
///
/// Source: Go `encoding/json/scanner.go`.
pub(super) fn json(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| explain(body, &error))
}

/// YAML as the server turns it into JSON.
pub(super) fn yaml(body: &[u8]) -> Result<Value, String> {
    let file: Arc<str> = "body".into();
    let document = crate::yaml::read_first(body, &file, &Limits::default());
    let document = document.map_err(|error| format!("error converting YAML to JSON: {error}"))?;
    crate::json::to_json(&document).map_err(|error| error.to_string())
}

fn explain(body: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".into();
    }
    let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1));
    let found = line.and_then(|line| line.get(error.column().saturating_sub(1)));
    let place = match error.to_string() {
        text if text.starts_with("key must be a string") => {
            "looking for beginning of object key string"
        }
        text if text.starts_with("expected value") => "looking for beginning of value",
        text if text.starts_with("expected `:`") => "after object key",
        text if text.starts_with("expected `,` or `}`") => "after object key:value pair",
        text if text.starts_with("expected `,` or `]`") => "after array element",
        text if text.starts_with("trailing characters") => "after top-level value",
        _ => "looking for beginning of value",
    };
    match found {
        Some(found) => format!("invalid character '{}' {place}", char::from(*found)),
        None => "unexpected end of JSON input".into(),
    }
}
