//! Where the values of variables come from: `spec.postBuild` itself, and the ConfigMaps and Secrets that it
//! names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecow::EcoString;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{FileKind, Files};
use crate::flux::veil::is_encrypted;
use crate::limits::Limits;
use crate::nearest::nearest;
use crate::resource::Resource;
use crate::store::Store;
use crate::value::{Map, Value};

/// The part of a Kustomization that says what is put in after the build.
#[derive(Clone, Debug, Default)]
pub struct PostBuild {
    /// When there is something to do at all.
    pub strategy: Strategy,
    /// Variables with their values, sorted by name; they win over all others.
    pub substitute: Vec<(EcoString, EcoString)>,
    /// Where more of them are; later ones win.
    pub substitute_from: Vec<Reference>,
}

/// When variables are put in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Strategy {
    /// Where there is at least one.
    #[default]
    WithVariables,
    /// Always, for the sake of defaults.
    Always,
}

/// A ConfigMap or Secret in the namespace of the Kustomization.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reference {
    /// Which of them.
    pub kind: Kind,
    /// Its name.
    pub name: EcoString,
    /// Whether it may be missing.
    pub optional: bool,
    /// Where the reference is written.
    pub place: Option<Place>,
}

/// What variables may be kept in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Kind {
    /// A ConfigMap.
    #[default]
    ConfigMap,
    /// A Secret.
    Secret,
}

/// Finds a ConfigMap or Secret: kind, namespace, name.
///
/// An answer without a value says that there is none; an error, that it is not known.
pub type Lookup<'a> = dyn Fn(Kind, &str, &str) -> Result<Option<Found>> + Sync + 'a;

/// The data of a ConfigMap or Secret; of the latter it is decoded.
pub type Found = BTreeMap<String, Vec<u8>>;

/// Variables by name. Their values are never printed: not in errors, not for debugging.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, Vec<u8>>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Kind {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

impl FromIterator<(String, Vec<u8>)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(pairs: I) -> Self {
        let mut variables = Self::default();
        pairs.into_iter().for_each(|(name, value)| variables.set(name, value));
        variables
    }
}

impl Variables {
    /// All variables of a Kustomization: those of its references in their order, then its own.
    ///
    /// # Errors
    /// Where a reference is not optional and not found, or the lookup fails.
    pub fn load(post_build: &PostBuild, namespace: &str, lookup: &Lookup<'_>) -> Result<Self> {
        let mut variables = Self::default();
        for reference in &post_build.substitute_from {
            let found =
                lookup(reference.kind, namespace, &reference.name).map_err(
                    |error| match &reference.place {
                        Some(place) => error.within(place.clone()),
                        None => error,
                    },
                )?;
            match found {
                Some(found) => {
                    found.into_iter().for_each(|(name, value)| variables.set(name, value));
                }
                None if reference.optional => {}
                None => return Err(reference.missing(namespace)),
            }
        }
        for (name, value) in &post_build.substitute {
            variables.set(name.to_string(), value.as_bytes().to_vec());
        }
        Ok(variables)
    }

    /// Gives a variable a value; line ends are taken out, so that it cannot add lines to an object.
    pub fn set(&mut self, name: String, mut value: Vec<u8>) {
        value.retain(|byte| *byte != b'\n');
        self.0.insert(name, value);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What stands for a variable: nothing for one that is not set, unless rules are strict.
    #[must_use]
    pub fn value(&self, name: &str, strict: bool) -> Option<&[u8]> {
        match self.0.get(name) {
            Some(value) => Some(value),
            None if strict => None,
            None => Some(&[]),
        }
    }

    /// All of them in the order of their names. The values may be secret.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The name that was probably meant.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.0.keys().map(String::as_str))
    }

    /// Refuses names that Flux refuses.
    ///
    /// # Errors
    /// Where a name has other characters than letters, digits and `_`, or begins with a digit.
    pub fn check(&self, place: impl FnOnce() -> Place) -> Result<()> {
        match self.0.keys().find(|name| !is_name(name)) {
            None => Ok(()),
            Some(name) => {
                let message = format!("\"{name}\" is no name for a variable");
                let error = Error::new(ErrorKind::Invalid, place(), message);
                Err(error.hint("names are letters, digits and _, and do not begin with a digit"))
            }
        }
    }
}

/// Whether Flux takes it for the name of a variable.
///
/// Source: fluxcd/pkg `kustomize/kustomize_varsub.go`, `varsubRegex`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_word) && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
}

impl Reference {
    fn missing(&self, namespace: &str) -> Error {
        let (kind, name) = (self.kind.name(), &self.name);
        let place =
            self.place.clone().unwrap_or_else(|| Place::file("spec.postBuild.substituteFrom"));
        let message =
            format!("substitute from '{kind}/{name}': there is none in namespace \"{namespace}\"");
        Error::new(ErrorKind::Missing, place, message)
            .hint("write \"optional: true\" where it may be missing")
    }
}

/// ConfigMaps and Secrets that are known without asking a cluster: those of a repository or a folder.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    list: Vec<Object>,
}

#[derive(Clone)]
struct Object {
    kind: Kind,
    namespace: EcoString,
    name: EcoString,
    data: Result<Found>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.kind.name(), self.namespace, self.name)
    }
}

impl Objects {
    /// The ConfigMaps and Secrets in all YAML files below a folder; what is something else is left out.
    ///
    /// # Errors
    /// Where the folder cannot be listed, or holds more files than the limit.
    pub fn in_folder(
        files: &dyn Files,
        store: &Store,
        limits: &Limits,
        folder: &Path,
    ) -> Result<Self> {
        let mut objects = Self::default();
        let mut folders = vec![folder.to_path_buf()];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            for name in files.list(&folder)? {
                let path = folder.join(name);
                count += 1;
                if count > limits.files {
                    let place = Place::file(files.shown(&folder));
                    let message = format!("more than {} files", limits.files);
                    return Err(Error::new(ErrorKind::Limit, place, message));
                }
                match files.kind(&path) {
                    FileKind::Directory if files.canonical(&path).as_ref() == Some(&path) => {
                        folders.push(path);
                    }
                    FileKind::File
                        if path.extension().is_some_and(|e| e == "yaml" || e == "yml") =>
                    {
                        objects.add_file(files, store, limits, &path);
                    }
                    _ => {}
                }
            }
        }
        Ok(objects)
    }

    fn add_file(&mut self, files: &dyn Files, store: &Store, limits: &Limits, path: &Path) {
        let Ok(text) = files.read(path, limits.file_bytes) else { return };
        let file: Arc<str> = files.shown(path);
        // Whoever builds such a file is told what is wrong with it.
        let Ok(documents) = store.documents(&text, &file, limits) else { return };
        documents.iter().for_each(|document| self.add(document, &file));
    }

    /// Adds an object, where it is a ConfigMap or Secret.
    pub fn add(&mut self, value: &Value, file: &Arc<str>) {
        if value.text_at(&["apiVersion"]) != Some("v1") {
            return;
        }
        let kind = match value.text_at(&["kind"]) {
            Some("ConfigMap") => Kind::ConfigMap,
            Some("Secret") => Kind::Secret,
            _ => return,
        };
        let text = |path: &[&str]| value.text_at(path).unwrap_or_default().into();
        let (namespace, name) = (text(&["metadata", "namespace"]), text(&["metadata", "name"]));
        let data = data(kind, value, file);
        self.list.push(Object { kind, namespace, name, data });
    }

    /// Adds what was built.
    pub fn add_all<'r>(&mut self, resources: impl IntoIterator<Item = &'r Resource>) {
        resources.into_iter().for_each(|one| self.add(&one.value, &one.origin.file));
    }

    /// The object of that name, of several the last. One without a namespace may be in any.
    ///
    /// # Errors
    /// Where its data cannot be read.
    pub fn find(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Found>> {
        let is_it = |object: &&Object| object.kind == kind && object.name == name;
        let named = || self.list.iter().rev().filter(is_it);
        let exact = named().find(|object| object.namespace == namespace);
        match exact.or_else(|| named().find(|object| object.namespace.is_empty())) {
            Some(object) => object.data.clone().map(Some),
            None => Ok(None),
        }
    }
}

/// The data of a ConfigMap or Secret, as the API server would have it: `stringData` is folded into `data`.
fn data(kind: Kind, value: &Value, file: &Arc<str>) -> Result<Found> {
    let mut found = Found::new();
    let mut entries = |field: &str, is_encoded: bool| -> Result<()> {
        for (key, value) in value.get(field).and_then(Value::as_map).into_iter().flat_map(Map::iter)
        {
            let text = value.as_text().filter(|_| !value.is_null()).unwrap_or_default();
            // What SOPS has encrypted is no base64 any more.
            let is_encoded = is_encoded && !is_encrypted(text);
            let bytes = if is_encoded { decoded(text) } else { Some(text.as_bytes().to_vec()) };
            let Some(bytes) = bytes else {
                let message = format!("data.{} of Secret is no base64", key.text);
                return Err(Error::new(ErrorKind::Invalid, Place::file(file.clone()), message));
            };
            found.insert(key.text.to_string(), bytes);
        }
        Ok(())
    };
    entries("data", kind == Kind::Secret)?;
    if kind == Kind::Secret {
        entries("stringData", false)?;
    }
    Ok(found)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Memory;

    fn files() -> Memory {
        let mut files = Memory::default();
        files.insert(
            "vars/a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: flux}\ndata: {x: \"one\\ntwo\", y: from a}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {y: ZnJvbSBz}\nstringData: {z: plain}\n",
        );
        files.insert("vars/broken.yaml", "a: [");
        files.insert(
            "vars/sub/b.yml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: other}\n",
        );
        files
    }

    fn objects() -> Objects {
        let (store, limits) = (Store::default(), Limits::WEBHOOK);
        Objects::in_folder(&files(), &store, &limits, Path::new("/vars")).expect("a folder")
    }

    fn load(references: Vec<Reference>, inline: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
        let substitute =
            inline.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let post_build =
            PostBuild { substitute, substitute_from: references, ..PostBuild::default() };
        let objects = objects();
        let variables =
            Variables::load(&post_build, "flux", &|kind, ns, name| objects.find(kind, ns, name))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(variables.iter().map(|(name, value)| (name.to_owned(), text(value))).collect())
    }

    fn reference(kind: Kind, name: &str, optional: bool) -> Reference {
        Reference { kind, name: name.into(), optional, place: None }
    }

    #[test]
    fn later_references_win_and_the_kustomization_wins_over_all() {
        let both =
            vec![reference(Kind::ConfigMap, "a", false), reference(Kind::Secret, "s", false)];
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let wanted = [pair("x", "onetwo"), pair("y", "from s"), pair("z", "inline")];
        assert_eq!(load(both, &[("z", "inline")]).expect("found"), wanted);
    }

    #[test]
    fn a_missing_reference_is_an_error_unless_it_is_optional() {
        assert!(
            load(vec![reference(Kind::ConfigMap, "b", true)], &[]).expect("optional").is_empty()
        );
        let error = load(vec![reference(Kind::Secret, "a", false)], &[]).expect_err("missing");
        assert!(error.to_string().contains("'Secret/a'"), "{error}");
    }

    #[test]
    fn values_do_not_appear_where_variables_are_printed() {
        let variables: Variables = [("a".to_owned(), b"canary".to_vec())].into_iter().collect();
        assert_eq!(format!("{variables:?}"), "{\"a\"}");
    }

    #[test]
    fn names_are_those_of_the_shell() {
        for (name, valid) in
            [("a", true), ("_a1", true), ("1a", false), ("a-b", false), ("", false), ("é", false)]
        {
            assert_eq!(is_name(name), valid, "{name}");
        }
    }
}
