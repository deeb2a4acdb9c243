//! What a review asks and what it is answered: pure, and the whole contract with the API server.
//!
//! Bytes become a [`Review`], a review a [`Verdict`]; what a render says of it later becomes an
//! [`Answer`]. Nothing here waits, looks anything up or knows the time.

use std::fmt::Write as _;

use overlay::flux;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The group of the objects that are judged.
pub const GROUP: &str = "kustomize.toolkit.fluxcd.io";
/// The group of the sources they name.
pub const SOURCE_GROUP: &str = "source.toolkit.fluxcd.io";
/// The kinds of sources, with their names in paths.
const SOURCE_KINDS: [(&str, &str); 4] = [
    ("GitRepository", "gitrepositories"),
    ("OCIRepository", "ocirepositories"),
    ("Bucket", "buckets"),
    ("ExternalArtifact", "externalartifacts"),
];
/// Longest message of a denial, in bytes. The API server sets no limit of its own; a terminal does.
const MESSAGE_BYTES: usize = 8 << 10;
/// Longest warning, in characters, and how many there may be.
///
/// Source: the API server cuts each to 256 characters once all together exceed 4,096 (`endpoints/filters/warning.go`).
const WARNING_CHARACTERS: usize = 256;
const WARNINGS: usize = 16;

/// Why a request is no review.
#[derive(Debug, Eq, PartialEq)]
pub struct Malformed(pub String);

/// What the API server asks.
#[derive(Debug)]
pub struct Review<'a> {
    /// Repeated in the answer, or the API server refuses it.
    pub uid: String,
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT`.
    pub operation: String,
    /// The namespace of the object, empty for none.
    pub namespace: String,
    /// The name of the object, empty where the server is still to generate it.
    pub name: String,
    group: String,
    kind: String,
    sub_resource: String,
    object: Option<&'a RawValue>,
    old_object: Option<&'a RawValue>,
}

/// What can be said of a review before anything is looked up.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Admitted; the reason is for counting.
    Allow(&'static str),
    /// Admitted, with a word to whoever sent the object.
    Warn(&'static str, String),
    /// Depends on whether this builds.
    Render(Box<Render>),
    /// Refused.
    Deny(Denial),
}

/// What has to build for an object to be admitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Render {
    /// Where its files come from.
    pub source: SourceRef,
    /// What is built of them, and with what.
    pub spec: flux::Spec,
}

/// The source that an object names, its namespace filled in.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SourceRef {
    /// One of Flux's kinds of sources.
    pub kind: String,
    /// The kind's name in paths.
    pub plural: &'static str,
    /// The version of the group.
    pub version: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Whether the namespace is another than that of the object.
    pub crosses: bool,
}

/// Why an object is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// The field of the object that is to blame.
    pub field: &'static str,
    /// What is wrong; may be of several lines.
    pub message: String,
}

/// The end of a review.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Why it is refused; admitted without.
    pub denial: Option<Denial>,
    /// Shown to whoever sent the object.
    pub warnings: Vec<String>,
    /// For the audit log: what was decided on what.
    pub audit: Vec<(&'static str, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    kind: Gvk,
    #[serde(default)]
    sub_resource: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    operation: String,
    // Kept as text: an object of a kind that is not ours may be nested deeper than a parser goes.
    #[serde(default, borrow)]
    object: Option<&'a RawValue>,
    #[serde(default, borrow)]
    old_object: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Gvk {
    group: String,
    kind: String,
}

/// An object, as far as it is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: Metadata,
    spec: Value,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawRef {
    api_version: String,
    kind: String,
    name: String,
    namespace: String,
}

/// Reads the body of a request.
///
/// # Errors
/// Where it is no `AdmissionReview` of `admission.k8s.io/v1` with a request. A key that stands twice is
/// an error too: the API server never writes one, and another reader might take the other.
pub fn read(body: &[u8]) -> Result<Review<'_>, Malformed> {
    // The position is all that is said of it: the text may hold a secret.
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Malformed(format!("the body is no AdmissionReview: line {line}, column {column}"))
    })?;
    if envelope.kind != "AdmissionReview" || envelope.api_version != "admission.k8s.io/v1" {
        return Err(Malformed("the body is no AdmissionReview of admission.k8s.io/v1".to_owned()));
    }
    let request =
        envelope.request.ok_or_else(|| Malformed("the review has no request".to_owned()))?;
    if request.uid.is_empty() {
        return Err(Malformed("the review has no uid".to_owned()));
    }
    Ok(Review {
        uid: request.uid,
        operation: request.operation,
        namespace: request.namespace,
        name: request.name,
        group: request.kind.group,
        kind: request.kind.kind,
        sub_resource: request.sub_resource,
        object: request.object,
        old_object: request.old_object,
    })
}

impl Review<'_> {
    /// What can be said without looking anything up.
    ///
    /// # Errors
    /// Where the object is no JSON that can be read.
    pub fn judge(&self) -> Result<Verdict, Malformed> {
        if self.operation == "DELETE" {
            return Ok(Verdict::Allow("deletion"));
        }
        // Rules that send us more than ours must not block a cluster.
        if self.group != GROUP || self.kind != "Kustomization" {
            let kind = format!("{}.{}", self.kind, self.group);
            let message = format!("overlay-webhook judges no {kind}: its rules are too wide");
            return Ok(Verdict::Warn("unknown-kind", message));
        }
        match self.sub_resource.as_str() {
            "" => {}
            "status" => return Ok(Verdict::Allow("status")),
            other => {
                let message = format!("overlay-webhook judges no {other}: its rules are too wide");
                return Ok(Verdict::Warn("unknown-subresource", message));
            }
        }
        if !matches!(self.operation.as_str(), "CREATE" | "UPDATE") {
            let message = format!("overlay-webhook judges no {}", self.operation);
            return Ok(Verdict::Warn("unknown-operation", message));
        }
        let Some(object) = object(self.object)? else {
            return Err(Malformed("the review has no object".to_owned()));
        };
        if object.metadata.deletion_timestamp.is_some() {
            return Ok(Verdict::Allow("deletion"));
        }
        if self.operation == "UPDATE"
            && object_spec(self.old_object)?.is_some_and(|old| old == object.spec)
        {
            return Ok(Verdict::Allow("unchanged"));
        }
        if object.spec.get("suspend") == Some(&Value::Bool(true)) {
            return Ok(Verdict::Allow("suspended"));
        }
        Ok(self.render(object.spec))
    }

    fn render(&self, mut spec: Value) -> Verdict {
        let source = match self.source(&spec) {
            Ok(source) => source,
            Err(denial) => return Verdict::Deny(denial),
        };
        drop_nulls(&mut spec);
        match serde_json::from_value(spec) {
            Ok(spec) => Verdict::Render(Box::new(Render { source, spec })),
            // serde's message can quote a value, and a patch may hold a secret.
            Err(_) => Verdict::Deny(Denial {
                field: "spec",
                message: "spec has a field of the wrong type".to_owned(),
            }),
        }
    }

    fn source(&self, spec: &Value) -> Result<SourceRef, Denial> {
        let deny = |message: String| Denial { field: "spec.sourceRef", message };
        let raw = spec.get("sourceRef").cloned().unwrap_or_default();
        let raw: RawRef = serde_json::from_value(raw)
            .map_err(|_| deny("spec.sourceRef is not an object of strings".to_owned()))?;
        let known = SOURCE_KINDS.iter().find(|(kind, _)| *kind == raw.kind);
        let Some((_, plural)) = known else {
            return Err(deny(format!("spec.sourceRef.kind {:?} is no source of Flux", raw.kind)));
        };
        let version = match raw.api_version.split_once('/') {
            None if raw.api_version.is_empty() => "v1",
            Some((SOURCE_GROUP, version)) => version,
            _ => {
                let message = format!(
                    "spec.sourceRef.apiVersion {:?} is not in the group {SOURCE_GROUP}",
                    raw.api_version
                );
                return Err(deny(message));
            }
        };
        let namespace = if raw.namespace.is_empty() { &self.namespace } else { &raw.namespace };
        for part in [version, namespace, &raw.name] {
            // They become parts of a URL's path: nothing but names may.
            if !is_name(part) {
                return Err(deny(format!("spec.sourceRef has an invalid name: {part:?}")));
            }
        }
        Ok(SourceRef {
            plural,
            version: version.to_owned(),
            namespace: namespace.clone(),
            crosses: *namespace != self.namespace,
            kind: raw.kind,
            name: raw.name,
        })
    }
}

impl SourceRef {
    /// The object's path below the API server's address.
    #[must_use]
    pub fn api_path(&self) -> String {
        let Self { version, namespace, plural, name, .. } = self;
        format!("/apis/{SOURCE_GROUP}/{version}/namespaces/{namespace}/{plural}/{name}")
    }
}

impl std::fmt::Display for SourceRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

impl Answer {
    /// Admits.
    #[must_use]
    pub fn allow(reason: &str) -> Self {
        let audit = vec![("verdict", format!("allowed: {reason}"))];
        Self { denial: None, warnings: Vec::new(), audit }
    }

    /// Refuses.
    #[must_use]
    pub fn deny(denial: Denial) -> Self {
        let audit = vec![("verdict", "denied".to_owned())];
        Self { denial: Some(denial), warnings: Vec::new(), audit }
    }

    /// Adds a word to whoever sent the object.
    #[must_use]
    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// Adds an entry to the audit log.
    #[must_use]
    pub fn audit(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.audit.push((key, value.into()));
        self
    }

    /// The body of the response.
    #[must_use]
    pub fn body(&self, review: &Review<'_>) -> Vec<u8> {
        let audit: serde_json::Map<String, Value> = self
            .audit
            .iter()
            .map(|(key, value)| ((*key).to_owned(), one_line(value).into()))
            .collect();
        let mut response = json!({
            "uid": review.uid,
            "allowed": self.denial.is_none(),
            "auditAnnotations": audit,
        });
        let warnings: Vec<String> =
            self.warnings.iter().take(WARNINGS).map(|warning| one_line(warning)).collect();
        if !warnings.is_empty() {
            response["warnings"] = warnings.into();
        }
        if let Some(denial) = &self.denial {
            response["status"] = denial.status(review);
        }
        let review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": response,
        });
        review.to_string().into_bytes()
    }
}

impl Denial {
    /// The `Status` that reaches the client, as the API server's own validation writes it.
    fn status(&self, review: &Review<'_>) -> Value {
        let message = cut(&self.message, MESSAGE_BYTES);
        json!({
            "status": "Failure",
            "code": 422,
            "reason": "Invalid",
            "message": message,
            "details": {
                "group": GROUP,
                "kind": "Kustomization",
                "name": review.name,
                "causes": [
                    { "reason": "FieldValueInvalid", "field": self.field, "message": message },
                ],
            },
        })
    }
}

fn object(raw: Option<&RawValue>) -> Result<Option<Object>, Malformed> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return Ok(None);
    };
    serde_json::from_str(raw.get())
        .map(Some)
        .map_err(|_| Malformed("the object cannot be read".to_owned()))
}

fn object_spec(raw: Option<&RawValue>) -> Result<Option<Value>, Malformed> {
    Ok(object(raw)?.map(|object| object.spec))
}

/// An explicit null is an absent field.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Whether it may be an object's name: lower case letters, digits, `-` and `.`.
fn is_name(text: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(allowed)
        && !text.split('.').any(str::is_empty)
}

/// A warning that holds a line end or a tab is dropped by the API server without a word.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars().take(WARNING_CHARACTERS) {
        line.push(if character.is_control() { ' ' } else { character });
    }
    if text.chars().nth(WARNING_CHARACTERS).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = (0..=bytes).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0);
    let mut cut = text[..end].to_owned();
    let _ = write!(cut, "\n… and {} bytes more", text.len() - end);
    cut
}
