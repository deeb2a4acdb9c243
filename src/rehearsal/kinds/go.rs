//! Values as Go prints them in the server's messages.

use serde_json::Value;

use super::go_types::STRUCTS;

/// Text in quotes as `%q` prints it.
pub(in crate::rehearsal) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c if c.is_control() || (c.is_whitespace() && c != ' ') => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A value of a manifest as the server shows it after `Invalid value:`: text as [`quote`] has it,
/// the rest as JSON with its keys in order.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        _ => tree(value).compact(),
    }
}

/// A value of one of the server's structs, e.g. `PodSpec`, as the server shows it.
pub(super) fn show_struct(name: &str, value: &Value) -> String {
    typed(name, value, 0).compact()
}

/// The same over several lines, indented by one space.
pub(super) fn pretty_struct(name: &str, value: &Value) -> String {
    let mut out = String::new();
    typed(name, value, 0).pretty(&mut out, 0);
    out
}

/// A label selector: a struct whose JSON names are those of manifests.
pub(super) fn show_selector(value: &Value) -> String {
    typed("LabelSelector", value, 0).compact()
}

/// Text as JSON has it in Go, where `<`, `>` and `&` are escaped.
fn json_text(text: &str) -> String {
    Value::from(text)
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// JSON whose keys have the order of a struct.
enum Tree {
    Leaf(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Tree {
    fn compact(&self) -> String {
        match self {
            Self::Leaf(text) => text.clone(),
            Self::List(list) => {
                let list: Vec<_> = list.iter().map(Self::compact).collect();
                format!("[{}]", list.join(","))
            }
            Self::Map(map) => {
                let map: Vec<_> = map
                    .iter()
                    .map(|(key, value)| format!("{}:{}", json_text(key), value.compact()))
                    .collect();
                format!("{{{}}}", map.join(","))
            }
        }
    }

    fn pretty(&self, out: &mut String, depth: usize) {
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', depth));
        };
        match self {
            Self::List(list) if !list.is_empty() => {
                out.push('[');
                for (at, value) in list.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    line(out, depth + 1);
                    value.pretty(out, depth + 1);
                }
                line(out, depth);
                out.push(']');
            }
            Self::Map(map) if !map.is_empty() => {
                out.push('{');
                for (at, (key, value)) in map.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    line(out, depth + 1);
                    out.push_str(&json_text(key));
                    out.push_str(": ");
                    value.pretty(out, depth + 1);
                }
                line(out, depth);
                out.push('}');
            }
            _ => out.push_str(&self.compact()),
        }
    }
}

fn tree(value: &Value) -> Tree {
    match value {
        Value::String(text) => Tree::Leaf(json_text(text)),
        Value::Array(list) => Tree::List(list.iter().map(tree).collect()),
        Value::Object(map) => {
            let mut map: Vec<_> =
                map.iter().map(|(key, value)| (key.clone(), tree(value))).collect();
            map.sort_by(|a, b| a.0.cmp(&b.0));
            Tree::Map(map)
        }
        other => Tree::Leaf(other.to_string()),
    }
}

/// How deep structs may refer to structs; none of them is recursive.
const MAX_DEPTH: usize = 24;

fn typed(kind: &str, value: &Value, depth: usize) -> Tree {
    if depth > MAX_DEPTH {
        return Tree::Leaf("null".into());
    }
    if let Some(kind) = kind.strip_prefix('*') {
        return match value {
            Value::Null => Tree::Leaf("null".into()),
            value => typed(kind, value, depth + 1),
        };
    }
    if let Some(kind) = kind.strip_prefix("[]") {
        return match value {
            Value::Array(list) => {
                Tree::List(list.iter().map(|value| typed(kind, value, depth + 1)).collect())
            }
            _ => Tree::Leaf("null".into()),
        };
    }
    let zero = |text: &str| match value {
        Value::Null => Tree::Leaf(text.into()),
        value => tree(value),
    };
    match kind {
        "string" => zero("\"\""),
        "bool" => zero("false"),
        "int" | "int-or-string" => zero("0"),
        "quantity" => zero("\"0\""),
        "LabelSelector" => selector(value),
        _ => match STRUCTS.binary_search_by(|(name, _)| (*name).cmp(kind)) {
            Ok(at) => {
                let mut fields = Vec::new();
                structure(STRUCTS[at].1, kind, value, &mut fields, depth);
                Tree::Map(fields)
            }
            // Maps and times.
            Err(_) => zero("null"),
        },
    }
}

fn structure(fields: &str, kind: &str, value: &Value, out: &mut Vec<(String, Tree)>, depth: usize) {
    for field in fields.split(' ') {
        if let Some(embedded) = field.strip_prefix('<') {
            match embedded {
                "ObjectMeta" => metadata(&value["metadata"], out),
                _ => {
                    if let Ok(at) = STRUCTS.binary_search_by(|(name, _)| (*name).cmp(embedded)) {
                        structure(STRUCTS[at].1, embedded, value, out, depth);
                    }
                }
            }
            continue;
        }
        let Some((name, of)) = field.split_once(':') else { continue };
        let (name, key) = match name.split_once('=') {
            Some((name, key)) => (name, key.to_owned()),
            None => (name, lower_first(name)),
        };
        let held = if kind == "PodSpec" && key == "securityContext" {
            &pod_security_context(value)
        } else {
            &value[&key]
        };
        out.push((name.to_owned(), typed(of, held, depth + 1)));
    }
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// What manifests have beside the security context of a Pod, the server keeps within it.
fn pod_security_context(spec: &Value) -> Value {
    let mut context = spec["securityContext"].clone();
    for key in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"] {
        if !spec[key].is_null() {
            context[key] = spec[key].clone();
        }
    }
    context
}

fn metadata(value: &Value, out: &mut Vec<(String, Tree)>) {
    for key in [
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
    ] {
        match &value[key] {
            Value::Null => {}
            Value::Object(map) if map.is_empty() => {}
            Value::Array(list) if list.is_empty() => {}
            held => out.push((key.to_owned(), tree(held))),
        }
    }
}

fn selector(value: &Value) -> Tree {
    let mut fields = Vec::new();
    if let Value::Object(labels) = &value["matchLabels"]
        && !labels.is_empty()
    {
        fields.push(("matchLabels".to_owned(), tree(&value["matchLabels"])));
    }
    if let Value::Array(list) = &value["matchExpressions"]
        && !list.is_empty()
    {
        let list = list.iter().map(|entry| {
            let mut of = vec![
                ("key".to_owned(), typed("string", &entry["key"], 0)),
                ("operator".to_owned(), typed("string", &entry["operator"], 0)),
            ];
            if entry["values"].as_array().is_some_and(|values| !values.is_empty()) {
                of.push(("values".to_owned(), tree(&entry["values"])));
            }
            Tree::Map(of)
        });
        fields.push(("matchExpressions".to_owned(), Tree::List(list.collect())));
    }
    Tree::Map(fields)
}

/// An owner reference list: structs whose JSON names are those of manifests.
pub(super) fn show_owners(value: &Value) -> String {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let list = list.iter().map(|owner| {
        let mut of = Vec::new();
        for key in ["apiVersion", "kind", "name", "uid"] {
            of.push((key.to_owned(), typed("string", &owner[key], 0)));
        }
        for key in ["controller", "blockOwnerDeletion"] {
            if !owner[key].is_null() {
                of.push((key.to_owned(), tree(&owner[key])));
            }
        }
        Tree::Map(of)
    });
    Tree::List(list.collect()).compact()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn structs_print_what_is_not_set_too() {
        assert_eq!(
            show_struct("DeploymentStrategy", &json!({"type": "Blue"})),
            r#"{"Type":"Blue","RollingUpdate":null}"#
        );
    }

    #[test]
    fn the_structs_are_in_order_and_refer_to_structs() {
        assert!(STRUCTS.is_sorted_by_key(|(name, _)| *name));
        for (name, fields) in STRUCTS {
            for field in fields.split(' ') {
                assert!(field.starts_with('<') || field.contains(':'), "{name}: {field}");
            }
        }
    }

    #[test]
    fn text_is_quoted_as_go_does() {
        assert_eq!(quote("a\"\u{1}é\n"), "\"a\\\"\\x01é\\n\"");
    }
}
