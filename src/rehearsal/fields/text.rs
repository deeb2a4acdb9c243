//! The JSON of a patched object as the server shows it when it refuses it: what the patch went into
//! has its keys in order of name, everything else in the order of Go's fields.
//!
//! Source: evanphx/json-patch `merge.go`, `patch.go`: containers stay text until something is looked
//! up in them, and are written as Go maps then.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::rehearsal::Kind;
use crate::schema::kubernetes::{Definition, Minor, Node, Shape};

/// The maps and lists that a patch looked into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    below: BTreeMap<String, Self>,
    /// Whether all of it is as the patch had it, with keys in order of name.
    put: bool,
}

impl Opened {
    /// Those of a merge patch.
    pub fn by_merge(patch: &Value) -> Self {
        let members = patch.as_object().into_iter().flatten();
        let below = members.map(|(key, value)| (key.clone(), Self::by_merge(value))).collect();
        // Whatever is no map is put in as it is.
        Self { below, put: !patch.is_object() }
    }

    /// Those of a JSON patch.
    pub fn by_json_patch(patch: &Value) -> Self {
        let mut root = Self::default();
        for operation in patch.as_array().into_iter().flatten() {
            for pointer in ["path", "from"].iter().filter_map(|key| operation[*key].as_str()) {
                let mut steps: Vec<_> = pointer.split('/').skip(1).collect();
                steps.pop();
                root.at(&steps);
            }
            if let ("add" | "replace", Some(pointer)) =
                (operation["op"].as_str().unwrap_or_default(), operation["path"].as_str())
            {
                let steps: Vec<_> = pointer.split('/').skip(1).collect();
                root.at(&steps).put = true;
            }
        }
        root
    }

    fn at(&mut self, steps: &[&str]) -> &mut Self {
        steps.iter().fold(self, |at, step| {
            let step = step.replace("~1", "/").replace("~0", "~");
            at.below.entry(step).or_default()
        })
    }

    fn below(&self, key: &str) -> Option<&Self> {
        if self.put { Some(self) } else { self.below.get(key) }
    }
}

/// The text of an object after a patch that looked into `opened`.
pub fn patched_text(object: &Value, opened: &Opened, minor: &Minor, kind: &Kind) -> String {
    let place = match minor.kind(&kind.group, &kind.version, &kind.kind) {
        Some(definition) => Place::Struct(definition),
        None => Place::Unknown,
    };
    let mut out = String::new();
    Writer { minor }.value(object, Some(opened), place, &mut out);
    out
}

#[derive(Clone, Copy)]
enum Place<'a> {
    Struct(&'static Definition),
    Node(&'a Node),
    Unknown,
}

struct Writer<'a> {
    minor: &'a Minor,
}

impl Writer<'_> {
    fn value(&self, value: &Value, opened: Option<&Opened>, place: Place<'_>, out: &mut String) {
        let place = self.settled(place);
        match value {
            Value::Object(object) => self.object(object, opened, place, out),
            Value::Array(list) => {
                let element = match place {
                    Place::Node(Node { shape: Shape::List(element), .. }) => Place::Node(element),
                    _ => Place::Unknown,
                };
                out.push('[');
                for (at, value) in list.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    let opened = opened.and_then(|opened| opened.below(&at.to_string()));
                    self.value(value, opened, element, out);
                }
                out.push(']');
            }
            scalar => out.push_str(&escaped(scalar)),
        }
    }

    fn object(
        &self,
        object: &Map<String, Value>,
        opened: Option<&Opened>,
        place: Place<'_>,
        out: &mut String,
    ) {
        let mut entries: Vec<_> = object.iter().collect();
        match (opened, place) {
            (None, Place::Struct(definition)) => entries.sort_by_key(|(key, _)| {
                definition.property(key).map_or(usize::MAX, |property| property.order)
            }),
            _ => entries.sort_by_key(|(key, _)| *key),
        }
        out.push('{');
        for (at, (key, value)) in entries.into_iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(&escaped(&Value::String(key.clone())));
            out.push(':');
            let inner = match place {
                Place::Struct(definition) => definition
                    .property(key)
                    .map_or(Place::Unknown, |property| Place::Node(&property.node)),
                Place::Node(Node { shape: Shape::Object(Some(values)), .. }) => Place::Node(values),
                _ => Place::Unknown,
            };
            self.value(value, opened.and_then(|opened| opened.below(key)), inner, out);
        }
        out.push('}');
    }

    /// A reference as what it leads to.
    fn settled<'p>(&self, place: Place<'p>) -> Place<'p> {
        match place {
            Place::Node(node) => self.minor.follow(node).map_or(place, Place::Struct),
            other => other,
        }
    }
}

/// A scalar as Go writes it: signs of HTML are escaped.
fn escaped(scalar: &Value) -> String {
    let text = scalar.to_string();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rehearsal::fields::recorded::minor;

    #[test]
    fn what_a_patch_went_into_is_sorted_and_the_rest_is_as_go_has_it() {
        let object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "labels": {"z": "<", "a": "1"}},
            "spec": {"restartPolicy": "Always", "containers": [{"image": "i", "name": "c"}]},
        });
        let kind = Kind::new("v1", "Pod");
        let merge = Opened::by_merge(&json!({"metadata": {"labels": {"a": "1"}}}));
        assert_eq!(
            patched_text(&object, &merge, minor(), &kind),
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"a":"1","z":"\u003c"},"name":"a"},"spec":{"containers":[{"name":"c","image":"i"}],"restartPolicy":"Always"}}"#
        );
        let patch = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "i"}]);
        assert_eq!(
            patched_text(&object, &Opened::by_json_patch(&patch), minor(), &kind),
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"a":"1","z":"\u003c"}},"spec":{"containers":[{"image":"i","name":"c"}],"restartPolicy":"Always"}}"#
        );
    }
}
