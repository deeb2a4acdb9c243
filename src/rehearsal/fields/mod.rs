//! What a body says, and what the server's types keep of it: which fields are unknown, there twice
//! or of a wrong type; what Go leaves out when it writes the object again.
//!
//! | a request | calls |
//! |---|---|
//! | create, update | [`read`] |
//! | apply | [`read_apply`], then [`convert`] on what was merged |
//! | any of them in protobuf | [`protobuf::read`] first |
//! | JSON patch, merge patch | [`read_patch`], then [`decode`] on what was patched |
//! | strategic merge patch | [`read_patch`], then [`convert`] on what was patched |
//! | whenever an object was changed otherwise | [`normalise`] |
//!
//! All of them give the object as the server would answer it before defaults: unknown fields
//! dropped, nulls dropped or turned into zeros, quantities, times and bytes canonical, empty structs
//! there where Go's types hold them (`strategy: {}`, `status: {}`).
//!
//! Kinds that are not built in have no such types: these functions refuse nothing in them, and give
//! them back as they are but for double keys. [`Raw`] is for whoever reads those.

mod decode;
pub mod protobuf;
pub mod raw;
mod text;
mod yaml;

use serde_json::Value;

use crate::rehearsal::{Failure, Kind};
use crate::schema::go::{self, Target};
use crate::schema::kubernetes::{Definition, Minor};

pub use raw::Raw;
pub use text::{Opened, patched_text};

/// `fieldValidation`: what becomes of unknown and double fields. The server's default is to warn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validation {
    /// They are refused.
    Strict,
    /// They are dropped with a warning.
    #[default]
    Warn,
    /// They are dropped.
    Ignore,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
}

/// An object with what was wrong in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// As the server's types hold it.
    pub object: Value,
    /// Unknown and double fields, e.g. `unknown field "spec.foo"`: the texts of warnings, in the
    /// server's order.
    pub complaints: Vec<String>,
    /// Whether its spec had empty lists or maps, of which the object has those that are always written.
    pub hollow: bool,
}

impl Decoded {
    /// The error that strict validation makes of the complaints, if there are any.
    pub fn strict_error(&self) -> Option<String> {
        (!self.complaints.is_empty()).then(|| decode::strict(&self.complaints))
    }
}

/// The object in the body of a create or an update of `kind`. Its own kind is that of the body, or
/// `kind` where the body leaves it out.
///
/// # Errors
/// 400 where it is no JSON or YAML, of another kind, of a wrong type, or has fields that `validation`
/// refuses.
pub fn read(
    body: &[u8],
    form: Form,
    minor: &Minor,
    kind: &Kind,
    validation: Validation,
) -> Result<Decoded, Failure> {
    let (raw, mut complaints) =
        read_raw(body, form).map_err(|error| unrecognised(kind, &error, body))?;
    let own = own_kind(&raw, kind).map_err(|error| unrecognised(kind, &error, body))?;
    let refuse = |error: &str| cannot_be_handled(&own, kind, error);
    if own != *kind {
        return Err(refuse(&other_kind(minor, &own, kind)));
    }
    let mut decoded = match definition(minor, kind) {
        Some(definition) => decode_raw(&raw, minor, definition).map_err(|error| refuse(&error))?,
        None => Decoded { object: raw.to_value(), ..Decoded::default() },
    };
    if let Value::Object(object) = &mut decoded.object {
        object.insert("apiVersion".into(), kind.api_version().into());
        object.insert("kind".into(), kind.kind.as_str().into());
    }
    complaints.append(&mut decoded.complaints);
    decoded.complaints = complaints;
    match (validation, decoded.strict_error()) {
        (Validation::Strict, Some(error)) => Err(refuse(&error)),
        (Validation::Ignore, _) => Ok(Decoded { complaints: Vec::new(), ..decoded }),
        _ => Ok(decoded),
    }
}

/// Body and its double keys in YAML.
fn read_raw(body: &[u8], form: Form) -> Result<(Raw, Vec<String>), String> {
    match form {
        Form::Json => Ok((
            Raw::read(body)
                .map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))?,
            Vec::new(),
        )),
        Form::Yaml => {
            let document = yaml::read(body)?;
            Ok((document.raw, document.doubles))
        }
    }
}

/// The object that an apply sends, which has no types yet: what it says is checked when it is
/// merged. Double keys are the complaints.
///
/// # Errors
/// 400 where it is no YAML mapping, or has double keys and `validation` is strict.
pub fn read_apply(body: &[u8], validation: Validation) -> Result<Decoded, Failure> {
    let bad = |message: String| Failure::new(400, "BadRequest", message);
    // JSON is YAML, and read faster; what is no JSON, or has double keys, is read as YAML.
    let (raw, doubles) = match Raw::read(body).ok().filter(|raw| !yaml::has_doubles(raw)) {
        Some(raw) => (raw, Vec::new()),
        None => {
            let document =
                yaml::read(body).map_err(|error| bad(format!("error decoding YAML: {error}")))?;
            (document.raw, document.doubles)
        }
    };
    let object = match &raw {
        Raw::Map(_) => floats_to_whole(raw.to_value()),
        Raw::Null => Value::Object(serde_json::Map::new()),
        _ => {
            let found = raw.type_name();
            return Err(bad(format!(
                "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot \
                 unmarshal {found} into Go value of type map[string]interface {{}}"
            )));
        }
    };
    let complaints = match validation {
        Validation::Ignore => Vec::new(),
        Validation::Strict if !doubles.is_empty() => {
            return Err(bad(format!(
                "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal \
                 errors:\n  {}",
                doubles.join("\n  ")
            )));
        }
        _ => doubles,
    };
    Ok(Decoded { object, complaints, hollow: false })
}

/// A JSON patch, a merge patch or a strategic merge patch. Double keys are the complaints, which come
/// before those of [`decode`] and [`convert`].
///
/// # Errors
/// 400 where it is no JSON.
pub fn read_patch(body: &[u8]) -> Result<Decoded, Failure> {
    let bad = |error| Failure::new(400, "BadRequest", format!("error decoding patch: {error}"));
    let raw = Raw::read(body).map_err(bad)?;
    Ok(Decoded { object: raw.to_value(), complaints: raw.doubles(), hollow: false })
}

/// Takes over an object that a JSON patch or a merge patch has given, with the words of a body.
///
/// # Errors
/// The message of the first wrong type.
pub fn decode(object: &Value, minor: &Minor, kind: &Kind) -> Result<Decoded, String> {
    match definition(minor, kind) {
        Some(definition) => decode_raw(&Raw::from(object), minor, definition),
        None => Ok(Decoded { object: object.clone(), ..Decoded::default() }),
    }
}

fn decode_raw(
    raw: &Raw,
    minor: &Minor,
    definition: &'static Definition,
) -> Result<Decoded, String> {
    let mut read = decode::decode(raw, minor, definition)?;
    let hollow = go::encode(&mut read.value, minor, definition, Target::Memory);
    Ok(Decoded { object: read.value, complaints: read.complaints, hollow })
}

/// Takes over an object that was merged: by an apply, or by a strategic merge patch.
///
/// # Errors
/// The message of the first value that its type cannot hold.
pub fn convert(object: &Value, minor: &Minor, kind: &Kind) -> Result<Decoded, String> {
    let Some(definition) = definition(minor, kind) else {
        return Ok(Decoded { object: object.clone(), ..Decoded::default() });
    };
    let mut read = go::convert(object, minor, definition)?;
    let hollow = go::encode(&mut read.value, minor, definition, Target::Memory);
    let unknown = read.unknown.iter();
    let mut complaints: Vec<_> =
        unknown.map(|field| format!("unknown field \"{}\"", field.shown())).collect();
    complaints.sort();
    Ok(Decoded { object: read.value, complaints, hollow })
}

/// Makes an object of known fields what the server gives back of it once it is stored: empty fields left
/// out, or written, as Go's tags say, and no list or map that is empty.
pub fn normalise(object: &mut Value, minor: &Minor, kind: &Kind) {
    if let Some(definition) = definition(minor, kind) {
        go::encode(object, minor, definition, Target::Store);
    }
}

fn definition(minor: &Minor, kind: &Kind) -> Option<&'static Definition> {
    minor.kind(&kind.group, &kind.version, &kind.kind)
}

/// Kind and version that the body gives, with those of the path in their place.
fn own_kind(raw: &Raw, expected: &Kind) -> Result<Kind, String> {
    const TYPE: &str = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    let failed = |error: String| format!("couldn't get version/kind; json parse error: {error}");
    if !matches!(raw, Raw::Map(_) | Raw::Null) {
        let found = raw.type_name();
        return Err(failed(format!("json: cannot unmarshal {found} into Go value of type {TYPE}")));
    }
    let text = |key: &str| match raw.get(key) {
        None | Some(Raw::Null) => Ok(""),
        Some(Raw::String(text)) => Ok(text.as_str()),
        Some(other) => {
            let found = other.type_name();
            Err(failed(format!(
                "json: cannot unmarshal {found} into Go struct field .{key} of type string"
            )))
        }
    };
    let (api_version, kind) = (text("apiVersion")?, text("kind")?);
    let mut own = Kind::new(api_version, kind);
    if own.kind.is_empty() {
        own.kind.clone_from(&expected.kind);
    }
    if api_version.is_empty() {
        own.group.clone_from(&expected.group);
        own.version.clone_from(&expected.version);
    }
    Ok(own)
}

/// What is wrong with the kind of a body.
fn other_kind(minor: &Minor, own: &Kind, expected: &Kind) -> String {
    // The path in the server's build, which it prints.
    const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";
    if definition(minor, own).is_none() {
        let (kind, version) = (&own.kind, own.api_version());
        return format!(
            "no kind {kind:?} is registered for version {version:?} in scheme {SCHEME:?}"
        );
    }
    let short = |group: &str| match group.split('.').next() {
        Some("") | None => "core".to_owned(),
        Some(first) => first.to_owned(),
    };
    format!(
        "converting ({}.{}) to ({}.{}): unknown conversion",
        own.version,
        own.kind,
        short(&expected.group),
        expected.kind
    )
}

/// What is of one kind cannot be read as another, or as itself.
pub(super) fn cannot_be_handled(own: &Kind, kind: &Kind, error: &str) -> Failure {
    let message = format!(
        "{} in version {:?} cannot be handled as a {}: {error}",
        own.kind, own.version, kind.kind
    );
    Failure::new(400, "BadRequest", message)
}

/// Source: apiserver `pkg/endpoints/handlers/create.go`, `transformDecodeError`, `summarizeData`.
fn unrecognised(kind: &Kind, error: &str, body: &[u8]) -> Failure {
    const SHOWN: usize = 30;
    let more = if body.len() > SHOWN { " ..." } else { "" };
    let shown = &body[..body.len().min(SHOWN)];
    let summary = match shown.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(shown)),
        Some(_) => {
            let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}{more}")
        }
    };
    let message = format!(
        "the object provided is unrecognized (must be of type {}): {error} ({summary})",
        kind.kind
    );
    Failure::new(400, "BadRequest", message)
}

/// Numbers as they are after a way through floats, which is how an apply is read.
fn floats_to_whole(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            // Above 2^53 not every integer has a float.
            Some(float) if float.abs() >= 9_007_199_254_740_992.0 => raw::float(float),
            _ => Value::Number(number),
        },
        Value::Array(list) => list.into_iter().map(floats_to_whole).collect(),
        Value::Object(object) => {
            object.into_iter().map(|(key, value)| (key, floats_to_whole(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
pub(in crate::rehearsal) mod recorded;
#[cfg(test)]
mod tests;
