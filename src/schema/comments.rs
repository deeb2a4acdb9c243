//! Schemas that are written as comments beside a field: `ports: # {"type":"array",…}`.
//!
//! kpt and kustomize's setters write such comments, and a strategic merge heeds them, wherever they
//! come from. Fields within lists are not looked at.
//!
//! Source: kustomize `kyaml/fieldmeta/fieldmeta.go`, `kyaml/yaml/walk/map.go` (`valueIfPresent`).

use std::collections::BTreeMap;

use ecow::EcoString;
use rustc_hash::FxHashMap;

use crate::find;
use crate::json;
use crate::value::Value;
use crate::yaml;

/// The schemas beside a field and the fields within it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comments {
    pub(super) schema: Option<Value>,
    pub(super) fields: BTreeMap<EcoString, Self>,
}

impl Comments {
    /// What stands beside the fields of the documents of `text`, where something does.
    #[must_use]
    pub fn read(text: &[u8]) -> FxHashMap<usize, Self> {
        let mut documents: FxHashMap<usize, Self> = FxHashMap::default();
        if find::part(b"# {", text).is_none() && find::part(b"#{", text).is_none() {
            return documents;
        }
        let schemas = std::str::from_utf8(text).map(schemas).unwrap_or_default();
        let keys = if schemas.is_empty() { Vec::new() } else { yaml::key_lines(text) };
        for key in keys {
            // A comment on a line of its own is about the next one.
            let above = || schemas.get(&(key.line - 1)).filter(|(_, alone)| *alone);
            let beside = schemas.get(&key.line).filter(|(_, alone)| !alone);
            if let Some((schema, _)) = beside.or_else(above) {
                documents.entry(key.document).or_default().insert(&key.path, schema);
            }
        }
        documents
    }

    fn insert(&mut self, path: &[EcoString], schema: &Value) {
        let mut place = self;
        for key in path {
            // Of several keys on one line the last one counts.
            place.schema = place.schema.take().filter(|outer| outer != schema);
            place = place.fields.entry(key.clone()).or_default();
        }
        place.schema = Some(schema.clone());
    }

    /// These, and where there are none those of `other`.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        self.schema = self.schema.or_else(|| other.schema.clone());
        for (key, theirs) in &other.fields {
            let ours = self.fields.remove(key).unwrap_or_default();
            self.fields.insert(key.clone(), ours.or(theirs));
        }
        self
    }
}

/// The comments that are JSON objects, by their line, and whether they are alone on it.
fn schemas(text: &str) -> FxHashMap<u32, (Value, bool)> {
    let mut schemas = FxHashMap::default();
    for (line, content) in (1_u32..).zip(text.lines()) {
        let Some(at) = content.find("# {").or_else(|| content.find("#{")) else { continue };
        let before = &content[..at];
        let comment = content[at..].trim_start_matches('#');
        if let Ok(json @ serde_json::Value::Object(_)) = serde_json::from_str(comment)
            && json.as_object().is_some_and(|object| !object.is_empty())
        {
            schemas.insert(line, (json::from_json(&json), before.trim().is_empty()));
        }
    }
    schemas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_beside_and_above_keys_are_read() {
        let text = "a:\n  b: # {\"type\":\"array\"}\n  - x # {\"c\":1}\n  # {\"type\":\"d\"}\n  d: 1\n  e: 2 # {no\n";
        let comments = &Comments::read(text.as_bytes())[&0];
        let a = &comments.fields["a"];
        let kind = |key: &str| a.fields.get(key)?.schema.as_ref()?.text_at(&["type"]);
        assert_eq!((kind("b"), kind("d"), kind("e")), (Some("array"), Some("d"), None));
        assert!(Comments::read(b"a: 1 # {}\n").is_empty());
        assert!(Comments::read(b"a: 1\n").is_empty());
    }
}
