//! Sections of `key = value`.
//!
//! Source: SOPS `stores/ini/store.go`; go-ini 1.67 `parser.go`, `file.go`.

use zeroize::Zeroizing;

use super::dotenv::plain;
use super::tree::{Node, Part, Text};
use super::{Fault, Step};

/// The section of what stands above all sections.
const DEFAULT: &str = "DEFAULT";

struct Section {
    name: String,
    comment: String,
    keys: Vec<Key>,
}

struct Key {
    name: String,
    value: Text,
    comment: String,
}

/// Reads the sections; the default one is always there.
pub(super) fn read(content: &[u8]) -> Step<Node> {
    let text = std::str::from_utf8(content).map_err(|_| Fault::invalid("not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut sections = vec![Section::new(DEFAULT, "")];
    let mut lines = Lines { rest: text, number: 0 };
    let mut comment = String::new();
    let mut counter = 1;
    while let Some(line) = lines.next_line() {
        let line = line.trim_start();
        if line.is_empty() {
            continue;
        }
        if line.starts_with(['#', ';']) {
            comment.push_str(line);
        } else if let Some(rest) = line.strip_prefix('[') {
            let Some((name, behind)) = rest.rsplit_once(']') else {
                return Err(lines.fault("opens a section that is not closed"));
            };
            if let Some(at) = behind.find(['#', ';']) {
                comment.push_str(&behind[at..]);
            }
            sections.push(Section::new(name, std::mem::take(&mut comment).trim()));
            counter = 1;
        } else {
            let (mut name, rest) =
                key_name(line).ok_or_else(|| lines.fault("is no \"key = value\""))?;
            if name == "-" {
                name = format!("#{counter}");
                counter += 1;
            }
            let value = lines.value(rest, &mut comment)?;
            let key = Key { name, value, comment: std::mem::take(&mut comment).trim().to_owned() };
            if let Some(section) = sections.last_mut() {
                section.set(key);
            }
        }
    }
    let parts = sections.into_iter().map(Section::part);
    Ok(Node::Map(parts.collect()))
}

impl Section {
    fn new(name: &str, comment: &str) -> Self {
        Self { name: name.to_owned(), comment: comment.to_owned(), keys: Vec::new() }
    }

    /// A key that is there takes the new value in its old place.
    fn set(&mut self, key: Key) {
        match self.keys.iter_mut().find(|old| old.name == key.name) {
            Some(old) => *old = key,
            None => self.keys.push(key),
        }
    }

    fn part(self) -> Part {
        let mut parts = Vec::new();
        let comment = |text: &str| {
            (!text.is_empty())
                .then(|| Part::Comment { text: stripped(text).to_owned().into(), inline: false })
        };
        parts.extend(comment(&self.comment));
        for Key { name, value, comment: behind } in self.keys {
            parts.push(Part::Entry { key: name, value: Node::Text(value) });
            parts.extend(comment(&behind));
        }
        Part::Entry { key: self.name, value: Node::Map(parts) }
    }
}

fn stripped(comment: &str) -> &str {
    match comment.chars().next() {
        Some(';') => comment.trim_start_matches([';', ' ']),
        Some('#') => comment.trim_start_matches(['#', ' ']),
        _ => comment,
    }
}

/// The name of a key, which may stand in quotes, and what is behind its delimiter.
fn key_name(line: &str) -> Option<(String, &str)> {
    let quote = ["\"\"\"", "\"", "`"]
        .into_iter()
        .find(|quote| line.starts_with(quote) && (quote.len() == 1 || line.len() > 6));
    let (name, rest) = match quote {
        Some(quote) => line[quote.len()..].split_once(quote)?,
        None => line.split_at(line.find(['=', ':'])?),
    };
    let (_, value) = rest.split_once(['=', ':'])?;
    let empty = quote.is_none() && name.is_empty();
    (!empty).then(|| (name.trim().to_owned(), value))
}

struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    /// The next line with its break.
    fn next_line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.number += 1;
        Some(line)
    }

    fn value(&mut self, text: &str, comment: &mut String) -> Step<Text> {
        let line = text.trim_start();
        let quote = if line.len() > 3 && line.starts_with("\"\"\"") {
            Some("\"\"\"")
        } else {
            line.starts_with('`').then_some("`")
        };
        if let Some(quote) = quote {
            let inner = &line[quote.len()..];
            return match inner.rfind(quote) {
                Some(end) => Ok(inner[..end].to_owned().into()),
                None => self.more_lines(inner, quote, comment),
            };
        }
        let mut line = line.trim();
        let mut continued = Zeroizing::new(String::new());
        if let Some(first) = line.strip_suffix('\\') {
            continued.push_str(first);
            loop {
                let next = self.next_line().unwrap_or_default().trim();
                match next.strip_suffix('\\') {
                    Some(more) => continued.push_str(more),
                    None => {
                        continued.push_str(next);
                        return Ok(continued);
                    }
                }
            }
        }
        if let Some(at) = line.find(['#', ';']) {
            comment.push_str(&line[at..]);
            line = line[..at].trim();
        }
        // Only where the last character is the first such quote behind the first character.
        let within = |quote| {
            line.starts_with(quote)
                && line.len() > 1
                && line[1..].find(quote) == Some(line.len() - 2)
        };
        let quoted = within('\'') || within('"');
        Ok(if quoted { &line[1..line.len() - 1] } else { line }.to_owned().into())
    }

    fn more_lines(&mut self, first: &str, quote: &str, comment: &mut String) -> Step<Text> {
        let mut value = Zeroizing::new(first.to_owned());
        loop {
            let Some(line) = self.next_line() else {
                return Err(self.fault("ends within a quoted value"));
            };
            match line.rfind(quote) {
                Some(end) => {
                    value.push_str(&line[..end]);
                    if let Some(at) = line[end..].find(['#', ';']) {
                        comment.push_str(line[end + at..].trim());
                    }
                    return Ok(value);
                }
                None => value.push_str(line),
            }
        }
    }

    fn fault(&self, problem: &str) -> Fault {
        Fault::invalid(format!("line {} {problem}", self.number))
    }
}

/// Prints the sections, with the delimiters of each in one column.
pub(super) fn write(documents: &[Node]) -> Step<Zeroizing<Vec<u8>>> {
    let mut sections = Vec::new();
    for part in documents.iter().flat_map(|document| document.as_map().unwrap_or_default()) {
        if let Part::Entry { key, value } = part {
            sections.push(section(key, value)?);
        }
    }
    let mut out = String::with_capacity(4096);
    let last = sections.len().saturating_sub(1);
    for (index, section) in sections.iter().enumerate() {
        write_comment(&section.comment, false, &mut out);
        if index > 0 || section.name.to_uppercase() != DEFAULT {
            out.extend(["[", &section.name, "]\n"]);
        } else if section.keys.is_empty() {
            continue;
        }
        write_keys(&section.keys, &mut out);
        if index != last {
            out.push('\n');
        }
    }
    Ok(Zeroizing::new(out.into_bytes()))
}

/// A comment belongs to the key before it.
fn section(name: &str, value: &Node) -> Step<Section> {
    let Node::Map(parts) = value else {
        return Err(Fault::invalid(format!(
            "\"{name}\" is no section, and an INI file holds nothing else"
        )));
    };
    let mut section = Section::new(name, "");
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::Comment { text, .. } if index == 0 => section.comment = text.to_string(),
            Part::Comment { text, .. } => {
                if let Some(key) = section.keys.last_mut() {
                    key.comment = text.to_string();
                }
            }
            Part::Entry { key, value } => {
                let Some(value) = plain(value) else {
                    return Err(Fault::invalid(format!(
                        "an INI file cannot hold the value at \"{name}.{key}\""
                    )));
                };
                section.set(Key { name: key.clone(), value, comment: String::new() });
            }
        }
    }
    Ok(section)
}

fn write_keys(keys: &[Key], out: &mut String) {
    let delimiting = |name: &str| name.contains(['"', '=', ':']);
    let width = |name: &str| match (delimiting(name), name.contains('`')) {
        (true, _) => name.len() + 2,
        (false, true) => name.len() + 6,
        (false, false) => name.len(),
    };
    let widest = keys.iter().map(|key| width(&key.name)).max().unwrap_or_default();
    for Key { name, value, comment } in keys {
        write_comment(comment, true, out);
        let shown = match (delimiting(name), name.contains('`')) {
            (true, _) => format!("`{name}`"),
            (false, true) => format!("\"\"\"{name}\"\"\""),
            (false, false) => name.clone(),
        };
        out.push_str(&shown);
        out.extend(std::iter::repeat_n(' ', widest.saturating_sub(shown.len())));
        let quote = if value.contains(['\n', '`']) {
            "\"\"\""
        } else if value.contains(['#', ';']) {
            "`"
        } else if value.trim().len() != value.len() {
            "\""
        } else {
            ""
        };
        out.extend([" = ", quote, value.as_str(), quote, "\n"]);
    }
}

fn write_comment(comment: &str, trim: bool, out: &mut String) {
    for line in comment.split('\n').filter(|line| !line.is_empty()) {
        match line.chars().next() {
            Some(sign @ ('#' | ';')) => {
                out.push(sign);
                out.extend([" ", line[1..].trim(), "\n"]);
            }
            _ => out.extend(["; ", if trim { line.trim() } else { line }, "\n"]),
        }
    }
}
