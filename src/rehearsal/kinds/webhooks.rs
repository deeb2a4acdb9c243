//! What webhook configurations must be, and admission policies apart from their expressions.
//!
//! Source: Kubernetes 1.36 `pkg/apis/admissionregistration/validation/validation.go`.

use std::sync::Arc;

use serde_json::Value;

use super::check::{At, Check};
use super::{go, metadata, names};
use crate::rehearsal::cel;

pub(super) fn configuration(check: &mut Check, object: &Value) {
    let mut seen = Vec::new();
    for hook in At::root(object).get("webhooks").items() {
        webhook(check, &hook);
        review_versions(check, &hook.get("admissionReviewVersions"));
        let name = hook.get("name");
        if !name.text().is_empty() {
            if seen.contains(&name.text()) {
                check.duplicate(&*name.path, go::quote(name.text()));
            } else {
                seen.push(name.text());
            }
        }
    }
}

fn webhook(check: &mut Check, hook: &At<'_>) {
    let name = hook.get("name");
    if name.text().is_empty() {
        check.required(&*name.path, "");
    } else {
        check.all(&name, names::fully_qualified(name.text()));
    }
    hook.get("rules").items().for_each(|rule| {
        operations(check, &rule);
        resource_rule(check, &rule, true);
    });
    let failure = hook.get("failurePolicy");
    if failure.is_there() {
        check.one_of(&failure, &["Fail", "Ignore"]);
    }
    let matching = hook.get("matchPolicy");
    if matching.is_there() {
        check.one_of(&matching, &["Equivalent", "Exact"]);
    }
    let effects = hook.get("sideEffects");
    if effects.is_there() {
        check.one_of(&effects, &["None", "NoneOnDryRun"]);
    } else {
        check.required(&*effects.path, "must specify one of None, NoneOnDryRun");
    }
    let timeout = hook.get("timeoutSeconds");
    if timeout.is_there() && !(1..=30).contains(&timeout.number()) {
        check.invalid(&timeout, "the timeout value must be between 1 and 30 seconds");
    }
    metadata::selector(check, &hook.get("namespaceSelector"));
    metadata::selector(check, &hook.get("objectSelector"));
    match_conditions(check, &hook.get("matchConditions"));
    let reinvocation = hook.get("reinvocationPolicy");
    if reinvocation.is_there() {
        check.one_of(&reinvocation, &["IfNeeded", "Never"]);
    }
    let client = hook.get("clientConfig");
    let (url, service) = (client.get("url"), client.get("service"));
    match (url.is_there(), service.is_there()) {
        (true, false) => webhook_url(check, &url),
        (false, true) => webhook_service(check, &service),
        _ => check.required(&*client.path, "exactly one of url or service is required"),
    }
}

/// The most conditions of a webhook.
const CONDITIONS: usize = 64;

fn match_conditions(check: &mut Check, list: &At<'_>) {
    if list.len() > CONDITIONS {
        check.too_many(&*list.path, list.len(), CONDITIONS);
    }
    let mut seen = Vec::new();
    for condition in list.items() {
        let (name, expression) = (condition.get("name"), condition.get("expression"));
        match expression.text().trim() {
            "" => check.required(&*expression.path, ""),
            text => {
                let fault = condition_fault(text);
                fault.into_iter().for_each(|fault| check.invalid_text(&expression, fault));
            }
        }
        if name.text().is_empty() {
            check.required(&*name.path, "");
            continue;
        }
        check.all(&name, names::qualified_name(name.text()));
        if seen.contains(&name.text()) {
            check.duplicate(&*name.path, go::quote(name.text()));
        }
        seen.push(name.text());
    }
}

/// Why an expression is no condition.
fn condition_fault(text: &str) -> Option<String> {
    let compiled = cel::Program::parse(text).and_then(|program| {
        let found = program.check(text, &condition_variables())?;
        Ok((found, program.is_selection()))
    });
    match compiled {
        Err(error) => Some(format!("compilation failed: {error}")),
        // Of calls it may not be known what they give.
        Ok((cel::Type::Bool, _) | (cel::Type::Dyn, false)) => None,
        Ok((other, _)) => Some(format!("must evaluate to bool but got {other}")),
    }
}

/// What a condition may speak of. Source: apiserver `pkg/admission/plugin/cel/compile.go`, `BuildRequestType`.
fn condition_variables() -> [(&'static str, cel::Type); 4] {
    use cel::Type::{Bool, Dyn, List, Map, Object, Text};
    let object = |fields: &[(&str, cel::Type)]| {
        let fields = fields.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone()));
        Object(Arc::new(fields.collect()))
    };
    let kind = object(&[("group", Text), ("version", Text), ("kind", Text)]);
    let resource = object(&[("group", Text), ("version", Text), ("resource", Text)]);
    let texts = List(Arc::new(Text));
    let user = object(&[
        ("username", Text),
        ("uid", Text),
        ("groups", texts.clone()),
        ("extra", Map(Arc::new(texts))),
    ]);
    let request = object(&[
        ("kind", kind.clone()),
        ("resource", resource.clone()),
        ("subResource", Text),
        ("requestKind", kind),
        ("requestResource", resource),
        ("requestSubResource", Text),
        ("name", Text),
        ("namespace", Text),
        ("operation", Text),
        ("userInfo", user),
        ("dryRun", Bool),
        ("options", Dyn),
    ]);
    [("object", Dyn), ("oldObject", Dyn), ("request", request), ("authorizer", Dyn)]
}

fn operations(check: &mut Check, rule: &At<'_>) {
    let list = rule.get("operations");
    if list.is_empty() {
        check.required(&*list.path, "");
    }
    if list.len() > 1 && list.items().any(|operation| operation.text() == "*") {
        check.invalid(&list, "if '*' is present, must not specify other operations");
    }
    for operation in list.items() {
        check.one_of(&operation, &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]);
    }
}

fn resource_rule(check: &mut Check, rule: &At<'_>, subresources: bool) {
    for (key, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let list = rule.get(key);
        if list.is_empty() {
            check.required(&*list.path, "");
        }
        if list.len() > 1 && list.items().any(|entry| entry.text() == "*") {
            check.invalid(&list, format!("if '*' is present, must not specify other {what}"));
        }
        if key == "apiVersions" {
            for version in list.items().filter(|version| version.text().is_empty()) {
                check.required(&*version.path, "");
            }
        }
    }
    let list = rule.get("resources");
    if list.is_empty() {
        check.required(&*list.path, "");
    }
    if subresources {
        with_subresources(check, &list);
    } else {
        for resource in list.items() {
            if resource.text().is_empty() {
                check.required(&*resource.path, "");
            }
            if resource.text().contains('/') {
                check.invalid(&resource, "must not specify subresources");
            }
        }
    }
    let scope = rule.get("scope");
    if scope.is_there() {
        check.one_of(&scope, &["*", "Cluster", "Namespaced"]);
    }
}

fn with_subresources(check: &mut Check, list: &At<'_>) {
    let (mut all_of, mut of_all) = (Vec::new(), Vec::new());
    let mut plain = false;
    for resource in list.items() {
        let text = resource.text();
        if text.is_empty() {
            check.required(&*resource.path, "");
            continue;
        }
        let Some((name, sub)) = text.split_once('/') else {
            plain = text != "*";
            continue;
        };
        if all_of.contains(&name) {
            let detail = format!("if '{name}/*' is present, must not specify {text}");
            check.invalid(&resource, detail);
        }
        if of_all.contains(&sub) {
            let detail = format!("if '*/{sub}' is present, must not specify {text}");
            check.invalid(&resource, detail);
        }
        if sub == "*" {
            all_of.push(name);
        }
        if name == "*" {
            of_all.push(sub);
        }
    }
    let has = |wanted: &str| list.items().any(|resource| resource.text() == wanted);
    if list.len() > 1 && has("*/*") {
        check.invalid(list, "if '*/*' is present, must not specify other resources");
    }
    if has("*") && plain {
        let detail = "if '*' is present, must not specify other resources without subresources";
        check.invalid(list, detail);
    }
}

fn review_versions(check: &mut Check, list: &At<'_>) {
    if list.is_empty() {
        return check.required(&*list.path, "must specify one of v1, v1beta1");
    }
    let mut seen = Vec::new();
    for version in list.items() {
        if seen.contains(&version.text()) {
            check.invalid(&version, "duplicate version");
            continue;
        }
        seen.push(version.text());
        check.all(&version, names::dns_1035_label(version.text()));
    }
    if !seen.iter().any(|version| matches!(*version, "v1" | "v1beta1")) {
        check.invalid(list, "must include at least one of v1, v1beta1");
    }
}

fn webhook_url(check: &mut Check, at: &At<'_>) {
    let form = "; desired format: https://host[/path]";
    let (scheme, rest) = at.text().split_once("://").unwrap_or(("", at.text()));
    if scheme != "https" {
        let detail = format!("'https' is the only allowed URL scheme{form}");
        check.invalid_as(&*at.path, go::quote(scheme), detail);
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = if scheme.is_empty() { "" } else { rest.split('/').next().unwrap_or("") };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.is_empty() {
        check.invalid_as(&*at.path, "\"\"", format!("host must be specified{form}"));
    }
    for (part, detail) in [
        (user, "user information is not permitted in the URL"),
        (fragment, "fragments are not permitted in the URL"),
        (query, "query parameters are not permitted in the URL"),
    ] {
        if !part.is_empty() {
            check.invalid_as(&*at.path, go::quote(part), detail);
        }
    }
}

fn webhook_service(check: &mut Check, at: &At<'_>) {
    // The server takes the one for the other.
    for (key, other) in [("namespace", "name"), ("name", "namespace")] {
        if at.text_of(key).is_empty() {
            check.required(at.child(other), "");
        }
    }
    let port = at.get("port");
    for message in names::port_number(port.number()) {
        let detail = format!("port is not valid: {message}");
        check.invalid_as(&*port.path, port.number().to_string(), detail);
    }
    let path = at.get("path");
    let text = path.text();
    if text.is_empty() || text == "/" {
        return;
    }
    if text == "//" {
        return check.invalid(&path, "segment[0] may not be empty");
    }
    if !text.starts_with('/') {
        check.invalid(&path, "must start with a '/'");
    }
    let inner = text.get(1..).unwrap_or_default();
    for (at, step) in inner.strip_suffix('/').unwrap_or(inner).split('/').enumerate() {
        if step.is_empty() {
            check.invalid(&path, format!("segment[{at}] may not be empty"));
            continue;
        }
        for message in names::dns_subdomain(step) {
            check.invalid(&path, format!("segment[{at}]: {message}"));
        }
    }
}

/// A policy, apart from what its expressions say.
pub(super) fn policy(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    let failure = spec.get("failurePolicy");
    if failure.is_there() {
        check.one_of(&failure, &["Fail", "Ignore"]);
    } else {
        check.required(&*failure.path, "");
    }
    let parameters = spec.get("paramKind");
    if parameters.is_there() {
        for key in ["apiVersion", "kind"] {
            if parameters.text_of(key).is_empty() {
                check.required(parameters.child(key), "");
            }
        }
    }
    let constraints = spec.get("matchConstraints");
    if constraints.is_there() {
        match_resources(check, &constraints);
        if constraints.get("resourceRules").is_empty() {
            check.required(constraints.child("resourceRules"), "");
        }
    } else {
        check.required(&*constraints.path, "");
    }
    let validations = spec.get("validations");
    if validations.is_empty() && spec.get("auditAnnotations").is_empty() {
        let detail = "validations or auditAnnotations must be non-empty";
        check.required(&*validations.path, format!("{detail}; at least one is required"));
    }
    for validation in validations.items() {
        if validation.text_of("expression").trim().is_empty() {
            check.required(validation.child("expression"), "expression is not specified");
        }
    }
}

/// The binding of a policy.
pub(super) fn binding(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    let name = spec.get("policyName");
    if name.text().is_empty() {
        check.required(&*name.path, "");
    } else {
        check.all(&name, names::dns_subdomain(name.text()));
    }
    let resources = spec.get("matchResources");
    if resources.is_there() {
        match_resources(check, &resources);
    }
    let actions = spec.get("validationActions");
    if actions.is_empty() {
        check.required(&*actions.path, "at least one validation action is required");
    }
    let mut seen = Vec::new();
    for action in actions.items() {
        check.one_of(&action, &["Audit", "Deny", "Warn"]);
        if seen.contains(&action.text()) {
            check.duplicate(&*action.path, go::quote(action.text()));
        }
        seen.push(action.text());
    }
    if seen.contains(&"Deny") && seen.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure \
                      information in the API response and headers serves no purpose)";
        check.invalid(&actions, detail);
    }
}

fn match_resources(check: &mut Check, at: &At<'_>) {
    let policy = at.get("matchPolicy");
    if policy.is_there() {
        check.one_of(&policy, &["Equivalent", "Exact"]);
    }
    metadata::selector(check, &at.get("namespaceSelector"));
    metadata::selector(check, &at.get("objectSelector"));
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in at.get(list).items() {
            operations(check, &rule);
            resource_rule(check, &rule, true);
        }
    }
}
