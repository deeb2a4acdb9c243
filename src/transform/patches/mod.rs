//! Patches: strategic merge and JSON 6902.
//!
//! What a patch is, its content decides; which objects it is for, its target, or else the id that it
//! has itself. Files are not read here: a patch comes as text with the place that names it.
//!
//! Source: kustomize `api/internal/builtins/{PatchTransformer,PatchStrategicMergeTransformer,PatchJson6902Transformer}.go`,
//! `api/resource/resource.go` (`ApplySmPatch`).

pub mod json6902;
pub mod strategic;

mod search;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use ecow::EcoString;
use rustc_hash::FxHashMap;

use crate::error::{Error, ErrorKind, Place, Result, Warning};
use crate::fields::rename;
use crate::kustomization::{Patch, Selector, Source};
use crate::limits::Limits;
use crate::manifest;
use crate::resource::{Resource, Written};
use crate::resources::Resources;
use crate::schema::{Comments, Schema};
use crate::selector::Matcher;
use crate::transform::metadata::{self, ORIGIN, TRANSFORMATIONS};
use crate::value::{Map, Scalar, Style, Tag, Value};
use crate::yaml::{self, Step};
use json6902::{Failure, Operations};
use search::Search;
use strategic::{Conflict, Merged, Segment};

/// The text of a patch, and where it comes from.
#[derive(Clone, Debug)]
pub struct PatchText<'a> {
    /// The patch.
    pub text: Bytes,
    /// The file that holds it; `None` where it is written into the kustomization.
    pub file: Option<Arc<str>>,
    /// What names or holds it.
    pub entry: Entry<'a>,
}

/// The entry of a kustomization that a patch belongs to.
#[derive(Clone, Debug)]
pub enum Entry<'a> {
    /// Where it stands.
    At(Place),
    /// Which one of a list it is; only messages ask for its place, which takes a look at the text.
    Listed {
        /// The kustomization.
        source: &'a Source,
        /// The name of the list.
        field: &'a str,
        /// The position in the list, from 0.
        index: usize,
    },
}

/// An entry of `patches` or `patchesJson6902` with its text.
#[derive(Clone, Debug)]
pub struct LoadedPatch<'a> {
    /// The patch.
    pub text: PatchText<'a>,
    /// Target and options.
    pub patch: &'a Patch,
}

/// What patches need to know besides the objects.
#[derive(Debug)]
pub struct Context<'a> {
    /// How lists merge.
    pub schema: &'a Schema,
    /// Upper bounds.
    pub limits: &'a Limits,
    /// What the author hardly meant.
    pub warnings: &'a mut Vec<Warning>,
    /// Set where a strategic merge takes place, which is when kustomize loads its schema.
    pub has_merged: &'a mut bool,
}

/// What the text of a patch turned out to be.
enum Content {
    Strategic(Vec<Resource>),
    Json(Operations),
}

/// Applies `patches`, in order.
///
/// # Errors
/// Where a text is no patch, a patch matches no object, or does not fit the one it matches.
pub fn apply(
    resources: &mut Resources,
    patches: &[LoadedPatch<'_>],
    context: &mut Context<'_>,
) -> Result<()> {
    let contents: Vec<_> =
        patches.iter().map(|patch| patch.text.content(context.limits)).collect::<Result<_>>()?;
    let mut objects = Search::new(resources);
    for (loaded, content) in patches.iter().zip(contents) {
        match (content, &loaded.patch.target) {
            (Content::Strategic(documents), Some(target)) => {
                apply_to_target(&mut objects, loaded, &documents, target, context)?;
            }
            (Content::Strategic(documents), None) => {
                for document in &documents {
                    merge_into_own(&mut objects, &loaded.text, document, loaded.patch, context)?;
                }
            }
            (Content::Json(operations), Some(target)) => {
                apply_json(&mut objects, &loaded.text, &operations, target, true, context)?;
            }
            (Content::Json(_), None) => return Err(untargeted(&loaded.text)),
        }
    }
    objects.finish();
    Ok(())
}

/// Applies `patchesStrategicMerge`, in order.
///
/// # Errors
/// As [`apply`], and where there is not one object in all texts.
pub fn apply_strategic(
    resources: &mut Resources,
    patches: &[PatchText<'_>],
    context: &mut Context<'_>,
) -> Result<()> {
    let mut all = Vec::new();
    for text in patches {
        let documents = text.documents(context.limits)?;
        all.extend(documents.into_iter().map(|document| (text, document)));
    }
    let Some(first) = patches.first() else { return Ok(()) };
    if all.is_empty() {
        return Err(first.error(ErrorKind::Invalid, first.whole(), "patch is empty"));
    }
    let mut objects = Search::new(resources);
    for (text, mut document) in all {
        stringify_metadata(&mut document.value, text, context.warnings);
        merge_into_own(&mut objects, text, &document, &Patch::default(), context)?;
    }
    objects.finish();
    Ok(())
}

/// Applies `patchesJson6902`, in order.
///
/// # Errors
/// As [`apply`], and where a target has no name or a patch no operation.
pub fn apply_json6902(
    resources: &mut Resources,
    patches: &[LoadedPatch<'_>],
    context: &mut Context<'_>,
) -> Result<()> {
    let mut read = Vec::with_capacity(patches.len());
    for LoadedPatch { text, patch } in patches {
        let target = patch.target.as_ref().filter(|target| !target.name.is_empty());
        let Some(target) = target else {
            let message = "target of a JSON patch needs a name";
            return Err(Error::new(ErrorKind::Invalid, text.entry.place(), message));
        };
        let operations = text.operations(context.limits)?;
        if operations.is_empty() {
            return Err(text.error(ErrorKind::Invalid, text.whole(), "patch is empty"));
        }
        read.push((text, target, operations));
    }
    let mut objects = Search::new(resources);
    for (text, target, operations) in read {
        apply_json(&mut objects, text, &operations, target, false, context)?;
    }
    objects.finish();
    Ok(())
}

/// Which of the three fields a patch stands in, for they do not take the same texts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// `patches`
    Patches,
    /// `patchesStrategicMerge`
    StrategicMerge,
    /// `patchesJson6902`
    Json6902,
}

/// The path and the text of an entry of `patchesStrategicMerge`, which is the one or the other.
#[must_use]
pub fn path_and_text(entry: &str) -> (&str, &str) {
    if is_inline(entry) { ("", entry) } else { (entry, "") }
}

/// Whether an entry of `patchesStrategicMerge` is the patch itself rather than the path of a file.
fn is_inline(entry: &str) -> bool {
    let text = PatchText {
        text: Bytes::copy_from_slice(entry.as_bytes()),
        file: None,
        entry: Entry::At(Place::file("")),
    };
    text.documents(&Limits::PERSON).is_ok()
}

impl Entry<'_> {
    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Entry::At(place) => place.clone(),
            Entry::Listed { source, field, index } => {
                source.place(&[Step::Key(field), Step::Index(*index)])
            }
        }
    }

    /// How many lines stand above the literal block that holds the text, and how far it is indented.
    fn block(&self, text: &[u8]) -> Option<(u32, u32)> {
        let Entry::Listed { source, field, index } = self else { return None };
        let path = [Step::Key(field), Step::Index(*index), Step::Key("patch")];
        let (key, _) = yaml::locate(&source.text, 0, &path)?;
        let lines = str::from_utf8(&source.text).ok()?.lines().enumerate();
        let mut lines = lines.skip(usize::try_from(key).ok()?.checked_sub(1)?);
        let (_, header) = lines.next()?;
        let is_literal = header
            .trim_end_matches(|c: char| matches!(c, ' ' | '-' | '+') || c.is_ascii_digit())
            .ends_with([' ', '|'])
            && header.contains('|');
        let first = str::from_utf8(text).ok()?.lines().find(|line| !line.trim().is_empty())?;
        let (at, line) = lines.find(|(_, line)| !line.trim().is_empty())?;
        let indent = line.len().checked_sub(line.trim_start().len())?;
        let is_same = is_literal && line.trim() == first.trim();
        is_same.then_some((u32::try_from(at).ok()?, u32::try_from(indent).ok()?))
    }

    /// The file that it stands in.
    fn file(&self) -> Arc<str> {
        match self {
            Entry::At(place) => place.file.clone(),
            Entry::Listed { source, .. } => source.file.clone(),
        }
    }
}

impl PatchText<'_> {
    /// Whether the text is what stands in that field, whatever it is applied to.
    ///
    /// # Errors
    /// Where it is not.
    pub fn check(&self, field: Field, limits: &Limits) -> Result<()> {
        match field {
            Field::Patches => self.content(limits).map(drop),
            Field::StrategicMerge => self.documents(limits).map(drop),
            Field::Json6902 => self.operations(limits).map(drop),
        }
    }

    /// Decides by the content what it is: a list is a JSON patch, anything else objects.
    fn content(&self, limits: &Limits) -> Result<Content> {
        if self.is_list(limits) {
            let operations = self.operations(limits)?;
            if !operations.is_empty() {
                return Ok(Content::Json(operations));
            }
        }
        self.documents(limits).map(Content::Strategic)
    }

    fn is_list(&self, limits: &Limits) -> bool {
        match self.text.trim_ascii_start() {
            [b'[', ..] | [b'-', b' ' | b'\n' | b'\r', ..] => true,
            [b'a'..=b'z' | b'A'..=b'Z' | b'{', ..] | [] => false,
            _ => yaml::read_first(&self.text, &self.name(), limits)
                .is_ok_and(|value| value.as_list().is_some()),
        }
    }

    /// The objects of a strategic merge patch.
    fn documents(&self, limits: &Limits) -> Result<Vec<Resource>> {
        let documents =
            yaml::read(&self.text, &self.name(), limits).map_err(|error| self.placed(error))?;
        let place = |document| self.at(document, &[]);
        let mut resources = manifest::resources(&documents, &self.text, &self.name(), &place)
            .map_err(|error| self.placed(error))?;
        note_comments(&mut resources, &self.text);
        Ok(resources)
    }

    fn operations(&self, limits: &Limits) -> Result<Operations> {
        Operations::parse(&self.text, &self.name(), limits).map_err(|error| self.placed(error))
    }

    /// What the text is called in messages about it.
    fn name(&self) -> Arc<str> {
        self.file.clone().unwrap_or_else(|| self.entry.file())
    }

    /// Puts an error at its place in the file, which for a text in the kustomization is there.
    fn placed(&self, error: Error) -> Error {
        match self.file {
            Some(_) => error.within(self.entry.place()),
            None => {
                let at = error.places()[0].at;
                error.at(self.inline(at))
            }
        }
    }

    /// The place of a line and column of a text that is written into the kustomization: the entry,
    /// unless the text is a block, whose lines stand there as they are.
    fn inline(&self, at: Option<(u32, u32)>) -> Place {
        let place = self.entry.place();
        let block = at.zip(self.entry.block(&self.text));
        let Some(((line, column), (lines, indent))) = block else { return place };
        Place::new(place.file, line.saturating_add(lines), column.saturating_add(indent))
    }

    /// The place of a value of the patch.
    fn at(&self, document: usize, path: &[Step<'_>]) -> Place {
        match &self.file {
            Some(file) => {
                Place { file: file.clone(), at: yaml::locate(&self.text, document, path) }
            }
            None => self.inline(yaml::locate(&self.text, document, path)),
        }
    }

    fn whole(&self) -> Place {
        self.file.clone().map_or_else(|| self.entry.place(), Place::file)
    }

    fn error(&self, kind: ErrorKind, place: Place, message: impl Into<String>) -> Error {
        let error = Error::new(kind, place, message);
        if self.file.is_some() { error.within(self.entry.place()) } else { error }
    }
}

fn untargeted(text: &PatchText<'_>) -> Error {
    Error::new(ErrorKind::Invalid, text.entry.place(), "JSON patch needs a target")
        .hint("add \"target:\" with the kind and name of the objects to be patched")
}

/// Merges a patch into everything that its target selects.
fn apply_to_target(
    objects: &mut Search<'_>,
    loaded: &LoadedPatch<'_>,
    documents: &[Resource],
    target: &Selector,
    context: &mut Context<'_>,
) -> Result<()> {
    let LoadedPatch { text, patch } = loaded;
    let document = match documents {
        [] => return Ok(()),
        [one] => one,
        [_, second, ..] => {
            let place = text.at(second.origin.document, &[]);
            let message = "patch with a target has more than one object";
            return Err(text
                .error(ErrorKind::Invalid, place, message)
                .hint("give each object an entry of its own, or leave the target out"));
        }
    };
    let selected = select(objects, text, target, context)?;
    let (kind, name) = (EcoString::from(document.kind()), EcoString::from(document.name()));
    let mut document = document.clone();
    // On its way to a target its kind and name are set anew, whose type is then what they look like.
    document.value.set(&["kind"], Value::bare(kind));
    document.value.set(&["metadata", "name"], Value::bare(name));
    stringify_metadata(&mut document.value, text, context.warnings);
    for at in selected {
        let mut adapted = document.clone();
        restore(&mut adapted.value, &["apiVersion"], objects.list()[at].api_version());
        merge(objects, at, text, &adapted, patch, context)?;
    }
    if patch.allow_name_change || patch.allow_kind_change {
        objects
            .check_ids()
            .map_err(|message| text.error(ErrorKind::Invalid, text.whole(), message))?;
    }
    Ok(())
}

fn select(
    objects: &mut Search<'_>,
    text: &PatchText<'_>,
    target: &Selector,
    context: &mut Context<'_>,
) -> Result<Vec<usize>> {
    let matcher =
        Matcher::within(target, context.limits).map_err(|error| error.at(text.entry.place()))?;
    let selected = objects.select(&matcher);
    if selected.is_empty() {
        let message = format!("patch has no effect: {}", objects.nothing_selected(target));
        context.warnings.push(Warning { place: text.entry.place(), message });
    }
    Ok(selected)
}

/// Merges a patch into the object whose id it has.
fn merge_into_own(
    objects: &mut Search<'_>,
    text: &PatchText<'_>,
    document: &Resource,
    patch: &Patch,
    context: &mut Context<'_>,
) -> Result<()> {
    let at = objects.find(&document.id()).map_err(|missing| {
        let place = text.at(document.origin.document, &[]);
        let error = text.error(ErrorKind::Invalid, place, missing.message);
        match missing.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })?;
    if !(patch.allow_name_change || patch.allow_kind_change) {
        return merge(objects, at, text, document, patch, context);
    }
    // The options are notes in the annotations of the patch.
    let mut noted = document.clone();
    stringify(&mut noted.value, "annotations", text, context.warnings);
    merge(objects, at, text, &noted, patch, context)
}

/// Merges a patch into one object, whose kind, name and namespace stay unless the options say otherwise.
fn merge(
    objects: &mut Search<'_>,
    at: usize,
    text: &PatchText<'_>,
    document: &Resource,
    patch: &Patch,
    context: &mut Context<'_>,
) -> Result<()> {
    let object = objects.change(at);
    let before = EcoString::from(object.name());
    let may_change_name = patch.allow_name_change || document.may_change_name;
    let may_change_kind = patch.allow_kind_change || document.may_change_kind;
    if may_change_name || may_change_kind {
        object.remember_id();
    }
    if has_notes(object)
        && let Some(conflict) = over_notes(&document.value)
    {
        return Err(misfit(text, document, object, &conflict));
    }
    *context.has_merged = true;
    let comments = comments_of(object, document);
    let comments = comments.as_deref();
    let Merged { value, lost } =
        strategic::merge_commented(context.schema, comments, &object.value, &document.value)
            .map_err(|conflict| misfit(text, document, object, &conflict))?;
    for lost in lost {
        let message = format!("{lost} ({})", search::named(object));
        context.warnings.push(Warning { place: text.whole(), message });
    }
    let Some(mut merged) = value.filter(|value| value.as_map().is_none_or(|map| !map.is_empty()))
    else {
        objects.remove(at);
        return Ok(());
    };
    if !may_change_kind {
        restore(&mut merged, &["kind"], object.kind());
    }
    if !may_change_name {
        restore(&mut merged, &["metadata", "name"], object.name());
    }
    restore_namespace(&mut merged, object.namespace());
    object.value = merged;
    let along = object.settle_twins_after(&document.value);
    if !along.is_empty() {
        let message = format!(
            "patch sets {} of {} along with the label that it names: kustomize added them as one",
            along.join(", "),
            search::named(object)
        );
        context.warnings.push(Warning { place: text.whole(), message });
    }
    if wipes_notes(&document.value) && has_notes(object) {
        let message = format!(
            "patch takes all annotations of {} away, and with them what it was called before \
             and whether its name gets a hash",
            search::named(object)
        );
        context.warnings.push(Warning { place: text.whole(), message });
        forget_notes(object);
    }
    objects.renamed(at, &before);
    Ok(())
}

/// The schemas beside fields of either; the object's count more.
fn comments_of<'c>(object: &'c Resource, patch: &'c Resource) -> Option<Cow<'c, Comments>> {
    match (&object.comments, &patch.comments) {
        (Some(one), Some(other)) => Some(Cow::Owned(Comments::clone(one).or(other))),
        (Some(one), None) | (None, Some(one)) => Some(Cow::Borrowed(one)),
        (None, None) => None,
    }
}

/// Notes the schemas that stand in `text` beside fields of the resources that were read from it.
pub fn note_comments(resources: &mut [Resource], text: &[u8]) {
    let documents = Comments::read(text);
    if documents.is_empty() {
        return;
    }
    for resource in resources {
        resource.comments = documents.get(&resource.origin.document).cloned().map(Arc::new);
    }
}

/// Sets a field back, with the quotes that it has.
fn restore(value: &mut Value, path: &[&str], text: &str) {
    if let Some(field) = value.make(path) {
        rename(field, text);
    }
}

fn restore_namespace(value: &mut Value, namespace: &str) {
    if !namespace.is_empty() {
        restore(value, &["metadata", "namespace"], namespace);
    } else if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_map_mut) {
        metadata.remove("namespace");
    }
}

fn misfit(
    text: &PatchText<'_>,
    document: &Resource,
    object: &Resource,
    conflict: &Conflict,
) -> Error {
    let path: Vec<Step<'_>> = conflict
        .path
        .iter()
        .map(|segment| match segment {
            Segment::Key(key) => Step::Key(key),
            Segment::Index(index) => Step::Index(*index),
        })
        .collect();
    let kind = if conflict.is_limit { ErrorKind::Limit } else { ErrorKind::Invalid };
    let place = text.at(document.origin.document, &path);
    let field = dotted(&conflict.path);
    let message = format!("{}: \"{field}\" of {}", conflict.message, search::named(object));
    text.error(kind, place, message)
}

fn dotted(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Key(key) if text.is_empty() => text.push_str(key),
            Segment::Key(key) => text.extend([".", key]),
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// Applies JSON operations to everything that the target selects.
fn apply_json(
    objects: &mut Search<'_>,
    text: &PatchText<'_>,
    operations: &Operations,
    target: &Selector,
    remembers: bool,
    context: &mut Context<'_>,
) -> Result<()> {
    for at in select(objects, text, target, context)? {
        let object = objects.change(at);
        let before = EcoString::from(object.name());
        if remembers {
            object.remember_id();
        }
        object.settle_end();
        let mut value = object.value.clone();
        if has_notes(object) {
            open_annotations(&mut value);
        }
        if !object.transformations.is_empty() {
            // Written anew with the note on a transformer.
            settle_annotations(&mut value);
        }
        hang_in(&object.origin_annotation, ORIGIN, &mut value);
        hang_in(&metadata::transformation_list(object), TRANSFORMATIONS, &mut value);
        operations
            .apply(&mut value, context.limits)
            .map_err(|failure| inapplicable(text, object, failure))?;
        if !take_out(ORIGIN, &mut value) {
            object.origin_annotation = None;
        }
        if !take_out(TRANSFORMATIONS, &mut value) {
            object.transformations.clear();
        }
        settle_annotations(&mut value);
        if let Some(lost) = lost(&value) {
            let message = format!("JSON patch leaves {} without {lost}", search::named(object));
            return Err(text.error(ErrorKind::Invalid, text.whole(), message));
        }
        object.value = value;
        object.in_brackets = false;
        object.written = Written::Encoded;
        // On the way through JSON nothing stays shared, and comments are lost.
        object.twins.clear();
        object.comments = None;
        objects.renamed(at, &before);
    }
    Ok(())
}

/// Whether kustomize has taken notes in the annotations of the object.
fn has_notes(object: &Resource) -> bool {
    !(object.former.is_empty() && object.prefixes.is_empty() && object.suffixes.is_empty())
        || object.behavior.is_some()
        || object.needs_hash
        || object.may_change_name
        || object.may_change_kind
        || object.origin_annotation.is_some()
        || !object.transformations.is_empty()
}

/// Makes a note the annotation that it is to kustomize: unlike others this one does not outlive a
/// JSON patch that takes it away.
fn hang_in(note: &Option<EcoString>, key: &str, value: &mut Value) {
    if let Some(note) = note {
        value.set(&["metadata", "annotations", key], Value::string(note.clone()));
    }
}

/// Takes the annotation out again; false where it is gone already.
fn take_out(key: &str, value: &mut Value) -> bool {
    let annotations =
        value.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations"));
    annotations.and_then(Value::as_map_mut).and_then(|map| map.remove(key)).is_some()
}

/// Whether a patch takes all annotations away, and kustomize's notes among them.
fn wipes_notes(patch: &Value) -> bool {
    let replaces = |value: &Value| {
        matches!(value.get("$patch").and_then(Value::as_text), Some("replace" | "delete"))
    };
    let Some(metadata) = patch.get("metadata") else { return false };
    let of_annotations = |value: &Value| value.is_null() || replaces(value);
    replaces(metadata) || metadata.get("annotations").is_some_and(of_annotations)
}

/// Annotations of a patch that are no map, where kustomize has notes in those of the object.
fn over_notes(patch: &Value) -> Option<Conflict> {
    let annotations = patch.at(&["metadata", "annotations"])?;
    let is_odd = !annotations.is_null() && annotations.as_map().is_none();
    is_odd.then(|| {
        let found = annotations.kind_name();
        let conflict = Conflict::new(format!("patch has a {found} where kustomize notes a map"));
        conflict.within("annotations").within("metadata")
    })
}

/// Forgets what kustomize keeps in annotations.
fn forget_notes(object: &mut Resource) {
    object.former.clear();
    object.prefixes.clear();
    object.suffixes.clear();
    object.transformations.clear();
    (object.behavior, object.origin_annotation) = (None, None);
    (object.needs_hash, object.from_helm) = (false, false);
    (object.may_change_name, object.may_change_kind) = (false, false);
}

/// Makes the annotations the mapping that they are to a JSON patch where notes are taken in them: so
/// it can add one where the object has none.
fn open_annotations(value: &mut Value) {
    // What is in it keeps its type on the way through JSON: `08` comes out as the text `8`.
    let annotations = value.make(&["metadata", "annotations"]);
    if let Some(annotations) = annotations.filter(|value| value.as_map().is_none()) {
        *annotations = Value::map();
    }
}

/// Leaves annotations as kustomize writes them: strings, or nothing at all.
fn settle_annotations(value: &mut Value) {
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_map_mut) else { return };
    match metadata.get_mut("annotations") {
        None => {}
        Some(Value::Map(map)) if !map.is_empty() => {
            // Asked first: a mapping that others share stays shared.
            let is_settled = map.iter().all(|(_, value)| value.as_str().is_some());
            let unsettled = (!is_settled).then_some(map);
            for (_, value) in unsettled.into_iter().flat_map(Map::iter_mut) {
                *value = Value::Scalar(as_string(value));
            }
        }
        Some(_) => drop(metadata.remove("annotations")),
    }
}

/// What an object cannot be without and has not.
fn lost(value: &Value) -> Option<&'static str> {
    let text = |path: &[&str]| value.text_at(path).unwrap_or_default();
    let kind = text(&["kind"]);
    if kind.is_empty() || value.get("kind").is_some_and(Value::is_null) {
        return Some("a kind");
    }
    let has_name = !text(&["metadata", "name"]).is_empty()
        && !value.at(&["metadata", "name"]).is_some_and(Value::is_null);
    (!has_name && !kind.ends_with("List")).then_some("a name")
}

fn inapplicable(text: &PatchText<'_>, object: &Resource, failure: Failure) -> Error {
    let kind = if failure.is_limit { ErrorKind::Limit } else { ErrorKind::Invalid };
    let place = text.at(0, &[Step::Index(failure.operation)]);
    let message = format!(
        "JSON patch does not fit {}: {} (operation {})",
        search::named(object),
        failure.message,
        failure.operation + 1
    );
    let error = text.error(kind, place, message);
    match failure.hint {
        // It may say what is there.
        Some(hint) if object.kind() != "Secret" => error.hint(hint),
        _ => error,
    }
}

/// Makes the labels and annotations of a patch strings, as kustomize does on its way to a target.
fn stringify_metadata(patch: &mut Value, text: &PatchText<'_>, warnings: &mut Vec<Warning>) {
    stringify(patch, "labels", text, warnings);
    stringify(patch, "annotations", text, warnings);
}

/// Makes the values under `metadata.FIELD` strings, of a key that is there twice the last: a null, which was to
/// delete one, becomes "null".
fn stringify(patch: &mut Value, field: &str, text: &PatchText<'_>, warnings: &mut Vec<Warning>) {
    let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_map_mut) else { return };
    match metadata.get_mut(field) {
        None => {}
        Some(Value::Map(map)) if !map.is_empty() => {
            keep_last(map);
            for (key, value) in map.iter_mut() {
                if value.is_null() {
                    let message = format!(
                        "null does not remove {field} \"{}\" here, it becomes text",
                        key.text
                    );
                    warnings.push(Warning { place: text.whole(), message });
                }
                *value = Value::Scalar(as_string(value));
            }
        }
        Some(_) => drop(metadata.remove(field)),
    }
}

/// Of a key that is there twice keeps the first place with the last value.
fn keep_last(map: &mut Map) {
    if map.twice().is_none() {
        return;
    }
    let entries = map.iter().map(|(key, value)| (key.text.clone(), value.clone()));
    let mut last: FxHashMap<EcoString, Value> = entries.collect();
    map.retain(|key, value| match last.remove(&key.text) {
        Some(new) => {
            *value = new;
            true
        }
        None => false,
    });
}

fn as_string(value: &Value) -> Scalar {
    match value {
        Value::Scalar(scalar) => {
            Scalar { text: scalar.text.clone(), style: Style::Tagged(Tag::Str) }
        }
        _ => Scalar { text: Default::default(), style: Style::Tagged(Tag::Str) },
    }
}
