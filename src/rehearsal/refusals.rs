//! The refusals that do not depend on a kind, in the server's words.
//!
//! Source: apimachinery `pkg/api/errors/errors.go`.

use serde_json::{Map, Value, json};

use crate::rehearsal::{Cause, Failure};

/// Largest body of a request, in bytes. Source: apiserver `MaxRequestBodyBytes`.
pub(super) const LARGEST_BODY: usize = 3 << 20;

/// 413: the body is larger than that.
pub(super) fn body_too_large() -> Failure {
    let message = format!("Request entity too large: limit is {LARGEST_BODY}");
    Failure::new(413, "RequestEntityTooLarge", message)
}

/// A resource as messages name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub(super) group: &'a str,
    /// The plural, or the kind.
    pub(super) resource: &'a str,
    /// Empty where a request is about the collection.
    pub(super) name: &'a str,
}

impl Named<'_> {
    /// E.g. `deployments.apps`.
    fn qualified(self) -> String {
        match self.group {
            "" => self.resource.to_owned(),
            group => format!("{}.{group}", self.resource),
        }
    }

    /// E.g. `deployments.apps "web"`.
    fn subject(self) -> String {
        match self.name {
            "" => self.qualified(),
            name => format!("{} {name:?}", self.qualified()),
        }
    }

    fn details(self) -> Map<String, Value> {
        let mut details = Map::new();
        let words = [("name", self.name), ("group", self.group), ("kind", self.resource)];
        for (key, value) in words.into_iter().filter(|(_, value)| !value.is_empty()) {
            details.insert(key.into(), value.into());
        }
        details
    }

    fn failure(self, code: u16, reason: &'static str, message: String) -> Failure {
        Failure { code, reason, message, details: Some(self.details().into()) }
    }

    pub(super) fn not_found(self) -> Failure {
        let message = format!("{} {:?} not found", self.qualified(), self.name);
        self.failure(404, "NotFound", message)
    }

    pub(super) fn already_exists(self) -> Failure {
        let message = format!("{} {:?} already exists", self.qualified(), self.name);
        self.failure(409, "AlreadyExists", message)
    }

    /// Someone else was there first.
    pub(super) fn conflict(self, why: &str) -> Failure {
        let message =
            format!("Operation cannot be fulfilled on {} {:?}: {why}", self.qualified(), self.name);
        self.failure(409, "Conflict", message)
    }

    /// The version that was sent is not the one that is stored.
    pub(super) fn stale(self) -> Failure {
        self.conflict(
            "the object has been modified; please apply your changes to the latest version and \
             try again",
        )
    }

    pub(super) fn forbidden(self, why: &str) -> Failure {
        let message = format!("{} is forbidden: {why}", self.subject());
        self.failure(403, "Forbidden", message)
    }
}

pub(super) fn bad_request(message: impl Into<String>) -> Failure {
    Failure::new(400, "BadRequest", message)
}

/// A failure of the server itself, without a reason.
pub(super) fn internal(message: impl Into<String>) -> Failure {
    Failure::new(500, "", message)
}

pub(super) fn no_such_resource() -> Failure {
    plain(404, "NotFound", "the server could not find the requested resource")
}

pub(super) fn method_not_allowed() -> Failure {
    plain(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    )
}

pub(super) fn not_acceptable(available: &str) -> Failure {
    plain(
        406,
        "NotAcceptable",
        format!("406: Not Acceptable\n\nAvailable representations: {available}"),
    )
}

/// 406: what was asked for cannot be had in that form.
pub(super) fn not_acceptable_form(message: String) -> Failure {
    Failure::new(406, "NotAcceptable", message)
}

pub(super) fn unknown_format(accepted: &str) -> Failure {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    );
    Failure::new(415, "UnsupportedMediaType", message)
}

/// More is asked for at the same time than the server bears.
///
/// Source: apiserver `pkg/server/filters/maxinflight.go`.
pub(super) fn too_many_requests() -> Failure {
    Failure {
        details: Some(json!({"retryAfterSeconds": 1})),
        ..Failure::new(429, "TooManyRequests", "Too many requests, please try again later.")
    }
}

pub(super) fn too_old(revision: u64, oldest: u64) -> Failure {
    let message = format!("too old resource version: {revision} ({oldest})");
    Failure::new(410, "Expired", message)
}

/// A list was to be continued at a version that is no longer known.
pub(super) fn continue_expired() -> Failure {
    let message = "The provided continue parameter is too old to display a consistent list \
                   result. You can start a new list without the continue parameter.";
    Failure::new(410, "Expired", message)
}

/// A version was asked for that the server has not come to.
pub(super) fn too_large(revision: u64, current: u64, retry: bool) -> Failure {
    let message = format!("Timeout: Too large resource version: {revision}, current: {current}");
    let cause =
        json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    let mut details = json!({"causes": [cause]});
    if retry {
        details["retryAfterSeconds"] = 1.into();
    }
    Failure { code: 504, reason: "Timeout", message, details: Some(details) }
}

/// Options of a request that may not be, as 422.
pub(super) fn bad_options(kind: &str, causes: &[Cause]) -> Failure {
    let mut failure = Failure::invalid("meta.k8s.io", kind, "", causes);
    if let Some(Value::Object(details)) = &mut failure.details {
        details.remove("name");
    }
    failure
}

fn plain(code: u16, reason: &'static str, message: impl Into<String>) -> Failure {
    Failure { code, reason, message: message.into(), details: Some(json!({})) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_of_a_group_are_named_with_it() {
        let named = Named { group: "apps", resource: "deployments", name: "web" };
        assert_eq!(named.not_found().message, r#"deployments.apps "web" not found"#);
        let core = Named { group: "", resource: "pods", name: "" };
        assert_eq!(core.forbidden("no").message, "pods is forbidden: no");
    }
}
