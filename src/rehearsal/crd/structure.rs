//! A schema of a CustomResourceDefinition, read once: what its fields are and what holds for them.
//!
//! The server keeps two forms of it, one for pruning and defaulting and one for validation. They
//! hold the same facts, so here is one. Source: apiextensions-apiserver
//! `pkg/apiserver/schema/structural.go`, `convert.go`.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use crate::pattern;

/// Most bytes that a compiled `pattern` may take: patterns come from whoever writes the CRD.
const PATTERN_BYTES: usize = 1 << 20;

/// One node of a schema.
#[derive(Clone, Debug, Default)]
pub(super) struct Structure {
    /// `type`; empty where any is allowed.
    pub type_name: String,
    /// Whether `null` is a value.
    pub nullable: bool,
    /// What an absent value is.
    pub default: Option<Value>,
    /// Whether `title` or `description` are there, which junctors may not have.
    pub titled: bool,
    /// The same of `description`.
    pub described: bool,
    /// What is required of a value.
    pub limits: Limits,
    /// All of these must hold.
    pub all_of: Vec<Self>,
    /// At least one of these must hold.
    pub any_of: Vec<Self>,
    /// Exactly one of these must hold.
    pub one_of: Vec<Self>,
    /// This must not hold.
    pub not: Option<Box<Self>>,
    /// The known fields.
    pub properties: BTreeMap<String, Self>,
    /// What other fields hold.
    pub additional: Option<Additional>,
    /// What each element of a list holds.
    pub items: Option<Box<Self>>,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserve: bool,
    /// `x-kubernetes-embedded-resource`.
    pub embedded: bool,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-list-type`.
    pub list_type: Option<String>,
    /// `x-kubernetes-list-map-keys`.
    pub list_keys: Vec<String>,
    /// `x-kubernetes-map-type`.
    pub map_type: Option<String>,
    /// `x-kubernetes-validations`.
    pub rules: Vec<Rule>,
}

/// What `additionalProperties` says.
#[derive(Clone, Debug)]
pub(super) enum Additional {
    /// Whether there may be any.
    Any(bool),
    /// What each holds.
    Schema(Box<Structure>),
}

/// The value validations of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    /// `format`.
    pub format: String,
    /// `maximum`.
    pub maximum: Option<f64>,
    /// Whether the maximum itself is too much.
    pub exclusive_maximum: bool,
    /// `minimum`.
    pub minimum: Option<f64>,
    /// Whether the minimum itself is too little.
    pub exclusive_minimum: bool,
    /// `maxLength`, in characters.
    pub max_length: Option<i64>,
    /// `minLength`, in characters.
    pub min_length: Option<i64>,
    /// `pattern`, as it stands and compiled; an error where it is no pattern or too large.
    pub pattern: Option<(String, Result<Regex, String>)>,
    /// `maxItems`.
    pub max_items: Option<i64>,
    /// `minItems`.
    pub min_items: Option<i64>,
    /// `uniqueItems`.
    pub unique_items: bool,
    /// `multipleOf`.
    pub multiple_of: Option<f64>,
    /// `maxProperties`.
    pub max_properties: Option<i64>,
    /// `minProperties`.
    pub min_properties: Option<i64>,
    /// `required`.
    pub required: Vec<String>,
    /// `enum`.
    pub choices: Option<Vec<Value>>,
}

/// One of `x-kubernetes-validations`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rule {
    /// The expression that must be true.
    pub rule: String,
    /// What is said where it is not.
    pub message: String,
    /// An expression for what is said.
    pub message_expression: String,
    /// The reason of the cause.
    pub reason: Option<String>,
    /// Where the cause points, below the node.
    pub field_path: String,
    /// Whether `oldSelf` is an optional.
    pub optional_old_self: Option<bool>,
}

impl Structure {
    /// Reads a schema as JSON has it. What has a wrong type is taken to be absent: the server's
    /// decoder has refused it before.
    pub(super) fn parse(schema: &Value) -> Self {
        let text = |key: &str| schema[key].as_str().unwrap_or_default().to_owned();
        let flag = |key: &str| schema[key].as_bool().unwrap_or_default();
        let list = |key: &str| -> Vec<Self> {
            schema[key].as_array().into_iter().flatten().map(Self::parse).collect()
        };
        let child = |key: &str| schema.get(key).filter(|value| value.is_object()).map(Self::parse);
        let properties = schema["properties"].as_object().into_iter().flatten();
        Self {
            type_name: text("type"),
            nullable: flag("nullable"),
            default: schema.get("default").filter(|value| !value.is_null()).cloned(),
            titled: !text("title").is_empty(),
            described: !text("description").is_empty(),
            limits: Limits::parse(schema),
            all_of: list("allOf"),
            any_of: list("anyOf"),
            one_of: list("oneOf"),
            not: child("not").map(Box::new),
            properties: properties
                .map(|(name, value)| (name.clone(), Self::parse(value)))
                .collect(),
            additional: match &schema["additionalProperties"] {
                Value::Bool(any) => Some(Additional::Any(*any)),
                value @ Value::Object(_) => Some(Additional::Schema(Box::new(Self::parse(value)))),
                _ => None,
            },
            items: child("items").map(Box::new),
            preserve: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            list_type: schema["x-kubernetes-list-type"].as_str().map(str::to_owned),
            list_keys: texts(&schema["x-kubernetes-list-map-keys"]),
            map_type: schema["x-kubernetes-map-type"].as_str().map(str::to_owned),
            rules: schema["x-kubernetes-validations"]
                .as_array()
                .into_iter()
                .flatten()
                .map(Rule::parse)
                .collect(),
        }
    }

    /// The schema of fields that are not known, where one is given.
    pub(super) fn additional_schema(&self) -> Option<&Self> {
        match &self.additional {
            Some(Additional::Schema(schema)) => Some(schema),
            _ => None,
        }
    }

    /// The schema of a field.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or_else(|| self.additional_schema())
    }

    /// Whether a rule stands here or below, outside of junctors.
    pub(super) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
            || self.items.as_deref().is_some_and(Self::has_rules)
            || self.additional_schema().is_some_and(Self::has_rules)
            || self.properties.values().any(Self::has_rules)
    }

    /// Whether the list has keys or is a set, so that its elements are told apart.
    pub(super) fn is_map_list(&self) -> bool {
        self.list_type.as_deref() == Some("map")
    }

    /// Calls `visit` with this node and all below, junctors included.
    pub(super) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        let below = (self.items.as_deref().into_iter())
            .chain(self.all_of.iter())
            .chain(self.any_of.iter())
            .chain(self.one_of.iter())
            .chain(self.not.as_deref())
            .chain(self.properties.values())
            .chain(self.additional_schema());
        for node in below {
            node.walk(visit);
        }
    }
}

impl Limits {
    fn parse(schema: &Value) -> Self {
        let number = |key: &str| schema[key].as_f64();
        let count = |key: &str| schema[key].as_i64();
        let flag = |key: &str| schema[key].as_bool().unwrap_or_default();
        let pattern = schema["pattern"].as_str().filter(|text| !text.is_empty());
        Self {
            format: schema["format"].as_str().unwrap_or_default().to_owned(),
            maximum: number("maximum"),
            exclusive_maximum: flag("exclusiveMaximum"),
            minimum: number("minimum"),
            exclusive_minimum: flag("exclusiveMinimum"),
            max_length: count("maxLength"),
            min_length: count("minLength"),
            pattern: pattern.map(|text| (text.to_owned(), pattern::compile(text, PATTERN_BYTES))),
            max_items: count("maxItems"),
            min_items: count("minItems"),
            unique_items: flag("uniqueItems"),
            multiple_of: number("multipleOf"),
            max_properties: count("maxProperties"),
            min_properties: count("minProperties"),
            required: texts(&schema["required"]),
            choices: schema["enum"].as_array().cloned(),
        }
    }
}

impl Rule {
    fn parse(rule: &Value) -> Self {
        let text = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        Self {
            rule: text("rule"),
            message: text("message"),
            message_expression: text("messageExpression"),
            reason: rule["reason"].as_str().map(str::to_owned),
            field_path: text("fieldPath"),
            optional_old_self: rule["optionalOldSelf"].as_bool(),
        }
    }
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
