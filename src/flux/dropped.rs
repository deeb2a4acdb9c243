//! Fields that Flux drops without a word, told.
//!
//! It reads objects of built-in kinds into Go's types, and what these do not have is gone before the server sees it: a
//! misspelt field is refused by nobody.

use super::marks::{self, Unread};
use super::normalize;
use super::rooted::Rooted;
use crate::error::{Error, ErrorKind, MOST_AT_ONCE, Place, Result, Warning};
use crate::files::Files;
use crate::json;
use crate::limits::Limits;
use crate::nearest::nearest;
use crate::resource::Resource;
use crate::schema::go::{self, Unknown};
use crate::yaml::{self, Step};

/// What SOPS adds to an object, which decrypting takes away again.
const SOPS: &str = "sops";

/// The files that objects come from.
pub(super) struct Sources<'a> {
    pub(super) files: &'a Rooted<'a>,
    pub(super) limits: &'a Limits,
    /// Whether what is put into the objects may be secret: then only words are told that stand in a file.
    pub(super) has_secrets: bool,
}

/// A warning for each field of an object that Flux drops, with the nearest one that its type has. Who asks for all
/// objects should take no more than are told at once: each one is looked for in its file.
pub(super) fn warnings(resource: &Resource, sources: &Sources<'_>) -> Vec<Warning> {
    if !normalize::is_typed(resource.api_version(), resource.kind()) {
        return Vec::new();
    }
    let Ok(object) = json::to_json(&resource.value) else { return Vec::new() };
    let is_told = |unknown: &&Unknown<'_>| unknown.path != [go::Step::Field(SOPS)];
    let dropped = normalize::dropped(&object);
    let told = dropped.iter().filter(is_told).take(MOST_AT_ONCE);
    told.map(|unknown| sources.warning(resource, unknown)).collect()
}

/// A warning where Flux drops all labels of an object, as it cannot read them.
pub(super) fn labels(resource: &Resource, sources: &Sources<'_>) -> Option<Warning> {
    let (place, unread) = sources.labels(resource)?;
    let whose = sources.shown(resource);
    let message = match unread {
        Unread::NoMap(found) => {
            format!("labels of {whose} are a {found} and no map: Flux drops them")
        }
        Unread::NoString(_) => {
            format!(
                "a label of {whose} is no string: Flux drops all of its labels; put it in quotes"
            )
        }
    };
    Some(Warning { place, message })
}

/// Refuses labels that are no map, as the `flux` program does.
pub(super) fn refuse_labels(resource: &Resource, sources: &Sources<'_>) -> Result<()> {
    match sources.labels(resource) {
        Some((place, Unread::NoMap(found))) => {
            let message = format!("labels of {} are a {found} and no map", sources.shown(resource));
            Err(Error::new(ErrorKind::Invalid, place, message))
        }
        _ => Ok(()),
    }
}

impl Sources<'_> {
    /// Where those of the labels of an object stand that Flux cannot read.
    fn labels<'r>(&self, resource: &'r Resource) -> Option<(Place, Unread<'r>)> {
        let unread = marks::unread(resource.value.at(&["metadata", "labels"])?)?;
        let key = match unread {
            Unread::NoString(key) => Some(key),
            Unread::NoMap(_) => None,
        };
        let path = ["metadata", "labels"].into_iter().chain(key).map(Step::Key);
        let path: Vec<_> = path.collect();
        let (place, _) = self.place(resource, &path, key.unwrap_or("labels"));
        Some((place, unread))
    }

    /// An object in a message.
    fn shown(&self, resource: &Resource) -> String {
        match self.has_secrets {
            true => "an object".to_owned(),
            false => format!("{} \"{}\"", resource.kind(), resource.name()),
        }
    }

    fn warning(&self, resource: &Resource, unknown: &Unknown<'_>) -> Warning {
        let path: Vec<Step<'_>> = unknown.path.iter().copied().map(step).collect();
        let name = match path.last() {
            Some(Step::Key(name)) => *name,
            _ => "",
        };
        let (place, is_there) = self.place(resource, &path, name);
        let is_named = is_there || !self.has_secrets;
        let what = match is_named {
            true => format!("no field {}", unknown.shown()),
            false => "a field that is none of its kind".to_owned(),
        };
        let whence = if is_there { "" } else { ", which a patch or the like sets" };
        let fields = unknown.within.properties.iter().map(|property| property.name);
        let near = nearest(name, fields).filter(|_| is_named);
        let hint = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        let (kind, name) = (resource.kind(), resource.name());
        let message = format!("{kind} \"{name}\" has {what}{whence}: Flux drops it{hint}");
        Warning { place, message }
    }

    /// The line of a field in the file of its object, and whether it is there; else the line of what is above it.
    fn place(&self, resource: &Resource, path: &[Step<'_>], name: &str) -> (Place, bool) {
        let file = resource.origin.file.clone();
        let found = self.files.path_of(&file).and_then(|path_of| {
            let text = self.files.read(&path_of, self.limits.file_bytes).ok()?;
            let at = yaml::locate(&text, resource.origin.document, path)?;
            Some((at, is_word(&text, at, name)))
        });
        match found {
            Some((at, is_there)) => (Place { file, at: Some(at) }, is_there),
            None => (Place::file(file), false),
        }
    }
}

fn step<'v>(step: go::Step<'v>) -> Step<'v> {
    match step {
        go::Step::Field(name) | go::Step::Key(name) => Step::Key(name),
        go::Step::Index(at) => Step::Index(at),
    }
}

/// Whether a word, in quotes or not, stands at a place of a text; line and column count from 1.
fn is_word(text: &[u8], (line, column): (u32, u32), word: &str) -> bool {
    let index = |number: u32| usize::try_from(number).ok()?.checked_sub(1);
    let line = index(line).and_then(|line| text.split(|byte| *byte == b'\n').nth(line));
    let line = line.map(String::from_utf8_lossy).unwrap_or_default();
    let rest: String = line.chars().skip(index(column).unwrap_or_default()).collect();
    let rest = rest.trim_start_matches(['"', '\'']).strip_prefix(word);
    rest.is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
}
