//! Whether a value fits its schema, and what the server says where it does not.
//!
//! Source: kube-openapi `pkg/validation/validate`, whose order, counting of matches and doubles of
//! messages are kept, because they decide which causes an answer has; and apiextensions-apiserver
//! `pkg/apiserver/validation/{validation,ratcheting}.go`.

use serde_json::Value;

use super::correlation::Correlation;
use super::formats;
use super::structure::{Additional, Structure};
use super::text::{cause, child, go_float_value, invalid, not_supported, quote, required};
use crate::rehearsal::Cause;

/// What is wrong with a new value. `path` stands before the paths of the causes.
pub(super) fn validate(path: &str, value: &Value, schema: &Structure) -> Vec<Cause> {
    causes(path, node(schema, value, "", None))
}

/// What is wrong with a changed value; what was as wrong before and did not change is let pass.
pub(super) fn validate_update(
    path: &str,
    schema: &Structure,
    correlation: &Correlation<'_>,
) -> Vec<Cause> {
    causes(path, ratcheted(schema, correlation.new, "", Some(correlation)))
}

/// What a check found.
#[derive(Default)]
struct Found {
    faults: Vec<Fault>,
    /// How many checks held: of several alternatives, the one that held most is spoken of.
    matches: usize,
}

/// One thing that is wrong.
struct Fault {
    /// The server drops a fault whose text was there before.
    text: String,
    kind: Fail,
    /// Where; empty for the value itself.
    path: String,
    /// What is shown.
    value: Value,
}

enum Fail {
    /// A junctor, or a range: has no path.
    Plain,
    Required,
    Choice(Vec<String>),
    TooLong(i64),
    TooMany(i64),
    Type,
    Value,
}

impl Found {
    fn add(&mut self, fault: Fault) {
        if !self.faults.iter().any(|known| known.text == fault.text) {
            self.faults.push(fault);
        }
    }

    fn merge(&mut self, other: Self) {
        self.matches += other.matches;
        for fault in other.faults {
            self.add(fault);
        }
    }

    fn plain(&mut self, text: String) {
        self.add(Fault { text, kind: Fail::Plain, path: String::new(), value: Value::Null });
    }

    fn is_valid(&self) -> bool {
        self.faults.is_empty()
    }
}

fn fail(kind: Fail, path: &str, value: Value, text: String) -> Fault {
    Fault { text, kind, path: path.to_owned(), value }
}

fn causes(path: &str, found: Found) -> Vec<Cause> {
    found.faults.into_iter().map(|fault| fault.into_cause(path)).collect()
}

impl Fault {
    fn into_cause(self, root: &str) -> Cause {
        let below = self.path.strip_prefix('.').unwrap_or(&self.path);
        let path = if below.is_empty() { root.to_owned() } else { child(root, below) };
        let shown = if self.value.is_null() { Value::from("") } else { self.value };
        match self.kind {
            Fail::Plain => invalid(root, &"".into(), &self.text),
            Fail::Required => required(&path, ""),
            Fail::Choice(choices) => not_supported(&path, &shown, &choices),
            Fail::TooLong(most) => {
                let text = format!("Too long: may not be more than {most} bytes");
                cause("FieldValueTooLong", &path, text)
            }
            Fail::TooMany(most) => {
                let items = if most == 1 { "item" } else { "items" };
                let text = format!("Too many: {shown}: must have at most {most} {items}");
                cause("FieldValueTooMany", &path, text)
            }
            Fail::Type => {
                Cause { reason: "FieldValueTypeInvalid", ..invalid(&path, &shown, &self.text) }
            }
            Fail::Value => invalid(&path, &shown, &self.text),
        }
    }
}

/// A value that may have an old one: what is wrong is let pass where nothing changed.
fn ratcheted(
    schema: &Structure,
    value: &Value,
    path: &str,
    correlation: Option<&Correlation<'_>>,
) -> Found {
    let mut found = node(schema, value, path, correlation);
    if !found.is_valid() && correlation.is_some_and(Correlation::is_unchanged) {
        found.faults.clear();
    }
    found
}

fn node(
    schema: &Structure,
    value: &Value,
    path: &str,
    correlation: Option<&Correlation<'_>>,
) -> Found {
    let check = Check { schema, value, path, correlation };
    let mut found = Found::default();
    if value.is_null() {
        found.merge(check.type_of());
        found.merge(check.choices());
        return found;
    }
    let mut step = |part: Found| {
        found.merge(part);
        found.matches += 1;
    };
    if !check.types().is_empty() || !check.format().is_empty() {
        step(check.type_of());
    }
    step(check.junctors());
    match value {
        Value::String(text) => {
            step(check.text(text));
            if formats::is_checked(check.format()) {
                step(check.format_of(text));
            }
        }
        Value::Number(number) => step(check.number(number)),
        Value::Array(list) => step(check.list(list)),
        _ => {}
    }
    step(check.choices());
    if let Value::Object(map) = value {
        step(check.object(map));
    }
    found.matches += 1;
    found
}

struct Check<'a> {
    schema: &'a Structure,
    value: &'a Value,
    path: &'a str,
    correlation: Option<&'a Correlation<'a>>,
}

/// A number as the server's decoder has it: whole numbers of 64 bits are integers, others floats.
#[derive(Clone, Copy)]
enum Number {
    Integer(i64),
    Float(f64),
}

impl Number {
    fn of(number: &serde_json::Number) -> Self {
        match number.as_i64() {
            Some(integer) => Self::Integer(integer),
            None => Self::Float(number.as_f64().unwrap_or(f64::INFINITY)),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "as the server converts it")]
    fn float(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }
}

/// Whether a float holds an integer that JSON can carry.
fn is_whole(float: f64) -> bool {
    // Beyond 2^53 floats have gaps.
    float.is_finite() && float.abs() <= 9_007_199_254_740_991.0 && float.fract() == 0.0
}

impl Check<'_> {
    fn types(&self) -> Vec<&str> {
        if self.schema.int_or_string {
            return vec!["integer", "string"];
        }
        Some(&*self.schema.type_name).filter(|name| !name.is_empty()).into_iter().collect()
    }

    /// The format, where the server knows it for this type.
    fn format(&self) -> &str {
        let format = &*self.schema.limits.format;
        let known = match *self.types() {
            [] | ["string"] | [_, _, ..] => formats::is_known(format),
            ["integer"] => matches!(format, "int32" | "int64"),
            ["number"] => matches!(format, "float" | "double"),
            [_] => false,
        };
        if known { format } else { "" }
    }

    fn wrong_type(&self, found: &str, expected: &str) -> Found {
        let path = self.path;
        let text = format!("{path} in body must be of type {expected}: {}", quote(found));
        Found { faults: vec![fail(Fail::Type, path, found.into(), text)], matches: 0 }
    }

    fn type_of(&self) -> Found {
        let types = self.types();
        let held = Found { faults: Vec::new(), matches: 1 };
        let (name, number) = match self.value {
            Value::Null if types.is_empty() || self.schema.nullable => return held,
            Value::Null => return self.wrong_type("null", &types.join(",")),
            Value::Bool(_) => ("boolean", None),
            Value::String(_) => ("string", None),
            Value::Array(_) => ("array", None),
            Value::Object(_) => ("object", None),
            Value::Number(number) => match Number::of(number) {
                Number::Integer(_) => ("integer", None),
                Number::Float(float) => ("number", Some(float)),
            },
        };
        let fits = types.contains(&name)
            || number.is_some_and(|float| is_whole(float) && types.contains(&"integer"))
            || (name == "integer" && types.contains(&"number"));
        let format = self.format();
        let textual = matches!(self.value, Value::String(_) | Value::Array(_));
        if !format.is_empty() && !textual && !fits {
            let own = match name {
                "integer" => "int64",
                "number" => "float64",
                _ => "",
            };
            if own != format {
                return self.wrong_type(own, format);
            }
        }
        let numeric = types.contains(&"number") || types.contains(&"integer");
        if fits || (!numeric && !format.is_empty() && textual) {
            held
        } else {
            self.wrong_type(name, &types.join(","))
        }
    }

    fn junctors(&self) -> Found {
        let mut found = Found::default();
        let quoted = quote(self.path);
        let each = |schema: &Structure| node(schema, self.value, self.path, self.correlation);
        if !self.schema.any_of.is_empty() {
            let mut best: Option<Found> = None;
            let mut success = None;
            for result in self.schema.any_of.iter().map(each) {
                if result.is_valid() {
                    success = Some(result);
                    break;
                }
                if best.as_ref().is_none_or(|best| result.matches > best.matches) {
                    best = Some(result);
                }
            }
            if success.is_none() {
                found.plain(format!("{quoted} must validate at least one schema (anyOf)"));
            }
            found.merge(success.or(best).unwrap_or_default());
        }
        if !self.schema.one_of.is_empty() {
            self.one_of(&mut found, &quoted, each);
        }
        if !self.schema.all_of.is_empty() {
            let mut held = 0;
            for result in self.schema.all_of.iter().map(each) {
                held += usize::from(result.is_valid());
                found.merge(result);
            }
            if held != self.schema.all_of.len() {
                let none = if held == 0 { ". None validated" } else { "" };
                found.plain(format!("{quoted} must validate all the schemas (allOf){none}"));
            }
        }
        if self.schema.not.as_deref().is_some_and(|not| each(not).is_valid()) {
            found.plain(format!("{quoted} must not validate the schema (not)"));
        }
        found.matches += 1;
        found
    }

    fn one_of(&self, found: &mut Found, quoted: &str, each: impl Fn(&Structure) -> Found) {
        let mut best: Option<Found> = None;
        let mut success = None;
        let mut held = 0;
        for result in self.schema.one_of.iter().map(each) {
            if result.is_valid() {
                held += 1;
                best = None;
                success.get_or_insert(result);
            } else if held == 0 && best.as_ref().is_none_or(|best| result.matches > best.matches) {
                best = Some(result);
            }
        }
        if held == 1 {
            found.merge(success.unwrap_or_default());
            return;
        }
        let how_many = match held {
            0 => "Found none valid".to_owned(),
            held => format!("Found {held} valid alternatives"),
        };
        found.plain(format!("{quoted} must validate one and only one schema (oneOf). {how_many}"));
        found.merge(best.unwrap_or_default());
    }

    fn text(&self, text: &str) -> Found {
        let (limits, path) = (&self.schema.limits, self.path);
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        let fault = if let Some(most) = limits.max_length.filter(|most| length > *most) {
            let text = format!("{path} in body should be at most {most} chars long");
            Some((Fail::TooLong(most), text))
        } else if let Some(least) = limits.min_length.filter(|least| length < *least) {
            Some((Fail::Value, format!("{path} in body should be at least {least} chars long")))
        } else {
            limits.pattern.as_ref().and_then(|(pattern, regex)| {
                let missed = regex.as_ref().is_ok_and(|regex| !regex.is_match(text));
                let message = format!("{path} in body should match '{pattern}'");
                missed.then_some((Fail::Value, message))
            })
        };
        let faults = fault.map(|(kind, message)| fail(kind, path, text.into(), message));
        Found { faults: faults.into_iter().collect(), matches: 0 }
    }

    fn format_of(&self, text: &str) -> Found {
        if formats::holds(self.format(), text) {
            return Found::default();
        }
        self.wrong_type(text, self.format())
    }

    /// The type and format whose range a number must be in.
    fn range(&self) -> (&str, &str) {
        match *self.types() {
            ["integer"] => ("integer", self.format()),
            ["number"] => ("number", self.format()),
            _ => ("", ""),
        }
    }

    /// Says where a number does not fit the range of its type. `what` is `Checked` for the value
    /// itself.
    fn out_of_range(&self, number: Number, what: &str) -> Option<String> {
        let (type_name, format) = self.range();
        let fits = match (type_name, format, number) {
            ("integer", "int32", Number::Integer(integer)) => i32::try_from(integer).is_ok(),
            ("integer", _, Number::Integer(_)) => true,
            ("integer", "int32", Number::Float(float)) => {
                float.fract() == 0.0 && float.abs() <= f64::from(i32::MAX)
            }
            ("integer", _, Number::Float(float)) => {
                float.fract() == 0.0 && float.abs() < 9_223_372_036_854_775_808.0
            }
            (_, "float", number) => number.float().abs() <= f64::from(f32::MAX),
            _ => true,
        };
        let suffix = match format {
            "" => "(default format)".to_owned(),
            format => format!("with format {format}"),
        };
        let path = self.path;
        (!fits).then(|| format!("{what} value must be of type {type_name} {suffix} in {path}"))
    }

    fn number(&self, number: &serde_json::Number) -> Found {
        let mut found = Found::default();
        let value = Number::of(number);
        if let Some(text) = self.out_of_range(value, "Checked") {
            found.plain(text);
        }
        let limits = &self.schema.limits;
        if let Some(factor) = limits.multiple_of {
            self.bound(&mut found, value, factor, "MultipleOf", &self.multiple(value, factor));
        }
        if let Some(least) = limits.minimum {
            let text = self.minimum(value, least, limits.exclusive_minimum);
            self.bound(&mut found, value, least, "Minimum boundary", &text);
        }
        if let Some(most) = limits.maximum {
            let text = self.maximum(value, most, limits.exclusive_maximum);
            self.bound(&mut found, value, most, "Maximum boundary", &text);
        }
        found.matches += 1;
        found
    }

    fn bound(
        &self,
        found: &mut Found,
        value: Number,
        bound: f64,
        what: &str,
        text: &Option<String>,
    ) {
        if let Some(text) = self.out_of_range(Number::Float(bound), what) {
            found.plain(text);
        }
        if let Some(text) = text {
            let shown = match value {
                Number::Integer(integer) => integer.into(),
                Number::Float(float) => float.into(),
            };
            found.add(fail(Fail::Value, self.path, shown, text.clone()));
        }
    }

    fn multiple(&self, value: Number, factor: f64) -> Option<String> {
        let path = self.path;
        #[expect(clippy::cast_possible_truncation, reason = "as the server converts it")]
        let whole = factor as i64;
        if factor <= 0.0 || matches!(value, Number::Integer(_) if whole <= 0) {
            let factor = go_float_value(factor);
            return Some(format!(
                "factor MultipleOf declared for {path} must be positive: {factor}"
            ));
        }
        let (holds, shown) = match value {
            Number::Integer(integer) => (integer % whole == 0, whole.to_string()),
            Number::Float(float) => {
                let times = if factor < 1.0 { 1.0 / factor * float } else { float / factor };
                (is_whole(times), go_float_value(factor))
            }
        };
        (!holds).then(|| format!("{path} in body should be a multiple of {shown}"))
    }

    fn minimum(&self, value: Number, least: f64, exclusive: bool) -> Option<String> {
        let (below, equal, shown) = compare(value, least);
        let word = if exclusive { "greater than" } else { "greater than or equal to" };
        let path = self.path;
        (below || (exclusive && equal)).then(|| format!("{path} in body should be {word} {shown}"))
    }

    fn maximum(&self, value: Number, most: f64, exclusive: bool) -> Option<String> {
        let (below, equal, shown) = compare(value, most);
        let word = if exclusive { "less than" } else { "less than or equal to" };
        let path = self.path;
        let above = !below && !equal;
        (above || (exclusive && equal)).then(|| format!("{path} in body should be {word} {shown}"))
    }

    fn list(&self, list: &[Value]) -> Found {
        let (limits, path) = (&self.schema.limits, self.path);
        let mut found = Found::default();
        if let Some(items) = self.schema.items.as_deref() {
            for (at, value) in list.iter().enumerate() {
                let old = self.correlation.and_then(|correlation| correlation.index(at));
                let place = format!("{path}[{at}]");
                found.merge(ratcheted(items, value, &place, old.as_ref()));
            }
        }
        let size = i64::try_from(list.len()).unwrap_or(i64::MAX);
        if let Some(least) = limits.min_items.filter(|least| size < *least) {
            let text = format!("{path} in body should have at least {least} items");
            found.add(fail(Fail::Value, path, size.into(), text));
        }
        if let Some(most) = limits.max_items.filter(|most| size > *most) {
            let text = format!("{path} in body should have at most {most} items");
            found.add(fail(Fail::TooMany(most), path, size.into(), text));
        }
        found.matches += 1;
        found
    }

    fn choices(&self) -> Found {
        let Some(choices) = self.schema.limits.choices.as_ref().filter(|list| !list.is_empty())
        else {
            return Found::default();
        };
        if !self.value.is_null() && choices.iter().any(|choice| same(choice, self.value)) {
            return Found::default();
        }
        let shown: Vec<_> = choices
            .iter()
            .map(|choice| match choice {
                Value::String(text) => text.clone(),
                other => super::text::go_json(other),
            })
            .collect();
        let text = format!("{} in body should be one of [{}]", self.path, shown.join(" "));
        let fault = fail(Fail::Choice(shown), self.path, self.value.clone(), text);
        Found { faults: vec![fault], matches: 0 }
    }

    fn object(&self, map: &serde_json::Map<String, Value>) -> Found {
        let (limits, path) = (&self.schema.limits, self.path);
        let mut found = Found::default();
        let size = i64::try_from(map.len()).unwrap_or(i64::MAX);
        if let Some(least) = limits.min_properties.filter(|least| size < *least) {
            let text = format!("{path} in body should have at least {least} properties");
            found.add(fail(Fail::Value, path, size.into(), text));
        }
        if let Some(most) = limits.max_properties.filter(|most| size > *most) {
            let text = format!("{path} in body should have at most {most} properties");
            found.add(fail(Fail::TooMany(most), path, size.into(), text));
        }
        let others = map.iter().filter(|(name, _)| !self.schema.properties.contains_key(*name));
        match &self.schema.additional {
            Some(Additional::Any(false)) => {
                for (name, _) in others {
                    let text = format!("{path}.{name} in body is a forbidden property");
                    found.add(fail(Fail::Value, path, name.as_str().into(), text));
                }
            }
            Some(Additional::Schema(schema)) => {
                for (name, value) in others {
                    found.merge(self.field(schema, name, value, &format!("{path}.{name}")));
                }
            }
            _ => {}
        }
        for (name, schema) in &self.schema.properties {
            if let Some(value) = map.get(name) {
                found.merge(self.field(schema, name, value, &child(path, name)));
            }
        }
        for name in &limits.required {
            if !map.contains_key(name) {
                let place = format!("{path}.{name}");
                let text = format!("{place} in body is required");
                found.add(fail(Fail::Required, &place, Value::Null, text));
            }
        }
        found
    }

    fn field(&self, schema: &Structure, name: &str, value: &Value, path: &str) -> Found {
        // The version and kind of the object are those of the request, old or new.
        let is_kind = self.path.is_empty() && matches!(name, "apiVersion" | "kind");
        let old = self.correlation.filter(|_| !is_kind);
        let old = old.and_then(|correlation| correlation.field(name));
        ratcheted(schema, value, path, old.as_ref())
    }
}

/// Whether a value is below a bound, or is it, and the bound as it is shown beside it.
fn compare(value: Number, bound: f64) -> (bool, bool, String) {
    match value {
        Number::Integer(integer) => {
            #[expect(clippy::cast_possible_truncation, reason = "as the server converts it")]
            let bound = bound as i64;
            (integer < bound, integer == bound, bound.to_string())
        }
        #[expect(clippy::float_cmp, reason = "as the server compares it")]
        Number::Float(float) => (float < bound, float == bound, go_float_value(bound)),
    }
}

/// Whether two values are the same, a whole float being an integer.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        #[expect(clippy::float_cmp, reason = "as the server compares it")]
        (Value::Number(a), Value::Number(b)) => {
            a == b || Number::of(a).float() == Number::of(b).float()
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: &Value, value: &Value) -> Vec<String> {
        let causes = validate("", value, &Structure::parse(schema));
        causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn a_fraction_is_no_integer_and_outside_its_range() {
        let schema = json!({"properties": {"spec": {"properties": {"n": {"type": "integer"}}}}});
        let found = check(&schema, &json!({"spec": {"n": 1.5}}));
        let expected = [
            r#"spec.n: Invalid value: "number": spec.n in body must be of type integer: "number""#,
            r#"<nil>: Invalid value: "": Checked value must be of type integer (default format) in spec.n"#,
        ];
        assert_eq!(found, expected);
        assert!(check(&schema, &json!({"spec": {"n": 2.0}})).is_empty());
    }

    #[test]
    fn of_alternatives_the_nearest_is_spoken_of() {
        let schema = json!({"anyOf": [
            {"required": ["a"]},
            {"required": ["b"], "properties": {"c": {"enum": ["x"]}}},
        ]});
        assert!(check(&schema, &json!({"b": 1})).is_empty());
        let found = check(&schema, &json!({"c": "x"}));
        let expected = [
            r#"<nil>: Invalid value: "": "" must validate at least one schema (anyOf)"#,
            "b: Required value",
        ];
        assert_eq!(found, expected);
    }
}
