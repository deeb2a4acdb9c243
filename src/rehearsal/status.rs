//! What a request fails with: the `Status` object of the Kubernetes API.
//!
//! Source: apimachinery `pkg/api/errors/errors.go`, `pkg/util/validation/field/errors.go`.

use serde_json::{Map, Value, json};

/// A refusal, as the API server would send it.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The HTTP status code.
    pub code: u16,
    /// One word for programs, e.g. `NotFound`; empty for none.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
    /// What it is about: `name`, `group`, `kind`, `uid`, `causes`, `retryAfterSeconds`.
    pub details: Option<Value>,
}

/// One field that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// E.g. `FieldValueInvalid`.
    pub reason: &'static str,
    /// What is wrong, without the name of the field.
    pub message: String,
    /// E.g. `spec.template.spec.containers[0].name`.
    pub field: String,
}

impl Cause {
    /// A value that may not be, e.g. `Invalid value: "a_b": …`. `shown` is the value as the server
    /// prints it.
    pub fn invalid(field: impl Into<String>, shown: &str, detail: &str) -> Self {
        let message = format!("Invalid value: {shown}: {detail}");
        Self { reason: "FieldValueInvalid", message, field: field.into() }
    }

    /// A value that must be there.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = with_detail("Required value", detail);
        Self { reason: "FieldValueRequired", message, field: field.into() }
    }

    /// A value that may not be there.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        let message = with_detail("Forbidden", detail);
        Self { reason: "FieldValueForbidden", message, field: field.into() }
    }

    /// A value that is not one of a list, `supported` in the server's order.
    pub fn not_supported(field: impl Into<String>, shown: &str, supported: &[&str]) -> Self {
        let list: Vec<_> = supported.iter().map(|value| format!("{value:?}")).collect();
        let message = format!("Unsupported value: {shown}: supported values: {}", list.join(", "));
        Self { reason: "FieldValueNotSupported", message, field: field.into() }
    }

    /// A value that is there twice.
    pub fn duplicate(field: impl Into<String>, shown: &str) -> Self {
        let message = format!("Duplicate value: {shown}");
        Self { reason: "FieldValueDuplicate", message, field: field.into() }
    }

    /// As one entry of `details.causes`.
    pub fn to_value(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

fn with_detail(what: &str, detail: &str) -> String {
    if detail.is_empty() { what.into() } else { format!("{what}: {detail}") }
}

impl Failure {
    /// A refusal without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    /// 422 over fields, as validation answers it.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let subject = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        // The sentence says the same thing once, the causes as often as it was found.
        let mut list: Vec<String> = Vec::with_capacity(causes.len());
        for cause in causes {
            let text = format!("{}: {}", cause.field, cause.message);
            if !list.contains(&text) {
                list.push(text);
            }
        }
        let list = match &*list {
            [one] => one.clone(),
            _ => format!("[{}]", list.join(", ")),
        };
        let mut details = Map::new();
        if !name.is_empty() {
            details.insert("name".into(), name.into());
        }
        if !group.is_empty() {
            details.insert("group".into(), group.into());
        }
        details.insert("kind".into(), kind.into());
        details.insert("causes".into(), causes.iter().map(Cause::to_value).collect());
        let message = format!("{subject} {name:?} is invalid: {list}");
        Self { code: 422, reason: "Invalid", message, details: Some(details.into()) }
    }

    /// The body of the answer.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_stands_without_brackets() {
        let cause = Cause::required("spec.selector", "");
        let failure = Failure::invalid("apps", "Deployment", "web", &[cause]);
        assert_eq!(
            failure.message,
            r#"Deployment.apps "web" is invalid: spec.selector: Required value"#
        );
    }
}
