//! The entries of `metadata.managedFields`.
//!
//! Source: apimachinery `pkg/util/managedfields/internal/managedfields.go`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::calendar::{date_of, days_to};
use crate::json;
use crate::ssa::shown::quoted;
use crate::ssa::{FieldSet, Managers, Owned};

/// What an entry says besides its fields and their version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    manager: String,
    applied: bool,
    /// Empty for an apply, in which the version does not tell entries apart.
    version: String,
    subresource: String,
    time: Option<String>,
}

/// All entries of an object, by what tells them apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Managed {
    pub(super) owners: Managers,
    entries: BTreeMap<String, Entry>,
}

impl Entry {
    /// Of an apply.
    pub(super) fn apply(manager: &str, subresource: &str) -> Self {
        Self {
            manager: named(manager),
            applied: true,
            subresource: subresource.into(),
            ..Self::default()
        }
    }

    /// Of an update.
    pub(super) fn update(manager: &str, version: &str, subresource: &str) -> Self {
        Self {
            manager: named(manager),
            version: version.into(),
            subresource: subresource.into(),
            ..Self::default()
        }
    }

    fn operation(&self) -> &'static str {
        if self.applied { "Apply" } else { "Update" }
    }

    /// What tells it apart, in the server's JSON, by which entries are ordered.
    fn identity(&self) -> String {
        let mut out = String::from("{");
        let mut field = |name: &str, value: &str| {
            if !value.is_empty() {
                out.push_str(if out.len() > 1 { ",\"" } else { "\"" });
                out.push_str(name);
                out.push_str("\":");
                json::write_string(value, &mut out);
            }
        };
        field("manager", &self.manager);
        field("operation", self.operation());
        field("apiVersion", &self.version);
        field("subresource", &self.subresource);
        out.push('}');
        out
    }

    fn seconds(&self) -> i64 {
        self.time.as_deref().and_then(seconds).unwrap_or_default()
    }
}

fn named(manager: &str) -> String {
    if manager.is_empty() { "unknown".into() } else { manager.into() }
}

impl Managed {
    /// Reads entries.
    ///
    /// # Errors
    /// Where one is malformed, in the words of the server.
    pub(super) fn decode(list: &[Value]) -> Result<Self, String> {
        let mut managed = Self::default();
        for (at, value) in list.iter().enumerate() {
            let text = |name: &str| value[name].as_str().unwrap_or_default();
            let applied = match text("operation") {
                "Apply" => true,
                "Update" => false,
                _ => return Err("operation must be `Apply` or `Update`".into()),
            };
            let version = text("apiVersion");
            if version.is_empty() {
                return Err("apiVersion must not be empty".into());
            }
            match text("fieldsType") {
                "FieldsV1" => {}
                "" => return Err(format!("missing fieldsType in managed fields entry {at}")),
                other => {
                    return Err(format!(
                        "invalid fieldsType {} in managed fields entry {at}",
                        quoted(other)
                    ));
                }
            }
            let fields = value.get("fieldsV1").map_or_else(
                || Ok(FieldSet::default()),
                |fields| {
                    FieldSet::from_json(fields).map_err(|error| {
                        format!("error decoding versioned set: error decoding set: {error}")
                    })
                },
            )?;
            let entry = Entry {
                manager: text("manager").into(),
                applied,
                version: if applied { String::new() } else { version.into() },
                subresource: text("subresource").into(),
                time: value["time"].as_str().map(in_utc),
            };
            let identity = entry.identity();
            managed
                .owners
                .insert(identity.clone(), Owned { fields, version: version.into(), applied });
            managed.entries.insert(identity, entry);
        }
        Ok(managed)
    }

    /// The entries of those that own something, in the server's order.
    pub(super) fn encode(&self) -> Vec<Value> {
        let mut list: Vec<_> = self
            .owners
            .iter()
            .filter_map(|(identity, owned)| Some((self.entries.get(identity)?, owned)))
            .collect();
        list.sort_by_key(|(entry, owned)| {
            let operation = if owned.applied { "Apply" } else { entry.operation() };
            (operation, entry.seconds(), &*entry.manager, &*owned.version, &*entry.subresource)
        });
        list.into_iter().map(|(entry, owned)| encode(entry, owned)).collect()
    }

    /// Makes an entry known, with the time that it had, and says what tells it apart.
    pub(super) fn know(&mut self, entry: Entry) -> String {
        let identity = entry.identity();
        self.entries.entry(identity.clone()).or_insert(entry);
        identity
    }

    pub(super) fn set_time(&mut self, identity: &str, time: &str) {
        if let Some(entry) = self.entries.get_mut(identity) {
            entry.time = Some(time.into());
        }
    }

    pub(super) fn copy_time(&mut self, from: &str, to: &str) {
        let time = self.entries.get(from).and_then(|entry| entry.time.clone());
        if let Some(entry) = self.entries.get_mut(to) {
            entry.time = time;
        }
    }

    pub(super) fn seconds(&self, identity: &str) -> i64 {
        self.entries.get(identity).map_or(0, Entry::seconds)
    }

    /// Adds the entries that another has and this one has not, without their times.
    pub(super) fn know_new(&mut self, other: &Self) {
        for (identity, entry) in &other.entries {
            if !self.entries.contains_key(identity) {
                let entry = Entry { time: None, ..entry.clone() };
                self.entries.insert(identity.clone(), entry);
            }
        }
    }

    /// How a conflict names a manager: `"hpa" with subresource "scale" using apps/v1`.
    pub(super) fn describe(&self, identity: &str) -> String {
        let Some(entry) = self.entries.get(identity) else { return quoted(identity) };
        let mut out = quoted(&entry.manager);
        if !entry.subresource.is_empty() {
            out.push_str(&format!(" with subresource {}", quoted(&entry.subresource)));
        }
        if !entry.applied {
            out.push_str(&format!(" using {}", entry.version));
        }
        out
    }
}

fn encode(entry: &Entry, owned: &Owned) -> Value {
    let mut out = Map::new();
    let operation = if owned.applied { "Apply" } else { entry.operation() };
    if !entry.manager.is_empty() {
        out.insert("manager".into(), entry.manager.as_str().into());
    }
    out.insert("operation".into(), operation.into());
    out.insert("apiVersion".into(), owned.version.as_str().into());
    if let Some(time) = &entry.time {
        out.insert("time".into(), time.as_str().into());
    }
    out.insert("fieldsType".into(), "FieldsV1".into());
    out.insert("fieldsV1".into(), owned.fields.to_json());
    if !entry.subresource.is_empty() {
        out.insert("subresource".into(), entry.subresource.as_str().into());
    }
    out.into()
}

/// What is wrong with managed fields that admission has written.
///
/// # Errors
/// Where an entry is malformed, in the words of the server.
pub fn validate(list: &[Value]) -> Result<(), String> {
    Managed::decode(list).map(|_| ())
}

/// A time of RFC 3339 as the server writes it: in UTC, in whole seconds. What is no time stays.
fn in_utc(text: &str) -> String {
    let Some(seconds) = seconds(text) else { return text.into() };
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Seconds from 1970 to a time of RFC 3339, its fraction cut off.
fn seconds(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to).filter(|part| part.bytes().all(|c| c.is_ascii_digit()))?;
        digits.parse().ok()
    };
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| bytes.get(*at) != Some(mark)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let seconds = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let zone = text.get(19..)?;
    let zone = match zone.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => zone,
    };
    let offset = match zone.as_bytes() {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let digits = [h1, h2, m1, m2];
            if !digits.iter().all(|digit| digit.is_ascii_digit()) {
                return None;
            }
            let [h1, h2, m1, m2] = digits.map(|digit| i64::from(digit - b'0'));
            let offset = (h1 * 10 + h2) * 3600 + (m1 * 10 + m2) * 60;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    Some(days_to(year, month, day) * 86_400 + seconds - offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_in_utc() {
        assert_eq!(in_utc("2024-02-29T23:30:00+01:00"), "2024-02-29T22:30:00Z");
        assert_eq!(in_utc("1999-12-31T23:59:59.5Z"), "1999-12-31T23:59:59Z");
        assert_eq!(in_utc("1969-03-01T00:00:00-00:30"), "1969-03-01T00:30:00Z");
        assert_eq!(seconds("1970-01-02T00:00:01Z"), Some(86_401));
        assert_eq!((seconds("2024-01-01"), seconds("2024-01-01T00:00:00+0x:00")), (None, None));
    }
}
