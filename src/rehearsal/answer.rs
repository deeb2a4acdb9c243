//! What goes back: an object, a list, a table, text or a stream.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WARNING};
use serde_json::Value;

use crate::rehearsal::{Failure, Watcher};

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// The events of a watch, one a line, as they happen.
    Watch(Watcher),
}

impl Default for Body {
    /// Nothing.
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl Body {
    /// The bytes, for a watch those of the events up to now.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Watch(mut watcher) => {
                let mut bytes = Vec::new();
                while let Some(event) = watcher.next_event() {
                    bytes.extend_from_slice(&event);
                }
                bytes.into()
            }
        }
    }
}

/// What a request is answered with.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) content: Content,
}

/// Before it is written as JSON or YAML.
#[derive(Debug)]
pub(super) enum Content {
    Tree(Value),
    /// JSON that is written already.
    Json(String),
    Text(String),
    Watch(Watcher),
}

impl Answer {
    pub(super) fn ok(value: Value) -> Self {
        Self { code: 200, content: Content::Tree(value) }
    }

    pub(super) fn created(value: Value) -> Self {
        Self { code: 201, content: Content::Tree(value) }
    }

    pub(super) fn text(code: u16, text: impl Into<String>) -> Self {
        Self { code, content: Content::Text(text.into()) }
    }

    /// As it is sent.
    pub(super) fn send(self, yaml: bool, warnings: &[String]) -> http::Response<Body> {
        let (kind, body) = match self.content {
            Content::Tree(value) if yaml => {
                ("application/yaml", Body::Whole(as_yaml(&value).into()))
            }
            Content::Json(text) if yaml => {
                let value = serde_json::from_str(&text).unwrap_or_default();
                ("application/yaml", Body::Whole(as_yaml(&value).into()))
            }
            Content::Tree(value) => (
                "application/json",
                Body::Whole(serde_json::to_vec(&value).unwrap_or_default().into()),
            ),
            Content::Json(text) => ("application/json", Body::Whole(text.into())),
            Content::Text(text) => ("text/plain; charset=utf-8", Body::Whole(text.into())),
            Content::Watch(watcher) => ("application/json", Body::Watch(watcher)),
        };
        let mut response = http::Response::new(body);
        *response.status_mut() = http::StatusCode::from_u16(self.code).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        for warning in warnings {
            // 299 is "miscellaneous, persistent"; the text is a quoted string.
            let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
                headers.append(WARNING, value);
            }
        }
        response
    }
}

impl Failure {
    /// As it is sent.
    pub(super) fn send(&self, yaml: bool, warnings: &[String]) -> http::Response<Body> {
        let answer = Answer { code: self.code, content: Content::Tree(self.to_value()) };
        let mut response = answer.send(yaml, warnings);
        let after = self.details.as_ref().and_then(|details| details["retryAfterSeconds"].as_u64());
        if let Some(after) = after {
            response.headers_mut().insert(RETRY_AFTER, after.into());
        }
        response
    }
}

fn as_yaml(value: &Value) -> String {
    let mut text = String::new();
    let value = crate::json::from_json(value);
    // What came as JSON can be written as YAML.
    crate::yaml::write(&value, &mut text).unwrap_or_default();
    text
}
