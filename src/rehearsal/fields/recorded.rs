//! The recorded answers of a real server, for tests.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Raw, Validation};
use crate::rehearsal::Kind;
use crate::schema::kubernetes::{self, Minor};

pub(in crate::rehearsal) fn minor() -> &'static Minor {
    kubernetes::minor(kubernetes::MEASURED).unwrap()
}

/// A step that was recorded, with keys in the order of the text.
pub(in crate::rehearsal) struct Step {
    /// Its file.
    pub(in crate::rehearsal) file: String,
    /// File and number.
    pub(in crate::rehearsal) place: String,
    request: Raw,
    response: Raw,
}

impl Step {
    pub(in crate::rehearsal) fn request(&self, key: &str) -> &str {
        self.request.get(key).and_then(Raw::as_str).unwrap_or_default()
    }

    pub(in crate::rehearsal) fn body(&self) -> Option<String> {
        match self.request.get("bodyText") {
            Some(text) => text.as_str().map(String::from),
            None => self.request.get("body").map(written),
        }
    }

    pub(in crate::rehearsal) fn status(&self) -> u64 {
        self.response.get("status").map(Raw::to_value).and_then(|v| v.as_u64()).unwrap()
    }

    pub(in crate::rehearsal) fn answer(&self) -> Value {
        self.response.get("body").map(Raw::to_value).unwrap_or_default()
    }

    pub(in crate::rehearsal) fn text(&self) -> Option<&str> {
        self.response.get("bodyText").and_then(Raw::as_str)
    }

    pub(in crate::rehearsal) fn content_type(&self) -> &str {
        let headers = self.response.get("headers");
        headers.and_then(|all| all.get("Content-Type")).and_then(Raw::as_str).unwrap_or_default()
    }

    /// The resource that the path names, with its subresource.
    pub(in crate::rehearsal) fn kind(&self) -> Option<(Kind, String)> {
        let path = self.request("path").split('?').next()?.trim_start_matches('/');
        let mut parts: Vec<_> = path.split('/').collect();
        let (group, version) = match *parts.first()? {
            "api" => ("", *parts.get(1)?),
            _ => (*parts.get(1)?, *parts.get(2)?),
        };
        parts.drain(..if group.is_empty() { 2 } else { 3 });
        if parts.first() == Some(&"namespaces") && parts.len() > 2 {
            parts.drain(..2);
        }
        let resource = minor().resource(group, version, parts.first()?)?;
        let of = resource.object();
        let kind =
            Kind { group: of.group.into(), version: of.version.into(), kind: of.kind.into() };
        Some((kind, parts.get(2).copied().unwrap_or_default().into()))
    }

    pub(in crate::rehearsal) fn validation(&self) -> Validation {
        let path = self.request("path");
        match () {
            () if path.contains("fieldValidation=Strict") => Validation::Strict,
            () if path.contains("fieldValidation=Ignore") => Validation::Ignore,
            () => Validation::Warn,
        }
    }

    pub(in crate::rehearsal) fn warnings(&self) -> Vec<String> {
        let headers = self.response.get("headers").map(Raw::to_value).unwrap_or_default();
        let texts = headers["Warning"].as_array().into_iter().flatten().filter_map(Value::as_str);
        texts
            .filter_map(|text| serde_json::from_str(text.strip_prefix("299 - ")?).ok())
            .filter(|text: &String| {
                text.starts_with("unknown field") || text.starts_with("duplicate field")
            })
            .collect()
    }
}

/// JSON in the order of its keys.
fn written(raw: &Raw) -> String {
    match raw {
        Raw::List(list) => format!("[{}]", list.iter().map(written).collect::<Vec<_>>().join(",")),
        Raw::Map(entries) => {
            let entry = |(key, value): &(String, Raw)| format!("{}:{}", json!(key), written(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
        }
        Raw::Number(text) => text.clone(),
        other => other.to_value().to_string(),
    }
}

/// The steps of all scenarios; none, loudly, where there is no recording.
#[expect(clippy::disallowed_methods, reason = "a test reads what was recorded")]
pub(in crate::rehearsal) fn steps() -> Vec<Step> {
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let root = given.unwrap_or_else(beside).join("apiserver");
    let Ok(groups) = std::fs::read_dir(&root) else {
        assert!(std::env::var_os("CI").is_none(), "no recording in {}", root.display());
        eprintln!("skipped: no recording in {}", root.display());
        return Vec::new();
    };
    let mut steps = Vec::new();
    for group in groups.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(&group).unwrap().map(|entry| entry.unwrap().path()) {
            let scenario = Raw::read(&std::fs::read(&file).unwrap()).unwrap();
            let Some(Raw::List(list)) = scenario.get("steps") else { panic!("{}", file.display()) };
            for (at, step) in list.iter().enumerate() {
                let part = |key| step.get(key).cloned().unwrap();
                let file = file.display().to_string();
                let place = format!("{file} {at}");
                steps.push(Step {
                    file,
                    place,
                    request: part("request"),
                    response: part("response"),
                });
            }
        }
    }
    steps
}

/// Values that stand for times and numbers that the server gave.
pub(in crate::rehearsal) fn without_placeholders(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with("{TIME") => *text = "2026-01-01T00:00:00Z".into(),
        Value::String(text) if text.starts_with("{PORT") => *value = 30000.into(),
        Value::Array(list) => list.iter_mut().for_each(without_placeholders),
        Value::Object(object) => object.values_mut().for_each(without_placeholders),
        _ => {}
    }
}

/// With values in place of those that the server gave.
pub(in crate::rehearsal) fn filled(mut text: String) -> String {
    for (name, close, value) in [("{TIME", "}", "2026-01-01T00:00:00Z"), ("\"{PORT", "\"", "30000")]
    {
        while let Some(at) = text.find(name) {
            let inner = at + name.len();
            let end = inner + text[inner..].find(close).unwrap() + close.len();
            text.replace_range(at..end, value);
        }
    }
    text
}
