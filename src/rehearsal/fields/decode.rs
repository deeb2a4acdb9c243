//! From a body to what Go's types hold of it: unknown fields are dropped and told, wrong types
//! refused.
//!
//! Source: sigs.k8s.io/json `internal/golang/encoding/json/{decode,kubernetes_patch}.go`, and the
//! `UnmarshalJSON` of apimachinery's types.

use serde_json::{Map, Value};

use super::raw::{Raw, number};
use crate::schema::go::{self, SCHEMA, Special, go_name, short_type, special, zero};
use crate::schema::kubernetes::{Definition, Minor, Node, Shape};

/// Most complaints that a server gives. Source: `saveStrictError`.
const MOST_COMPLAINTS: usize = 100;

/// What was read of an object.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) value: Value,
    /// Unknown and double fields, in the order of the text.
    pub(super) complaints: Vec<String>,
}

/// Reads an object of a kind.
///
/// # Errors
/// The first wrong type; before it what a method of a type refuses, since that ends the reading.
pub(super) fn decode(
    raw: &Raw,
    minor: &Minor,
    definition: &'static Definition,
) -> Result<Read, String> {
    let mut decoder = Decoder {
        minor,
        path: String::new(),
        fields: Vec::new(),
        owner: "",
        complaints: Vec::new(),
        quiet: 0,
        first: None,
    };
    let value = decoder.object(raw, definition, None)?;
    match decoder.first {
        Some(error) => Err(error),
        None => Ok(Read {
            value: value.unwrap_or_else(|| Map::new().into()),
            complaints: decoder.complaints,
        }),
    }
}

/// Several errors of one kind, as the server strings them together.
pub(super) fn strict(complaints: &[String]) -> String {
    format!("strict decoding error: {}", complaints.join(", "))
}

struct Decoder<'a> {
    minor: &'a Minor,
    /// As complaints have it, with indexes and keys.
    path: String,
    /// As errors have it, names of fields only.
    fields: Vec<&'static str>,
    /// The struct that holds the last of `fields`.
    owner: &'static str,
    complaints: Vec<String>,
    /// How many types around this one read their content by a method, which complains of nothing.
    quiet: usize,
    /// The first wrong type, after which reading goes on.
    first: Option<String>,
}

type Outcome = Result<Option<Value>, String>;

impl Decoder<'_> {
    /// A value for a node; `None` for what Go leaves unset. `before` is what an earlier field of the
    /// same name held.
    fn value(&mut self, raw: &Raw, node: &Node, name: &str, before: Option<Value>) -> Outcome {
        match &node.shape {
            Shape::Reference(reference) => match self.minor.named(*reference) {
                Some(definition) => self.defined(raw, node, definition, before),
                None => Ok(Some(raw.to_value())),
            },
            Shape::List(element) => self.list(raw, element, &go_name(self.minor, node, name)),
            Shape::Object(Some(values)) => self.map(raw, node, values, name, before),
            Shape::Object(None) | Shape::Any => Ok(Some(raw.to_value())),
            _ if *raw == Raw::Null => Ok(before.filter(|_| !node.go.pointer)),
            _ => self.scalar(raw, node, name),
        }
    }

    fn defined(
        &mut self,
        raw: &Raw,
        node: &Node,
        definition: &'static Definition,
        before: Option<Value>,
    ) -> Outcome {
        if *raw == Raw::Null && node.go.pointer {
            return Ok(None);
        }
        let Some(special) = special(definition) else {
            return match &definition.node.shape {
                Shape::Object(None) if definition.properties.is_empty() => Ok(Some(raw.to_value())),
                Shape::Object(None) => self.object(raw, definition, before),
                _ => self.value(raw, &definition.node, definition.short_name(), before),
            };
        };
        match special {
            Special::Quantity => self.quantity(raw).map(Some),
            _ if *raw == Raw::Null => Ok(None),
            Special::IntOrString => self.int_or_string(raw),
            Special::Time => self.time(raw, go::time),
            Special::MicroTime => self.time(raw, go::micro_time),
            Special::Anything => Ok(Some(raw.to_value())),
            Special::SchemaOr => self.schema_or(raw),
        }
    }

    fn object(
        &mut self,
        raw: &Raw,
        definition: &'static Definition,
        before: Option<Value>,
    ) -> Outcome {
        let entries = match raw {
            Raw::Map(entries) => entries,
            Raw::Null => return Ok(before),
            _ => return self.mismatch(raw.type_name(), &short_type(definition)),
        };
        let mut object = match before {
            Some(Value::Object(object)) => object,
            _ => Map::new(),
        };
        let mut seen = vec![false; definition.properties.len()];
        let (length, outside) = (self.path.len(), self.owner);
        for (key, raw) in entries {
            let found = definition.properties.binary_search_by(|known| known.name.cmp(key));
            let Ok(at) = found else {
                self.complain("unknown", key);
                continue;
            };
            let property = &definition.properties[at];
            if std::mem::replace(&mut seen[at], true) {
                self.complain("duplicate", key);
            }
            self.enter(key);
            let depth = self.fields.len();
            self.fields.extend(embedding(definition.short_name(), property.name));
            self.fields.push(property.name);
            self.owner = definition.short_name();
            let before = object.remove(property.name);
            let value = self.value(raw, &property.node, "", before)?;
            self.fields.truncate(depth);
            self.owner = outside;
            self.path.truncate(length);
            if let Some(value) = value {
                object.insert(key.clone(), value);
            }
        }
        Ok(Some(object.into()))
    }

    fn list(&mut self, raw: &Raw, element: &Node, name: &str) -> Outcome {
        let list = match raw {
            Raw::List(list) => list,
            Raw::Null => return Ok(None),
            _ => return self.mismatch(raw.type_name(), name),
        };
        let inner = name.strip_prefix("[]").unwrap_or_default();
        let length = self.path.len();
        let mut out = Vec::with_capacity(list.len());
        for (at, raw) in list.iter().enumerate() {
            self.path.push_str(&format!("[{at}]"));
            let value = self.value(raw, element, inner, None)?;
            out.push(value.unwrap_or_else(|| zero(self.minor, element)));
            self.path.truncate(length);
        }
        Ok(Some(out.into()))
    }

    fn map(
        &mut self,
        raw: &Raw,
        node: &Node,
        values: &Node,
        name: &str,
        before: Option<Value>,
    ) -> Outcome {
        let entries = match raw {
            Raw::Map(entries) => entries,
            Raw::Null => return Ok(None),
            _ => return self.mismatch(raw.type_name(), &go_name(self.minor, node, name)),
        };
        let mut object = match before {
            Some(Value::Object(object)) => object,
            _ => Map::new(),
        };
        let length = self.path.len();
        let mut seen = rustc_hash::FxHashSet::default();
        for (key, raw) in entries {
            if !seen.insert(key) {
                self.complain("duplicate", key);
            }
            self.enter(key);
            let value = self.value(raw, values, "", None)?;
            object.insert(key.clone(), value.unwrap_or_else(|| zero(self.minor, values)));
            self.path.truncate(length);
        }
        Ok(Some(object.into()))
    }

    fn scalar(&mut self, raw: &Raw, node: &Node, name: &str) -> Outcome {
        let known = match (&node.shape, raw) {
            (Shape::String, Raw::String(text)) if node.format == "byte" => {
                Some(go::base64(text)?.into())
            }
            // Go takes a list of numbers for bytes too.
            (Shape::String, Raw::List(list)) if node.format == "byte" => {
                match list.iter().find(|raw| !matches!(raw, Raw::Number(_))) {
                    Some(other) => return self.mismatch(other.type_name(), "uint8"),
                    None => None,
                }
            }
            (Shape::String, Raw::String(text)) => Some(Value::String(text.clone())),
            (Shape::Boolean, Raw::Bool(value)) => Some((*value).into()),
            (Shape::Number, Raw::Number(text)) => Some(number(text)),
            (Shape::Integer, Raw::Number(text)) => match integer(text, node.format) {
                Some(value) => Some(value.into()),
                None => {
                    let name = go_name(self.minor, node, name);
                    return self.mismatch(&format!("number {text}"), &name);
                }
            },
            _ => None,
        };
        match known {
            Some(value) => Ok(Some(value)),
            None => self.mismatch(raw.type_name(), &go_name(self.minor, node, name)),
        }
    }

    fn quantity(&mut self, raw: &Raw) -> Result<Value, String> {
        Ok(match raw {
            Raw::Null => "0".into(),
            Raw::String(text) | Raw::Number(text) => go::quantity(text.trim())?.into(),
            // The text itself is read, and begins with what no quantity begins with.
            _ => go::quantity("{")?.into(),
        })
    }

    fn int_or_string(&mut self, raw: &Raw) -> Outcome {
        Ok(Some(match raw {
            Raw::String(text) => Value::String(text.clone()),
            Raw::Number(text) => match integer(text, "int32") {
                Some(value) => value.into(),
                None => return Err(self.wrong(&format!("number {text}"), "int32")),
            },
            _ => return Err(self.wrong(raw.type_name(), "int32")),
        }))
    }

    fn time(&mut self, raw: &Raw, read: fn(&str) -> Result<String, String>) -> Outcome {
        match raw {
            Raw::String(text) => Ok(Some(read(text)?.into())),
            _ => Err(self.wrong(raw.type_name(), "string")),
        }
    }

    fn schema_or(&mut self, raw: &Raw) -> Outcome {
        let Some(schema) = self.minor.definition(SCHEMA) else { return Ok(Some(raw.to_value())) };
        self.quiet += 1;
        let value = match raw {
            Raw::Map(_) => self.object(raw, schema, None)?,
            Raw::List(list) if list.iter().any(|raw| matches!(raw, Raw::Map(_))) => {
                let mut out = Vec::with_capacity(list.len());
                for raw in list {
                    out.extend(self.object(raw, schema, None)?);
                }
                Some(out.into())
            }
            _ => Some(raw.to_value()),
        };
        self.quiet -= 1;
        Ok(value)
    }

    fn enter(&mut self, key: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key);
    }

    fn complain(&mut self, what: &str, key: &str) {
        if self.quiet > 0 || self.complaints.len() >= MOST_COMPLAINTS {
            return;
        }
        let dot = if self.path.is_empty() { "" } else { "." };
        let complaint = format!("{what} field \"{}{dot}{key}\"", self.path);
        if !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    /// Remembers a wrong type and goes on.
    fn mismatch(&mut self, found: &str, wanted: &str) -> Outcome {
        if self.first.is_none() {
            self.first = Some(self.wrong(found, wanted));
        }
        Ok(None)
    }

    fn wrong(&self, found: &str, wanted: &str) -> String {
        if self.fields.is_empty() {
            return format!("json: cannot unmarshal {found} into Go value of type {wanted}");
        }
        let (owner, path) = (self.owner, self.fields.join("."));
        format!(
            "json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {wanted}"
        )
    }
}

/// The struct that Go embeds in another for a field, which errors name on the way to it.
///
/// Source: Kubernetes' `api/*/types.go`, fields with `json:",inline"`.
fn embedding(owner: &str, field: &str) -> Option<&'static str> {
    let reference = "LocalObjectReference";
    match (owner, field) {
        ("Volume", "name") | ("EphemeralContainer", "targetContainerName") => None,
        ("Volume", _) => Some("VolumeSource"),
        ("EphemeralContainer", _) => Some("EphemeralContainerCommon"),
        ("Probe", "exec" | "httpGet" | "tcpSocket" | "grpc") => Some("ProbeHandler"),
        ("IngressRule", "http") => Some("IngressRuleValue"),
        (
            "PersistentVolumeSpec",
            "accessModes"
            | "capacity"
            | "claimRef"
            | "mountOptions"
            | "nodeAffinity"
            | "persistentVolumeReclaimPolicy"
            | "storageClassName"
            | "volumeAttributesClassName"
            | "volumeMode",
        ) => None,
        ("PersistentVolumeSpec", _) => Some("PersistentVolumeSource"),
        (
            "ConfigMapEnvSource"
            | "SecretEnvSource"
            | "ConfigMapKeySelector"
            | "SecretKeySelector"
            | "ConfigMapProjection"
            | "SecretProjection"
            | "ConfigMapVolumeSource",
            "name",
        ) => Some(reference),
        ("RuleWithOperations", "apiGroups" | "apiVersions" | "resources" | "scope") => Some("Rule"),
        _ => None,
    }
}

/// The integer of a number's text, if it is one of that width.
pub(super) fn integer(text: &str, format: &str) -> Option<i64> {
    let value: i64 = text.parse().ok()?;
    (format != "int32" || i32::try_from(value).is_ok()).then_some(value)
}
