//! Which fields of an object change, one a line.

use std::fmt::Write;

use serde_json::Value as Json;

/// A field that changes: its path, its value before and after.
pub type Change = (String, Option<Json>, Option<Json>);

/// The fields in which two objects differ, in the order of their names.
#[must_use]
pub fn changes(before: &Json, after: &Json) -> Vec<Change> {
    let mut found = Vec::new();
    compare(String::new(), Some(before), Some(after), &mut found);
    found
}

fn compare(path: String, before: Option<&Json>, after: Option<&Json>, found: &mut Vec<Change>) {
    match (before, after) {
        (Some(before), Some(after)) if before == after => {}
        (Some(Json::Object(before)), Some(Json::Object(after))) => {
            let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                compare(under(&path, key), before.get(key), after.get(key), found);
            }
        }
        (Some(Json::Array(before)), Some(Json::Array(after))) => {
            for at in 0..before.len().max(after.len()) {
                compare(format!("{path}[{at}]"), before.get(at), after.get(at), found);
            }
        }
        (before, after) => found.push((path, before.cloned(), after.cloned())),
    }
}

fn under(path: &str, key: &str) -> String {
    let is_plain = !key.is_empty() && !key.contains(['.', '/', '[', '"']);
    match (path.is_empty(), is_plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{key:?}]"),
    }
}

/// A value on one line, cut where it is long.
#[must_use]
pub fn short(value: Option<&Json>) -> String {
    const LONGEST: usize = 60;
    let text = match value {
        None => return "nothing".into(),
        Some(Json::String(text)) if is_simple(text) => text.clone(),
        Some(value) => value.to_string(),
    };
    let mut cut: String = text.chars().take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        let _ = write!(cut, "…");
    }
    cut
}

/// Whether a text can be shown without quotes and escapes.
fn is_simple(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_leaves_that_differ_are_told() {
        let before =
            json!({ "spec": { "replicas": 1, "list": [{ "a": 1 }, { "b": 2 }], "same": {} } });
        let after = json!({ "spec": { "replicas": 3, "list": [{ "a": 2 }], "same": {} },
            "metadata": { "labels": { "a.b/c": "x" } } });
        let lines: Vec<_> = changes(&before, &after)
            .iter()
            .map(|(path, before, after)| {
                format!("{path}: {} -> {}", short(before.as_ref()), short(after.as_ref()))
            })
            .collect();
        assert_eq!(
            lines,
            [
                "metadata: nothing -> {\"labels\":{\"a.b/c\":\"x\"}}",
                "spec.list[0].a: 1 -> 2",
                "spec.list[1]: {\"b\":2} -> nothing",
                "spec.replicas: 1 -> 3",
            ]
        );
    }

    #[test]
    fn odd_texts_are_quoted() {
        assert_eq!(short(Some(&json!("\u{1b}[31m"))), "\"\\u001b[31m\"");
        assert_eq!(short(Some(&json!(""))), "\"\"");
        assert!(short(Some(&json!("x".repeat(100)))).ends_with('…'));
    }
}
