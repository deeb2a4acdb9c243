//! Answers without what each server chooses for itself: uids, versions, times, addresses.
//!
//! A uid and the version of an object are replaced by their number in the order of appearance, so that two
//! answers differ where one server has a new version and the other has not. What the real server itself
//! orders by chance is sorted: causes, and entries of managed fields of the same second.

use std::collections::HashMap;

use regex::Regex;
use serde_json::{Value, json};

use crate::exchange::{Question, Reply};

/// What one server has chosen so far.
pub(crate) struct Plain {
    names: HashMap<String, String>,
    uid: Regex,
    time: Regex,
    version: Regex,
}

impl Plain {
    pub(crate) fn new() -> Self {
        let pattern = |text| Regex::new(text).expect("it is well-formed");
        Self {
            names: HashMap::new(),
            uid: pattern("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
            // Times of the requests themselves are before 2020.
            time: pattern(r"20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
            version: pattern(
                r#"Duplicate value: 3\d{4}|[nN]odePort\\*":3\d{4}|:3\d{4}/|\{TCP 3\d{4}|current: \d+|resource version: \d+ \(\d+\)|resourceVersion\\*":\\*"\d+|10\.96\.\d+\.\d+"#,
            ),
        }
    }

    /// A reply as far as two servers can be compared in it.
    pub(crate) fn reply(&mut self, question: &Question, reply: &Reply) -> Value {
        let body = match serde_json::from_str::<Value>(&reply.body) {
            _ if question.is_watch() && reply.is_success() => self.events(&reply.body),
            Ok(mut body) => {
                self.body(&mut body);
                body
            }
            Err(_) => Value::String(self.text(&reply.body)),
        };
        json!({
            "status": reply.status, "content-type": reply.content_type, "body": body,
            "retry-after": reply.retry_after, "warnings": reply.warnings,
        })
    }

    fn events(&mut self, text: &str) -> Value {
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        // When bookmarks come is up to the server.
        let mut events: Vec<_> = events.filter(|event| event["type"] != "BOOKMARK").collect();
        events.iter_mut().for_each(|event| self.body(&mut event["object"]));
        events.into()
    }

    fn body(&mut self, body: &mut Value) {
        match body["kind"].as_str() {
            Some("Status") => unordered_causes(body),
            Some("Table") => plain_table(body),
            _ => {}
        }
        let is_list = body["items"].is_array() || body["rows"].is_array();
        if is_list && let Some(version) = body.pointer_mut("/metadata/resourceVersion") {
            *version = "{LIST}".into();
        }
        self.walk(body);
    }

    fn walk(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(list) => list.iter_mut().for_each(|item| self.walk(item)),
            Value::Object(map) => {
                let generated = map.get("generateName").and_then(Value::as_str).map(str::to_owned);
                for (key, value) in map.iter_mut() {
                    self.member(key, value, generated.as_deref());
                }
            }
            _ => {}
        }
    }

    fn member(&mut self, key: &str, value: &mut Value, generated: Option<&str>) {
        match (key, &*value) {
            ("resourceVersion", Value::String(text)) if text != "{LIST}" && !text.is_empty() => {
                *value = self.named("VERSION", &text.clone()).into();
            }
            ("continue", Value::String(text)) if !text.is_empty() => *value = "{CONTINUE}".into(),
            ("name", Value::String(text)) if generated.is_some_and(|g| text.starts_with(g)) => {
                *value = format!("{}{{RANDOM}}", generated.unwrap_or_default()).into();
            }
            ("clusterIP", Value::String(text)) if text.starts_with("10.96.") => {
                *value = "{IP}".into();
            }
            ("clusterIPs", Value::Array(list)) if list.iter().any(is_address) => {
                *value = json!(["{IP}"]);
            }
            ("nodePort" | "healthCheckNodePort", Value::Number(port))
                if port.as_u64().is_some_and(|port| port >= 30_000) =>
            {
                *value = "{PORT}".into();
            }
            ("managedFields", Value::Array(_)) => {
                self.walk(value);
                let id = |entry: &Value| {
                    ["manager", "operation", "subresource", "apiVersion"]
                        .map(|key| entry[key].as_str().unwrap_or_default().to_owned())
                };
                value.as_array_mut().into_iter().for_each(|list| list.sort_by_key(id));
            }
            _ => self.walk(value),
        }
    }

    fn text(&mut self, text: &str) -> String {
        let mut plain = text.to_owned();
        let uids: Vec<String> =
            self.uid.find_iter(text).map(|found| found.as_str().into()).collect();
        for uid in uids.into_iter().filter(|uid| !uid.starts_with("00000000")) {
            let name = self.named("UID", &uid);
            plain = plain.replace(&uid, &name);
        }
        let plain = self.time.replace_all(&plain, "{TIME}");
        self.version.replace_all(&plain, "{CURRENT}").into_owned()
    }

    fn named(&mut self, class: &str, value: &str) -> String {
        let next = self.names.len();
        let key = format!("{class} {value}");
        self.names.entry(key).or_insert_with(|| format!("{{{class}{next}}}")).clone()
    }
}

fn is_address(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with("10.96."))
}

/// The server goes through maps as they come.
fn unordered_causes(status: &mut Value) {
    let Some(causes) = status.pointer_mut("/details/causes").and_then(Value::as_array_mut) else {
        return;
    };
    if causes.len() < 2 {
        return;
    }
    causes.sort_by_key(Value::to_string);
    let message = status["message"].as_str().unwrap_or_default();
    let message = match message.split_once(": [") {
        // The same words once more.
        Some((head, _)) => head.to_owned(),
        None => {
            let mut lines: Vec<_> = message.lines().collect();
            lines.sort_unstable();
            lines.join("\n")
        }
    };
    status["message"] = message.into();
}

/// Without the age of objects, and what the server's authors say of its columns.
fn plain_table(table: &mut Value) {
    for column in table["columnDefinitions"].as_array_mut().into_iter().flatten() {
        column["description"] = Value::Null;
    }
    let rows = table["rows"].as_array_mut().into_iter().flatten();
    for cell in rows.filter_map(|row| row["cells"].as_array_mut()).flatten() {
        let age = cell.as_str().and_then(|text| text.strip_suffix(['s', 'm']));
        if age.is_some_and(|age| age.parse::<u32>().is_ok()) {
            *cell = "{AGE}".into();
        }
    }
}

/// The first place where two plain replies differ, the real one second.
pub(crate) fn difference(ours: &Value, real: &Value, path: &str) -> Option<String> {
    match (ours, real) {
        (Value::Object(ours), Value::Object(real)) => {
            let keys = real.keys().chain(ours.keys().filter(|key| !real.contains_key(*key)));
            let null = Value::Null;
            let value = |map: &serde_json::Map<_, _>, key| map.get(key).unwrap_or(&null).clone();
            keys.into_iter().find_map(|key| {
                if ours.contains_key(key) != real.contains_key(key) {
                    let said = |map: &serde_json::Map<_, _>| {
                        map.get(key).map_or_else(|| "nothing".into(), short)
                    };
                    return Some(format!("{path}.{key}: {} instead of {}", said(ours), said(real)));
                }
                difference(&value(ours, key), &value(real, key), &format!("{path}.{key}"))
            })
        }
        (Value::Array(ours), Value::Array(real)) if ours.len() == real.len() => {
            let mut pairs = ours.iter().zip(real).enumerate();
            pairs.find_map(|(at, (ours, real))| difference(ours, real, &format!("{path}[{at}]")))
        }
        (ours, real) if ours == real => None,
        (ours, real) => Some(format!("{path}: {} instead of {}", short(ours), short(real))),
    }
}

/// A plain reply in whose texts what is empty is null.
pub(crate) fn without_empty(reply: &Value) -> Value {
    match reply {
        Value::String(text) => text.replace("[]", "null").replace("{}", "null").into(),
        Value::Array(list) => list.iter().map(without_empty).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), without_empty(value))).collect()
        }
        other => other.clone(),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(400) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
