//! A build as the `flux` program does it: of a directory, with a Kustomization at hand, and of the
//! Kustomizations that come out of it.
//!
//! It differs from what the controller does: variables without a value stand for nothing unless asked
//! otherwise, `.sourceignore` and patterns of the command line hide files, nothing confines the build to a
//! root, and `spec.path` counts only for the Kustomizations within.
//!
//! Source: flux2 2.9 `internal/build/build.go`, `cmd/flux/build_kustomization.go`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::DecodeError;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use ecow::EcoString;

use super::api::{self, Kustomization, Object, Reading};
use super::generate::Hidden;
use super::ignore::Rules;
use super::substitute::Lookup;
use super::{Decrypt, Renderer};
use crate::build::Options;
use crate::error::{Error, ErrorKind, Place, Result, Warned, Warning};
use crate::files::{Files, clean};
use crate::resource::Resource;
use crate::store::Store;
use crate::value::{Scalar, Style, Tag, Value};
use crate::yaml::{self, Step};

/// Finds a Kustomization in the cluster: namespace, name.
pub type Live<'a> = dyn Fn(&str, &str) -> Result<Option<Kustomization>> + 'a;

/// Builds directories.
#[derive(Clone, Copy)]
pub struct LocalBuild<'a> {
    /// The files.
    pub files: &'a dyn Files,
    /// What is parsed already.
    pub store: &'a Store,
    /// Limits, and what may be fetched.
    pub options: &'a Options,
    /// What becomes of encrypted values.
    pub decrypt: &'a dyn Decrypt,
    /// Finds what `substituteFrom` names; without, it is left out.
    pub lookup: Option<&'a Lookup<'a>>,
    /// Finds Kustomizations that take the place of those that were built.
    pub live: Option<&'a Live<'a>>,
    /// Whether a variable without value and default is an error.
    pub strict: bool,
    /// Patterns of files that are left out.
    pub ignore: &'a [String],
    /// Whether the Kustomizations that come out of a build are built too.
    pub recursive: bool,
    /// Directories that stand in for sources, by `Kind/namespace/name`.
    pub sources: &'a BTreeMap<String, PathBuf>,
}

/// Most Kustomizations within each other.
const DEPTH: usize = 50;

/// Base64 as Go reads it, which does not look at the bits that are left over.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

impl LocalBuild<'_> {
    /// The objects of the directory `path`, then those of the Kustomizations among them.
    pub fn build(
        &self,
        kustomization: &Kustomization,
        path: &Path,
    ) -> Warned<Result<Vec<Resource>>> {
        let mut warnings = Vec::new();
        let output = self.level(kustomization, path, &mut Vec::new(), &mut warnings);
        Warned { output, warnings }
    }

    fn level(
        &self,
        kustomization: &Kustomization,
        path: &Path,
        above: &mut Vec<String>,
        warnings: &mut Vec<Warning>,
    ) -> Result<Vec<Resource>> {
        let mut resources = self.render(kustomization, path, warnings)?;
        if !self.recursive {
            return Ok(resources);
        }
        above.push(shown(kustomization));
        let mut more = Vec::new();
        for resource in &resources {
            let Some(child) = read(resource)? else { continue };
            if shown(&child) == shown(kustomization) {
                continue;
            }
            let place = Place::file(resource.origin.file.clone());
            self.forbid_cycle(&child, above, &place)?;
            let path =
                directory(&child, self.sources).map_err(|error| error.within(place.clone()))?;
            let child = self.current(child)?;
            more.extend(self.level(&child, &path, above, warnings)?);
        }
        above.pop();
        resources.extend(more);
        Ok(resources)
    }

    fn forbid_cycle(&self, child: &Kustomization, above: &[String], place: &Place) -> Result<()> {
        let name = shown(child);
        if above.contains(&name) {
            let way = above.join(" → ");
            let message = format!("cycle of Kustomizations: {way} → {name}");
            return Err(Error::new(ErrorKind::Invalid, place.clone(), message));
        }
        if above.len() < DEPTH {
            return Ok(());
        }
        let message = format!("more than {DEPTH} Kustomizations stand within each other");
        Err(Error::new(ErrorKind::Limit, place.clone(), message))
    }

    fn render(
        &self,
        kustomization: &Kustomization,
        path: &Path,
        warnings: &mut Vec<Warning>,
    ) -> Result<Vec<Resource>> {
        let own = Rules::written(self.files, path, Some(&self.ignore.join("\n")))?;
        // Only where there are patterns of one's own does the walk through a directory look at any.
        let has_own = !own.is_empty();
        let rules = Rules::of_walk(own);
        let inside = |file: &Path| file.strip_prefix(path).map(Path::to_path_buf);
        let hides = |file: &Path, is_directory: bool| {
            inside(file).is_ok_and(|file| rules.excludes(&file, is_directory))
        };
        let hidden = Hidden { hides: &hides, in_walks: has_own };
        let renderer = Renderer {
            files: self.files,
            root: Path::new("/"),
            store: self.store,
            options: self.options,
            decrypt: self.decrypt,
            lookup: self.lookup,
            strict: self.strict,
            hidden: Some(&hidden),
        };
        let mut kustomization = kustomization.clone();
        kustomization.spec.path = path.to_string_lossy().into_owned();
        let rendered = renderer.render(&kustomization);
        warnings.extend(rendered.warnings);
        let mut resources: Vec<Resource> = rendered.output?.resources.into_iter().collect();
        resources.iter_mut().try_for_each(copy_secret)?;
        Ok(resources)
    }

    fn current(&self, child: Kustomization) -> Result<Kustomization> {
        let Some(live) = self.live else { return Ok(child) };
        Ok(live(&child.meta.namespace, &child.meta.name)?.unwrap_or(child))
    }
}

/// The directory that a Kustomization within another one is built from, of those that stand for sources.
///
/// # Errors
/// Where none stands for its source.
pub fn directory(child: &Kustomization, sources: &BTreeMap<String, PathBuf>) -> Result<PathBuf> {
    let source = child.source();
    let key = format!("{}/{}/{}", source.kind, source.namespace, source.name);
    let Some(directory) = sources.get(&key) else {
        let place = child.meta.place.clone().unwrap_or_else(|| Place::file("spec.sourceRef"));
        // In the words of the program itself, which people search for.
        let message =
            format!("cannot get local path for {key} of kustomization {}", child.meta.name);
        let error = Error::new(ErrorKind::Missing, place, message);
        return Err(error.hint(format!("name its directory with --local-sources {key}=PATH")));
    };
    let below = clean(&Path::new("/").join(child.spec.path.trim_start_matches('/')));
    Ok(clean(&directory.join(below.strip_prefix("/").unwrap_or(&below))))
}

/// Does to a Secret what the program does on its way through looking for encrypted values: `data` is copied as texts,
/// and left out where it is empty; `stringData` is copied without quotes, so that what looks like a number becomes one.
///
/// Source: flux2 2.9 `internal/build/build.go`, `maskSopsData`; kyaml `yaml/rnode.go`, `SetDataMap`, `NewMapRNode`.
fn copy_secret(resource: &mut Resource) -> Result<()> {
    if resource.kind() != "Secret" {
        return Ok(());
    }
    let name = resource.name().to_owned();
    let place = Place::file(resource.origin.file.clone());
    let Some(object) = resource.value.as_map_mut() else { return Ok(()) };
    match object.get_mut("data").map(Value::as_map_mut) {
        Some(Some(data)) if !data.is_empty() => {
            for (_, value) in data.iter_mut() {
                let text = copied(value);
                if let Some(index) = broken_base64(&text) {
                    // In the words of the program itself, which people search for.
                    let message = format!(
                        "failed to mask secret {name} sops data: illegal base64 data at input byte {index}"
                    );
                    return Err(Error::new(ErrorKind::Invalid, place, message));
                }
                *value = Value::string(text);
            }
        }
        _ => {
            object.remove("data");
        }
    }
    if let Some(texts) = object.get_mut("stringData").and_then(Value::as_map_mut) {
        for (_, value) in texts.iter_mut() {
            let text = copied(value);
            let style = if text.contains('\n') { Style::Tagged(Tag::Str) } else { Style::Bare };
            *value = Value::Scalar(Scalar { text, style });
        }
    }
    Ok(())
}

/// The text of a scalar; nothing of anything else.
fn copied(value: &Value) -> EcoString {
    value.as_text().filter(|_| !value.is_null()).unwrap_or_default().into()
}

/// Where a text stops being base64; line breaks may stand anywhere in it.
fn broken_base64(text: &str) -> Option<usize> {
    let text: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    Some(match LENIENT.decode(&text).err()? {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol { offset: at, .. } => at,
        _ => text.len(),
    })
}

fn shown(kustomization: &Kustomization) -> String {
    format!("{}/{}", kustomization.meta.namespace, kustomization.meta.name)
}

/// The Kustomization that an object is, where it is one.
///
/// # Errors
/// Where it cannot be read.
pub fn read(resource: &Resource) -> Result<Option<Kustomization>> {
    if resource.kind() != "Kustomization" {
        return Ok(None);
    }
    let place = |_: &[Step<'_>]| Place::file(resource.origin.file.clone());
    Ok(match api::read(&resource.value, Reading::Lenient, &place).output? {
        Some(Object::Kustomization(one)) => Some(*one),
        _ => None,
    })
}

/// Objects as the `flux` program prints them: each a document, with a separator behind it.
///
/// # Errors
/// Where one cannot be printed, or all together exceed the limit.
pub fn print<'r>(
    resources: impl IntoIterator<Item = &'r Resource>,
    limit: usize,
) -> Result<String> {
    let mut out = String::new();
    for resource in resources {
        let place = || Place::file(resource.origin.file.clone());
        yaml::write(&resource.value, &mut out).map_err(|error| error.at(place()))?;
        out.push_str("---\n");
        if out.len() > limit {
            let message = format!("output is larger than {limit} bytes");
            return Err(Error::new(ErrorKind::Limit, place(), message));
        }
    }
    Ok(out)
}
