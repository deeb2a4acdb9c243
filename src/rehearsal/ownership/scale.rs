//! The entries of a resource as its scale subresource has them.
//!
//! Source: apimachinery `pkg/util/managedfields/scalehandler.go`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::entries::Managed;
use crate::ssa::{FieldSet, Owned, Path};

const SCALE: &str = "autoscaling/v1";

/// Where a resource has its replicas.
#[derive(Clone, Debug, Default)]
pub struct Scale {
    /// By version, e.g. `apps/v1`: the path of the replicas, `None` where the version cannot be
    /// scaled. Entries of other versions are dropped when scaled.
    pub replicas: BTreeMap<String, Option<Path>>,
}

impl Scale {
    /// A resource that has `spec.replicas` in these versions.
    pub fn of_spec<'v>(versions: impl IntoIterator<Item = &'v str>) -> Self {
        let path = || Some(spec_replicas());
        Self { replicas: versions.into_iter().map(|version| (version.into(), path())).collect() }
    }

    /// The entries of those that own the replicas, for the scale.
    ///
    /// # Errors
    /// Where an entry is malformed.
    pub fn from_resource(&self, entries: &[Value]) -> Result<Vec<Value>, String> {
        let mut managed = Managed::decode(entries)?;
        managed.owners.retain(|_, owned| {
            let path = self.replicas.get(&*owned.version).and_then(Option::as_ref);
            path.is_some_and(|path| owned.fields.has(path))
        });
        for owned in managed.owners.values_mut() {
            owned.fields = FieldSet::of([spec_replicas()]);
            owned.version = SCALE.into();
        }
        Ok(managed.encode())
    }

    /// The entries of the resource after the scale has got others. `version` is that of the
    /// resource that is asked for.
    ///
    /// # Errors
    /// Where an entry is malformed.
    pub fn to_resource(
        &self,
        entries: &[Value],
        scaled: &[Value],
        version: &str,
    ) -> Result<Vec<Value>, String> {
        let mut managed = Managed::decode(entries)?;
        let mut scale = Managed::decode(scaled)?;
        let mut owners = std::mem::take(&mut managed.owners);
        owners.retain(|identity, owned| {
            let Some(path) = self.replicas.get(&*owned.version) else { return false };
            let Some(path) = path.as_ref().filter(|path| owned.fields.has(path)) else {
                return true;
            };
            if scale.owners.remove(identity).is_none() {
                owned.fields = owned.fields.difference(&FieldSet::of([path.clone()]));
            }
            !owned.fields.is_empty()
        });
        // Whoever is new has no time, as in the server.
        managed.know_new(&scale);
        let path = self.replicas.get(version).cloned().flatten();
        for (identity, owned) in scale.owners {
            if owned.fields.has(&spec_replicas()) {
                let fields = FieldSet::of(path.clone());
                owners.insert(
                    identity,
                    Owned { fields, version: version.into(), applied: owned.applied },
                );
            }
        }
        managed.owners = owners;
        Ok(managed.encode())
    }
}

fn spec_replicas() -> Path {
    Path::of_fields(&["spec", "replicas"])
}
