//! What else is broken in a layer that does not build.
//!
//! A build stops at its first failure. Whoever mends it should not have to build once more for each of
//! the other files, so all that the layer names are looked at then, each for itself: whether it is there,
//! and holds what it should. Nothing is fetched for that, and no program is run.

use bytes::Bytes;

use super::fields::{Generator, made};
use super::{Build, Site};
use crate::error::{Error, ErrorKind, MOST_AT_ONCE, Result};
use crate::generate;
use crate::kustomization::{self, Patch, ReplacementEntry};
use crate::transform::config::Config;
use crate::transform::patches::{self, Field};

/// A look at one entry of a list field.
type Look<'a> = fn(&mut Build<'a>, &Site<'_>, &str) -> Result<()>;

/// The failures that were found.
struct Found(Vec<Error>);

impl Found {
    /// Takes a look, unless there are as many failures as are told at once.
    fn look(&mut self, look: impl FnOnce() -> Result<()>) {
        if self.0.len() < MOST_AT_ONCE {
            self.0.extend(look().err());
        }
    }
}

impl<'a> Build<'a> {
    /// The first failure, with what else is wrong in the files that the layer names.
    pub(super) fn survey(&mut self, site: &Site<'_>, first: Error) -> Error {
        if first.kind() == ErrorKind::Limit {
            return first;
        }
        let warned = self.warnings.len();
        let mut found = Found(Vec::new());
        self.look_at_entries(site, &mut found);
        self.look_at_generators(site, &mut found);
        self.look_at_patches(site, &mut found);
        self.look_at_replacements(site, &mut found);
        self.warnings.truncate(warned);
        // What is read twice is counted twice, so a limit says nothing here.
        let found = found.0.into_iter().filter(|error| error.kind() != ErrorKind::Limit);
        found.fold(first, |all, error| if all.tells(&error) { all } else { all.and(error) })
    }

    /// At the fields that list files and directories.
    fn look_at_entries(&mut self, site: &Site<'_>, found: &mut Found) {
        let all = &site.kustomization;
        let fields: [(_, _, Look<'a>); 7] = [
            ("resources", &all.resources, Self::look_at_resource),
            ("components", &all.components, |build, site, entry| {
                build.component_site(site, entry).map(drop)
            }),
            ("configurations", &all.configurations, |build, site, entry| {
                build.configuration(site, entry, Config::read).map(drop)
            }),
            ("crds", &all.crds, |build, site, entry| {
                build.configuration(site, entry, Config::read_crds).map(drop)
            }),
            ("generators", &all.generators, Self::look_at_plugin),
            ("transformers", &all.transformers, Self::look_at_plugin),
            ("validators", &all.validators, Self::look_at_plugin),
        ];
        for (field, entries, look) in fields {
            for (index, entry) in entries.iter().enumerate() {
                let referred = |error: Error| error.within(site.entry(field, index));
                found.look(|| match self.reader.is_remote(&site.layer, entry) {
                    true => Ok(()),
                    false => look(self, site, entry).map_err(referred),
                });
            }
        }
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

    /// At `configMapGenerator` and `secretGenerator`.
    fn look_at_generators(&self, site: &Site<'_>, found: &mut Found) {
        let all = &site.kustomization;
        let fields: [(_, _, Generator); 2] = [
            ("configMapGenerator", &all.config_map_generator, generate::config_map),
            ("secretGenerator", &all.secret_generator, generate::secret),
        ];
        let read = |path: &str| match self.reader.is_remote(&site.layer, path) {
            true => Ok(Bytes::new()),
            false => self.reader.file(&site.layer, path).map(|(text, _)| text),
        };
        for (field, entries, generator) in fields {
            for (index, args) in entries.iter().enumerate() {
                found.look(|| made(site, field, index, args, generator, &read).map(drop));
            }
        }
    }

    /// At the fields that list patches.
    fn look_at_patches(&self, site: &Site<'_>, found: &mut Found) {
        let all = &site.kustomization;
        let merges: Vec<_> =
            all.patches_strategic_merge.iter().map(|entry| patches::path_and_text(entry)).collect();
        for (name, field, entries) in [
            ("patchesStrategicMerge", Field::StrategicMerge, merges),
            ("patches", Field::Patches, paths_and_texts(&all.patches)),
            ("patchesJson6902", Field::Json6902, paths_and_texts(&all.patches_json6902)),
        ] {
            for (index, (path, text)) in entries.into_iter().enumerate() {
                found.look(|| match self.reader.is_remote(&site.layer, path) {
                    true => Ok(()),
                    false => self
                        .patch_text(site, site.listed(name, index), path, text)?
                        .check(field, &self.reader.limits),
                });
            }
        }
    }

    /// At the files that `replacements` name.
    fn look_at_replacements(&self, site: &Site<'_>, found: &mut Found) {
        for (index, entry) in site.kustomization.replacements.iter().enumerate() {
            let ReplacementEntry::Path(path) = entry else { continue };
            found.look(|| match self.reader.is_remote(&site.layer, path) {
                true => Ok(()),
                false => self
                    .source(site, path)
                    .and_then(|source| kustomization::replacements(&source, &self.reader.limits))
                    .map(drop)
                    .map_err(|error| error.within(site.entry("replacements", index))),
            });
        }
    }
}

fn paths_and_texts(patches: &[Patch]) -> Vec<(&str, &str)> {
    patches.iter().map(|patch| (patch.path.as_str(), patch.patch.as_str())).collect()
}
