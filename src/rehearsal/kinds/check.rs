//! Where one is within an object, and what is wrong there.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::go;
use crate::rehearsal::Cause;

static NULL: Value = Value::Null;

/// A value and the path that the server prints for it.
#[derive(Clone, Debug)]
pub(super) struct At<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
}

impl<'a> At<'a> {
    /// The object itself.
    pub(super) fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    /// A value at a path of its own.
    pub(super) fn new(path: impl Into<String>, value: &'a Value) -> Self {
        Self { path: path.into(), value }
    }

    /// A field, null where it is not there.
    pub(super) fn get(&self, key: &str) -> Self {
        Self { path: self.child(key), value: self.value.get(key).unwrap_or(&NULL) }
    }

    /// The path of a field.
    pub(super) fn child(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The path of a value under a key of a map.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}[{key}]", self.path)
    }

    /// The elements of a list, none where it is not there.
    pub(super) fn items(&self) -> impl Iterator<Item = At<'a>> + use<'a> {
        let path = self.path.clone();
        let list: &'a [Value] = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        let at = move |(at, value)| At { path: format!("{path}[{at}]"), value };
        list.iter().enumerate().map(at)
    }

    /// The entries of a map in order of their keys.
    pub(super) fn entries(&self) -> Vec<(&'a str, &'a Value)> {
        let map = self.value.as_object().into_iter().flatten();
        let mut list: Vec<_> = map.map(|(key, value)| (key.as_str(), value)).collect();
        list.sort_unstable_by_key(|(key, _)| *key);
        list
    }

    /// The text, empty where there is none.
    pub(super) fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// The text of a field.
    pub(super) fn text_of(&self, key: &str) -> &'a str {
        self.value.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The number, 0 where there is none.
    pub(super) fn number(&self) -> i64 {
        self.value.as_i64().unwrap_or_default()
    }

    /// Whether it is there and true.
    pub(super) fn is_true(&self) -> bool {
        self.value.as_bool().unwrap_or_default()
    }

    /// Whether it is there: Go's pointer is not nil.
    pub(super) fn is_there(&self) -> bool {
        !self.value.is_null()
    }

    /// Go's length is 0: not there, or nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        match self.value {
            Value::String(text) => text.len(),
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        }
    }
}

/// A path and the name of a field of it.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What was found wrong, in the order in which it was looked for.
#[derive(Debug, Default)]
pub(super) struct Check {
    pub(super) causes: Vec<Cause>,
}

impl Check {
    /// `Invalid value`, of the value itself.
    pub(super) fn invalid(&mut self, at: &At<'_>, detail: impl fmt::Display) {
        self.invalid_as(&at.path, go::show(at.value), detail);
    }

    /// `Invalid value`, of a text, which shows as empty where it is not there.
    pub(super) fn invalid_text(&mut self, at: &At<'_>, detail: impl fmt::Display) {
        self.invalid_as(&at.path, go::quote(at.text()), detail);
    }

    /// `Invalid value`, shown in some other way.
    pub(super) fn invalid_as(
        &mut self,
        path: impl Into<String>,
        shown: impl AsRef<str>,
        detail: impl fmt::Display,
    ) {
        self.causes.push(Cause::invalid(path, shown.as_ref(), &detail.to_string()));
    }

    /// `Invalid value`, without showing one.
    pub(super) fn invalid_unshown(&mut self, path: impl Into<String>, detail: impl fmt::Display) {
        let message = format!("Invalid value: {detail}");
        self.causes.push(Cause { reason: "FieldValueInvalid", message, field: path.into() });
    }

    /// What the server could not find out.
    pub(super) fn internal(&mut self, path: impl Into<String>, why: impl fmt::Display) {
        let message = format!("Internal error: {why}");
        self.causes.push(Cause { reason: "InternalError", message, field: path.into() });
    }

    /// An address; says whether it may be one.
    pub(super) fn address(&mut self, at: &At<'_>) -> bool {
        let fault = super::names::address_fault(at.text());
        fault.inspect(|fault| self.invalid_text(at, fault)).is_none()
    }

    /// A network.
    pub(super) fn network(&mut self, at: &At<'_>) {
        let fault = super::names::network_fault(at.text());
        fault.into_iter().for_each(|fault| self.invalid_text(at, fault));
    }

    pub(super) fn required(&mut self, path: impl Into<String>, detail: impl AsRef<str>) {
        self.causes.push(Cause::required(path, detail.as_ref()));
    }

    pub(super) fn forbidden(&mut self, path: impl Into<String>, detail: impl AsRef<str>) {
        self.causes.push(Cause::forbidden(path, detail.as_ref()));
    }

    /// `Unsupported value`; `supported` is in the order of the message.
    pub(super) fn unsupported(&mut self, at: &At<'_>, supported: &[&str]) {
        let shown = match at.value {
            Value::Null => Cow::Borrowed("\"\""),
            value => Cow::Owned(go::show(value)),
        };
        self.causes.push(Cause::not_supported(&*at.path, &shown, supported));
    }

    pub(super) fn duplicate(&mut self, path: impl Into<String>, shown: impl AsRef<str>) {
        self.causes.push(Cause::duplicate(path, shown.as_ref()));
    }

    pub(super) fn not_found(&mut self, path: impl Into<String>, shown: impl fmt::Display) {
        let message = format!("Not found: {shown}");
        self.causes.push(Cause { reason: "FieldValueNotFound", message, field: path.into() });
    }

    pub(super) fn too_long(&mut self, path: impl Into<String>, bytes: usize) {
        let message = format!("Too long: may not be more than {bytes} bytes");
        self.causes.push(Cause { reason: "FieldValueTooLong", message, field: path.into() });
    }

    pub(super) fn too_many(&mut self, path: impl Into<String>, count: usize, most: usize) {
        let items = if most == 1 { "item" } else { "items" };
        let message = format!("Too many: {count}: must have at most {most} {items}");
        self.causes.push(Cause { reason: "FieldValueTooMany", message, field: path.into() });
    }

    /// One `Invalid value` for each text that a rule gives.
    pub(super) fn all(&mut self, at: &At<'_>, messages: Vec<String>) {
        for message in messages {
            self.invalid_text(at, message);
        }
    }

    /// A text that must be one of a list, in the list's order; empty is not.
    pub(super) fn one_of(&mut self, at: &At<'_>, supported: &[&str]) {
        if !supported.contains(&at.text()) {
            self.unsupported(at, supported);
        }
    }

    /// A number that may not be negative.
    pub(super) fn not_negative(&mut self, at: &At<'_>) {
        if at.number() < 0 {
            self.invalid(at, "must be greater than or equal to 0");
        }
    }
}
