//! `ValueAddTransformer`: one text put into fields, or into paths that fields hold.
//!
//! Source: kustomize `api/filters/valueadd/valueadd.go`, `kyaml/yaml/fns.go` (`PathGetter`),
//! `kyaml/filesys/util.go` (`InsertPathPart`).

use crate::error::Result;
use crate::fields::{self, Outcome, Path, Problem};
use crate::kustomization::plugin::ValueTarget;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::selector::Matcher;
use crate::transform::namespace::{Namespace, Traits, own_field};
use crate::value::{Map, Value};
use crate::yaml::plain_key;

/// Puts `text` where each target says, one target after the other.
///
/// # Errors
/// Where a selector is no such, or a path leads to something other than a scalar.
pub fn apply(resources: &mut Resources, text: &str, targets: &[ValueTarget]) -> Result<()> {
    for target in targets {
        let matcher = target.selector.as_ref().map(Matcher::new).transpose()?;
        let selected = |one: &&mut Resource| matcher.as_ref().is_none_or(|m| m.matches(one));
        for resource in resources.iter_mut().filter(selected) {
            let outcome = put(resource, text, target);
            outcome.map_err(|problem| problem.under(&target.field_path).of(resource))?;
        }
    }
    Ok(())
}

fn put(resource: &mut Resource, text: &str, target: &ValueTarget) -> Outcome {
    if target.field_path == "metadata/namespace" {
        let namespace = Namespace { name: text, ..Namespace::default() };
        let (own, traits) = (own_field(), Traits::of(resource.as_kind()));
        return namespace.apply(&mut resource.value, traits, &Path::of(&own), &[]);
    }
    let parts = parts(&target.field_path);
    let Some(field) = reach(&mut resource.value, &parts)? else { return Ok(()) };
    if target.position == 0 {
        return fields::set_text(field, text);
    }
    let path = inserted(field.as_text().unwrap_or_default(), target.position - 1, text);
    fields::set_text(field, &path)
}

/// The parts between slashes; `\/` is a slash within one.
fn parts(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.split('/') {
        match parts.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push('/');
                last.push_str(part);
            }
            _ => parts.push(part.to_owned()),
        }
    }
    // Kustomize leaves empty ones out.
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// One part of a path.
enum Part<'a> {
    Key(&'a str),
    /// From 0; `None` is the last.
    Index(Option<usize>),
    /// The element whose field has the value, or that is the value.
    Element(&'a str, &'a str),
}

fn part(text: &str) -> std::result::Result<Part<'_>, Problem> {
    if let Ok(index) = text.parse::<i64>() {
        let negative = |_| Problem::new(format!("index {index} is negative"));
        return usize::try_from(index).map(|index| Part::Index(Some(index))).map_err(negative);
    }
    match text {
        "-" => Ok(Part::Index(None)),
        "*" => Err(Problem::new("\"*\" is not possible here")),
        _ => match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            None => Ok(Part::Key(text)),
            Some(inside) => match inside.split_once('=') {
                Some((key, value)) => Ok(Part::Element(key, value)),
                None => Err(Problem::new(format!("element {text} is not written [field=value]"))),
            },
        },
    }
}

/// The field at the end of a path, whose missing mappings and elements are made on the way.
///
/// `None` behind a null or an index that is not there.
fn reach<'v>(
    value: &'v mut Value,
    path: &[String],
) -> std::result::Result<Option<&'v mut Value>, Problem> {
    let mut value = value;
    for (at, text) in path.iter().enumerate() {
        if value.is_null() {
            return Ok(None);
        }
        let next = path.get(at + 1).map(|text| part(text)).transpose()?;
        let step = match part(text)? {
            Part::Key(key) => Some(field(value, key, next.as_ref())?),
            Part::Index(index) => indexed(value, index)?,
            Part::Element(key, text) => Some(element(value, key, text)?),
        };
        let Some(step) = step else { return Ok(None) };
        value = step;
    }
    Ok(Some(value))
}

fn field<'v>(
    value: &'v mut Value,
    key: &str,
    next: Option<&Part<'_>>,
) -> std::result::Result<&'v mut Value, Problem> {
    let kind = value.kind_name();
    let Value::Map(map) = value else {
        return Err(Problem::new(format!("expected a map with \"{key}\", found a {kind}")));
    };
    if !map.has(key) {
        let made = match next {
            None => Value::plain(""),
            Some(Part::Element(..) | Part::Index(Some(_))) => Value::list(),
            Some(Part::Key(_) | Part::Index(None)) => Value::map(),
        };
        map.push(plain_key(key), made);
    }
    Ok(map.entry(key))
}

fn indexed(
    value: &mut Value,
    index: Option<usize>,
) -> std::result::Result<Option<&mut Value>, Problem> {
    let kind = value.kind_name();
    let Value::List(list) = value else {
        return Err(Problem::new(format!("expected a list, found a {kind}")));
    };
    let at = index.or_else(|| list.len().checked_sub(1));
    Ok(at.and_then(|at| list.make_mut().get_mut(at)))
}

fn element<'v>(
    value: &'v mut Value,
    key: &str,
    text: &str,
) -> std::result::Result<&'v mut Value, Problem> {
    let kind = value.kind_name();
    let Value::List(list) = value else {
        return Err(Problem::new(format!("expected a list, found a {kind}")));
    };
    let is_it = |element: &Value| {
        let value = if key.is_empty() { Some(element) } else { element.get(key) };
        value.and_then(Value::as_text) == Some(text)
    };
    let found = list.iter().position(is_it).unwrap_or_else(|| {
        let made = match key {
            "" => Value::plain(text),
            key => Value::Map(Map::from_iter([(plain_key(key), Value::plain(text))])),
        };
        list.push(made);
        list.len() - 1
    });
    Ok(&mut list.make_mut()[found])
}

/// A path with `part` at a position; an absolute one stays absolute, and behind the end is the end.
fn inserted(path: &str, position: usize, part: &str) -> String {
    if part.is_empty() {
        return path.to_owned();
    }
    let (root, relative) = match path.strip_prefix('/') {
        Some(relative) => ("/", relative),
        None => ("", path),
    };
    let mut parts: Vec<&str> = relative.split('/').filter(|part| !part.is_empty()).collect();
    parts.insert(position.min(parts.len()), part);
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Origin;

    fn put_into(text: &str, field_path: &str, position: usize) -> Result<Value> {
        let file: std::sync::Arc<str> = "r.yaml".into();
        let documents = crate::yaml::read(text.as_bytes(), &file, &crate::Limits::PERSON)?;
        let resource = Resource::new(documents[0].clone(), Origin { file, document: 0 });
        let mut resources = Resources::from(vec![resource]);
        let target = ValueTarget { field_path: field_path.into(), position, selector: None };
        apply(&mut resources, "PEACH", &[target])?;
        Ok(resources.as_slice()[0].value.clone())
    }

    #[test]
    fn a_part_goes_into_a_path() {
        for (path, position, expected) in [
            ("", 0, "PEACH"),
            ("/", 0, "/PEACH"),
            ("pie", 0, "PEACH/pie"),
            ("/pie", 0, "/PEACH/pie"),
            ("/raw", 5, "/raw/PEACH"),
            ("/a/nice/warm/pie", 3, "/a/nice/warm/PEACH/pie"),
        ] {
            assert_eq!(inserted(path, position, "PEACH"), expected);
        }
    }

    #[test]
    fn what_is_missing_is_made() {
        let value = put_into("kind: A\n", "spec/list/[name=x]/a.b\\/c", 0).expect("made");
        let element = &value.at(&["spec", "list"]).and_then(Value::as_list).expect("made")[0];
        assert_eq!(element.text_at(&["name"]), Some("x"));
        assert_eq!(element.text_at(&["a.b/c"]), Some("PEACH"));
    }

    #[test]
    fn a_path_ends_at_a_scalar() {
        assert!(put_into("kind: A\nspec: {a: {}}\n", "spec/a", 0).is_err());
        assert!(put_into("kind: A\nspec: [a]\n", "spec/a", 0).is_err());
        assert!(put_into("kind: A\nspec: [a]\n", "spec/*", 0).is_err());
    }

    #[test]
    fn nothing_is_put_behind_a_null() {
        let value = put_into("kind: A\nspec: ~\n", "spec/a", 0).expect("nothing");
        assert!(value.get("spec").is_some_and(Value::is_null));
    }
}
