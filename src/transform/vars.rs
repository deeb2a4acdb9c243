//! `vars`: `$(NAME)` stands for a field of a resource.
//!
//! Each layer notes which of its resources its vars mean, so that later renames do not matter; once
//! all names are final, the values are looked up and put where the configuration says that vars may
//! stand. A text that is nothing but `$(NAME)` takes the value with its type.
//!
//! Source: kustomize `api/internal/accumulator/{resaccumulator,refvartransformer}.go`,
//! `api/filters/refvar`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ecow::EcoString;

use crate::error::{Error, ErrorKind, Place, Result, Warning};
use crate::field_path;
use crate::fields::{Chosen, Make, Outcome, Problem};
use crate::kustomization::Var;
use crate::resource::{Id, Resource};
use crate::resources::Resources;
use crate::transform::config::VarReferences;
use crate::value::{Map, Scalar, Style, Tag, Value};
use crate::yaml::scalar::{self, Meaning};

/// The vars of all layers so far, by name.
#[derive(Clone, Debug, Default)]
pub struct Vars(BTreeMap<EcoString, Known>);

/// A var and where it stands.
#[derive(Clone, Debug)]
struct Known {
    var: Var,
    place: Place,
}

impl Vars {
    /// Takes in the vars of a layer, each of which stands at `locate(index)`, and notes on
    /// `resources` which ones they mean.
    ///
    /// # Errors
    /// Where a var means more than one resource, or its name is taken.
    pub fn merge(
        &mut self,
        vars: &[Var],
        resources: &mut Resources,
        locate: &dyn Fn(usize) -> Place,
    ) -> Result<()> {
        for (index, var) in vars.iter().enumerate() {
            note(var, resources).map_err(|error| error.at(locate(index)))?;
        }
        for (index, var) in vars.iter().enumerate() {
            self.add(Known { var: var.clone(), place: locate(index) })?;
        }
        Ok(())
    }

    /// Takes in the vars of a base.
    ///
    /// # Errors
    /// Where a name is taken.
    pub fn append(&mut self, base: Self) -> Result<()> {
        base.0.into_values().try_for_each(|known| self.add(known))
    }

    fn add(&mut self, known: Known) -> Result<()> {
        let Known { var, place } = &known;
        if let Some(first) = self.0.get(&var.name) {
            let message = format!("var \"{}\" is there already", var.name);
            return Err(Error::new(ErrorKind::Invalid, place.clone(), message)
                .hint(format!("the other one is at {}", first.place)));
        }
        self.0.insert(var.name.clone(), known);
        Ok(())
    }

    /// Puts the values of all vars into the fields that `specs` name; warns of unused vars.
    ///
    /// # Errors
    /// Where a var means no resource, or a field that is missing, or a field that may hold vars is
    /// neither text nor texts.
    pub fn resolve(
        &self,
        resources: &mut Resources,
        specs: &VarReferences,
    ) -> Result<Vec<Warning>> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let mut expansion = Expansion { values: self.values(resources)?, used: BTreeSet::new() };
        let mut chosen = Chosen::new(specs.specs());
        for resource in resources.iter_mut() {
            for path in chosen.of(resource.as_kind()).iter() {
                let mut set = |field: &mut Value| expansion.field(field);
                let set = path.walk(&mut resource.value, Make::Nothing, &mut set);
                set.map_err(|problem| problem.of(resource))?;
            }
            let _ = resource.settle_twins();
        }
        let unused = self.0.values().filter(|known| !expansion.used.contains(&known.var.name));
        Ok(unused.map(Known::unused).collect())
    }

    fn values(&self, resources: &Resources) -> Result<BTreeMap<EcoString, Value>> {
        let mut meant = BTreeMap::new();
        for resource in resources {
            for name in &resource.named_by {
                meant.entry(name.clone()).or_insert(resource);
            }
        }
        let value = |(name, known): (&EcoString, &Known)| {
            let value = known.value(meant.get(name).copied());
            value.map(|value| (name.clone(), value))
        };
        self.0.iter().map(value).collect()
    }
}

impl Known {
    fn refused(&self, message: String) -> Error {
        Error::new(ErrorKind::Invalid, self.place.clone(), message)
    }

    fn unused(&self) -> Warning {
        let message = format!("var \"{}\" is used nowhere", self.var.name);
        Warning { place: self.place.clone(), message }
    }

    fn value(&self, resource: Option<&Resource>) -> Result<Value> {
        let var = &self.var;
        let path = if var.field_path.is_empty() { "metadata.name" } else { &var.field_path };
        let Some(resource) = resource else {
            let message = format!("var \"{}\" means no resource: {}", var.name, named(var));
            return Err(self.refused(message).hint("name it as its file does"));
        };
        match field_path::find(&resource.value, &indexed(path)) {
            Ok(Some(value)) if is_readable(value) => Ok(value.clone()),
            Ok(Some(_)) => {
                let (field, name) = (named(var), &var.name);
                let message = format!(
                    "field \"{path}\" of {field} is no decimal number, as var \"{name}\" needs"
                );
                Err(self.refused(message).within(Place::file(resource.origin.file.clone())))
            }
            _ => {
                let message =
                    format!("{} of var \"{}\" has no field \"{path}\"", named(var), var.name);
                Err(self.refused(message).within(Place::file(resource.origin.file.clone())))
            }
        }
    }
}

fn named(var: &Var) -> String {
    let at = if var.object_namespace.is_empty() {
        String::new()
    } else {
        format!(" in namespace \"{}\"", var.object_namespace)
    };
    format!("{} {} \"{}\"{at}", var.gvk.api_version(), var.gvk.kind, var.object_name)
}

/// Notes on the resource that a var means that the var takes its value from it.
fn note(var: &Var, resources: &mut Resources) -> Result<()> {
    let asked = Id {
        gvk: var.gvk.clone(),
        name: var.object_name.clone(),
        namespace: var.object_namespace.clone(),
    };
    let any_namespace = asked.namespace.is_empty() && !crate::schema::is_cluster_scoped(&asked.gvk);
    let means = |id: Id| match any_namespace {
        true => id.gvk == asked.gvk && id.name == asked.name,
        false => id.is_same(&asked),
    };
    let mut found: Vec<&mut Resource> =
        resources.iter_mut().filter(|one| one.ids().any(means)).collect();
    match found.as_mut_slice() {
        [] => Ok(()),
        [one] => {
            one.named_by.push(var.name.clone());
            Ok(())
        }
        many => {
            let message =
                format!("var \"{}\" means {} resources: {}", var.name, many.len(), named(var));
            Err(Error::new(ErrorKind::Invalid, Place::file(""), message)
                .hint("add \"namespace\" to its objref"))
        }
    }
}

/// A path in which `a[0]` is the same as `a.0`.
fn indexed(path: &str) -> Vec<EcoString> {
    let mut parts = Vec::new();
    for part in field_path::split(path) {
        let inside = part.strip_suffix(']').and_then(|start| start.rsplit_once('['));
        match inside {
            Some((name, index))
                if !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) =>
            {
                parts.push(name.into());
                parts.push(index.into());
            }
            _ => parts.push(part),
        }
    }
    parts
}

/// Whether a value can be read as what it claims to be, whatever quotes it came to stand in; integers
/// in decimal digits only.
fn is_readable(value: &Value) -> bool {
    let Value::Scalar(scalar) = value else { return true };
    let is_int = match scalar.style {
        Style::QuotedAs(tag) => tag == Tag::Int,
        _ => scalar.tag() == Tag::Int,
    };
    !is_int || scalar.text.parse::<i64>().is_ok()
}

/// The values of vars, and which of them were used.
struct Expansion {
    values: BTreeMap<EcoString, Value>,
    used: BTreeSet<EcoString>,
}

impl Expansion {
    /// A field that may hold vars: a text, a list of texts, or a mapping with texts in it.
    fn field(&mut self, field: &mut Value) -> Outcome {
        match field {
            Value::Null => Ok(()),
            Value::Scalar(scalar) => {
                if let Some(value) = self.scalar(scalar) {
                    *field = value;
                }
                Ok(())
            }
            Value::Map(map) => self.map(map),
            Value::List(list) => {
                let holds_text =
                    |value: &Value| matches!(value, Value::Scalar(one) if is_text(one));
                if !list.iter().all(holds_text) {
                    return Err(Problem::new("elements have to be strings, for vars"));
                }
                for element in list.make_mut() {
                    self.field(element)?;
                }
                Ok(())
            }
        }
    }

    fn map(&mut self, map: &mut Map) -> Outcome {
        if let Some((key, _)) = map.iter().find(|(key, _)| key.typed) {
            return Err(Problem::new(format!("key {} has to be a string, for vars", key.text)));
        }
        for (_, value) in map.iter_mut() {
            if let Value::Scalar(scalar) = value
                && let Some(new) = self.scalar(scalar)
            {
                *value = new;
            }
        }
        Ok(())
    }

    /// A string with its vars replaced; `None` where it is none.
    fn scalar(&mut self, scalar: &Scalar) -> Option<Value> {
        if !is_text(scalar) {
            return None;
        }
        let text = scalar.text.as_str();
        if !text.contains('$') {
            // It is set all the same, and is a string from here on.
            let is_new = scalar.style == Style::Bare || !scalar.is_as_set();
            return is_new.then(|| Value::string(text));
        }
        if let Some(value) = self.whole(text) {
            return Some(value);
        }
        Some(Value::string(self.text(text)))
    }

    /// The value of a text that is one var and nothing else.
    fn whole(&mut self, text: &str) -> Option<Value> {
        let name = text.strip_prefix("$(")?.strip_suffix(')')?;
        match self.value(name)? {
            Value::Scalar(scalar) => Some(typed(&scalar)),
            _ => None,
        }
    }

    /// The scalar that a var stands for; nulls count as text.
    fn value(&mut self, name: &str) -> Option<Value> {
        let value = self.values.get(name)?;
        let value = match value {
            Value::Null => Value::string("null"),
            Value::Scalar(Scalar { text, style: Style::Bare }) => Value::string(text.clone()),
            // Its own type counts, not the quotes that it came to stand in.
            Value::Scalar(Scalar { text, style: Style::QuotedAs(tag) }) => {
                Value::Scalar(Scalar { text: text.clone(), style: Style::Tagged(*tag) })
            }
            Value::Scalar(_) => value.clone(),
            Value::List(_) | Value::Map(_) => return None,
        };
        self.used.insert(name.into());
        Some(value)
    }

    /// A text with vars in it; `$$` is a dollar, unknown vars stay.
    fn text(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some((name, after)) = variable(rest) {
                match self.value(name) {
                    Some(Value::Scalar(scalar)) => out.push_str(&shown(&scalar)),
                    _ => out.extend(["$(", name, ")"]),
                }
                rest = after;
            } else {
                out.push('$');
            }
        }
        out.push_str(rest);
        out
    }
}

/// Whether kustomize takes a scalar for a string: also where a step has put it there without a tag,
/// whatever it looks like.
fn is_text(scalar: &Scalar) -> bool {
    scalar.style == Style::Bare || scalar.tag() == Tag::Str
}

/// The name in parentheses at the beginning of a text, and what follows it.
fn variable(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('(')?.split_once(')')
}

/// A value that stands alone, with the type it has.
fn typed(scalar: &Scalar) -> Value {
    let value =
        |text: String, tag| Value::Scalar(Scalar { text: text.into(), style: Style::Tagged(tag) });
    match scalar::meaning(scalar) {
        Ok(Meaning::Bool(bool)) => value(bool.to_string(), Tag::Bool),
        Ok(Meaning::Int(int)) => value(decimal(scalar, int).to_string(), Tag::Int),
        Ok(Meaning::Float(float)) => value(float.to_string(), Tag::Float),
        _ => Value::string(scalar.text.clone()),
    }
}

/// The integer that the digits make, whatever a zero before them means to YAML.
fn decimal(scalar: &Scalar, int: i64) -> i64 {
    scalar.text.parse().unwrap_or(int)
}

/// A value within a text, as Go prints it.
fn shown(scalar: &Scalar) -> Cow<'_, str> {
    match scalar::meaning(scalar) {
        Ok(Meaning::Bool(bool)) => bool.to_string().into(),
        Ok(Meaning::Int(int)) => decimal(scalar, int).to_string().into(),
        Ok(Meaning::Float(float)) => {
            let mut out = String::new();
            scalar::write_float(float, &mut out);
            out.into()
        }
        _ => scalar.text.as_str().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Value {
        let values =
            [("N", Value::int(5)), ("S", Value::string("s")), ("F", Value::plain("1.5e7"))];
        let values = values.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let mut field = Value::string(text);
        let mut expansion = Expansion { values, used: BTreeSet::new() };
        expansion.field(&mut field).expect("expanded");
        field
    }

    #[test]
    fn a_var_alone_keeps_its_type() {
        assert_eq!(expanded("$(N)"), Value::int(5));
        assert_eq!(expanded("$(S)"), Value::string("s"));
        assert_eq!(expanded("$(F)").as_text(), Some("15000000"));
    }

    #[test]
    fn vars_within_a_text_are_printed() {
        assert_eq!(expanded("a-$(N)-$(S)"), Value::string("a-5-s"));
        assert_eq!(expanded("$(F)!"), Value::string("1.5e+07!"));
        assert_eq!(expanded("$$(N) $(X) $N $(N"), Value::string("$(N) $(X) $N $(N"));
        assert_eq!(expanded("€$"), Value::string("€$"));
    }

    #[test]
    fn brackets_are_indices() {
        assert_eq!(indexed("spec.a[0].b"), ["spec", "a", "0", "b"]);
        assert_eq!(indexed("spec.a.[k=v].b"), ["spec", "a", "[k=v]", "b"]);
    }
}
