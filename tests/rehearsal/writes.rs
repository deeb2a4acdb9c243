//! What single requests come to that no transcript has; each was measured on a real server.

use overlay::rehearsal::{Options, Rehearsal};
use serde_json::{Value, json};

/// The status and the body of an answer.
fn ask(
    api: &Rehearsal,
    method: &str,
    content_type: &str,
    path: &str,
    body: &Value,
) -> (u16, Value) {
    let request = http::Request::builder().method(method).uri(path);
    let request = request.header("content-type", content_type).body(body.to_string().into());
    let answer = api.handle(request.unwrap());
    let code = answer.status().as_u16();
    (code, serde_json::from_slice(&answer.into_body().into_bytes()).unwrap())
}

fn apply(api: &Rehearsal, path: &str, manager: &str, object: &Value) -> Value {
    let path = format!("{path}?fieldManager={manager}");
    let (code, answer) = ask(api, "PATCH", "application/apply-patch+yaml", &path, object);
    assert!(code < 300, "{answer}");
    answer
}

fn post(api: &Rehearsal, path: &str, object: &Value) -> Value {
    let (code, answer) = ask(api, "POST", "application/json", path, object);
    assert!(code < 300, "{answer}");
    answer
}

/// Makes `Thing` a kind, with this as its schema.
fn define(api: &Rehearsal, schema: &Value) {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.org"},
        "spec": {
            "group": "example.org", "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
            }],
        },
    });
    post(api, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition);
}

fn api() -> Rehearsal {
    Rehearsal::new(&Options::default()).unwrap()
}

#[test]
fn an_apply_of_an_empty_map_is_a_new_generation_of_a_network_policy() {
    let api = api();
    let path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/a";
    let policy = |spec: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a"},
            "spec": spec,
        })
    };
    let made = apply(&api, path, "a", &policy(json!({"podSelector": {}})));
    assert_eq!(made["metadata"]["generation"], 1);
    let same = apply(&api, path, "a", &policy(json!({"podSelector": {}})));
    assert_eq!(same["metadata"], made["metadata"]);
    let hollow = policy(json!({"podSelector": {"matchLabels": {}}}));
    let changed = apply(&api, path, "a", &hollow);
    assert_eq!(changed["metadata"]["generation"], 2);
    assert_eq!(changed["spec"], made["spec"]);
}

#[test]
fn a_map_of_a_custom_resource_that_an_apply_empties_is_null_and_refused() {
    let api = api();
    let text = json!({"type": "string"});
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "name": text,
        "map": {"type": "object", "additionalProperties": text},
        "none": {"type": "object", "nullable": true, "properties": {"a": text}},
        "usual": {"type": "object", "default": {"a": "b"}, "properties": {"a": text}},
    }}}});
    define(&api, &schema);
    let path = "/apis/example.org/v1/namespaces/default/things/a?fieldManager=a";
    let thing = |spec: Value| {
        let object = json!({
            "apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec,
        });
        ask(&api, "PATCH", "application/apply-patch+yaml", path, &object)
    };
    let full = json!({
        "name": "a", "map": {"a": "b"}, "none": {"a": "b"}, "usual": {"a": "c"},
    });
    let (code, made) = thing(full.clone());
    assert_eq!((code, &made["spec"]), (201, &full));
    for (spec, field, kind) in [
        (json!({"name": null}), "name", "string"),
        (json!({"map": {}, "name": "a"}), "map", "object"),
    ] {
        let (code, refusal) = thing(spec);
        let message = format!(
            "Thing.example.org \"a\" is invalid: spec.{field}: Invalid value: \"null\": \
             spec.{field} in body must be of type {kind}: \"null\""
        );
        assert_eq!((code, &refusal["message"]), (422, &message.into()));
    }
    let (code, emptied) = thing(json!({"none": {}, "usual": {}}));
    assert_eq!((code, &emptied["spec"]), (200, &json!({"none": null, "usual": {"a": "b"}})));
}

#[test]
fn the_single_address_of_a_pod_is_the_first_of_all() {
    let api = api();
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    });
    post(&api, pods, &pod);
    let status = |status: Value| {
        let path = format!("{pods}/a/status");
        let body = json!({"status": status});
        let (code, answer) = ask(&api, "PATCH", "application/merge-patch+json", &path, &body);
        assert_eq!(code, 200, "{answer}");
        [answer["status"]["podIP"].clone(), answer["status"]["podIPs"].clone()]
    };
    let one = |ip: &str| [json!(ip), json!([{"ip": ip}])];
    assert_eq!(status(json!({"podIP": "10.1.1.1"})), one("10.1.1.1"));
    assert_eq!(status(json!({"podIPs": [{"ip": "10.1.1.2"}]})), one("10.1.1.1"));
    let both = json!({"podIP": null, "podIPs": [{"ip": "10.1.1.3"}]});
    assert_eq!(status(both), one("10.1.1.3"));
}

#[test]
fn what_is_refused_before_a_resource_is_asked_is_refused_in_other_words() {
    let api = api();
    define(&api, &json!({"type": "object"}));
    let things = "/apis/example.org/v1/namespaces/default/things";
    for method in ["PUT", "PATCH"] {
        let refusal = |path| {
            let (code, refusal) = ask(&api, method, "application/json", path, &json!({}));
            (code, refusal["message"].clone())
        };
        assert_eq!(refusal(things), (400, json!("name must be provided")));
        assert_eq!(refusal("/api/v1/namespaces/default/secrets").0, 405);
    }
    let request = http::Request::get(things).header("accept", "text/html");
    let answer = api.handle(request.body(bytes::Bytes::new()).unwrap());
    let refusal: Value = serde_json::from_slice(&answer.into_body().into_bytes()).unwrap();
    let message = "only the following media types are accepted: application/json, application/yaml, \
                   application/vnd.kubernetes.protobuf";
    assert_eq!((&refusal["code"], &refusal["message"]), (&json!(406), &json!(message)));
    let request = http::Request::patch("/api/v1/namespaces/default/endpoints/a");
    let request = request.header("content-type", "text/plain").body("a".into()).unwrap();
    let answer = api.handle(request);
    assert_eq!((answer.status().as_u16(), answer.headers().get("warning")), (415, None));
}

#[test]
fn jobs_are_deleted_with_a_warning_and_selected_by_few_fields() {
    let api = api();
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    let warned = |body: &str| {
        let request = http::Request::delete(jobs).header("content-type", "application/json");
        let answer = api.handle(request.body(body.to_owned().into()).unwrap());
        assert_eq!(answer.status(), 200);
        answer.headers().contains_key("warning")
    };
    assert!(warned("") && warned(r#"{"dryRun":["All"]}"#));
    assert!(!warned(r#"{"propagationPolicy":"Background"}"#));
    let path = format!("{jobs}?fieldSelector=spec.unknown%3D1");
    let (code, refusal) = ask(&api, "GET", "application/json", &path, &json!({}));
    let message = "field label \"spec.unknown\" not supported for Job";
    assert_eq!((code, &refusal["message"]), (400, &json!(message)));
}

#[test]
fn a_secret_may_have_keys_without_bytes() {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "type": "kubernetes.io/tls",
        "data": {"tls.crt": null, "tls.key": "Yg=="},
    });
    let made = post(&api(), "/api/v1/namespaces/default/secrets", &secret);
    assert_eq!(made["data"], json!({"tls.crt": "", "tls.key": "Yg=="}));
}

#[test]
fn who_sets_a_list_to_nothing_owns_it() {
    let api = api();
    let range = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "a"}, "spec": {"limits": []},
    });
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "a"}, "rules": [],
    });
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    let range = post(&api, "/api/v1/namespaces/default/limitranges", &range);
    let role = post(&api, roles, &role);
    let owned = |object: &Value| object["metadata"]["managedFields"][0]["fieldsV1"].clone();
    assert_eq!(owned(&range), json!({"f:spec": {"f:limits": {}}}));
    assert_eq!(owned(&role), json!({"f:rules": {}}));
    // What is kept is not told from nothing.
    assert_eq!((&range["spec"]["limits"], &role["rules"]), (&Value::Null, &Value::Null));
}
