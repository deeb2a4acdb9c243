//! One recorded scenario and how it is replayed.

use std::path::Path;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use overlay::rehearsal::{Clock, Options, Rehearsal, User};
use serde_json::{Value, json};

use crate::bindings::Bindings;

const AGENT: &str = "rehearsal-recorder";

pub(crate) struct Scenario {
    pub(crate) group: String,
    pub(crate) name: String,
    steps: Vec<Value>,
    /// The bodies of the requests as they were sent, with the fields in their order.
    bodies: Vec<Option<String>>,
}

/// Whether a step was answered as it should be.
pub(crate) enum Verdict {
    Same,
    Differs(String),
}

struct Reply {
    status: u16,
    content_type: String,
    retry_after: Option<String>,
    warnings: Vec<String>,
    body: Vec<u8>,
}

impl Scenario {
    /// All scenarios below a folder, in order.
    pub(crate) fn all(path: &Path) -> Vec<Self> {
        let sorted = |path: &Path| {
            let mut entries: Vec<_> =
                std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
            entries.sort();
            entries
        };
        let folders = sorted(path).into_iter().filter(|path| path.is_dir());
        let files = folders.flat_map(|folder| sorted(&folder));
        files.map(|file| Self::read(&file)).collect()
    }

    fn read(file: &Path) -> Self {
        // The server names itself after its program, which was not called as it usually is.
        let text = std::fs::read_to_string(file).unwrap();
        let text = text.replace("kube-apiserver-go126", "kube-apiserver");
        let value: Value = serde_json::from_str(&text).unwrap();
        let word = |key: &str| value[key].as_str().unwrap().to_owned();
        let steps = value["steps"].as_array().unwrap().clone();
        let bodies = bodies(&text);
        assert_eq!(bodies.len(), steps.len(), "{}", file.display());
        Self { group: word("group"), name: word("name"), steps, bodies }
    }

    /// What a step is, for a person.
    pub(crate) fn title(&self, at: usize) -> String {
        let step = &self.steps[at];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let note = match word(&step["note"]) {
            note if note.is_empty() => note,
            note => format!(" ({note})"),
        };
        format!("{} {}{note}", word(&step["request"]["method"]), word(&step["request"]["path"]))
    }

    /// Sends all requests to a new API.
    pub(crate) fn replay(&self) -> Vec<Verdict> {
        // 2026-01-01T00:00:00Z
        let options = Options {
            clock: Clock::Fixed(1_767_225_600),
            address: "127.0.0.1:26443".into(),
            ..Options::default()
        };
        let api = Rehearsal::new(&options).unwrap();
        let mut bindings = Bindings::default();
        bindings.set("NS", "ns-4711");
        bindings.set("X", "x4711");
        post(
            &api,
            "/api/v1/namespaces",
            &json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns-4711"},
            }),
        );
        self.prepare(&api);
        let steps = self.steps.iter().zip(&self.bodies);
        steps.map(|(step, body)| play(&api, &mut bindings, step, body.as_deref())).collect()
    }

    /// Makes the objects that the recorder had made before the first step.
    fn prepare(&self, api: &Rehearsal) {
        let count = match (&*self.group, &*self.name) {
            ("delete", "options-forms") => 8,
            ("delete", "deletecollection") => 4,
            ("list", "field-selectors") => 3,
            ("list", "label-selectors" | "pagination") => 7,
            _ => return,
        };
        for number in 0..count {
            let even = if number % 2 == 0 { "true" } else { "false" };
            let mut labels = json!({"i": number.to_string(), "even": even});
            if number < 2 {
                labels["only"] = "x".into();
            }
            let plain = self.name == "options-forms";
            let mut object = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("m{number}")},
            });
            if !plain {
                object["metadata"]["labels"] = labels;
                object["data"] = json!({"k": number.to_string()});
            }
            post(api, "/api/v1/namespaces/ns-4711/configmaps", &object);
        }
    }
}

fn post(api: &Rehearsal, path: &str, object: &Value) {
    let request = http::Request::post(path)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, AGENT)
        .body(object.to_string().into());
    let response = api.handle(request.unwrap());
    assert!(response.status().is_success(), "{path}: {:?}", response.into_body());
}

/// The JSON bodies of the requests of a file, which has one step a line.
fn bodies(text: &str) -> Vec<Option<String>> {
    let lines = text.lines().map(str::trim).filter(|line| line.contains(r#""request":{"#));
    let body = |line: &str| {
        let request = after_key(line, "request")?;
        let body = after_key(request, "body")?;
        Some(body[..value_end(body)].to_owned())
    };
    lines.map(body).collect()
}

/// What follows a key of the object at the beginning of a text.
fn after_key<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = text.strip_prefix('{')?;
    loop {
        let end = value_end(rest);
        let (key, tail) = (rest[..end].trim(), rest[end..].trim_start().strip_prefix(':')?);
        let tail = tail.trim_start();
        if key.trim_matches('"') == wanted {
            return Some(tail);
        }
        rest = tail[value_end(tail)..].trim_start().strip_prefix(',')?.trim_start();
    }
}

/// Where the JSON value at the beginning of a text ends.
fn value_end(text: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => {
                quoted = !quoted;
                if !quoted && depth == 0 {
                    return at + 1;
                }
            }
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b',' | b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

fn play(api: &Rehearsal, bindings: &mut Bindings, step: &Value, body: Option<&str>) -> Verdict {
    api.advance(Duration::from_secs(1));
    let reply = send(api, bindings, &step["request"], body);
    let custom = step["request"]["path"].as_str().unwrap_or_default().contains(".example.com/");
    match difference(bindings, &step["response"], &reply, custom) {
        None => Verdict::Same,
        Some(why) => Verdict::Differs(why),
    }
}

fn send(api: &Rehearsal, bindings: &mut Bindings, request: &Value, body: Option<&str>) -> Reply {
    let path = bindings.fill(request["path"].as_str().unwrap());
    let path = path.replace(' ', "%20");
    let mut builder = http::Request::builder()
        .method(request["method"].as_str().unwrap())
        .uri(path)
        .header(USER_AGENT, AGENT);
    for (key, header) in [("accept", ACCEPT), ("contentType", CONTENT_TYPE)] {
        if let Some(value) = request[key].as_str() {
            builder = builder.header(header, value);
        }
    }
    match request.get("user") {
        None => {}
        Some(Value::String(name)) => {
            let groups = vec!["tenants".into(), "system:authenticated".into()];
            builder =
                builder.extension(User { name: name.clone(), uid: format!("{name}-uid"), groups });
        }
        Some(_) => builder = builder.extension(User::anonymous()),
    }
    let body = match (body, request.get("bodyText")) {
        (Some(body), _) => bindings.fill_json(body),
        (_, Some(text)) => bindings.fill(text.as_str().unwrap()),
        _ => String::new(),
    };
    let response = api.handle(builder.body(body.into()).unwrap());
    let text = |name: &str| {
        let value = response.headers().get(name);
        value.map(|value| value.to_str().unwrap_or("?").to_owned())
    };
    let warnings = response.headers().get_all("warning").into_iter();
    Reply {
        status: response.status().as_u16(),
        content_type: text("content-type").unwrap_or_default(),
        retry_after: text("retry-after"),
        warnings: warnings.map(|value| String::from_utf8_lossy(value.as_bytes()).into()).collect(),
        body: response.into_body().into_bytes().to_vec(),
    }
}

fn difference(
    bindings: &mut Bindings,
    expected: &Value,
    reply: &Reply,
    custom: bool,
) -> Option<String> {
    let text = String::from_utf8_lossy(&reply.body);
    let found = compare_body(bindings, expected, &text, custom);
    let status = expected["status"].as_u64().unwrap();
    if status != u64::from(reply.status) {
        let message = serde_json::from_str::<Value>(&text).unwrap_or_default();
        let said = message["message"].as_str().unwrap_or_default();
        let meant = expected["body"]["message"].as_str().unwrap_or_default();
        return Some(format!("status {} {said}\n    should be {status} {meant}", reply.status));
    }
    if let Some(found) = found {
        return Some(found);
    }
    let headers = &expected["headers"];
    let content_type = headers["Content-Type"].as_str().unwrap_or_default();
    if content_type != reply.content_type && !content_type.is_empty() {
        return Some(format!("Content-Type {}, should be {content_type}", reply.content_type));
    }
    if headers["Retry-After"].as_str() != reply.retry_after.as_deref() {
        return Some(format!("Retry-After {:?}", reply.retry_after));
    }
    let warnings: Value = reply.warnings.clone().into();
    let meant = headers.get("Warning").cloned().unwrap_or_else(|| json!([]));
    bindings.difference(&meant, &warnings, "warnings")
}

/// Takes out what the server's documentation says of the columns of built-in kinds, which no client
/// shows: it is its authors' prose.
fn drop_prose(value: &mut Value) {
    let is_table = value["kind"] == "Table";
    let columns = value.get_mut("columnDefinitions").and_then(Value::as_array_mut);
    for column in columns.into_iter().flatten().filter(|_| is_table) {
        column["description"] = "{PROSE}".into();
    }
}

fn compare_body(
    bindings: &mut Bindings,
    expected: &Value,
    text: &str,
    custom: bool,
) -> Option<String> {
    if let Some(meant) = expected["bodyText"].as_str() {
        let same = bindings.text(meant, text);
        return (!same).then(|| format!("text {text:?}, should be {meant:?}"));
    }
    if let Some(events) = expected.get("events") {
        let mut events = events.clone();
        for event in events.as_array_mut().into_iter().flatten() {
            if let Some(object) = event.get_mut("object") {
                drop_prose(object);
            }
        }
        let events = &events;
        let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        return match lines {
            Ok(lines) => bindings.difference(events, &lines.into(), "events"),
            Err(why) => Some(format!("events: {why}")),
        };
    }
    let mut body = expected.get("body")?.clone();
    if !custom {
        drop_prose(&mut body);
    }
    match serde_json::from_str(text) {
        Ok(actual) => bindings.difference(&body, &actual, ""),
        Err(why) => Some(format!("body {text:?}: {why}")),
    }
}
