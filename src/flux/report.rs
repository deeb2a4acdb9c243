//! What `flux diff` prints of one object: how it stands, and for one that differs each difference with its
//! path, what is there and what would be.
//!
//! Entries of a list that have names are told apart by them, as Kubernetes does it for the most part.
//!
//! Source: flux2 2.9 `internal/build/diff.go`, `pkg/printers/dyff.go`, and the golden files of its tests.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use super::drift;
use super::veil::{self, Veil};
use crate::error::Result;
use crate::json;
use crate::yaml;

/// How an object stands to the cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It is not there yet.
    Created,
    /// It is there, and different.
    Drifted,
    /// It is there, and gone from the source.
    Deleted,
    /// It asks not to be applied.
    Skipped,
}

/// The line of an object, with `Kind/namespace/name` for its subject.
#[must_use]
pub fn line(subject: &str, standing: Standing) -> String {
    let word = match standing {
        Standing::Created => "created",
        Standing::Drifted => "drifted",
        Standing::Deleted => "deleted",
        Standing::Skipped => "skipped",
    };
    format!("► {subject} {word}\n")
}

/// The line above what a Kustomization within has changed.
#[must_use]
pub fn folder(subject: &str) -> String {
    folder_line(subject, "changed")
}

/// The line above what has become of a Kustomization.
#[must_use]
pub fn folder_line(subject: &str, change: &str) -> String {
    format!("📁 {subject} {change}\n")
}

/// Stands for any value of a Secret that is encrypted in the source.
const HIDDEN: &str = "*****";

/// Hides all values of a Secret that is masked, and says whether both have the same keys.
fn by_keys(live: &mut Json, merged: &mut Json) -> bool {
    let keys = |object: &mut Json| -> Vec<String> {
        let data = object.get_mut("data").and_then(Json::as_object_mut);
        let entries = data.into_iter().flat_map(|data| data.iter_mut());
        entries
            .map(|(key, value)| {
                *value = HIDDEN.into();
                key.clone()
            })
            .collect()
    };
    keys(live) == keys(merged)
}

/// The text that stands for what is encrypted.
const MASK: &[u8] = b"**SOPS**";

/// The line and the report of an object that is different on the server, once it is clear what of it may be seen.
///
/// `sent` is what was applied. Nothing is printed where that is a Secret with masked values, and the server has the same
/// keys: whether their values differ is not known.
///
/// # Errors
/// Where a value cannot be printed.
pub fn drifted(
    subject: &str,
    (live, merged): (&Json, &Json),
    sent: &Json,
    ignored: &[&str],
    veil: &Veil,
) -> Result<Option<String>> {
    let (live, merged) = veil::pair(Some(live), Some(merged), veil);
    let (mut live, mut merged) = (live.unwrap_or_default(), merged.unwrap_or_default());
    if is_masked(sent) && by_keys(&mut live, &mut merged) {
        return Ok(None);
    }
    for path in ignored {
        drift::remove(&mut live, path);
        drift::remove(&mut merged, path);
    }
    let mut out = line(subject, Standing::Drifted);
    out.push_str(&differences(&live, &merged)?);
    Ok(Some(out))
}

fn is_masked(sent: &Json) -> bool {
    let data = sent["data"].as_object().filter(|_| sent["kind"] == "Secret");
    data.into_iter().flatten().any(|(_, value)| {
        let decoded = value.as_str().and_then(|text| STANDARD.decode(text).ok());
        decoded.is_some_and(|text| memchr::memmem::find(&text, MASK).is_some())
    })
}

/// One block of the report.
struct Block {
    path: String,
    /// Entries that only one side has.
    removed: Map<String, Json>,
    added: Map<String, Json>,
    /// Or two values.
    changed: Option<(Json, Json)>,
    /// Whether the entries are those of a list.
    is_list: bool,
}

/// All differences between an object and what it would become.
///
/// # Errors
/// Where a value cannot be printed.
pub fn differences(live: &Json, merged: &Json) -> Result<String> {
    let mut blocks = Vec::new();
    compare("", live, merged, &mut blocks);
    let mut out = String::from("\n");
    for block in &blocks {
        write(block, &mut out)?;
    }
    Ok(out)
}

fn compare(path: &str, live: &Json, merged: &Json, blocks: &mut Vec<Block>) {
    if live == merged {
        return;
    }
    match (live, merged) {
        (Json::Object(one), Json::Object(other)) => maps(path, one, other, false, blocks),
        (Json::Array(one), Json::Array(other)) => match (named(one), named(other)) {
            (Some(one), Some(other)) => maps(path, &one, &other, true, blocks),
            _ => lists(path, one, other, blocks),
        },
        _ => blocks.push(Block {
            path: path.to_owned(),
            removed: Map::new(),
            added: Map::new(),
            changed: Some((live.clone(), merged.clone())),
            is_list: false,
        }),
    }
}

fn maps(
    path: &str,
    live: &Map<String, Json>,
    merged: &Map<String, Json>,
    is_list: bool,
    blocks: &mut Vec<Block>,
) {
    let only = |one: &Map<String, Json>, other: &Map<String, Json>| -> Map<String, Json> {
        let missing = one.iter().filter(|(key, _)| !other.contains_key(*key));
        missing.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let (removed, added) = (only(live, merged), only(merged, live));
    if !removed.is_empty() || !added.is_empty() {
        blocks.push(Block { path: path.to_owned(), removed, added, changed: None, is_list });
    }
    for (key, value) in live {
        if let Some(other) = merged.get(key) {
            compare(&joined(path, key), value, other, blocks);
        }
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The entries of a list by their names, where all have one of their own.
fn named(list: &[Json]) -> Option<Map<String, Json>> {
    let mut map = Map::new();
    for entry in list {
        let name = entry.get("name")?.as_str()?;
        map.insert(name.to_owned(), entry.clone()).is_none().then_some(())?;
    }
    Some(map)
}

/// Entries without names are the same where they are equal.
fn lists(path: &str, live: &[Json], merged: &[Json], blocks: &mut Vec<Block>) {
    let only = |one: &[Json], other: &[Json]| -> Map<String, Json> {
        let missing = one.iter().enumerate().filter(|(_, value)| !other.contains(value));
        missing.map(|(index, value)| (format!("{index:09}"), value.clone())).collect()
    };
    let (removed, added) = (only(live, merged), only(merged, live));
    if !removed.is_empty() || !added.is_empty() {
        let path = path.to_owned();
        blocks.push(Block { path, removed, added, changed: None, is_list: true });
    }
}

fn write(block: &Block, out: &mut String) -> Result<()> {
    let path = if block.path.is_empty() { "(root level)" } else { &block.path };
    let _ = writeln!(out, "{path}");
    if let Some((before, after)) = &block.changed {
        let _ = writeln!(out, "± value change");
        for (sign, value) in [('-', before), ('+', after)] {
            let text = match value {
                Json::String(text) => text.clone(),
                value => text(value)?,
            };
            for (index, line) in text.lines().enumerate() {
                let sign = if index == 0 { sign } else { ' ' };
                let _ = writeln!(out, "{sign} {line}");
            }
        }
    } else {
        let removed = side(block, '-', &block.removed)?;
        let added = side(block, '+', &block.added)?;
        match (removed, added) {
            (Some(removed), Some(added)) => beside(&removed, &added, out),
            (one, other) => {
                for (index, line) in one.or(other).iter().flatten().enumerate() {
                    let indent = if index == 0 { "" } else { "  " };
                    let _ = writeln!(out, "{indent}{line}");
                }
            }
        }
    }
    out.push('\n');
    Ok(())
}

/// The lines of one side: what it says, then the entries.
fn side(block: &Block, sign: char, entries: &Map<String, Json>) -> Result<Option<Vec<String>>> {
    if entries.is_empty() {
        return Ok(None);
    }
    let what = if block.is_list { "list" } else { "map" };
    let count = match entries.len() {
        1 => "one".to_owned(),
        2 => "two".to_owned(),
        3 => "three".to_owned(),
        count => count.to_string(),
    };
    let ending = if entries.len() == 1 { "entry" } else { "entries" };
    let done = if sign == '-' { "removed" } else { "added" };
    let mut lines = vec![format!("{sign} {count} {what} {ending} {done}:")];
    let value =
        if block.is_list { json!(entries.values().collect::<Vec<_>>()) } else { json!(entries) };
    lines.extend(text(&value)?.lines().map(str::to_owned));
    Ok(Some(lines))
}

/// Two columns; in the left one entries are not indented.
fn beside(left: &[String], right: &[String], out: &mut String) {
    /// What is between the columns.
    const GAP: usize = 3;
    let length = |line: &String| line.chars().count();
    let width = left.iter().map(length).max().unwrap_or_default() + GAP;
    for index in 0..left.len().max(right.len()) {
        let line = left.get(index).map_or("", String::as_str);
        let indent = if index == 0 { "" } else { "  " };
        let other = right.get(index).map_or_else(String::new, |line| format!("{indent}{line}"));
        let space = width.saturating_sub(line.chars().count());
        let _ = writeln!(out, "{}", format!("{line}{}{other}", " ".repeat(space)).trim_end());
    }
}

/// A value as YAML. A text that could be mistaken has double quotes, and a blank one none at all.
fn text(value: &Json) -> Result<String> {
    let mut out = String::new();
    yaml::write(&json::from_json(value), &mut out)?;
    let plain = |line: &str| {
        let line = line.strip_suffix(": \"\"").map_or(line.to_owned(), |key| format!("{key}:"));
        match line.strip_suffix('\'').and_then(|line| line.split_once(": '")) {
            Some((key, text)) if !text.contains(['\'', '"', '\\']) => format!("{key}: \"{text}\""),
            _ => line,
        }
    };
    Ok(out.lines().map(plain).collect::<Vec<_>>().join("\n"))
}
