//! `replacements`: a value of one resource, copied into fields of others.
//!
//! The replacements of a layer work one after the other, each on what the earlier ones left.
//!
//! Source: kustomize `api/filters/replacement/replacement.go`.

use std::cell::OnceCell;

use bytes::Bytes;
use ecow::EcoString;

use super::structured;
use crate::error::{Error, Place, Result, Warning};
use crate::field_path::{self, Found, Make, Outcome};
use crate::kustomization::{
    FieldOptions, Replacement, ReplacementSource, ReplacementTarget, Selector,
};
use crate::limits::Limits;
use crate::pattern;
use crate::resource::{Gvk, Id, Resource, Written};
use crate::resources::Resources;
use crate::selector::Matcher;
use crate::value::{Scalar, Style, Tag, Value};
use crate::yaml::Step;
use crate::yaml::nodes::{self, Node};

/// The field of a source or target that names none.
const DEFAULT_PATH: &str = "metadata.name";

/// Says where a part of a replacement stands, by the steps that lead to it from the replacement.
pub type Locate<'a> = &'a dyn Fn(&[Step<'_>]) -> Place;

/// Copies the source's value into all targets; warns of copies that change nothing.
///
/// # Errors
/// Where the source is not exactly one resource with that field, a target has no such field, or a
/// selector, path or option breaks its rules.
pub fn apply(
    resources: &mut Resources,
    replacement: &Replacement,
    limits: &Limits,
    locate: Locate<'_>,
) -> Result<Vec<Warning>> {
    let mut copied = copied(resources, replacement, limits, locate)?;
    let mut warnings = Vec::new();
    for (index, target) in replacement.targets.iter().enumerate() {
        let at = |steps: &[Step<'_>]| {
            let mut path = vec![Step::Key("targets"), Step::Index(index)];
            path.extend_from_slice(steps);
            locate(&path)
        };
        let target = Target::new(target, limits, &at)?;
        target.apply(resources, &mut copied, &mut warnings)?;
    }
    Ok(warnings)
}

fn refused(place: Place, message: impl Into<String>) -> Error {
    let message = message.into();
    Error::new(pattern::kind(&message), place, message)
}

/// What is copied.
struct Copied {
    value: Value,
    /// The resource that it comes from, by its position, and the way to it there. Kustomize copies
    /// what it finds there each time: what it wrote into the source itself is copied on.
    from: Option<(usize, Vec<EcoString>)>,
    /// How the object is written that it comes from, in which file, and in which document of it.
    written: Written,
    file: Option<(Bytes, usize)>,
    /// The same with its comments and styles, for texts.
    node: OnceCell<Node>,
    /// How often it may have been copied into itself.
    grown: usize,
}

impl Copied {
    fn new(value: Value) -> Self {
        let written = Written::Made;
        Self { value, from: None, written, file: None, node: OnceCell::new(), grown: 0 }
    }

    /// What is put into texts: there it is written as where it comes from.
    fn node(&self) -> &Node {
        self.node.get_or_init(|| match self.written {
            Written::Json => Node::json(&self.value),
            Written::Encoded => Node::encoded(&self.value),
            _ => self.as_written().unwrap_or_else(|| Node::of(&self.value)),
        })
    }

    fn as_written(&self) -> Option<Node> {
        let ((file, document), (_, path)) = (self.file.as_ref()?, self.from.as_ref()?);
        let document = nodes::read_of_file(file, *document, Limits::WEBHOOK.depth)?;
        let object = match self.written {
            Written::Document => &document.root,
            Written::Item(at) => document.root.item(at)?,
            Written::Made | Written::Json | Written::Encoded => return None,
        };
        let source = field_path::find(object, path).ok()??;
        Some(Node::copied(&self.value, source, &document.root))
    }

    /// Whether fields that are made in the resource at `position` may come to be within what is copied.
    fn grows(&self, position: usize) -> bool {
        let is_source = self.from.as_ref().is_some_and(|(from, _)| *from == position);
        is_source && matches!(self.value, Value::Map(_) | Value::List(_))
    }

    /// Looks again after the resource at `position` was changed.
    fn follow(&mut self, position: usize, resource: &Resource) {
        let Some((_, path)) = self.from.as_ref().filter(|(from, _)| *from == position) else {
            return;
        };
        if let Ok(Some(value)) = field_path::find(&resource.value, path)
            && !is_unchanged(value, &self.value)
        {
            (self.value, self.node) = (value.clone(), OnceCell::new());
        }
    }
}

/// Whether a value is still what it was when `before` was taken from it. Its parts are not compared: what is
/// copied into itself has more of them with each time than anybody could look at.
fn is_unchanged(value: &Value, before: &Value) -> bool {
    match (value, before) {
        (Value::Map(now), Value::Map(before)) => now.is_one_with(before),
        (Value::List(now), Value::List(before)) => std::ptr::eq(now.as_slice(), before.as_slice()),
        (now, before) => now == before,
    }
}

fn copied(
    resources: &Resources,
    replacement: &Replacement,
    limits: &Limits,
    locate: Locate<'_>,
) -> Result<Copied> {
    if replacement.targets.is_empty() {
        return Err(refused(locate(&[]), "replacement has no targets"));
    }
    match (&replacement.source, &replacement.source_value) {
        (Some(_), Some(_)) => {
            let place = locate(&[Step::Key("sourceValue")]);
            Err(refused(place, "replacement has both \"source\" and \"sourceValue\""))
        }
        (None, None) => Err(refused(locate(&[]), "replacement has no source")
            .hint("add \"source\" or \"sourceValue\"")),
        (None, Some(text)) => Ok(Copied::new(Value::bare(text.clone()))),
        (Some(source), None) => sourced(resources, source, limits, locate),
    }
}

fn sourced(
    resources: &Resources,
    source: &ReplacementSource,
    limits: &Limits,
    locate: Locate<'_>,
) -> Result<Copied> {
    let (position, resource) = source_resource(resources, source).map_err(|(message, hint)| {
        hinted(refused(locate(&[Step::Key("source")]), message), hint)
    })?;
    let place = || locate(&[Step::Key("source"), Step::Key("fieldPath")]);
    let text = default_path(&source.field_path);
    let path = split(text, limits).map_err(|why| refused(place(), why))?;
    let found = field_path::find(&resource.value, &path);
    let found = found.map_err(|why| refused(place(), format!("field \"{text}\": {why}")))?;
    match found {
        Some(value) if !is_empty(value) => match cut(source.options.as_ref()) {
            None => {
                let file = resource.text.clone().map(|text| (text, resource.origin.document));
                let (from, written) = (Some((position, path)), resource.written);
                Ok(Copied { from, written, file, ..Copied::new(value.clone()) })
            }
            Some(options) => {
                let place = || locate(&[Step::Key("source"), Step::Key("options")]);
                let part = refined(value, options).map_err(|why| refused(place(), why))?;
                Ok(Copied::new(part))
            }
        },
        _ => Err(refused(place(), format!("{} has no field \"{text}\"", named(&resource.id())))),
    }
}

fn hinted(error: Error, hint: Option<String>) -> Error {
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn default_path(path: &EcoString) -> &str {
    if path.is_empty() { DEFAULT_PATH } else { path }
}

/// A path has no more parts than a document has levels.
fn split(path: &str, limits: &Limits) -> Outcome<Vec<EcoString>> {
    let parts = field_path::split(path);
    if parts.len() > limits.depth {
        return Err(format!("path has more than {} parts", limits.depth));
    }
    Ok(parts)
}

/// Nulls and empty collections are no source.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        value => value.is_null(),
    }
}

/// The one resource that has, or had, this id.
fn source_resource<'r>(
    resources: &'r Resources,
    source: &ReplacementSource,
) -> std::result::Result<(usize, &'r Resource), (String, Option<String>)> {
    let mut found =
        resources.iter().enumerate().filter(|(_, one)| one.ids().any(|id| is_source(&id, source)));
    let Some(first) = found.next() else {
        return Err((
            format!("source selects nothing: {}", shown(source)),
            nearest(resources, source),
        ));
    };
    match found.next() {
        None => Ok(first),
        Some((_, second)) => Err((
            format!("source selects more than one resource: {}", shown(source)),
            Some(format!("{} and {} fit", named(&first.1.id()), named(&second.id()))),
        )),
    }
}

fn is_source(id: &Id, source: &ReplacementSource) -> bool {
    id.gvk.is_selected(&source.gvk)
        && (source.name.is_empty() || source.name == id.name)
        && (source.namespace.is_empty() || has_namespace(id, source))
}

/// Compares effective namespaces: what the source's kind makes of its own one counts.
fn has_namespace(id: &Id, source: &ReplacementSource) -> bool {
    let asked = Id {
        gvk: source.gvk.clone(),
        name: source.name.clone(),
        namespace: source.namespace.clone(),
    };
    asked.effective_namespace() == id.effective_namespace()
}

/// Says which names there are of the kind, where the source asks for another one.
fn nearest(resources: &Resources, source: &ReplacementSource) -> Option<String> {
    if source.gvk.kind.is_empty() {
        return None;
    }
    let same = resources.iter().filter(|one| one.kind() == source.gvk.kind);
    let mut names: Vec<String> = same.map(|one| format!("\"{}\"", one.name())).collect();
    names.sort();
    names.truncate(5);
    match names.is_empty() {
        true => Some(format!("there is no {}", source.gvk.kind)),
        false => Some(format!("{} of this build: {}", source.gvk.kind, names.join(", "))),
    }
}

fn shown(source: &ReplacementSource) -> String {
    let Gvk { group, version, kind } = &source.gvk;
    let fields = [
        ("group", group),
        ("version", version),
        ("kind", kind),
        ("name", &source.name),
        ("namespace", &source.namespace),
    ];
    let set = fields.iter().filter(|(_, text)| !text.is_empty());
    let list: Vec<String> = set.map(|(name, text)| format!("{name} \"{text}\"")).collect();
    list.join(", ")
}

fn named(id: &Id) -> String {
    match id.namespace.is_empty() {
        true => format!("{} \"{}\"", id.gvk.kind, id.name),
        false => format!("{} \"{}\" in namespace \"{}\"", id.gvk.kind, id.name, id.namespace),
    }
}

/// The options, where they ask for a part of a text.
fn cut(options: Option<&FieldOptions>) -> Option<&FieldOptions> {
    options.filter(|options| !options.delimiter.is_empty())
}

/// The part of a source's text that its options ask for.
fn refined(value: &Value, options: &FieldOptions) -> Outcome<Value> {
    let Value::Scalar(scalar) = value else {
        return Err(format!("delimiter needs a scalar, the source is a {}", value.kind_name()));
    };
    let mut parts = scalar.text.split(options.delimiter.as_str());
    let part = usize::try_from(options.index).ok().and_then(|index| parts.nth(index));
    // What the source holds may be secret.
    let part = part.ok_or_else(|| {
        let count = scalar.text.split(options.delimiter.as_str()).count();
        format!("index {} is out of bounds of the source, which has {count} parts", options.index)
    })?;
    Ok(Value::Scalar(with_text(scalar, part.into())))
}

/// A scalar with another text but the type it had.
fn with_text(scalar: &Scalar, text: EcoString) -> Scalar {
    let style = match scalar.style {
        // Made just now: its text will say.
        Style::Plain if scalar.text.is_empty() => Style::Bare,
        Style::Plain => Style::Tagged(scalar.tag()),
        style => style,
    };
    Scalar { text, style }
}

/// A target with its selectors and paths read.
struct Target<'a> {
    target: &'a ReplacementTarget,
    select: Matcher,
    reject: Vec<(&'a Selector, Matcher)>,
    paths: Vec<Path<'a>>,
    /// How deep a value may become.
    depth: usize,
    at: Locate<'a>,
}

/// One of the fields of a target.
struct Path<'a> {
    /// Which one.
    index: usize,
    text: &'a str,
    parts: Vec<EcoString>,
}

impl<'a> Target<'a> {
    fn new(target: &'a ReplacementTarget, limits: &Limits, at: Locate<'a>) -> Result<Self> {
        let select = target.select.as_ref().ok_or_else(|| {
            refused(at(&[]), "target selects nothing").hint("add \"select\" with kind and name")
        })?;
        let matcher = Matcher::within(select, limits);
        let matcher = matcher.map_err(|error| error.at(at(&[Step::Key("select")])))?;
        let reject = target.reject.iter().enumerate().map(|(index, selector)| {
            let place = || at(&[Step::Key("reject"), Step::Index(index)]);
            let matcher = Matcher::within(selector, limits).map_err(|error| error.at(place()))?;
            Ok((selector, matcher))
        });
        let reject = reject.collect::<Result<_>>()?;
        let paths = paths(target, limits, at)?;
        Ok(Self { target, select: matcher, reject, paths, depth: limits.depth, at })
    }

    fn apply(
        &self,
        resources: &mut Resources,
        copied: &mut Copied,
        warnings: &mut Vec<Warning>,
    ) -> Result<()> {
        let resources = resources.iter_mut().enumerate();
        for (position, resource) in resources.filter(|(_, one)| self.selects(one)) {
            for path in &self.paths {
                let set = self.set_each(position, resource, path, copied);
                let found = set.map_err(|why| self.failed(resource, path, &why))?;
                let along = resource.settle_twins();
                if !along.is_empty() {
                    let message = format!(
                        "replacement sets {} of {} along with \"{}\": kustomize added them as one",
                        along.join(", "),
                        named(&resource.id()),
                        path.text
                    );
                    warnings.push(Warning { place: self.place(path), message });
                }
                if found.lost > 0 {
                    let place = self.place(path);
                    warnings.push(Warning { place, message: lost(resource, path.text) });
                }
            }
        }
        Ok(())
    }

    /// A rejected label counts alone, even where the same entry names a kind: so it is in kustomize.
    fn selects(&self, resource: &Resource) -> bool {
        let rejects = |(selector, matcher): &(&Selector, Matcher)| {
            has_labels(selector) && matcher.matches_metadata(resource)
                || has_id(selector) && resource.ids().any(|id| matcher.matches_id(&id))
        };
        self.select.matches_metadata(resource)
            && !self.reject.iter().any(rejects)
            && resource.ids().any(|id| self.select.matches_id(&id))
    }

    /// Sets what the path leads to. Where that comes to be within what is copied, all of it is made first, and
    /// what is set in one field is copied into the next.
    fn set_each(
        &self,
        position: usize,
        resource: &mut Resource,
        path: &Path<'_>,
        copied: &mut Copied,
    ) -> Outcome<Found> {
        let mut fields = 1;
        if self.creates() && copied.grows(position) && !path.parts.iter().any(|part| part == "-") {
            let make = made_for(&copied.value);
            let nothing = &mut |_: &mut Value| Ok(());
            // What fails here fails below again.
            let made = field_path::visit(&mut resource.value, &path.parts, make, nothing);
            fields = made.map_or(1, |found| found.values);
            copied.follow(position, resource);
            copied.grown += fields;
            if copied.grown > self.depth {
                let most = self.depth;
                return Err(format!("a value is copied into itself more than {most} times"));
            }
        }
        for only in 0..fields.saturating_sub(1) {
            self.set(resource, path, copied, Some(only))?;
            copied.follow(position, resource);
        }
        let last = (fields > 1).then(|| fields - 1);
        let found = self.set(resource, path, copied, last)?;
        copied.follow(position, resource);
        Ok(found)
    }

    /// Sets the fields that the path leads to, or `only` one of them.
    fn set(
        &self,
        resource: &mut Resource,
        path: &Path<'_>,
        copied: &Copied,
        only: Option<usize>,
    ) -> Outcome<Found> {
        let value = &copied.value;
        let make = if self.creates() { made_for(value) } else { Make::Nothing };
        // Texts come first, as they are; options do not count there.
        if let Some(found) =
            structured::set(&mut resource.value, &path.parts, make, || copied.node())
        {
            return Ok(found);
        }
        let in_brackets = resource.in_brackets;
        let mut seen = 0;
        let mut set = |field: &mut Value| {
            let at = seen;
            seen += 1;
            if only.is_some_and(|only| only != at) {
                return Ok(());
            }
            put(field, value, self.target.options.as_ref())?;
            if in_brackets {
                keep_blank(field);
            }
            Ok(())
        };
        let found = field_path::visit(&mut resource.value, &path.parts, make, &mut set)?;
        match found.values {
            0 => Err("there is no such field".to_owned()),
            _ => Ok(found),
        }
    }

    /// Where a path stands, which is looked for in the text of the kustomization.
    fn place(&self, path: &Path<'_>) -> Place {
        (self.at)(&[Step::Key("fieldPaths"), Step::Index(path.index)])
    }

    fn creates(&self) -> bool {
        self.target.options.as_ref().is_some_and(|options| options.create)
    }

    fn failed(&self, resource: &Resource, path: &Path<'_>, why: &str) -> Error {
        let message = format!("field \"{}\" of {}: {why}", path.text, named(&resource.id()));
        let error = refused(self.place(path), message);
        let from = Place::file(resource.origin.file.clone());
        match self.creates() {
            true => error.within(from),
            false => error.within(from).hint("\"options: {create: true}\" adds missing fields"),
        }
    }
}

fn paths<'a>(
    target: &'a ReplacementTarget,
    limits: &Limits,
    at: Locate<'_>,
) -> Result<Vec<Path<'a>>> {
    let texts = target.field_paths.iter().map(EcoString::as_str);
    let texts: Vec<&str> = if texts.len() == 0 { vec![DEFAULT_PATH] } else { texts.collect() };
    let paths = texts.into_iter().enumerate().map(|(index, text)| {
        let place = || at(&[Step::Key("fieldPaths"), Step::Index(index)]);
        let parts = split(text, limits).map_err(|why| refused(place(), why))?;
        Ok(Path { index, text, parts })
    });
    paths.collect()
}

fn has_labels(selector: &Selector) -> bool {
    !selector.label_selector.is_empty() || !selector.annotation_selector.is_empty()
}

fn has_id(selector: &Selector) -> bool {
    selector.gvk != Gvk::default() || !selector.name.is_empty() || !selector.namespace.is_empty()
}

fn lost(resource: &Resource, path: &str) -> String {
    let named = named(&resource.id());
    format!("replacement changes nothing: field \"{path}\" of {named} is below a text or null")
}

/// What has to be made for a value to be put there.
fn made_for(value: &Value) -> Make {
    match value {
        Value::List(_) => Make::List,
        Value::Map(_) => Make::Map,
        Value::Null | Value::Scalar(_) => Make::Scalar,
    }
}

/// Makes a blank text that was put into brackets a text, for which it is printed there.
fn keep_blank(field: &mut Value) {
    if let Value::Scalar(Scalar { text, style: style @ Style::Bare }) = field
        && text.is_empty()
    {
        *style = Style::Quoted;
    }
}

/// Puts the value into a field: a scalar keeps its type and takes the text alone.
fn put(field: &mut Value, value: &Value, options: Option<&FieldOptions>) -> Outcome<()> {
    let mut text = value.as_text().unwrap_or_default().into();
    if let Some(options) = cut(options) {
        let before = match field {
            Value::Null => "",
            Value::Scalar(scalar) => scalar.text.as_str(),
            field => {
                return Err(format!("delimiter needs a scalar, found a {}", field.kind_name()));
            }
        };
        text = joined(before, &text, options);
    }
    *field = match field {
        // Nothing is still nothing then.
        Value::Null if text.is_empty() => Value::Null,
        Value::Scalar(Scalar { text: before, style: Style::Tagged(Tag::Null) })
            if text.is_empty() && !before.is_empty() =>
        {
            Value::Null
        }
        Value::Null => Value::Scalar(Scalar { text, style: Style::Tagged(Tag::Null) }),
        Value::Scalar(scalar) => Value::Scalar(with_text(scalar, text)),
        Value::List(_) | Value::Map(_) => value.clone(),
    };
    Ok(())
}

/// The parts of a text with one of them replaced, or another one before or after them.
fn joined(before: &str, text: &EcoString, options: &FieldOptions) -> EcoString {
    let mut parts: Vec<&str> = before.split(options.delimiter.as_str()).collect();
    match usize::try_from(options.index) {
        Err(_) => parts.insert(0, text),
        Ok(index) => match parts.get_mut(index) {
            Some(part) => *part = text,
            None => parts.push(text),
        },
    }
    parts.join(&options.delimiter).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Origin;

    fn resources(text: &str) -> Resources {
        let documents = crate::yaml::read(text.as_bytes(), &"a.yaml".into(), &Limits::PERSON);
        let resource = |value| Resource::new(value, Origin { file: "a.yaml".into(), document: 0 });
        documents.expect("YAML").into_iter().map(resource).collect::<Vec<_>>().into()
    }

    fn replacement(text: &str) -> Replacement {
        let source =
            crate::kustomization::Source { file: "r.yaml".into(), text: text.to_owned().into() };
        crate::kustomization::replacements(&source, &Limits::PERSON)
            .expect("a replacement")
            .remove(0)
    }

    fn printed(objects: &str, text: &str) -> std::result::Result<String, String> {
        let mut resources = resources(objects);
        let place = |_: &[Step<'_>]| Place::file("r.yaml");
        let applied = apply(&mut resources, &replacement(text), &Limits::PERSON, &place);
        applied.map_err(|error| error.message().to_owned())?;
        let last = resources.iter().next_back().expect("a resource");
        let mut out = String::new();
        crate::yaml::write(&last.value, &mut out).map_err(|error| error.message().to_owned())?;
        Ok(out)
    }

    const OBJECTS: &str = "{kind: A, metadata: {name: a}, port: 80}\n---\n\
                           {kind: B, metadata: {name: b}, text: 'x', url: h:1:p, list: [1]}\n";

    fn copied(source: &str, path: &str, options: &str) -> std::result::Result<String, String> {
        let text = format!(
            "{{source: {{kind: A, fieldPath: {source}}}, targets: [{{select: {{kind: B}}, \
             fieldPaths: [{path}], options: {options}}}]}}"
        );
        printed(OBJECTS, &text)
    }

    #[test]
    fn a_scalar_keeps_its_type() {
        assert!(copied("port", "text", "{}").expect("copied").contains("text: \"80\"\n"));
    }

    #[test]
    fn a_new_field_takes_the_type_of_the_text() {
        assert!(copied("port", "new", "{create: true}").expect("copied").contains("new: 80\n"));
    }

    #[test]
    fn a_part_of_a_text_is_replaced() {
        let url = |index: i64| {
            let options = format!("{{delimiter: ':', index: {index}}}");
            let out = copied("port", "url", &options).expect("copied");
            out.lines().find(|line| line.starts_with("url")).map(str::to_owned)
        };
        assert_eq!(url(1).as_deref(), Some("url: h:80:p"));
        assert_eq!(url(-1).as_deref(), Some("url: 80:h:1:p"));
        assert_eq!(url(9).as_deref(), Some("url: h:1:p:80"));
    }

    #[test]
    fn missing_fields_are_named() {
        assert_eq!(
            copied("port", "none", "{}"),
            Err("field \"none\" of B \"b\": there is no such field".into())
        );
        assert_eq!(copied("none", "text", "{}"), Err("A \"a\" has no field \"none\"".into()));
        assert!(copied("port", "list", "{delimiter: ':'}").is_err());
    }

    #[test]
    fn rejected_labels_count_without_the_kind_beside_them() {
        let objects = "{kind: A, metadata: {name: a}, v: 1}\n---\n\
                       {kind: B, metadata: {name: b, labels: {l: x}}, v: 2}\n";
        let text = "{source: {kind: A, fieldPath: v}, targets: [{select: {kind: B}, \
                    reject: [{kind: C, labelSelector: l=x}], fieldPaths: [v]}]}";
        assert!(printed(objects, text).expect("copied").contains("v: 2"));
    }
}
