//! What ValidatingAdmissionPolicies refuse.
//!
//! Expressions are evaluated without their types being checked first, as policies on kinds that the
//! server does not know are; `authorizer` is not there, and objects are not converted for policies
//! that name another version. Source: apiserver `pkg/admission/plugin/policy/{validating,generic,
//! matching}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::rehearsal::cel::{self, Program};
use crate::rehearsal::{Failure, Kind};

/// What is about to be written.
pub struct Request<'a> {
    /// `CREATE`, `UPDATE` or `DELETE`.
    pub operation: &'a str,
    /// The kind of the object.
    pub kind: &'a Kind,
    /// Its resource in paths, e.g. `configmaps`.
    pub resource: &'a str,
    /// E.g. `status`; empty for the object itself.
    pub subresource: &'a str,
    /// The name; empty where it is yet to be made.
    pub name: &'a str,
    /// The namespace; empty for objects that have none.
    pub namespace: &'a str,
    /// The object as it would be; null for a delete.
    pub object: &'a Value,
    /// The object as it is; null for a create.
    pub old: &'a Value,
    /// The object's namespace, where it has one.
    pub home: Option<&'a Value>,
    /// Who asks, as `request.userInfo`.
    pub user: Value,
    /// Whether nothing is to be kept.
    pub dry_run: bool,
}

/// Where the parameters of policies are found: the objects of an API version and a kind.
pub type Parameters<'a> = &'a dyn Fn(&str, &str) -> Vec<Value>;

/// Asks all policies that are bound. Returns the texts of `Warning` headers.
///
/// # Errors
/// Where a policy denies the request; the text is that of the server.
pub fn check(
    request: &Request<'_>,
    policies: &[Value],
    bindings: &[Value],
    parameters: Parameters<'_>,
) -> Result<Vec<String>, Failure> {
    // The server asks policies to be changed without asking them.
    if request.kind.group == "admissionregistration.k8s.io" {
        return Ok(Vec::new());
    }
    let mut warnings = Vec::new();
    let mut denial = None;
    for policy in policies {
        let spec = &policy["spec"];
        if !matches(request, &spec["matchConstraints"], true) {
            continue;
        }
        let bound = bindings.iter().filter(|binding| {
            binding["spec"]["policyName"] == policy["metadata"]["name"]
                && matches(request, &binding["spec"]["matchResources"], false)
        });
        for binding in bound {
            for decision in decide(request, spec, binding, parameters) {
                let actions = binding["spec"]["validationActions"].as_array();
                for action in actions.into_iter().flatten().filter_map(Value::as_str) {
                    match action {
                        "Deny" => {
                            denial.get_or_insert_with(|| (policy, binding, decision.clone()));
                        }
                        "Warn" => warnings.push(format!(
                            "Validation failed for ValidatingAdmissionPolicy '{}' with binding \
                             '{}': {}",
                            name_of(policy),
                            name_of(binding),
                            decision.message
                        )),
                        _ => {}
                    }
                }
            }
        }
    }
    match denial {
        Some((policy, binding, decision)) => Err(denied(request, policy, binding, &decision)),
        None => Ok(warnings),
    }
}

/// What a validation says where it does not hold.
#[derive(Clone)]
struct Decision {
    message: String,
    reason: &'static str,
}

fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn denied(request: &Request<'_>, policy: &Value, binding: &Value, decision: &Decision) -> Failure {
    let why = format!(
        "ValidatingAdmissionPolicy '{}' with binding '{}' denied request: {}",
        name_of(policy),
        name_of(binding),
        decision.message
    );
    let group = &request.kind.group;
    let resource = match &**group {
        "" => request.resource.to_owned(),
        group => format!("{}.{group}", request.resource),
    };
    let message = format!("{resource} {:?} is forbidden: {why}", request.name);
    let code = match decision.reason {
        "Unauthorized" => 401,
        "Forbidden" => 403,
        "RequestEntityTooLarge" => 413,
        _ => 422,
    };
    let mut details = json!({
        "name": request.name, "kind": request.resource, "causes": [{"message": why}],
    });
    if !group.is_empty() {
        details["group"] = group.as_str().into();
    }
    Failure { details: Some(details), ..Failure::new(code, decision.reason, message) }
}

/// Whether the rules of a policy or a binding are about the request. Without rules a binding is
/// about all requests, a policy about none.
fn matches(request: &Request<'_>, found: &Value, needs_rules: bool) -> bool {
    if found.is_null() {
        return !needs_rules;
    }
    let rules = |name: &str| found[name].as_array().map_or(&[][..], Vec::as_slice);
    if rules("excludeResourceRules").iter().any(|rule| rule_matches(request, rule)) {
        return false;
    }
    let listed = rules("resourceRules");
    if (!listed.is_empty() || needs_rules) && !listed.iter().any(|rule| rule_matches(request, rule))
    {
        return false;
    }
    let labels = |object: &Value| object["metadata"]["labels"].clone();
    let of_namespace = if request.kind.pair() == ("", "Namespace") {
        let object = if request.object.is_null() { request.old } else { request.object };
        Some(labels(object))
    } else {
        request.home.map(labels)
    };
    let in_namespace =
        of_namespace.is_none_or(|labels| selects(&found["namespaceSelector"], &labels));
    let objects = [request.object, request.old].into_iter().filter(|object| !object.is_null());
    let mut objects = objects.map(labels);
    in_namespace && objects.any(|labels| selects(&found["objectSelector"], &labels))
}

fn rule_matches(request: &Request<'_>, rule: &Value) -> bool {
    let has = |name: &str, wanted: &str| {
        let list = rule[name].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).any(|known| known == "*" || known == wanted)
    };
    let whole = match request.subresource {
        "" => request.resource.to_owned(),
        below => format!("{}/{below}", request.resource),
    };
    let resources = rule["resources"].as_array().into_iter().flatten();
    let resource = resources.filter_map(Value::as_str).any(|known| match known.split_once('/') {
        None => (known == "*" && request.subresource.is_empty()) || known == whole,
        Some((resource, below)) => {
            (resource == "*" || resource == request.resource)
                && (below == "*" || below == request.subresource)
        }
    });
    let scope = match rule["scope"].as_str() {
        Some("Namespaced") => !request.namespace.is_empty(),
        Some("Cluster") => request.namespace.is_empty(),
        _ => true,
    };
    let names = rule["resourceNames"].as_array().map_or(&[][..], Vec::as_slice);
    resource
        && scope
        && has("operations", request.operation)
        && has("apiGroups", &request.kind.group)
        && has("apiVersions", &request.kind.version)
        && (names.is_empty() || names.iter().any(|name| name == request.name))
}

/// Whether a label selector picks these labels; an empty one picks all.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object().into_iter().flatten();
    let equal = wanted.into_iter().all(|(name, value)| labels.get(name) == Some(value));
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    equal
        && expressions.into_iter().all(|entry| {
            let found = entry["key"].as_str().and_then(|key| labels.get(key));
            let listed = || {
                let values = entry["values"].as_array();
                values.is_some_and(|values| found.is_some_and(|found| values.contains(found)))
            };
            match entry["operator"].as_str() {
                Some("In") => listed(),
                Some("NotIn") => !listed(),
                Some("Exists") => found.is_some(),
                Some("DoesNotExist") => found.is_none(),
                _ => false,
            }
        })
}

/// What one policy says under one binding.
fn decide(
    request: &Request<'_>,
    spec: &Value,
    binding: &Value,
    parameters: Parameters<'_>,
) -> Vec<Decision> {
    let fails = spec["failurePolicy"] != "Ignore";
    let all = match find_parameters(request, spec, binding, parameters) {
        Ok(all) => all,
        Err(message) if fails => return vec![Decision { message, reason: "Invalid" }],
        Err(_) => return Vec::new(),
    };
    let mut decisions = Vec::new();
    for found in all {
        let mut names = variables(request, found);
        match conditions(spec, &names) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(message) => {
                if fails {
                    decisions.push(Decision { message, reason: "Invalid" });
                }
                continue;
            }
        }
        name_variables(spec, &mut names);
        let validations = spec["validations"].as_array().into_iter().flatten();
        decisions.extend(validations.filter_map(|entry| validate(entry, &names, fails)));
    }
    decisions
}

type Names = Vec<(&'static str, cel::Value)>;

fn variables(request: &Request<'_>, parameters: Option<Value>) -> Names {
    let value = |json: &Value| cel::Value::from_json(json);
    let kind = json!({
        "group": request.kind.group, "version": request.kind.version, "kind": request.kind.kind,
    });
    let resource = json!({
        "group": request.kind.group, "version": request.kind.version, "resource": request.resource,
    });
    let about = json!({
        "kind": kind, "requestKind": kind, "resource": resource, "requestResource": resource,
        "subResource": request.subresource, "requestSubResource": request.subresource,
        "name": request.name, "namespace": request.namespace, "operation": request.operation,
        "userInfo": request.user, "dryRun": request.dry_run, "options": {},
    });
    let mut names = vec![
        ("object", value(request.object)),
        ("oldObject", value(request.old)),
        ("request", value(&about)),
        ("namespaceObject", request.home.map_or(cel::Value::Null, value)),
    ];
    names.push(("params", parameters.as_ref().map_or(cel::Value::Null, value)));
    names
}

fn run(expression: &str, names: &Names) -> Result<cel::Value, String> {
    Program::parse(expression).map_err(|error| format!("compilation failed: {error}"))?.run(names).0
}

/// Whether all conditions hold under which the policy is asked at all.
fn conditions(spec: &Value, names: &Names) -> Result<bool, String> {
    let mut failed = None;
    for condition in spec["matchConditions"].as_array().into_iter().flatten() {
        let expression = condition["expression"].as_str().unwrap_or_default();
        match run(expression, names) {
            Ok(cel::Value::Bool(true)) => {}
            Ok(_) => return Ok(false),
            Err(error) => {
                failed.get_or_insert_with(|| {
                    format!("expression '{expression}' resulted in error: {error}")
                });
            }
        }
    }
    failed.map_or(Ok(true), Err)
}

/// The policy's own variables, each of which may name those before it. One that fails is not there.
fn name_variables(spec: &Value, names: &mut Names) {
    let mut own = BTreeMap::new();
    names.push(("variables", cel::Value::Map(Arc::default())));
    for variable in spec["variables"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().unwrap_or_default();
        let expression = variable["expression"].as_str().unwrap_or_default();
        if let Ok(value) = run(expression, names) {
            own.insert(cel::Key::Text(name.into()), value);
            names.pop();
            names.push(("variables", cel::Value::Map(Arc::new(own.clone()))));
        }
    }
}

fn validate(entry: &Value, names: &Names, fails: bool) -> Option<Decision> {
    let expression = entry["expression"].as_str().unwrap_or_default();
    let reason = match entry["reason"].as_str() {
        Some("Unauthorized") => "Unauthorized",
        Some("Forbidden") => "Forbidden",
        Some("RequestEntityTooLarge") => "RequestEntityTooLarge",
        _ => "Invalid",
    };
    match run(expression, names) {
        Ok(cel::Value::Bool(true)) => None,
        Ok(_) => Some(Decision { message: message(entry, expression, names), reason }),
        Err(error) => fails.then(|| {
            let message = format!("expression '{expression}' resulted in error: {error}");
            Decision { message, reason: "Invalid" }
        }),
    }
}

fn message(entry: &Value, expression: &str, names: &Names) -> String {
    let own = entry["messageExpression"].as_str().filter(|text| !text.trim().is_empty());
    if let Some(Ok(cel::Value::Text(text))) = own.map(|own| run(own, names)) {
        let text = text.trim();
        if !text.is_empty() && !text.contains('\n') {
            return text.to_owned();
        }
    }
    match entry["message"].as_str().map(str::trim) {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => format!("failed expression: {}", expression.trim()),
    }
}

/// The objects with which a policy is asked; once without any where it takes none.
fn find_parameters(
    request: &Request<'_>,
    spec: &Value,
    binding: &Value,
    parameters: Parameters<'_>,
) -> Result<Vec<Option<Value>>, String> {
    let (kind, reference) = (&spec["paramKind"], &binding["spec"]["paramRef"]);
    if !kind.is_object() || !reference.is_object() {
        return Ok(vec![None]);
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let candidates = parameters(&text(&kind["apiVersion"]), &text(&kind["kind"]));
    let namespace = match text(&reference["namespace"]) {
        namespace if namespace.is_empty() => request.namespace.to_owned(),
        namespace => namespace,
    };
    let found: Vec<_> = candidates
        .into_iter()
        .filter(|object| {
            let metadata = &object["metadata"];
            let near = metadata["namespace"].is_null() || metadata["namespace"] == *namespace;
            let picked = match reference["name"].as_str().filter(|name| !name.is_empty()) {
                Some(name) => metadata["name"] == name,
                None => selects(&reference["selector"], &metadata["labels"]),
            };
            near && picked
        })
        .map(Some)
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    if reference["parameterNotFoundAction"] == "Allow" {
        return Ok(Vec::new());
    }
    Err("failed to configure binding: no params found for policy binding with `Deny` \
         parameterNotFoundAction"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(object: &Value, policy: &Value, binding: &Value) -> Result<Vec<String>, Failure> {
        let kind = Kind::new("v1", "ConfigMap");
        let home = json!({"metadata": {"labels": {"team": "a"}}});
        let request = Request {
            operation: "CREATE",
            kind: &kind,
            resource: "configmaps",
            subresource: "",
            name: "a",
            namespace: "ns",
            object,
            old: &Value::Null,
            home: Some(&home),
            user: json!({"username": "u"}),
            dry_run: false,
        };
        let limits = |_: &str, _: &str| {
            vec![json!({"metadata": {"name": "limits", "namespace": "ns"}, "data": {"most": "2"}})]
        };
        check(&request, std::slice::from_ref(policy), std::slice::from_ref(binding), &limits)
    }

    fn policy(more: Value) -> Value {
        let mut policy = json!({"metadata": {"name": "p"}, "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["configmaps"]}]}}});
        for (name, value) in more.as_object().unwrap() {
            policy["spec"][name] = value.clone();
        }
        policy
    }

    fn binding(actions: &[&str]) -> Value {
        json!({"metadata": {"name": "b"}, "spec": {"policyName": "p",
            "validationActions": actions,
            "matchResources": {"namespaceSelector": {"matchLabels": {"team": "a"}}}}})
    }

    #[test]
    fn what_does_not_hold_is_denied_or_warned_of() {
        let object = json!({"metadata": {"name": "a"}, "data": {"x": "y"}});
        let policy = policy(json!({
            "variables": [{"name": "data", "expression": "object.data"}],
            "matchConditions": [{"name": "m", "expression": "request.userInfo.username == 'u'"}],
            "validations": [{"expression": "'ok' in variables.data",
                "messageExpression": "'no ok in ' + object.metadata.name"}]}));
        let failure = ask(&object, &policy, &binding(&["Deny"])).unwrap_err();
        let expected = "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding \
            'b' denied request: no ok in a";
        assert_eq!((failure.code, &*failure.message), (422, expected));
        let warnings = ask(&object, &policy, &binding(&["Warn"])).unwrap();
        let expected = "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': no \
            ok in a";
        assert_eq!(warnings, [expected]);
    }

    #[test]
    fn parameters_are_looked_up_and_errors_deny_unless_ignored() {
        let object = json!({"metadata": {"name": "a"}, "data": {"x": "y"}});
        let mut bound = binding(&["Deny"]);
        bound["spec"]["paramRef"] = json!({"name": "limits", "parameterNotFoundAction": "Deny"});
        let kind = json!({"apiVersion": "v1", "kind": "ConfigMap"});
        let fits = policy(json!({"paramKind": kind, "validations":
            [{"expression": "size(object.data) <= int(params.data.most)"}]}));
        assert!(ask(&object, &fits, &bound).is_ok());
        let broken = json!([{"expression": "object.none.x == 1"}]);
        let failing = policy(json!({"validations": broken}));
        let failure = ask(&object, &failing, &binding(&["Deny"])).unwrap_err();
        assert!(failure.message.ends_with("resulted in error: no such key: none"));
        let ignoring = policy(json!({"validations": broken, "failurePolicy": "Ignore"}));
        assert!(ask(&object, &ignoring, &binding(&["Deny"])).is_ok());
    }
}
