//! Lines `KEY=value`, and comments.
//!
//! Source: SOPS `stores/dotenv/store.go`.

use std::io::Write;

use zeroize::Zeroizing;

use super::tree::{Node, Part};
use super::{Fault, Step};

/// Reads the lines; an escaped line break is one.
pub(super) fn read(content: &[u8]) -> Step<Node> {
    let text = std::str::from_utf8(content).map_err(|_| Fault::invalid("not UTF-8"))?;
    let mut parts = Vec::new();
    for (number, line) in text.split('\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix('#') {
            parts.push(Part::Comment { text: comment.to_owned().into(), inline: false });
        } else if let Some((key, value)) = line.split_once('=') {
            let value = Node::text(value.replace("\\n", "\n"));
            parts.push(Part::Entry { key: key.to_owned(), value });
        } else {
            let message = format!("line {} is neither a comment nor \"KEY=value\"", number + 1);
            return Err(Fault::invalid(message));
        }
    }
    Ok(Node::Map(parts))
}

/// Prints the lines.
pub(super) fn write(document: &Node) -> Step<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::new());
    for part in document.as_map().unwrap_or_default() {
        match part {
            Part::Comment { text, .. } => {
                let _ = writeln!(out, "#{}", text.as_str());
            }
            Part::Entry { key, value: Node::Text(text) } => {
                let text = Zeroizing::new(text.replace('\n', "\\n"));
                let _ = writeln!(out, "{key}={}", text.as_str());
            }
            Part::Entry { key, value } => {
                let Some(text) = plain(value) else {
                    return Err(Fault::invalid(format!(
                        "a dotenv file cannot hold the value at \"{key}\""
                    )));
                };
                let _ = writeln!(out, "{key}={}", text.as_str());
            }
        }
    }
    Ok(out)
}

/// A leaf without quotes; `None` for lists and mappings.
///
/// Source: SOPS `stores.ValToString`.
pub(super) fn plain(value: &Node) -> Option<Zeroizing<String>> {
    let text = match value {
        Node::Null => "<nil>".to_owned(),
        Node::Bool(bool) => bool.to_string(),
        Node::Int(int) => int.to_string(),
        Node::Float(float) => plain_float(*float),
        Node::Text(text) | Node::Time(text) | Node::Comment(text) => text.to_string(),
        Node::Bytes(bytes) => {
            let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
            format!("[{}]", numbers.join(" "))
        }
        Node::Raw(_) | Node::List(_) | Node::Map(_) => return None,
    };
    Some(Zeroizing::new(text))
}

/// As Go's `FormatFloat(float, 'G', -1, 64)`, but never such that it looks like an integer.
fn plain_float(float: f64) -> String {
    let mut text = String::new();
    crate::yaml::scalar::write_float(float, &mut text);
    match text.contains(['.', 'e']) {
        true => text.replace('e', "E"),
        false => format!("{float:.1}"),
    }
}
