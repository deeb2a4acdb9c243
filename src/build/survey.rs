//! What else is broken in a layer that does not build.
//!
//! A build stops at its first failure. Whoever mends it should not have to build once more for each of
//! the other files, so all that the layer names are looked at then, each for itself: whether it is there,
//! and holds what it should. Nothing is fetched for that, and no program is run.

use bytes::Bytes;

use super::fields::Generator;
use super::{Build, Site};
use crate::error::{Error, ErrorKind, MOST_AT_ONCE, Result};
use crate::files::{FileKind, clean};
use crate::generate::{self, Inputs};
use crate::kustomization::{self, Patch, ReplacementEntry, Source};
use crate::transform::config::Config;
use crate::transform::patches::{self, Field};
use crate::yaml::Step;

/// A look at one entry of a list field.
type Look<'a> = fn(&mut Build<'a>, &Site<'_>, &str) -> Result<()>;

impl<'a> Build<'a> {
    /// The first failure, with what else is wrong in the files that the layer names.
    pub(super) fn survey(&mut self, site: &Site<'_>, first: Error) -> Error {
        if first.kind() == ErrorKind::Limit {
            return first;
        }
        let warned = self.warnings.len();
        let mut found = self.broken_entries(site);
        found.extend(self.broken_generators(site));
        found.extend(self.broken_patches(site));
        self.warnings.truncate(warned);
        // What is read twice is counted twice, so a limit says nothing here.
        let found = found.into_iter().filter(|error| error.kind() != ErrorKind::Limit);
        found.fold(first, |all, error| if all.tells(&error) { all } else { all.and(error) })
    }

    /// Of the fields that list files and directories.
    fn broken_entries(&mut self, site: &Site<'_>) -> Vec<Error> {
        let all = &site.kustomization;
        let fields: [(_, _, Look<'a>); 7] = [
            ("resources", &all.resources, Self::look_at_resource),
            ("components", &all.components, |build, site, entry| {
                build.component_site(site, entry).map(drop)
            }),
            ("configurations", &all.configurations, |build, site, entry| {
                Config::read(&build.named(site, entry)?, &build.reader.limits).map(drop)
            }),
            ("crds", &all.crds, |build, site, entry| {
                Config::read_crds(&build.named(site, entry)?, &build.reader.limits).map(drop)
            }),
            ("generators", &all.generators, Self::look_at_plugin),
            ("transformers", &all.transformers, Self::look_at_plugin),
            ("validators", &all.validators, Self::look_at_plugin),
        ];
        let mut found = Vec::new();
        for (field, entries, look) in fields {
            for (index, entry) in entries.iter().enumerate() {
                if found.len() >= MOST_AT_ONCE || self.reader.is_remote(&site.layer, entry) {
                    continue;
                }
                let outcome = look(self, site, entry);
                found.extend(outcome.err().map(|error| error.within(site.entry(field, index))));
            }
        }
        found
    }

    fn look_at_resource(&mut self, site: &Site<'_>, entry: &str) -> Result<()> {
        if self.is_directory(site, entry) {
            return self.base_site(site, entry).map(drop);
        }
        self.manifest(self.reader.file(&site.layer, entry)?).map(drop)
    }

    fn look_at_plugin(&mut self, site: &Site<'_>, entry: &str) -> Result<()> {
        // No path has more than one line; what is written into the kustomization is told as it is run.
        if entry.contains('\n') { Ok(()) } else { self.look_at_resource(site, entry) }
    }

    fn is_directory(&self, site: &Site<'_>, entry: &str) -> bool {
        self.reader.files.kind(&clean(&site.layer.directory.join(entry))) == FileKind::Directory
    }

    fn named(&self, site: &Site<'_>, entry: &str) -> Result<Source> {
        let (text, file) = self.reader.file(&site.layer, entry)?;
        Ok(Source { file, text })
    }

    /// Of `configMapGenerator` and `secretGenerator`.
    fn broken_generators(&self, site: &Site<'_>) -> Vec<Error> {
        let all = &site.kustomization;
        let maps = all.config_map_generator.iter().enumerate();
        let make: Generator = generate::config_map;
        let maps = maps.map(|(index, args)| ("configMapGenerator", make, index, args));
        let secrets = all.secret_generator.iter().enumerate();
        let make: Generator = generate::secret;
        let secrets = secrets.map(|(index, args)| ("secretGenerator", make, index, args));
        let read = |path: &str| match self.reader.is_remote(&site.layer, path) {
            true => Ok(Bytes::new()),
            false => self.reader.file(&site.layer, path).map(|(text, _)| text),
        };
        let mut found = Vec::new();
        for (field, make, index, args) in maps.chain(secrets) {
            let entry = [Step::Key(field), Step::Index(index)];
            let place = |path: &[Step<'_>]| site.source.place(&[&entry, path].concat());
            let inputs = Inputs { file: &site.source.file, read: &read, place: &place };
            found.extend(make(args, None, &inputs).err());
        }
        found
    }

    /// Of the fields that list patches, and of `replacements`.
    fn broken_patches(&self, site: &Site<'_>) -> Vec<Error> {
        let all = &site.kustomization;
        let merges: Vec<_> = all.patches_strategic_merge.iter().map(as_patch).collect();
        let fields = [
            ("patchesStrategicMerge", Field::StrategicMerge, &merges),
            ("patches", Field::Patches, &all.patches),
            ("patchesJson6902", Field::Json6902, &all.patches_json6902),
        ];
        let mut found = Vec::new();
        for (name, field, entries) in fields {
            let near = entries.iter().enumerate();
            let near = near.filter(|(_, patch)| !self.reader.is_remote(&site.layer, &patch.path));
            for (index, Patch { path, patch, .. }) in near {
                let text = self.patch_text(site, site.listed(name, index), path, patch);
                found.extend(text.and_then(|text| text.check(field, &self.reader.limits)).err());
            }
        }
        for (index, entry) in all.replacements.iter().enumerate() {
            let ReplacementEntry::Path(path) = entry else { continue };
            let read = |source| kustomization::replacements(&source, &self.reader.limits).map(drop);
            let outcome = self.named(site, path).and_then(read);
            let referred = |error: Error| error.within(site.entry("replacements", index));
            found.extend(outcome.err().map(referred));
        }
        found
    }
}

/// An entry of `patchesStrategicMerge` as one of `patches`.
fn as_patch(entry: &ecow::EcoString) -> Patch {
    match patches::is_inline(entry) {
        true => Patch { patch: entry.clone(), ..Patch::default() },
        false => Patch { path: entry.clone(), ..Patch::default() },
    }
}
