//! Flux: from a `Kustomization` object and the files of its source to the objects that it would apply.
//!
//! | step | module |
//! |---|---|
//! | what the objects say | [`api`] |
//! | nothing outside the source is read | [`rooted`] |
//! | the file at `spec.path`, with the spec merged in | [`generate`] |
//! | encrypted values, before and after the build | [`Decrypt`] |
//! | variables | [`substitute`] |
//! | HelmReleases, by the real Helm | [`helm`] |
//! | whose objects they are, and what they ask for | [`marks`] |
//! | what the status would list | [`inventory`] |
//! | what is sent, and how a cluster differs from it | [`normalize`], [`drift`] |
//! | what a person sees of that | [`report`], [`shown`]; of secrets nothing, [`veil`] |
//! | all of a repository, at once and at two revisions | [`discover`], [`compare`]; what is the same is rendered once, [`trace`] |
//!
//! [`Renderer::render`] is the order of these steps; [`local`] is how the `flux` program goes about it.
//!
//! Source: kustomize-controller 1.9,
//! `internal/controller/kustomization_controller.go` (`reconcile`, `build`).

pub mod api;
pub mod compare;
pub mod discover;
pub mod drift;
mod dropped;
pub mod generate;
pub mod helm;
pub mod ignore;
pub mod inventory;
pub mod local;
pub mod marks;
pub mod normalize;
mod numbers;
pub mod report;
pub mod rooted;
pub mod shown;
pub mod sources;
pub mod substitute;
pub mod trace;
pub mod veil;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::api::Kustomization;
use self::rooted::Rooted;
use self::sources::digest::Digest;
use self::substitute::{Lookup, PostBuild, Rules, Strategy, Variables};
use crate::build::{self, Options, Order};
use crate::error::{Error, ErrorKind, MOST_AT_ONCE, Place, Result, Warned, Warning};
use crate::files::{FileKind, Files, clean};
use crate::limits::Limits;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::store::Store;
use crate::value::{Map, Value};
use crate::yaml;

/// What Flux's programs take for their version of kustomize, which they are not told when they are built.
const VERSION: &str = "(devel)";

/// What becomes of encrypted values: they are decrypted with keys, or they are masked.
pub trait Decrypt: Sync {
    /// The files with those decrypted that generators and patches name, from the kustomization in
    /// `directory` on; nothing where there is none. What is read from them must not be kept.
    ///
    /// # Errors
    /// Where a file does not decrypt.
    fn sources<'a>(
        &self,
        files: &'a dyn Files,
        limits: &Limits,
        directory: &Path,
    ) -> Result<Option<Box<dyn Files + 'a>>>;

    /// Takes care of one object that was built, before variables are put in.
    ///
    /// # Errors
    /// Where it does not decrypt.
    fn built(&self, resource: &mut Resource) -> Result<()>;

    /// Takes care of one object that is about to be shown or applied.
    ///
    /// # Errors
    /// Where it is encrypted still, and must not be.
    fn rendered(&self, resource: &mut Resource) -> Result<()>;
}

/// Leaves everything as encrypted as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Untouched;

/// Renders Kustomizations of one source.
#[derive(Clone, Copy)]
pub struct Renderer<'a> {
    /// The files.
    pub files: &'a dyn Files,
    /// The root of the source: nothing outside is read.
    pub root: &'a Path,
    /// What is parsed already.
    pub store: &'a Store,
    /// Limits, and what may be fetched and run. Order and restrictions are those of Flux.
    pub options: &'a Options,
    /// What becomes of encrypted values.
    pub decrypt: &'a dyn Decrypt,
    /// Finds what `substituteFrom` names; without, it is left out, as by `flux build --dry-run`.
    pub lookup: Option<&'a Lookup<'a>>,
    /// Whether a variable without value and default is an error, as for the controller since 1.9.
    pub strict: bool,
    /// What the command line hides from a build.
    pub hidden: Option<&'a generate::Hidden<'a>>,
}

/// What a Kustomization comes to.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// The objects in the order in which they were built, with labels of their owner.
    pub resources: Resources,
    /// What the status of the Kustomization would list once they are applied.
    pub inventory: Vec<inventory::Entry>,
}

impl Decrypt for Untouched {
    fn sources<'a>(
        &self,
        _: &'a dyn Files,
        _: &Limits,
        _: &Path,
    ) -> Result<Option<Box<dyn Files + 'a>>> {
        Ok(None)
    }

    fn built(&self, _: &mut Resource) -> Result<()> {
        Ok(())
    }

    fn rendered(&self, _: &mut Resource) -> Result<()> {
        Ok(())
    }
}

impl Renderer<'_> {
    /// Renders what a Kustomization applies.
    ///
    /// Warnings come with failures too.
    pub fn render(&self, kustomization: &Kustomization) -> Warned<Result<Rendered>> {
        let mut warnings = Vec::new();
        let output = self.run(kustomization, &mut warnings);
        let output = output.map_err(|error| match &kustomization.meta.place {
            Some(place) => error.within(place.clone()),
            None => error,
        });
        Warned { output, warnings }
    }

    /// The digest by which the history in the status of the Kustomization names what it builds.
    ///
    /// It is that of the objects as YAML, variables put in and without the labels of their owner.
    ///
    /// # Errors
    /// Where it does not build.
    pub fn digest(&self, kustomization: &Kustomization) -> Result<String> {
        let resources = self.built(kustomization, &self.rooted(), &mut Vec::new())?;
        let text = build::print(&resources, &self.options.limits)?;
        Ok(Digest::sha256(text.as_bytes()).to_string())
    }

    fn run(&self, kustomization: &Kustomization, warnings: &mut Vec<Warning>) -> Result<Rendered> {
        let files = self.rooted();
        let built = self.built(kustomization, &files, warnings)?;
        let mut resources = checked(applicable(built, warnings))?;
        let (limits, has_secrets) = (&self.options.limits, kustomization.has_secrets());
        let sources = dropped::Sources { files: &files, limits, has_secrets };
        if self.is_of_program() {
            resources.iter().try_for_each(|one| dropped::refuse_labels(one, &sources))?;
        }
        let lost = resources.iter().filter_map(|one| dropped::labels(one, &sources));
        warnings.extend(lost.take(MOST_AT_ONCE));
        for resource in resources.iter_mut() {
            numbers::read(&mut resource.value);
            if !self.is_of_program() {
                marks::read_labels(resource);
            }
            marks::own(resource, &kustomization.meta.name, &kustomization.meta.namespace);
            self.decrypt.rendered(resource)?;
            if let Some(common) = &kustomization.common_metadata {
                marks::read_and_set_common(resource, common);
            }
        }
        let applied = resources.iter().filter(|one| marks::Wishes::of(one).is_applied());
        let dropped = applied.flat_map(|one| dropped::warnings(one, &sources));
        warnings.extend(dropped.take(MOST_AT_ONCE));
        let inventory = inventory::entries(&resources);
        Ok(Rendered { resources, inventory })
    }

    /// Whether the `flux` program builds, which keeps or refuses labels that Flux cannot read. Nobody else hides files.
    fn is_of_program(&self) -> bool {
        self.hidden.is_some()
    }

    /// The files that may be read.
    fn rooted(&self) -> Rooted<'_> {
        let rooted = Rooted::new(self.files, self.root);
        match &self.options.remote {
            Some(remote) => rooted.with_clones(remote.clones()),
            None => rooted,
        }
    }

    /// Everything up to the objects that Flux takes note of: they are decrypted, and variables are put in.
    fn built(
        &self,
        kustomization: &Kustomization,
        rooted: &Rooted<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Result<Resources> {
        let directory = self.directory(rooted, &kustomization.spec.path)?;
        let limits = &self.options.limits;
        let plain = self.decrypt.sources(rooted, limits, &directory)?;
        let files = plain.as_deref().unwrap_or(rooted);
        // What was decrypted must not stay in a store that others read from.
        let unkept = Store::new(0);
        let store = if plain.is_some() { &unkept } else { self.store };
        let renderer = Renderer { store, ..*self };
        let mut resources = renderer.build(files, &directory, &kustomization.spec, warnings)?;
        // What has no version or no name the program leaves out, where the controller gives up.
        let check = if self.is_of_program() { check_kind } else { check };
        resources.iter().try_for_each(check)?;
        for resource in resources.iter_mut() {
            self.decrypt.built(resource)?;
        }
        if let Some(post_build) = &kustomization.post_build {
            self.substitute(kustomization, post_build, &mut resources, rooted)?;
        }
        Ok(resources)
    }

    /// The directory that `spec.path` names; it cannot leave the root.
    fn directory(&self, files: &Rooted<'_>, path: &str) -> Result<PathBuf> {
        let below = clean(&Path::new("/").join(path.trim_start_matches('/')));
        let directory = clean(&self.root.join(below.strip_prefix("/").unwrap_or(&below)));
        let place = || Place::file(files.shown(&directory));
        if files.kind(&directory) != FileKind::Directory {
            let message = "kustomization path not found: no such directory in the source";
            return Err(Error::new(ErrorKind::Missing, place(), message));
        }
        if !files.allows(&directory) {
            let message = "kustomization path leads out of its source";
            return Err(Error::new(ErrorKind::Forbidden, place(), message));
        }
        Ok(directory)
    }

    fn build(
        &self,
        files: &dyn Files,
        directory: &Path,
        spec: &Spec,
        warnings: &mut Vec<Warning>,
    ) -> Result<Resources> {
        let version = Some(VERSION);
        let order = Order::None;
        let options = Options { unrestricted: true, order, version, ..self.options.clone() };
        let limits = &options.limits;
        let edited =
            generate::edited(files, self.store, limits, directory, spec, self.hidden, warnings)?;
        let built = build::build_edited(files, self.store, &options, directory, edited);
        warnings.extend(built.warnings);
        built.output
    }

    fn substitute(
        &self,
        kustomization: &Kustomization,
        post_build: &PostBuild,
        resources: &mut Resources,
        files: &Rooted<'_>,
    ) -> Result<()> {
        let namespace = &kustomization.meta.namespace;
        let variables = match self.lookup {
            Some(lookup) => Variables::load(post_build, namespace, lookup)?,
            None => {
                let own = PostBuild { substitute_from: Vec::new(), ..post_build.clone() };
                Variables::load(&own, namespace, &|_, _, _| Ok(None))?
            }
        };
        if variables.is_empty() && post_build.strategy != Strategy::Always {
            return Ok(());
        }
        let place = || {
            let place = kustomization.meta.place.clone();
            place.unwrap_or_else(|| Place::file("spec.postBuild"))
        };
        variables.check(place)?;
        let rules = Rules { strict: self.strict, limits: &self.options.limits };
        let find = |resource: &Resource, text: &str| find(files, rules.limits, resource, text);
        for resource in resources.iter_mut() {
            substitute::substitute(resource, &variables, rules, &find)?;
        }
        Ok(())
    }
}

/// Where a text of an object stands in the file that it comes from, as that lies in the source.
fn find(files: &Rooted<'_>, limits: &Limits, resource: &Resource, text: &str) -> Place {
    let file = resource.origin.file.clone();
    let found = || {
        let content = files.read(&files.path_of(&file)?, limits.file_bytes).ok()?;
        let (line, _) = yaml::locate(&content, resource.origin.document, &[])?;
        let before = usize::try_from(line).ok()?.checked_sub(1)?;
        let lines = content.split(|byte| *byte == b'\n').enumerate().skip(before);
        lines.take(limits.documents).find_map(|(index, line)| {
            let column = memchr::memmem::find(line, text.as_bytes())?;
            Some((u32::try_from(index + 1).ok()?, u32::try_from(column + 1).ok()?))
        })
    };
    let at = if text.is_empty() { None } else { found() };
    Place { file, at }
}

/// Renders what a Kustomization with this spec builds, from the files of its source.
///
/// That is everything up to the decryption and substitution of what was built. Paths are those of `files`, whose root
/// is that of the artifact; the path of the spec cannot leave it.
pub fn render(
    files: &dyn Files,
    store: &Store,
    options: &Options,
    spec: &Spec,
) -> Warned<Result<Resources>> {
    let mut warnings = Vec::new();
    let renderer = Renderer {
        files,
        root: Path::new("/"),
        store,
        options,
        decrypt: &Untouched,
        lookup: None,
        strict: true,
        hidden: None,
    };
    let rooted = Rooted::new(files, renderer.root);
    let output = renderer
        .directory(&rooted, &spec.path)
        .and_then(|directory| renderer.build(&rooted, &directory, spec, &mut warnings))
        .and_then(checked);
    Warned { output, warnings }
}

/// What kustomize lets pass and Flux cannot apply.
///
/// Source: fluxcd/pkg `ssa/utils`, `ReadObjects`; kustomize-controller, `build`.
fn checked(resources: Resources) -> Result<Resources> {
    resources.iter().try_for_each(check)?;
    Ok(resources)
}

fn check(resource: &Resource) -> Result<()> {
    let (kind, name) = (resource.kind(), resource.name());
    if resource.api_version().is_empty() {
        return Err(refused(resource, format!("{kind} \"{name}\" has no apiVersion")));
    }
    if name.is_empty() {
        return Err(refused(resource, format!("{kind} has no name")));
    }
    check_kind(resource)
}

fn check_kind(resource: &Resource) -> Result<()> {
    if resource.value.get("kind").is_none_or(|kind| kind.as_str().is_none()) {
        let error = refused(resource, "the kind of an object is no string".to_owned());
        return Err(error.hint("put it in quotes"));
    }
    if resource.kind().bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    let error = refused(resource, "the kind of an object is not a word".to_owned());
    Err(error.hint("SOPS must not encrypt apiVersion, kind and metadata"))
}

fn refused(resource: &Resource, message: String) -> Error {
    Error::new(ErrorKind::Invalid, Place::file(resource.origin.file.clone()), message)
}

/// The objects that are applied: lists are taken apart, configuration for kustomize is left out, and so is what has no
/// version, or a number or the like for it or for a name.
///
/// Source: fluxcd/pkg `ssa/utils/object.go`, `ReadObjects`.
fn applicable(resources: Resources, warnings: &mut Vec<Warning>) -> Resources {
    let is_config = |resource: &Resource| {
        resource.kind().eq_ignore_ascii_case("Kustomization")
            && resource.api_version().starts_with("kustomize.config.k8s.io/")
    };
    let mut kept = Vec::with_capacity(resources.len());
    for mut resource in resources {
        let items = resource.value.as_map_mut().and_then(take_items);
        match items {
            Some(items) => kept.extend(items.into_iter().map(|item| {
                let mut one = resource.clone();
                one.value = item;
                one
            })),
            None if is_config(&resource) => {}
            None => match unreadable(&resource) {
                Some(why) => warnings.push(left_out(&resource, why)),
                None => kept.push(resource),
            },
        }
    }
    kept.into()
}

/// Why Flux takes an object for none.
fn unreadable(resource: &Resource) -> Option<&'static str> {
    let is_text = |path: &[&str]| {
        let text = resource.value.at(path).and_then(Value::as_str);
        text.is_some_and(|text| !text.is_empty())
    };
    if resource.api_version().is_empty() {
        Some("it has no apiVersion")
    } else if !is_text(&["apiVersion"]) {
        Some("its apiVersion is no string: put it in quotes")
    } else if !is_text(&["metadata", "name"]) {
        Some("its name is no string: put it in quotes")
    } else {
        None
    }
}

fn left_out(resource: &Resource, why: &str) -> Warning {
    let (kind, name) = (resource.kind(), resource.name());
    let place = Place::file(resource.origin.file.clone());
    Warning { place, message: format!("{kind} {name} is left out by Flux, as {why}") }
}

fn take_items(map: &mut Map) -> Option<Vec<Value>> {
    map.get("items")?.as_list()?;
    match map.remove("items") {
        Some(Value::List(items)) => Some(items.into_iter().collect()),
        _ => None,
    }
}

/// The part of a Kustomization's `spec` that decides what it renders to.
///
/// Serialized it is a key: two equal texts render equal trees to equal objects.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// The directory in the artifact; empty for its root.
    pub path: String,
    /// Becomes the file's `namespace`.
    pub target_namespace: String,
    /// Becomes the file's `namePrefix`.
    pub name_prefix: String,
    /// Becomes the file's `nameSuffix`.
    pub name_suffix: String,
    /// Appended to the file's `patches`.
    pub patches: Vec<Patch>,
    /// Appended to the file's field of this name; gone from the API since v1.
    pub patches_strategic_merge: Vec<serde_json::Value>,
    /// Appended to the file's field of this name; gone from the API since v1.
    pub patches_json6902: Vec<Json6902Patch>,
    /// Merged into the file's `images` by name.
    pub images: Vec<Image>,
    /// Appended to the file's `components`.
    pub components: Vec<String>,
    /// Whether components that do not exist are left out.
    pub ignore_missing_components: bool,
    /// Replaces the file's `buildMetadata`.
    pub build_metadata: Vec<String>,
}

/// One entry of `patches`: a strategic merge patch or a JSON patch, which its content decides.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Patch {
    /// The patch itself.
    pub patch: String,
    /// What it is applied to; may be left out where the patch names its object.
    pub target: Option<Selector>,
}

/// One entry of `patchesJson6902`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Json6902Patch {
    /// The operations.
    pub patch: Vec<serde_json::Value>,
    /// What they are applied to.
    pub target: Selector,
}

/// Which objects: expressions anchored at both ends, and label selectors.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Selector {
    /// The API group.
    pub group: String,
    /// The API version.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Over labels.
    pub label_selector: String,
    /// Over annotations.
    pub annotation_selector: String,
}

/// One entry of `images`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Image {
    /// The name that is replaced.
    pub name: String,
    /// What replaces it.
    pub new_name: String,
    /// The tag that replaces the original one.
    pub new_tag: String,
    /// The digest that replaces the tag.
    pub digest: String,
}

#[cfg(test)]
mod tests;
