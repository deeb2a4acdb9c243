//! The rules of `x-kubernetes-validations`, read once and checked for each change.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/schema/cel/{validation,compilation}.go`,
//! apiserver `pkg/cel/common/values.go`, `pkg/cel/escaping.go`, `pkg/apis/cel/config.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Map, Value};

use super::correlation::{Correlation, find_by_keys};
use super::definition::Checked;
use super::field_path;
use super::structure::{Rule, Structure};
use super::text::{cause, child, forbidden, go_json, index, invalid, invalid_text, key, required};
use crate::rehearsal::Cause;
use crate::rehearsal::cel::{self, Program, time};

/// Most steps that all rules of an object may take together.
const BUDGET: u64 = 10_000_000;

/// Most bytes that a message of an expression may have.
const MOST_MESSAGE: usize = 5 * 1024;

const EXHAUSTED: &str = "validation failed due to running out of cost budget, no further \
    validation rules will be run";

/// The rules of one version of a kind.
#[derive(Debug, Default)]
pub(super) struct Rules {
    root: Option<Node>,
}

/// The rules at one place of a schema and below.
#[derive(Debug, Default)]
struct Node {
    rules: Vec<Compiled>,
    /// The schema of the values here.
    shape: Arc<Structure>,
    /// Whether the value is an object of its own, with version, kind and name.
    resource: bool,
    items: Option<Box<Self>>,
    additional: Option<Box<Self>>,
    properties: BTreeMap<String, Self>,
    all_of: Vec<Self>,
}

#[derive(Debug)]
struct Compiled {
    rule: Rule,
    program: Result<Program, String>,
    message: Option<Program>,
    uses_old: bool,
    /// Where causes point, below the place of the rule.
    path: String,
}

impl Compiled {
    fn new(rule: &Rule, schema: &Structure) -> Self {
        let program = Program::parse(&rule.rule);
        let path = Some(&rule.field_path).filter(|path| !path.is_empty());
        let path = path.and_then(|path| field_path::resolve(path, schema, true).ok());
        Self {
            uses_old: program.as_ref().is_ok_and(|program| program.names("oldSelf")),
            message: Some(&rule.message_expression)
                .filter(|text| !text.is_empty())
                .and_then(|text| Program::parse(text).ok()),
            path: path.map(|(path, _)| path).unwrap_or_default(),
            rule: rule.clone(),
            program,
        }
    }

    /// What a refusal says where no expression says it.
    fn text(&self) -> String {
        let message = self.rule.message.trim();
        if self.rule.message.is_empty() {
            format!("failed rule: {}", self.rule.rule.trim())
        } else {
            message.to_owned()
        }
    }

    /// The rule as errors name it.
    fn name(&self) -> &str {
        let text = if self.rule.message.is_empty() { &self.rule.rule } else { &self.rule.message };
        text.trim()
    }
}

impl Node {
    /// `rules` is where the rules stand, `shape` what the values are: within junctors they differ.
    fn build(rules: &Structure, shape: &Structure, resource: bool) -> Option<Self> {
        let below =
            |rules: &Structure, shape: &Structure| Self::build(rules, shape, shape.embedded);
        let items = match (rules.items.as_deref(), shape.items.as_deref()) {
            (Some(rules), Some(shape)) => below(rules, shape),
            _ => None,
        };
        let additional = match (rules.additional_schema(), shape.additional_schema()) {
            (Some(rules), Some(shape)) => below(rules, shape),
            _ => None,
        };
        let properties: BTreeMap<_, _> = (rules.properties.iter())
            .filter_map(|(name, rules)| {
                Some((name.clone(), below(rules, shape.properties.get(name)?)?))
            })
            .collect();
        let all_of: Vec<_> =
            rules.all_of.iter().filter_map(|rules| Self::build(rules, shape, resource)).collect();
        let any = !rules.rules.is_empty()
            || items.is_some()
            || additional.is_some()
            || !properties.is_empty()
            || !all_of.is_empty();
        any.then(|| Self {
            rules: rules.rules.iter().map(|rule| Compiled::new(rule, shape)).collect(),
            // Only where there are rules are values looked at.
            shape: Arc::new(if rules.rules.is_empty() && !shape.is_map_list() {
                Structure::default()
            } else {
                shape.clone()
            }),
            resource,
            items: items.map(Box::new),
            additional: additional.map(Box::new),
            properties,
            all_of,
        })
    }
}

/// The nearest values for which an old one is known.
#[derive(Clone, Copy, Default)]
struct Ratchet<'a> {
    current: Option<Correlation<'a>>,
    parent: Option<Correlation<'a>>,
}

impl Ratchet<'_> {
    /// Whether nothing changed, so that what is wrong may stay.
    fn holds(&self) -> bool {
        self.current.or(self.parent).is_some_and(|found| found.is_unchanged())
    }

    fn field(self, name: &str) -> Self {
        let Some(current) = self.current else { return self };
        if self.parent.is_none() && matches!(name, "apiVersion" | "kind") {
            return Self::default();
        }
        Self { current: current.field(name), parent: Some(current) }
    }

    fn index(self, at: usize) -> Self {
        let Some(current) = self.current else { return self };
        Self { current: current.index(at), parent: Some(current) }
    }
}

impl Rules {
    /// Reads the rules of a schema.
    pub(super) fn compile(schema: &Structure) -> Self {
        let root = schema.has_rules().then(|| Node::build(schema, schema, true)).flatten();
        Self { root }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Checks all rules on an object and adds what they refuse.
    pub(super) fn check(
        &self,
        schema: &Structure,
        object: &Value,
        old: Option<&Value>,
        checked: &mut Checked,
    ) {
        let Some(root) = &self.root else { return };
        let current = old.map(|old| Correlation::new(object, Some(old), schema));
        let mut run = Run { left: BUDGET, checked };
        run.node(root, "", object, old, Ratchet { current, parent: None });
    }

    /// What the rules of a node say of its default: as a new value, and as one that stays.
    pub(super) fn check_default(path: &str, schema: &Structure, default: &Value) -> Vec<Cause> {
        let root = schema.has_rules().then(|| Node::build(schema, schema, schema.embedded));
        let Some(root) = root.flatten() else { return Vec::new() };
        let mut checked = Checked::default();
        for old in [Some(default), None] {
            let mut run = Run { left: BUDGET, checked: &mut checked };
            run.node(&root, path, default, old, Ratchet::default());
            if !checked.causes.is_empty() {
                break;
            }
        }
        checked.causes
    }

    /// What is wrong with the rules of a definition, as far as they can be read.
    pub(super) fn check_definition(path: &str, schema: &Structure, causes: &mut Vec<Cause>) {
        definition(path, schema, true, None, causes);
    }
}

/// One look at all rules.
struct Run<'a> {
    /// Steps that are left.
    left: u64,
    checked: &'a mut Checked,
}

impl Run<'_> {
    /// Returns whether there are steps left for more.
    fn node(
        &mut self,
        node: &Node,
        path: &str,
        value: &Value,
        old: Option<&Value>,
        ratchet: Ratchet<'_>,
    ) -> bool {
        if value.is_null() {
            return true;
        }
        if !self.rules(node, path, value, old, ratchet) {
            return false;
        }
        let outside = Ratchet { current: None, parent: ratchet.parent };
        if !node.all_of.iter().all(|below| self.node(below, path, value, old, outside)) {
            return false;
        }
        match value {
            Value::Array(list) => {
                let Some(items) = node.items.as_deref() else { return true };
                let old = old.and_then(Value::as_array);
                list.iter().enumerate().all(|(at, value)| {
                    let old = old.and_then(|old| find_by_keys(&node.shape, old, value));
                    self.node(items, &index(path, at), value, old, ratchet.index(at))
                })
            }
            Value::Object(map) => self.fields(node, path, map, old, ratchet),
            _ => true,
        }
    }

    fn fields(
        &mut self,
        node: &Node,
        path: &str,
        map: &Map<String, Value>,
        old: Option<&Value>,
        ratchet: Ratchet<'_>,
    ) -> bool {
        let before = |name: &str| old.and_then(|old| old.get(name));
        if let Some(below) = node.additional.as_deref() {
            for (name, value) in map {
                let path = key(path, name);
                if !self.node(below, &path, value, before(name), ratchet.field(name)) {
                    return false;
                }
            }
        }
        for (name, value) in map {
            let Some(below) = node.properties.get(name) else { continue };
            if !self.node(below, &child(path, name), value, before(name), ratchet.field(name)) {
                return false;
            }
        }
        true
    }

    fn rules(
        &mut self,
        node: &Node,
        path: &str,
        value: &Value,
        old: Option<&Value>,
        ratchet: Ratchet<'_>,
    ) -> bool {
        if node.rules.is_empty() {
            return true;
        }
        let type_name = &*node.shape.type_name;
        let old = old.filter(|old| !old.is_null());
        let own = convert(value, &node.shape, node.resource);
        let before = old.map(|old| convert(old, &node.shape, node.resource));
        for compiled in &node.rules {
            let program = match &compiled.program {
                Ok(program) => program,
                Err(error) => {
                    let text = format!("rule compile error: compilation failed: {error}");
                    self.checked.causes.push(invalid_text(path, type_name, &text));
                    continue;
                }
            };
            let optional = compiled.rule.optional_old_self == Some(true);
            if compiled.uses_old && before.is_none() && !optional {
                continue;
            }
            let mut variables = vec![("self", own.clone())];
            if optional {
                variables.push(("oldSelf", cel::Value::Optional(before.clone().map(Arc::new))));
            } else {
                variables.extend(before.clone().map(|before| ("oldSelf", before)));
            }
            let (outcome, steps) = program.run(&variables);
            if !self.pay(steps, path, type_name) {
                return false;
            }
            match outcome {
                Ok(cel::Value::Bool(true)) => continue,
                Ok(_) => {}
                Err(error) => {
                    let exceeded = error.starts_with("operation cancelled");
                    let name = compiled.name();
                    let text = if error.starts_with("no such overload") {
                        format!(
                            "'{error}': call arguments did not match a supported operator, \
                             function or macro signature for rule: {name}"
                        )
                    } else if exceeded {
                        format!(
                            "'{error}': no further validation rules will be run due to call cost \
                             exceeds limit for rule: {name}"
                        )
                    } else {
                        format!("{error} evaluating rule: {name}")
                    };
                    self.checked.causes.push(invalid_text(path, type_name, &text));
                    if exceeded {
                        return false;
                    }
                    continue;
                }
            }
            let detail = self.message(compiled, &variables);
            let place = match &*compiled.path {
                "" => path.to_owned(),
                below => child(path, below),
            };
            let found = refusal(&place, value, type_name, &detail, compiled.rule.reason.as_deref());
            if !compiled.uses_old && ratchet.holds() {
                self.checked.warnings.push(format!("{}: {}", found.field, found.message));
            } else {
                self.checked.causes.push(found);
            }
        }
        true
    }

    fn pay(&mut self, steps: u64, path: &str, type_name: &str) -> bool {
        let enough = steps <= self.left;
        if !enough {
            self.checked.causes.push(invalid_text(path, type_name, EXHAUSTED));
        }
        self.left = self.left.saturating_sub(steps);
        enough
    }

    /// What is said where a rule does not hold: an expression may say it.
    fn message(&mut self, compiled: &Compiled, variables: &[(&str, cel::Value)]) -> String {
        let Some(program) = &compiled.message else { return compiled.text() };
        let (outcome, steps) = program.run(variables);
        self.left = self.left.saturating_sub(steps);
        match outcome {
            Ok(cel::Value::Text(text)) => {
                let text = text.trim();
                let fits = !text.is_empty() && text.len() <= MOST_MESSAGE && !text.contains('\n');
                if fits { text.to_owned() } else { compiled.text() }
            }
            _ => compiled.text(),
        }
    }
}

/// The cause for a rule that does not hold. Objects and lists are not shown.
fn refusal(
    path: &str,
    value: &Value,
    type_name: &str,
    detail: &str,
    reason: Option<&str>,
) -> Cause {
    let omitted = matches!(type_name, "object" | "array");
    match reason {
        Some("FieldValueForbidden") => forbidden(path, detail),
        Some("FieldValueRequired") => required(path, detail),
        Some("FieldValueDuplicate") if omitted => {
            cause("FieldValueDuplicate", path, "Duplicate value".to_owned())
        }
        Some("FieldValueDuplicate") => super::text::duplicate(path, value),
        _ if omitted => cause("FieldValueInvalid", path, format!("Invalid value: {detail}")),
        _ => invalid(path, value, detail),
    }
}

/// A value as expressions see it. Fields that the schema does not know are not seen; those of
/// objects have names that are words of the language.
fn convert(value: &Value, schema: &Structure, resource: bool) -> cel::Value {
    if schema.int_or_string {
        return cel::Value::from_json(value);
    }
    match (value, &*schema.type_name) {
        (Value::Object(map), "object") => object(map, schema, resource || schema.embedded),
        (Value::Array(list), "array") => {
            let items = schema.items.as_deref();
            let convert = |value| match items {
                Some(items) => convert(value, items, items.embedded),
                None => cel::Value::from_json(value),
            };
            cel::Value::List(Arc::new(list.iter().map(convert).collect()))
        }
        (Value::String(text), "string") => match &*schema.limits.format {
            "date-time" | "datetime" => {
                time::parse(text).map_or_else(|| cel::Value::from(&**text), cel::Value::Timestamp)
            }
            "date" => time::parse(&format!("{text}T00:00:00Z"))
                .map_or_else(|| cel::Value::from(&**text), cel::Value::Timestamp),
            "duration" => time::parse_duration(text)
                .map_or_else(|| cel::Value::from(&**text), cel::Value::Duration),
            "byte" => base64::engine::general_purpose::STANDARD
                .decode(text)
                .map_or_else(|_| cel::Value::from(&**text), |b| cel::Value::Bytes(b.into())),
            _ => cel::Value::from(&**text),
        },
        (Value::Number(number), "number") => {
            cel::Value::Double(number.as_f64().unwrap_or(f64::INFINITY))
        }
        #[expect(clippy::cast_possible_truncation, reason = "as the server converts it")]
        (Value::Number(number), "integer") => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => cel::Value::Int(integer),
            (None, float) => cel::Value::Int(float.unwrap_or_default() as i64),
        },
        (value, _) => cel::Value::from_json(value),
    }
}

fn object(map: &Map<String, Value>, schema: &Structure, resource: bool) -> cel::Value {
    let mut out = BTreeMap::new();
    let mut put = |name: String, value| out.insert(cel::Key::Text(name.into()), value);
    if let Some(field) = schema.additional_schema().filter(|_| schema.properties.is_empty()) {
        for (name, value) in map {
            put(name.clone(), convert(value, field, field.embedded));
        }
        return cel::Value::Map(Arc::new(out));
    }
    for (name, value) in map {
        if resource && matches!(&**name, "apiVersion" | "kind") {
            put(name.clone(), cel::Value::from_json(value));
        } else if resource && name == "metadata" {
            let known = ["generateName", "name"].into_iter();
            let known = known.filter_map(|name| Some((name.to_owned(), value.get(name)?.clone())));
            put(name.clone(), cel::Value::from_json(&known.collect::<Map<_, _>>().into()));
        } else if let Some(field) = schema.properties.get(name)
            && let Some(name) = escape(name)
        {
            put(name, convert(value, field, field.embedded));
        }
    }
    cel::Value::Map(Arc::new(out))
}

/// The name of a field as expressions write it; `None` where they cannot.
fn escape(name: &str) -> Option<String> {
    const RESERVED: [&str; 22] = [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
        "",
    ];
    if RESERVED.contains(&name) {
        return (!name.is_empty()).then(|| format!("__{name}__"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    let starts_fit = !name.starts_with(|c: char| c.is_ascii_digit());
    (starts_fit && name.chars().all(fits)).then(|| {
        name.replace("__", "__underscores__")
            .replace('.', "__dot__")
            .replace('-', "__dash__")
            .replace('/', "__slash__")
    })
}

/// Looks at the rules of a node and below. `loose` is the first place above whose parts cannot be
/// told apart, so that there is no old value.
fn definition(
    path: &str,
    schema: &Structure,
    resource: bool,
    loose: Option<&str>,
    causes: &mut Vec<Cause>,
) {
    if let Some(below) = schema.additional_schema() {
        definition(&child(path, "additionalProperties"), below, below.embedded, loose, causes);
    }
    for (name, property) in &schema.properties {
        let path = key(&child(path, "properties"), name);
        definition(&path, property, property.embedded, loose, causes);
    }
    if let Some(items) = schema.items.as_deref() {
        let loose = loose.or((!schema.is_map_list()).then_some(path));
        definition(&child(path, "items"), items, items.embedded, loose, causes);
    }
    for (at, rule) in schema.rules.iter().enumerate() {
        let place = index(&child(path, "x-kubernetes-validations"), at);
        let shown = show(rule);
        let compiled = Compiled::new(rule, schema);
        if let Some(error) = rule_fault(&compiled, schema, resource) {
            let text = format!("Invalid value: {shown}: {error}");
            causes.push(cause("FieldValueInvalid", &child(&place, "rule"), text));
        }
        if !rule.message_expression.is_empty()
            && let Err(error) = Program::parse(&rule.message_expression)
        {
            let text =
                format!("Invalid value: {shown}: messageExpression compilation failed: {error}");
            causes.push(cause("FieldValueInvalid", &child(&place, "messageExpression"), text));
        }
        if compiled.uses_old {
            if let Some(loose) = loose {
                let text = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within \
                     {loose}"
                );
                causes.push(invalid_text(&child(&place, "rule"), &rule.rule, &text));
            }
        } else if let Some(optional) = rule.optional_old_self.filter(|_| compiled.program.is_ok()) {
            let text = "may not be set if oldSelf is not used in rule";
            causes.push(invalid(&child(&place, "optionalOldSelf"), &optional.into(), text));
        }
    }
}

/// Why a rule cannot be used.
fn rule_fault(compiled: &Compiled, schema: &Structure, resource: bool) -> Option<String> {
    let program = match &compiled.program {
        Ok(program) => program,
        Err(error) => return Some(format!("compilation failed: {error}")),
    };
    let own = type_of(schema, resource);
    let old = match compiled.rule.optional_old_self {
        Some(true) => cel::Type::Dyn,
        _ => own.clone(),
    };
    match program.check(&compiled.rule.rule, &[("self", own), ("oldSelf", old)]) {
        Ok(cel::Type::Bool | cel::Type::Dyn) => None,
        Ok(_) => Some("cel expression must evaluate to a bool".to_owned()),
        Err(error) => Some(format!("compilation failed: {error}")),
    }
}

/// The type that expressions see, as [`convert`] makes the values.
fn type_of(schema: &Structure, resource: bool) -> cel::Type {
    if schema.int_or_string || schema.nullable {
        return cel::Type::Dyn;
    }
    match &*schema.type_name {
        "boolean" => cel::Type::Bool,
        "integer" => cel::Type::Int,
        "number" => cel::Type::Double,
        "string" => match &*schema.limits.format {
            "date-time" | "datetime" | "date" => cel::Type::Timestamp,
            "duration" => cel::Type::Duration,
            "byte" => cel::Type::Bytes,
            _ => cel::Type::Text,
        },
        "array" => {
            let items = schema.items.as_deref();
            let element = items.map_or(cel::Type::Dyn, |items| type_of(items, items.embedded));
            cel::Type::List(Arc::new(element))
        }
        "object" => match schema.additional_schema().filter(|_| schema.properties.is_empty()) {
            Some(field) => cel::Type::Map(Arc::new(type_of(field, field.embedded))),
            None => object_type(schema, resource || schema.embedded),
        },
        _ => cel::Type::Dyn,
    }
}

fn object_type(schema: &Structure, resource: bool) -> cel::Type {
    let mut fields: BTreeMap<_, _> = (schema.properties.iter())
        .filter_map(|(name, field)| Some((escape(name)?, type_of(field, field.embedded))))
        .collect();
    if resource {
        let names = ["generateName", "name"].map(|name| (name.to_owned(), cel::Type::Text));
        fields.insert("metadata".to_owned(), cel::Type::Object(Arc::new(names.into())));
        fields.insert("apiVersion".to_owned(), cel::Type::Text);
        fields.insert("kind".to_owned(), cel::Type::Text);
    }
    cel::Type::Object(Arc::new(fields))
}

/// A rule as the server's struct prints it.
fn show(rule: &Rule) -> String {
    let text = |text: &str| go_json(&text.into());
    format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\
         \"OptionalOldSelf\":{}}}",
        text(&rule.rule),
        text(&rule.message),
        text(&rule.message_expression),
        rule.reason.as_deref().map_or_else(|| "null".to_owned(), text),
        text(&rule.field_path),
        rule.optional_old_self.map_or_else(|| "null".to_owned(), |flag| flag.to_string()),
    )
}
