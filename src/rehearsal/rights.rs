//! Who may do what: administrators everything, others nothing but ask what they may.
//!
//! Roles are kept as objects, and are not evaluated: a rehearsal says so.

use http::HeaderMap;

use crate::rehearsal::Failure;
use crate::rehearsal::server::{Call, State};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// E.g. `admin`.
    pub name: String,
    /// Empty where there is none.
    pub uid: String,
    /// E.g. `system:masters`, who may do everything.
    pub groups: Vec<String>,
}

impl User {
    /// One who may do everything.
    pub fn admin() -> Self {
        let groups = vec!["system:masters".into(), "system:authenticated".into()];
        Self { name: "admin".into(), uid: "admin-uid".into(), groups }
    }

    /// One who showed no credentials.
    pub fn anonymous() -> Self {
        let groups = vec!["system:unauthenticated".into()];
        Self { name: "system:anonymous".into(), uid: String::new(), groups }
    }

    /// Whether everything is allowed.
    pub(super) fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == "system:masters")
    }

    /// Whether there were credentials.
    pub(super) fn is_known(&self) -> bool {
        self.groups.iter().any(|group| group == "system:authenticated")
    }
}

/// Makes the user another one, where the request asks for it.
pub(super) fn impersonate(user: &mut User, headers: &HeaderMap) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(name) = text("impersonate-user").filter(|_| user.is_master()) else { return };
    let groups = headers.get_all("impersonate-group").into_iter();
    let mut groups: Vec<String> =
        groups.filter_map(|group| group.to_str().ok().map(str::to_owned)).collect();
    groups.push("system:authenticated".into());
    let uid = text("impersonate-uid").unwrap_or_default().to_owned();
    *user = User { name: name.into(), uid, groups };
}

/// Refuses what the user may not do.
///
/// Source: apiserver `pkg/endpoints/handlers/responsewriters/errors.go`, `forbiddenMessage`.
pub(super) fn check(_state: &State, call: &Call, verb: &str) -> Result<(), Failure> {
    let reviews = call.resource.plural.starts_with("self") && call.user.is_known();
    if call.user.is_master() || reviews {
        return Ok(());
    }
    let spot = &call.spot;
    let part = match &*spot.subresource {
        "" => spot.resource.clone(),
        subresource => format!("{}/{subresource}", spot.resource),
    };
    let place = match &*spot.namespace {
        "" if spot.resource == "namespaces" && !spot.name.is_empty() => {
            format!("in the namespace {:?}", spot.name)
        }
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {namespace:?}"),
    };
    let why = format!(
        "User {:?} cannot {verb} resource {part:?} in API group {:?} {place}",
        call.user.name, spot.group
    );
    Err(call.named().forbidden(&why))
}
