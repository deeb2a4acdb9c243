//! Whether a schema is structural: every field has one type, junctors only narrow it.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/schema/{validation,complete}.go`.

use super::structure::{Additional, Limits, Structure};
use super::text::{child, forbidden, index, invalid, invalid_text, key, required};
use crate::rehearsal::Cause;

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// What is not structural, sorted by text as the server sorts it.
pub(super) fn validate(path: &str, schema: &Structure) -> Vec<Cause> {
    let mut causes = Vec::new();
    Spine { causes: &mut causes }.node(path, schema, Level::Root);
    complete(path, path, Some(schema), schema, &mut causes);
    causes.sort_by_cached_key(|cause| format!("{}: {}", cause.field, cause.message));
    causes
}

struct Spine<'a> {
    causes: &'a mut Vec<Cause>,
}

impl Spine<'_> {
    fn node(&mut self, path: &str, schema: &Structure, level: Level) {
        if schema.type_name == "array" && schema.items.is_none() {
            self.causes.push(required(&child(path, "items"), "must be specified"));
        }
        if let Some(items) = schema.items.as_deref() {
            self.node(&child(path, "items"), items, Level::Item);
        }
        for (name, property) in &schema.properties {
            self.node(&property_path(path, name), property, Level::Field);
        }
        let additional = child(path, "additionalProperties");
        if schema.additional.is_some() && level == Level::Root {
            self.causes.push(forbidden(&additional, "must not be used at the root"));
        }
        if let Some(below) = schema.additional_schema() {
            self.node(&additional, below, Level::Field);
        }
        self.extensions(path, schema);
        let skip_any = is_int_or_string(&schema.any_of);
        let skip_first = schema.all_of.first().is_some_and(|first| is_int_or_string(&first.any_of));
        self.junctors(path, schema, skip_any, skip_first);
        self.types(path, schema, level);
    }

    fn extensions(&mut self, path: &str, schema: &Structure) {
        if !schema.int_or_string {
            return;
        }
        let text = "must be false if x-kubernetes-int-or-string is true";
        let flags = [
            (schema.preserve, "x-kubernetes-preserve-unknown-fields"),
            (schema.embedded, "x-kubernetes-embedded-resource"),
        ];
        for (_, name) in flags.into_iter().filter(|(set, _)| *set) {
            self.causes.push(invalid(&child(path, name), &true.into(), text));
        }
    }

    fn types(&mut self, path: &str, schema: &Structure, level: Level) {
        let place = child(path, "type");
        let type_name = &*schema.type_name;
        if schema.embedded && type_name != "object" {
            let text = "must be object if x-kubernetes-embedded-resource is true";
            self.causes.push(match type_name {
                "" => required(&place, text),
                other => invalid_text(&place, other, text),
            });
        } else if type_name.is_empty() && !schema.int_or_string && !schema.preserve {
            let text = match level {
                Level::Root => "must not be empty at the root",
                Level::Item => "must not be empty for specified array items",
                Level::Field => "must not be empty for specified object fields",
            };
            self.causes.push(required(&place, text));
        }
        if schema.embedded && schema.additional.is_some() {
            let text = "must not be used if x-kubernetes-embedded-resource is set";
            self.causes.push(forbidden(&child(path, "additionalProperties"), text));
        }
        if level == Level::Root && !type_name.is_empty() && type_name != "object" {
            self.causes.push(invalid_text(&place, type_name, "must be object at the root"));
        }
        let has_metadata = level == Level::Root || schema.embedded;
        for name in ["kind", "apiVersion"] {
            if let Some(property) = schema.properties.get(name).filter(|_| has_metadata)
                && property.type_name != "string"
            {
                let place = child(&property_path(path, name), "type");
                self.causes.push(invalid_text(&place, &property.type_name, "must be string"));
            }
        }
        if let Some(metadata) = schema.properties.get("metadata") {
            self.metadata(&property_path(path, "metadata"), metadata, has_metadata, level);
        }
        if schema.embedded && !schema.preserve && schema.properties.is_empty() {
            let text = "must not be empty if x-kubernetes-embedded-resource is true without \
                x-kubernetes-preserve-unknown-fields";
            self.causes.push(required(&child(path, "properties"), text));
        }
    }

    fn metadata(&mut self, path: &str, schema: &Structure, has_metadata: bool, level: Level) {
        if has_metadata && schema.type_name != "object" {
            let place = child(path, "type");
            self.causes.push(invalid_text(&place, &schema.type_name, "must be object"));
        }
        if level != Level::Root {
            return;
        }
        let mut rest = schema.clone();
        if rest.properties.keys().all(|name| matches!(&**name, "name" | "generateName")) {
            rest.properties.clear();
        }
        rest.type_name.clear();
        rest.default = None;
        if !is_empty(&rest) {
            let text = "must not specify anything other than name and generateName, but metadata \
                is implicitly specified";
            self.causes.push(forbidden(path, text));
        }
    }

    fn junctors(&mut self, path: &str, schema: &Structure, skip_any: bool, skip_first: bool) {
        if !skip_any {
            for (at, node) in schema.any_of.iter().enumerate() {
                self.nested(&index(&child(path, "anyOf"), at), node, false);
            }
        }
        for (at, node) in schema.all_of.iter().enumerate() {
            self.nested(&index(&child(path, "allOf"), at), node, skip_first && at == 0);
        }
        for (at, node) in schema.one_of.iter().enumerate() {
            self.nested(&index(&child(path, "oneOf"), at), node, false);
        }
        if let Some(node) = schema.not.as_deref() {
            self.nested(&child(path, "not"), node, false);
        }
        // What is only too large for us is a pattern all the same, and is not checked.
        if let Some((text, Err(error))) = &schema.limits.pattern
            && !error.contains("too large")
        {
            let detail =
                format!("must be a valid regular expression, but isn't: {}", go_error(text, error));
            self.causes.push(invalid_text(&child(path, "pattern"), text, &detail));
        }
    }

    /// A schema within a junctor may only narrow values.
    fn nested(&mut self, path: &str, schema: &Structure, skip_any: bool) {
        self.junctors(path, schema, skip_any, false);
        if let Some(items) = schema.items.as_deref() {
            self.nested(&child(path, "items"), items, false);
        }
        for (name, property) in &schema.properties {
            self.nested(&property_path(path, name), property, false);
        }
        let faults = [
            (!schema.type_name.is_empty(), "type", "must be empty to be structural"),
            (
                schema.additional.is_some(),
                "additionalProperties",
                "must be undefined to be structural",
            ),
            (schema.default.is_some(), "default", "must be undefined to be structural"),
            (schema.titled, "title", "must be empty to be structural"),
            (schema.described, "description", "must be empty to be structural"),
            (schema.nullable, "nullable", "must be false to be structural"),
            (
                schema.preserve,
                "x-kubernetes-preserve-unknown-fields",
                "must be false to be structural",
            ),
            (schema.embedded, "x-kubernetes-embedded-resource", "must be false to be structural"),
            (schema.int_or_string, "x-kubernetes-int-or-string", "must be false to be structural"),
            (
                !schema.list_keys.is_empty(),
                "x-kubernetes-list-map-keys",
                "must be empty to be structural",
            ),
            (
                schema.list_type.is_some(),
                "x-kubernetes-list-type",
                "must be undefined to be structural",
            ),
            (
                schema.map_type.is_some(),
                "x-kubernetes-map-type",
                "must be undefined to be structural",
            ),
            (
                !schema.rules.is_empty(),
                "x-kubernetes-validations",
                "must be empty to be structural",
            ),
        ];
        for (_, name, text) in faults.into_iter().filter(|(fault, ..)| *fault) {
            self.causes.push(forbidden(&child(path, name), text));
        }
        if schema.properties.contains_key("metadata") {
            let text = "must not be specified in a nested context";
            self.causes.push(forbidden(&property_path(path, "metadata"), text));
        }
    }
}

fn property_path(path: &str, name: &str) -> String {
    key(&child(path, "properties"), name)
}

/// What is narrowed must be there outside of the junctors.
fn complete(
    spine_path: &str,
    path: &str,
    spine: Option<&Structure>,
    schema: &Structure,
    causes: &mut Vec<Cause>,
) {
    let lists = [
        ("not", None),
        ("allOf", Some(&schema.all_of)),
        ("anyOf", Some(&schema.any_of)),
        ("oneOf", Some(&schema.one_of)),
    ];
    for (name, list) in lists {
        match list {
            None => {
                if let Some(not) = schema.not.as_deref() {
                    complete_nested(spine_path, &child(path, name), spine, not, causes);
                }
            }
            Some(list) => {
                for (at, node) in list.iter().enumerate() {
                    let path = index(&child(path, name), at);
                    complete_nested(spine_path, &path, spine, node, causes);
                }
            }
        }
    }
}

fn complete_nested(
    spine_path: &str,
    path: &str,
    spine: Option<&Structure>,
    schema: &Structure,
    causes: &mut Vec<Cause>,
) {
    let Some(spine) = spine else {
        causes.push(required(spine_path, &format!("because it is defined in {path}")));
        return;
    };
    complete(spine_path, path, Some(spine), schema, causes);
    if let Some(items) = schema.items.as_deref() {
        let (spine_path, path) = (child(spine_path, "items"), child(path, "items"));
        complete_nested(&spine_path, &path, spine.items.as_deref(), items, causes);
    }
    for (name, property) in &schema.properties {
        let (spine_path, path) = (property_path(spine_path, name), property_path(path, name));
        match spine.properties.get(name) {
            Some(below) => complete_nested(&spine_path, &path, Some(below), property, causes),
            None => {
                causes.push(required(&spine_path, &format!("because it is defined in {path}")));
            }
        }
    }
}

/// Whether alternatives are just an integer and a text, which `x-kubernetes-int-or-string` may have.
fn is_int_or_string(list: &[Structure]) -> bool {
    let is_only = |schema: &Structure, name: &str| {
        let mut rest = schema.clone();
        rest.type_name.clear();
        schema.type_name == name && is_empty(&rest)
    };
    matches!(list, [integer, text] if is_only(integer, "integer") && is_only(text, "string"))
}

/// Whether a schema says nothing.
fn is_empty(schema: &Structure) -> bool {
    let flags = [
        schema.nullable,
        schema.titled,
        schema.described,
        schema.preserve,
        schema.embedded,
        schema.int_or_string,
        schema.default.is_some(),
        schema.not.is_some(),
        schema.items.is_some(),
        schema.list_type.is_some(),
        schema.map_type.is_some(),
        matches!(schema.additional, Some(Additional::Any(_) | Additional::Schema(_))),
    ];
    let junctors = [&schema.all_of, &schema.any_of, &schema.one_of];
    schema.type_name.is_empty()
        && !flags.contains(&true)
        && junctors.iter().all(|list| list.is_empty())
        && schema.properties.is_empty()
        && schema.list_keys.is_empty()
        && schema.rules.is_empty()
        && limits_empty(&schema.limits)
}

fn limits_empty(limits: &Limits) -> bool {
    let counts = [
        limits.max_length,
        limits.min_length,
        limits.max_items,
        limits.min_items,
        limits.max_properties,
        limits.min_properties,
    ];
    let numbers = [limits.maximum, limits.minimum, limits.multiple_of];
    limits.format.is_empty()
        && counts.iter().all(Option::is_none)
        && numbers.iter().all(Option::is_none)
        && !limits.exclusive_maximum
        && !limits.exclusive_minimum
        && !limits.unique_items
        && limits.pattern.is_none()
        && limits.required.is_empty()
        && limits.choices.is_none()
}

/// What Go says of a pattern that it refuses, for the faults that people make.
pub(super) fn go_error(pattern: &str, error: &str) -> String {
    let what = if error.contains("unclosed group") {
        format!("missing closing ): `{pattern}`")
    } else if error.contains("unopened group") {
        format!("unexpected ): `{pattern}`")
    } else if error.contains("unclosed character class") {
        let from = pattern.find('[').unwrap_or_default();
        format!("missing closing ]: `{}`", &pattern[from..])
    } else if error.contains("missing expression") {
        let at = pattern.find(['*', '+', '?']).unwrap_or_default();
        let end = pattern[at..].char_indices().nth(1).map_or(pattern.len(), |(end, _)| at + end);
        format!("missing argument to repetition operator: `{}`", &pattern[at..end])
    } else {
        error.to_owned()
    };
    format!("error parsing regexp: {what}")
}
