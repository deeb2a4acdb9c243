//! Paths to fields of a schema, as rules and selectable fields name them: `.spec.name`,
//! `['a.b']`.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/schema/cel/validation.go`, `ValidFieldPath`.

use super::structure::Structure;
use super::text::{child, key};

/// The path as causes show it, and the schema it leads to.
pub(super) fn resolve<'a>(
    text: &str,
    schema: &'a Structure,
    brackets: bool,
) -> Result<(String, &'a Structure), String> {
    let mut path = String::new();
    let mut schema = schema;
    let mut tokens = tokens(text).into_iter();
    let end = || "unexpected end of JSON path".to_owned();
    while let Some(token) = tokens.next() {
        let name = match &*token {
            "[" => {
                if !brackets {
                    return Err("array notation is not allowed".to_owned());
                }
                let token = tokens.next().ok_or_else(end)?;
                let inner = token.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
                let name = match inner {
                    Some(inner) if token.len() >= 2 => unescape(inner)?,
                    _ => return Err(format!("expected single quoted string but got {token}")),
                };
                match tokens.next().ok_or_else(end)? {
                    token if token == "]" => name,
                    token => return Err(format!("expected ] but got {token}")),
                }
            }
            "." => tokens.next().ok_or_else(end)?,
            other => return Err(format!("expected [ or . but got: {other}")),
        };
        let nowhere = || "does not refer to a valid field".to_owned();
        if schema.properties.is_empty() {
            schema = schema.additional_schema().ok_or_else(nowhere)?;
            path = key(&path, &name);
        } else {
            schema = schema.properties.get(&name).ok_or_else(nowhere)?;
            path = child(&path, &name);
        }
    }
    Ok((path, schema))
}

/// Delimiters, texts in quotes, and what is between.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut quoted = false;
    for c in text.chars() {
        if quoted {
            token.push(c);
            if c == '\'' && token.len() > 1 && !token.ends_with("\\'") {
                tokens.push(std::mem::take(&mut token));
                quoted = false;
            }
        } else if matches!(c, '.' | '[' | ']') {
            if !token.is_empty() {
                tokens.push(std::mem::take(&mut token));
            }
            tokens.push(c.to_string());
        } else {
            quoted = token.is_empty() && c == '\'';
            token.push(c);
        }
    }
    if !token.is_empty() {
        tokens.push(token);
    }
    tokens
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let c = chars.next().unwrap_or('\\');
        out.push(match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\'' | '\\' => c,
            c => return Err(format!("invalid string literal: invalid escape char \\{c}")),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_fields_and_keys() {
        let schema = Structure::parse(&json!({"properties": {
            "a.b": {"type": "string"},
            "map": {"additionalProperties": {"type": "integer"}}}}));
        let path = |text| resolve(text, &schema, true).map(|(path, _)| path);
        assert_eq!(path("['a.b']").as_deref(), Ok("a.b"));
        assert_eq!(path(".map['k']").as_deref(), Ok("map[k]"));
        assert_eq!(path(".none"), Err("does not refer to a valid field".to_owned()));
        assert!(resolve(".map['k']", &schema, false).is_err());
    }
}
