//! Metadata as the server's `ObjectMeta` takes it in and gives it back.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/schema/objectmeta/coerce.go`; the fields are
//! those of apimachinery `pkg/apis/meta/v1/types.go`.

use serde_json::{Map, Value};

use super::text::{child, index};
use crate::schema::go::json_word;

/// The type of a field of metadata.
#[derive(Clone, Copy)]
enum Type {
    /// Dropped where empty.
    Text,
    /// There even where empty.
    Always,
    Integer,
    Flag,
    Time,
    Texts,
    TextMap,
    /// Anything.
    Raw,
    /// A list of structs.
    List(&'static str, &'static [(&'static str, Self)]),
}

const OWNER: &[(&str, Type)] = &[
    ("apiVersion", Type::Always),
    ("blockOwnerDeletion", Type::Flag),
    ("controller", Type::Flag),
    ("kind", Type::Always),
    ("name", Type::Always),
    ("uid", Type::Always),
];

const MANAGED: &[(&str, Type)] = &[
    ("apiVersion", Type::Text),
    ("fieldsType", Type::Text),
    ("fieldsV1", Type::Raw),
    ("manager", Type::Text),
    ("operation", Type::Text),
    ("subresource", Type::Text),
    ("time", Type::Time),
];

const METADATA: &[(&str, Type)] = &[
    ("annotations", Type::TextMap),
    ("creationTimestamp", Type::Time),
    ("deletionGracePeriodSeconds", Type::Integer),
    ("deletionTimestamp", Type::Time),
    ("finalizers", Type::Texts),
    ("generateName", Type::Text),
    ("generation", Type::Integer),
    ("labels", Type::TextMap),
    ("managedFields", Type::List("ManagedFieldsEntry", MANAGED)),
    ("name", Type::Text),
    ("namespace", Type::Text),
    ("ownerReferences", Type::List("OwnerReference", OWNER)),
    ("resourceVersion", Type::Text),
    ("selfLink", Type::Text),
    ("uid", Type::Text),
];

/// Metadata as it is given back, and the paths of what it did not know.
///
/// # Errors
/// Where a field has a wrong type; the text is Go's.
pub(super) fn decode(metadata: &Value) -> Result<(Value, Vec<String>), String> {
    let mut unknown = Vec::new();
    let fields = match metadata {
        Value::Null => Map::new(),
        Value::Object(map) => structure("", "ObjectMeta", METADATA, map, &mut unknown)?,
        other => {
            let found = json_word(other);
            return Err(format!(
                "json: cannot unmarshal {found} into Go value of type v1.ObjectMeta"
            ));
        }
    };
    Ok((fields.into(), unknown))
}

fn structure(
    path: &str,
    name: &str,
    fields: &[(&str, Type)],
    map: &Map<String, Value>,
    unknown: &mut Vec<String>,
) -> Result<Map<String, Value>, String> {
    let mut out = Map::new();
    for (field, value) in map {
        let place = child(path, field);
        let Some((_, kind)) = fields.iter().find(|(known, _)| known == field) else {
            unknown.push(place);
            continue;
        };
        let at = Place { path: &place, structure: name };
        if let Some(value) = at.field(*kind, value, unknown)? {
            out.insert(field.clone(), value);
        }
    }
    for (field, kind) in fields {
        if matches!(kind, Type::Always) {
            out.entry(*field).or_insert_with(|| "".into());
        }
    }
    Ok(out)
}

/// Where a field is, for errors.
struct Place<'a> {
    path: &'a str,
    structure: &'a str,
}

impl Place<'_> {
    /// The value as it is given back; `None` where it is left out.
    fn field(
        &self,
        kind: Type,
        value: &Value,
        unknown: &mut Vec<String>,
    ) -> Result<Option<Value>, String> {
        if value.is_null() {
            return Ok(None);
        }
        let kept = match kind {
            Type::Raw => Some(value.clone()),
            Type::Always => Some(self.text(value)?.into()),
            Type::Text => Some(self.text(value)?).filter(|text| !text.is_empty()).map(Into::into),
            Type::Integer => match value.as_i64() {
                Some(0) if self.path == "generation" => None,
                Some(_) => Some(value.clone()),
                None => return Err(self.wrong(value, "int64")),
            },
            Type::Flag => match value {
                Value::Bool(_) => Some(value.clone()),
                _ => return Err(self.wrong(value, "bool")),
            },
            Type::Time => Some(time(self.text(value)?)?.into()),
            Type::Texts => {
                let list = value.as_array().ok_or_else(|| self.wrong(value, "[]string"))?;
                let list: Vec<Value> =
                    list.iter().map(|text| self.element(text)).collect::<Result<_, _>>()?;
                (!list.is_empty()).then(|| list.into())
            }
            Type::TextMap => {
                let map =
                    value.as_object().ok_or_else(|| self.wrong(value, "map[string]string"))?;
                let map: Map<_, _> = map
                    .iter()
                    .map(|(key, text)| Ok((key.clone(), self.element(text)?)))
                    .collect::<Result<_, String>>()?;
                (!map.is_empty()).then(|| map.into())
            }
            Type::List(name, fields) => self.list(name, fields, value, unknown)?,
        };
        Ok(kept)
    }

    fn list(
        &self,
        name: &str,
        fields: &[(&str, Type)],
        value: &Value,
        unknown: &mut Vec<String>,
    ) -> Result<Option<Value>, String> {
        let type_name = format!("[]v1.{name}");
        let list = value.as_array().ok_or_else(|| self.wrong(value, &type_name))?;
        let mut out = Vec::with_capacity(list.len());
        for (at, element) in list.iter().enumerate() {
            let path = index(self.path, at);
            let element = match element {
                Value::Null => structure(&path, name, fields, &Map::new(), unknown)?,
                Value::Object(map) => structure(&path, name, fields, map, unknown)?,
                other => return Err(self.wrong(other, &format!("v1.{name}"))),
            };
            out.push(Value::from(element));
        }
        Ok((!out.is_empty()).then(|| out.into()))
    }

    /// An element of a list or a map of texts; null is empty.
    fn element(&self, value: &Value) -> Result<Value, String> {
        if value.is_null() { Ok("".into()) } else { Ok(self.text(value)?.into()) }
    }

    fn text<'a>(&self, value: &'a Value) -> Result<&'a str, String> {
        value.as_str().ok_or_else(|| self.wrong(value, "string"))
    }

    fn wrong(&self, value: &Value, type_name: &str) -> String {
        let found = match value {
            Value::Number(number) if type_name == "int64" => format!("number {number}"),
            value => json_word(value).to_owned(),
        };
        // Go leaves the indices out of the path.
        let mut path = String::new();
        let mut inside = false;
        for c in self.path.chars() {
            inside = (inside || c == '[') && c != ']';
            if !inside && c != ']' {
                path.push(c);
            }
        }
        let structure = self.structure;
        format!(
            "json: cannot unmarshal {found} into Go struct field {structure}.{path} of type {type_name}"
        )
    }
}

/// A time in UTC with seconds, as the server writes it back.
fn time(text: &str) -> Result<String, String> {
    match crate::rehearsal::cel::time::parse(text) {
        Some(time) => Ok(crate::rehearsal::cel::time::show_seconds(time.seconds)),
        None => {
            let layout = "2006-01-02T15:04:05Z07:00";
            Err(format!("parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\""))
        }
    }
}
