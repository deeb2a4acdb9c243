//! `images`.
//!
//! Kustomize looks for images twice: in every list under `containers` or `initContainers`, wherever
//! it stands, and where the field specs point. So an image of a pod is changed twice, which shows in
//! `tagSuffix` alone. Here an object is walked once; each image is then changed as often as
//! kustomize finds it, entry by entry.
//!
//! Source: kustomize `api/filters/imagetag`, `api/internal/image/image.go`.

use std::borrow::Cow;
use std::sync::OnceLock;

use regex::Regex;

use crate::error::{Place, Result};
use crate::fields::{Change, New, News, Problem, Segment, rewrite_elements, set_text, split};
use crate::kustomization::{FieldSpec, Image};
use crate::limits::Limits;
use crate::pattern;
use crate::resource::{ByKind, Kind};
use crate::resources::Resources;
use crate::value::{Map, Value, is_same};

/// Changes the images that the entries name, everywhere but in CustomResourceDefinitions.
///
/// `place` is the kustomization's, for messages.
/// # Errors
/// Where an image is no scalar, or meets an entry whose name is no regular expression.
pub fn apply(
    resources: &mut Resources,
    images: &[Image],
    specs: &[FieldSpec],
    limits: &Limits,
    place: impl Fn() -> Place + Sync + Send,
) -> Result<()> {
    if images.is_empty() {
        return Ok(());
    }
    let edits: Vec<Edit<'_>> = images.iter().map(|image| Edit::new(image, limits)).collect();
    resources.change(|run| {
        let mut fields = ByKind::default();
        for resource in run {
            let kind = resource.as_kind();
            if kind.kind == "CustomResourceDefinition" {
                continue;
            }
            let fields = &*fields.of(kind, || Fields::of(specs, kind));
            let new = rewrite(&resource.value, Some(fields), Within::Anything, &edits);
            let new = new.map_err(|problem| problem.of(resource).within(place()))?;
            new.into_iter().for_each(|new| new.put(&mut resource.value));
        }
        Ok(())
    })
}

/// Where the specs of a kind lead: the fields of one mapping, by name.
#[derive(Debug, Default)]
struct Fields<'a> {
    /// How many specs end here.
    ends: usize,
    /// Whether a spec has `[]` here.
    is_listed: bool,
    /// Whether a spec has nothing between two slashes here.
    is_nameless: bool,
    below: Vec<(Cow<'a, str>, Self)>,
}

impl<'a> Fields<'a> {
    fn of(specs: &'a [FieldSpec], kind: Kind<'_>) -> Self {
        let mut fields = Self::default();
        for spec in specs.iter().filter(|spec| kind.is_selected(&spec.gvk)) {
            fields.insert(&spec.path);
        }
        fields
    }

    fn insert(&mut self, path: &'a str) {
        let mut fields = self;
        for Segment { name, list } in split(path) {
            fields.is_nameless |= name.is_empty();
            let at = fields.below.iter().position(|(other, _)| *other == name);
            let at = at.unwrap_or_else(|| {
                fields.below.push((name, Self::default()));
                fields.below.len() - 1
            });
            fields = &mut fields.below[at].1;
            fields.is_listed |= list;
        }
        fields.ends += 1;
    }

    fn below(&self, key: &str) -> Option<&Self> {
        self.below.iter().find(|(name, _)| is_same(name, key)).map(|(_, fields)| fields)
    }
}

/// Where a value stands, as far as lists of containers go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Within {
    Anything,
    /// It is what stands under `containers` or `initContainers`.
    Containers,
    /// It is an element of such a list.
    Container,
    /// It is the `image` of such an element.
    Image,
}

/// What is new of a value once its images are changed; `fields` are those of the specs from here on.
fn rewrite(
    value: &Value,
    fields: Option<&Fields<'_>>,
    within: Within,
    edits: &[Edit<'_>],
) -> Change {
    let found = fields.map_or(0, |fields| fields.ends);
    if found > 0 || within == Within::Image {
        return rewrite_image(value, found, within == Within::Image, edits);
    }
    match value {
        Value::Null => Ok(None),
        Value::List(_) if within == Within::Container => Err(unexpected("map", value)),
        Value::List(list) => {
            let within = match within {
                Within::Containers => Within::Container,
                _ => Within::Anything,
            };
            rewrite_elements(list, &mut |element| rewrite(element, fields, within, edits))
        }
        Value::Map(map) => rewrite_map(map, fields, within, edits),
        Value::Scalar(_) if value.is_null() => Ok(None),
        Value::Scalar(_) if within == Within::Container => Err(unexpected("map", value)),
        Value::Scalar(_) if fields.is_none_or(|fields| fields.below.is_empty()) => Ok(None),
        Value::Scalar(_) => Err(unexpected("map or a list on the way", value)),
    }
}

fn rewrite_map(
    map: &Map,
    fields: Option<&Fields<'_>>,
    within: Within,
    edits: &[Edit<'_>],
) -> Change {
    if fields.is_some_and(|fields| fields.is_nameless) && map.find("").is_none() {
        Segment { name: "".into(), list: false }.check()?;
    }
    let mut parts = News::default();
    let is_leaf = |field: &Value| matches!(field, Value::Scalar(_) | Value::Null);
    for (at, (key, field)) in map.iter().enumerate() {
        if fields.is_none() && within != Within::Container && is_leaf(field) {
            continue;
        }
        let below = fields.and_then(|fields| fields.below(&key.text));
        let within = match (&*key.text, within) {
            ("image", Within::Container) => Within::Image,
            ("containers" | "initContainers", _) => Within::Containers,
            _ => Within::Anything,
        };
        if below.is_none() && within == Within::Anything && matches!(field, Value::Scalar(_)) {
            continue;
        }
        // An asserted list that is null becomes an empty one, even if it has no images.
        let is_listed = field.is_null() && below.is_some_and(|fields| fields.is_listed);
        let changed = match rewrite(field, below, within, edits) {
            Ok(None) if is_listed => Some(New::Whole(Value::list())),
            changed => changed.map_err(|problem| problem.under(&key.text))?,
        };
        parts.add(at, changed);
    }
    Ok(parts.end())
}

fn rewrite_image(value: &Value, found: usize, in_container: bool, edits: &[Edit<'_>]) -> Change {
    let old = match value {
        // Kustomize matches a null too, by the word that stands for it.
        Value::Null => "",
        Value::Scalar(scalar) => &scalar.text,
        Value::List(_) | Value::Map(_) => return Err(unexpected("scalar", value)),
    };
    let mut text = Cow::Borrowed(old);
    for edit in edits {
        for _ in 0..found + usize::from(in_container) {
            if let Some(changed) = edit.apply(&text)? {
                text = Cow::Owned(changed);
            }
        }
    }
    let Cow::Owned(text) = text else {
        return Ok(None);
    };
    let mut new = value.clone();
    set_text(&mut new, &text)?;
    Ok(Some(New::Whole(new)))
}

fn unexpected(wanted: &str, found: &Value) -> Problem {
    Problem::new(format!("expected a {wanted}, found a {}", found.kind_name()))
}

/// One entry of `images`, ready to match.
struct Edit<'a> {
    image: &'a Image,
    /// Whether the name is text in which only `.` has a meaning.
    is_text: bool,
    regex_bytes: usize,
    regex: OnceLock<std::result::Result<Regex, String>>,
}

impl<'a> Edit<'a> {
    fn new(image: &'a Image, limits: &Limits) -> Self {
        let is_text = !image
            .name
            .contains(['\\', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$']);
        Self { image, is_text, regex_bytes: limits.regex_bytes, regex: OnceLock::new() }
    }

    /// The changed reference, where it is meant.
    fn apply(&self, text: &str) -> std::result::Result<Option<String>, Problem> {
        if !self.matches(text)? {
            return Ok(None);
        }
        let Image { name: _, new_name, new_tag, tag_suffix, digest } = self.image;
        let old = Parts::of(text);
        let name = if new_name.is_empty() { old.name } else { new_name };
        let (tag, digest) = match (!new_tag.is_empty(), !digest.is_empty()) {
            (true, _) => (Cow::Borrowed(new_tag.as_str()), digest.as_str()),
            (false, true) => (Cow::Borrowed(""), digest.as_str()),
            (false, false) if tag_suffix.is_empty() => (Cow::Borrowed(old.tag), old.digest),
            (false, false) => (Cow::Owned(format!("{}{tag_suffix}", old.tag)), ""),
        };
        let mut new = name.to_owned();
        for (mark, part) in [(':', &*tag), ('@', digest)] {
            if !part.is_empty() {
                new.push(mark);
                new.push_str(part);
            }
        }
        Ok(Some(new))
    }

    fn matches(&self, text: &str) -> std::result::Result<bool, Problem> {
        if self.is_text {
            return Ok(after(&self.image.name, text).is_some_and(is_version));
        }
        let regex = self.regex.get_or_init(|| self.compile());
        let regex = regex.as_ref().map_err(|why| {
            Problem::new(format!("images: \"{}\" is no regular expression: {why}", self.image.name))
        })?;
        Ok(regex.is_match(text))
    }

    /// The name is part of the expression as it is written, alternatives and all.
    fn compile(&self) -> std::result::Result<Regex, String> {
        let name = &self.image.name;
        let pattern = format!("^{name}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$");
        pattern::compile(&pattern, self.regex_bytes)
    }
}

/// What follows `name` in `text`, where a `.` of the name stands for any character.
fn after<'a>(name: &str, text: &'a str) -> Option<&'a str> {
    let mut rest = text.chars();
    for wanted in name.chars() {
        let found = rest.next()?;
        let fits = found == wanted || (wanted == '.' && found != '\n');
        if !fits {
            return None;
        }
    }
    Some(rest.as_str())
}

/// Whether this is nothing but a tag and a digest, both optional.
fn is_version(text: &str) -> bool {
    let rest = text.strip_prefix(':').map_or(text, after_version);
    let rest = rest.strip_prefix("@sha256:").map_or(rest, after_version);
    rest.is_empty()
}

fn after_version(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_.{}-".contains(c))
}

/// The parts of an image's reference.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Parts<'a> {
    name: &'a str,
    tag: &'a str,
    digest: &'a str,
}

impl<'a> Parts<'a> {
    /// Splits at the first `:` and `@` behind the first slash.
    fn of(text: &'a str) -> Self {
        let from = text.find('/').unwrap_or(0);
        let find = |mark| text[from..].find(mark).map(|at| at + from);
        match (find(':'), find('@')) {
            (None, None) => Self { name: text, tag: "", digest: "" },
            (Some(colon), None) => {
                Self { name: &text[..colon], tag: &text[colon + 1..], digest: "" }
            }
            (Some(colon), Some(at)) if colon < at => {
                Self { name: &text[..colon], tag: &text[colon + 1..at], digest: &text[at + 1..] }
            }
            (_, Some(at)) => Self { name: &text[..at], tag: "", digest: &text[at + 1..] },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::resource::{Origin, Resource};
    use crate::transform::config::Config;
    use crate::yaml;

    fn pod(image: &str, entries: &[Image]) -> Result<String> {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {{containers: [{{image: {image}}}]}}\n"
        );
        let changed = applied(&text, entries)?;
        let containers = changed.at(&["spec", "containers"]).and_then(Value::as_list).unwrap();
        Ok(containers[0].text_at(&["image"]).unwrap().to_owned())
    }

    fn applied(text: &str, entries: &[Image]) -> Result<Value> {
        let mut values =
            yaml::read(text.as_bytes(), &Arc::from("a.yaml"), &Limits::PERSON).unwrap();
        let origin = Origin { file: "a.yaml".into(), document: 0 };
        let mut resources = Resources::from(vec![Resource::new(values.remove(0), origin)]);
        let place = || Place::file("kustomization.yaml");
        let specs = &Config::builtin().images;
        apply(&mut resources, entries, specs, &Limits::PERSON, place)?;
        Ok(resources.as_slice()[0].value.clone())
    }

    fn tagged(name: &str, tag: &str) -> Image {
        Image { name: name.into(), new_tag: tag.into(), ..Image::default() }
    }

    #[test]
    fn splits_behind_the_domain() {
        let parts = Parts::of("a.io:5000/b:1@sha256:00");
        assert_eq!(parts, Parts { name: "a.io:5000/b", tag: "1", digest: "sha256:00" });
        assert_eq!(Parts::of("b@sha256:00").digest, "sha256:00");
        assert_eq!(Parts::of("b").tag, "");
    }

    #[test]
    fn a_tag_drops_the_digest_and_a_digest_the_tag() {
        assert_eq!(pod("a:1@sha256:00", &[tagged("a", "2")]).unwrap(), "a:2");
        let image = Image { name: "a".into(), digest: "sha256:11".into(), ..Image::default() };
        assert_eq!(pod("a:1", &[image]).unwrap(), "a@sha256:11");
    }

    #[test]
    fn a_suffix_is_added_twice() {
        let image = Image { name: "a".into(), tag_suffix: "-s".into(), ..Image::default() };
        assert_eq!(pod("a:1", std::slice::from_ref(&image)).unwrap(), "a:1-s-s");
        let elsewhere = "kind: X\nmetadata: {name: a}\nspec: {deep: {containers: [{image: a}]}}\n";
        let changed = applied(elsewhere, &[image]).unwrap();
        let list = changed.at(&["spec", "deep", "containers"]).and_then(Value::as_list).unwrap();
        assert_eq!(list[0].text_at(&["image"]), Some("a:-s"));
    }

    #[test]
    fn a_name_is_a_regular_expression() {
        assert_eq!(pod("gcrxio/a:1", &[tagged("gcr.io/a", "2")]).unwrap(), "gcrxio/a:2");
        assert_eq!(pod("aaa:1", &[tagged("a+", "2")]).unwrap(), "aaa:2");
        assert_eq!(pod("ab:1", &[tagged("a", "2")]).unwrap(), "ab:1");
        assert_eq!(pod("a:1/x", &[tagged("a", "2")]).unwrap(), "a:1/x");
        assert!(pod("a", &[tagged("a[", "2")]).is_err());
    }

    #[test]
    fn later_entries_see_what_earlier_ones_made() {
        let rename = Image { name: "a".into(), new_name: "b".into(), ..Image::default() };
        assert_eq!(pod("a:1", &[rename, tagged("b", "2")]).unwrap(), "b:2");
    }

    #[test]
    fn refuses_what_cannot_be_an_image() {
        assert!(pod("{a: b}", &[tagged("a", "2")]).is_err());
        let text = "kind: X\nmetadata: {name: a}\ncontainers: [a]\n";
        let error = applied(text, &[tagged("a", "2")]).unwrap_err();
        assert!(error.message().contains("\"containers\""), "{error}");
    }
}
