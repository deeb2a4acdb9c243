//! The managed fields of what a request writes: the resource as [`ownership`] asks for it.

use std::sync::Arc;

use serde_json::Value;

use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::options::Writing;
use crate::rehearsal::ownership::{self, Filters, Subject};
use crate::rehearsal::server::State;
use crate::rehearsal::{Failure, convert, fields, kinds};
use crate::schema::kubernetes::Minor;
use crate::ssa::schema::{Schema, TypeId};
use crate::ssa::{Type, Versions};

/// One kind in the versions in which it is served, for the time of one request.
pub(super) struct Owners {
    resource: Arc<Resource>,
    served: Vec<Served>,
    filters: Filters,
    blank: Value,
    subresource: String,
    now: String,
    minor: &'static Minor,
}

struct Served {
    resource: Arc<Resource>,
    api_version: String,
    types: Types,
}

/// Where the type of a version is.
enum Types {
    BuiltIn(Arc<Schema>, TypeId),
    /// In the definition of the resource.
    Custom,
}

impl Owners {
    pub(super) fn of(state: &State, resource: &Arc<Resource>, subresource: Option<&str>) -> Self {
        let subresource = subresource.unwrap_or_default();
        let served: Vec<_> = state
            .catalogue
            .versions(resource)
            .filter_map(|version| {
                let types = match version.custom {
                    true => Types::Custom,
                    false => {
                        let (schema, root) = state.schema(version)?;
                        Types::BuiltIn(schema, root)
                    }
                };
                let api_version = version.kind.api_version();
                Some(Served { resource: Arc::clone(version), api_version, types })
            })
            .collect();
        let versions = served.iter().map(|served| &*served.api_version);
        let filters = match resource.custom {
            false => ownership::reset_fields(&resource.kind, subresource, versions),
            true => served.iter().flat_map(|served| custom_filters(served, subresource)).collect(),
        };
        let api_version = resource.kind.api_version();
        let blank = ownership::blank(state.minor, &api_version, &resource.kind.kind);
        Self {
            resource: Arc::clone(resource),
            served,
            filters,
            blank,
            subresource: subresource.to_owned(),
            now: state.now(),
            minor: state.minor,
        }
    }

    /// Of the scale of a resource, given as a resource of its own.
    pub(super) fn of_scale(state: &State, scale: &Arc<Resource>) -> Self {
        let api_version = scale.kind.api_version();
        let served = state.schema(scale).map(|(schema, root)| Served {
            resource: Arc::clone(scale),
            api_version: api_version.clone(),
            types: Types::BuiltIn(schema, root),
        });
        Self {
            resource: Arc::clone(scale),
            served: served.into_iter().collect(),
            filters: Filters::new(),
            blank: ownership::blank(state.minor, &api_version, &scale.kind.kind),
            subresource: "scale".to_owned(),
            now: state.now(),
            minor: state.minor,
        }
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            kind: &self.resource.kind,
            subresource: &self.subresource,
            versions: self,
            filters: &self.filters,
            blank: &self.blank,
        }
    }

    /// Notes who made `new` of `live`.
    pub(super) fn updated(&self, live: Option<&Value>, new: &mut Value, writing: &Writing) {
        ownership::updated(&self.subject(), live, new, &writing.manager, &self.now);
        self.forget_empty(new);
    }

    /// Takes out what is empty: whoever sets it owns it, but it is not kept.
    fn forget_empty(&self, object: &mut Value) {
        if !self.resource.custom {
            fields::normalise(object, self.minor, &self.resource.kind);
        }
    }

    /// Lays what is applied over what is there.
    pub(super) fn applied(
        &self,
        live: Option<&Value>,
        patch: &Value,
        writing: &Writing,
        settle: &dyn Fn(&mut Value) -> Result<(), Failure>,
    ) -> Result<Value, Failure> {
        let (manager, force) = (&*writing.manager, writing.force);
        let subject = self.subject();
        let mut new = ownership::applied(&subject, live, patch, manager, &self.now, force, settle)?;
        self.forget_empty(&mut new);
        Ok(new)
    }

    fn version(&self, version: &str) -> Option<&Served> {
        self.served.iter().find(|served| served.api_version == version)
    }
}

fn custom_filters(served: &Served, subresource: &str) -> Filters {
    let has_status = served.resource.version().is_some_and(|version| version.status);
    ownership::reset_fields_of_custom(&served.api_version, subresource, has_status)
}

impl Versions for Owners {
    fn type_of(&self, version: &str) -> Option<Type<'_>> {
        let served = self.version(version)?;
        let (schema, root) = match &served.types {
            Types::BuiltIn(schema, root) => (&**schema, *root),
            Types::Custom => served.resource.version()?.schema(),
        };
        Some(Type::new(schema, root))
    }

    fn convert(&self, value: &Value, from: &str, to: &str) -> Result<Value, String> {
        let mut value = value.clone();
        if from == to {
            return Ok(value);
        }
        let find = |version| self.version(version).ok_or_else(|| format!("no version {version}"));
        convert::to_stored(&find(from)?.resource, &mut value);
        let target = &find(to)?.resource;
        convert::from_stored(target, &mut value);
        value["apiVersion"] = to.into();
        if !target.custom && convert::differs(target) {
            kinds::default(&target.kind, &mut value);
        }
        Ok(value)
    }
}
