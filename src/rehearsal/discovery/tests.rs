//! What a real server says of itself.

use std::path::PathBuf;

use super::*;
use crate::rehearsal::fields::recorded::{minor, steps};
use crate::schema::kubernetes;

fn site(custom: &[CustomResource]) -> Site<'_> {
    Site { minor: minor(), custom, address: "127.0.0.1:26443" }
}

fn widget() -> CustomResource {
    CustomResource {
        group: "example.com".into(),
        version: "v1".into(),
        stored_version: "v1".into(),
        plural: "widgets".into(),
        singular: "widget".into(),
        kind: "Widget".into(),
        list_kind: "WidgetList".into(),
        short_names: vec!["wd".into()],
        namespaced: true,
        status: true,
        scale: true,
        schema: Some(json!({"type": "object", "properties": {"spec": {"type": "object"}}})),
        ..CustomResource::default()
    }
}

fn body(page: &Page) -> Value {
    serde_json::from_slice(&page.body).unwrap_or_default()
}

/// Hashes and what says which build it is.
fn without_build(path: &str, value: &mut Value) {
    if path == "/version" {
        for key in ["gitVersion", "gitCommit", "buildDate", "goVersion", "compiler", "platform"] {
            value.as_object_mut().unwrap().remove(key);
        }
    }
    for entry in value["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut()) {
        if let Some(url) = entry["serverRelativeURL"].as_str() {
            entry["serverRelativeURL"] = url.split('=').next().unwrap().into();
        }
    }
}

#[test]
fn pages_are_those_of_the_server() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for step in steps() {
        if !step.file.contains("/discovery/") || step.request("method") != "GET" {
            continue;
        }
        count += 1;
        let path = step.request("path");
        let Some(page) = site(&[]).page(path, step.request("accept")) else {
            wrong.push(format!("{}: no page {path}", step.place));
            continue;
        };
        let (mut have, mut want) = (body(&page), step.answer());
        without_build(path, &mut have);
        without_build(path, &mut want);
        let text = String::from_utf8(page.body.clone()).unwrap();
        let same = match step.text() {
            Some(wanted) => text == wanted,
            None => have == want,
        };
        if page.code as u64 != step.status() || page.content_type != step.content_type() || !same {
            let show = |value: &Value| value.to_string().chars().take(1500).collect::<String>();
            wrong.push(format!(
                "{} {path}: {} {} {}\n  not {} {} {}",
                step.place,
                page.code,
                page.content_type,
                show(&have),
                step.status(),
                step.content_type(),
                show(&want)
            ));
        }
    }
    eprintln!("{count} pages");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The recorded documents; `None`, loudly, where there are none.
#[expect(clippy::disallowed_methods, reason = "a test reads what was recorded")]
fn documents() -> Option<Map<String, Value>> {
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let path = given.unwrap_or_else(beside).join("apiserver/openapi-1.36.json");
    let Ok(text) = std::fs::read(&path) else {
        assert!(std::env::var_os("CI").is_none(), "no {}", path.display());
        eprintln!("skipped: no {}", path.display());
        return None;
    };
    serde_json::from_slice(&text).unwrap()
}

/// What is left out, and said so.
fn without_unsaid(operation: &mut Value) {
    let object = operation.as_object_mut().unwrap();
    object.remove("operationId");
    object.remove("tags");
    for response in object["responses"].as_object_mut().unwrap().values_mut() {
        if let Some(content) = response["content"].as_object_mut() {
            content.retain(|media, _| matches!(&**media, "application/json" | "application/yaml"));
        }
        if response["content"].is_null() {
            *response = json!({});
        }
    }
}

#[test]
fn documents_are_those_of_the_server() {
    let Some(documents) = documents() else { return };
    let (mut wrong, mut operations) = (Vec::new(), 0);
    for (path, want) in &documents {
        let Some(have) = openapi::document(&site(&[]), path) else {
            wrong.push(format!("{path} is missing"));
            continue;
        };
        if have["info"] != want["info"] {
            wrong.push(format!("{path}: {}", have["info"]));
        }
        let none = Map::new();
        let wanted = want["components"]["schemas"].as_object().unwrap_or(&none);
        let found = have["components"]["schemas"].as_object().unwrap();
        for (name, schema) in wanted {
            let mut schema = schema.clone();
            let object = schema.as_object_mut().unwrap();
            object.remove("x-kubernetes-unions");
            // Which is in the order of Go's fields.
            if let Some(Value::Array(required)) = object.get_mut("required") {
                required.sort_by_key(Value::to_string);
            }
            // Fields without a description refer without an `allOf`, which we have for all.
            for field in object.get_mut("properties").into_iter().filter_map(Value::as_object_mut) {
                for field in field.values_mut().filter(|field| field.get("$ref").is_some()) {
                    *field = json!({"allOf": [field.take()]});
                }
            }
            match found.get(name) {
                Some(found) if *found == schema => {}
                Some(found) => wrong.push(format!("{path} {name}: {found}\n  not {schema}")),
                None => wrong.push(format!("{path} {name} is missing")),
            }
        }
        for name in found.keys().filter(|name| !wanted.contains_key(*name)) {
            wrong.push(format!("{path} has {name}"));
        }
        for (at, item) in want["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if method == "parameters" || !operation["x-kubernetes-action"].is_string() {
                    continue;
                }
                let action = operation["x-kubernetes-action"].as_str().unwrap();
                if matches!(action, "watch" | "watchlist" | "connect") {
                    continue;
                }
                operations += 1;
                let mut operation = operation.clone();
                without_unsaid(&mut operation);
                let found = have["paths"][at][method].clone();
                if found.is_null() {
                    wrong.push(format!("{path}: no {method} {at}"));
                    continue;
                }
                // Where all operations of a path have a parameter, a server says it once.
                let names = |value: &Value, item: &Value| -> Vec<String> {
                    let lists = [&value["parameters"], &item["parameters"]];
                    let all = lists.into_iter().filter_map(Value::as_array).flatten();
                    let mut all: Vec<_> = all.map(Value::to_string).collect();
                    all.sort();
                    all
                };
                let special = matches!(&**at, a if a.ends_with("/log"));
                if names(&found, &have["paths"][at]) != names(&operation, item) && !special {
                    wrong.push(format!("{path} {method} {at}: parameters"));
                }
                for key in [
                    "responses",
                    "requestBody",
                    "x-kubernetes-group-version-kind",
                    "x-kubernetes-action",
                ] {
                    if found[key] != operation[key] && !special {
                        wrong.push(format!(
                            "{path} {method} {at}: {key} {}\n  not {}",
                            found[key], operation[key]
                        ));
                    }
                }
            }
        }
    }
    eprintln!("{} documents, {operations} operations", documents.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn custom_resources_join_at_the_end() {
    let custom = [widget(), CustomResource { version: "v1beta1".into(), ..widget() }];
    let site = site(&custom);
    let groups = body(&site.page("/apis", "").unwrap());
    let last = groups["groups"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["name"], "example.com");
    assert_eq!(last["preferredVersion"]["version"], "v1");
    let list = body(&site.page("/apis/example.com/v1", "application/json").unwrap());
    let names: Vec<_> =
        list["resources"].as_array().unwrap().iter().map(|r| r["name"].clone()).collect();
    assert_eq!(names, ["widgets", "widgets/status", "widgets/scale"]);
    let page = site.page("/openapi/v3/apis/example.com/v1?hash=x", "").unwrap();
    let document = body(&page);
    let schema = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], "Widget");
    let patch =
        &document["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]["patch"];
    let has =
        |name: &str| patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == name);
    assert!(has("fieldValidation") && has("force"));
    assert!(patch["requestBody"]["content"]["application/strategic-merge-patch+json"].is_null());
}

#[test]
fn every_minor_has_every_page() {
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                      application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
                      application/json";
    for number in kubernetes::MINORS {
        let minor = kubernetes::minor(number).unwrap();
        let site = Site { minor, custom: &[], address: "127.0.0.1:1" };
        let index = body(&site.page("/openapi/v3", "").unwrap());
        for entry in index["paths"].as_object().unwrap().values() {
            let url = entry["serverRelativeURL"].as_str().unwrap();
            let page = site.page(url, "").unwrap();
            assert_eq!(page.code, 200, "1.{number} {url}");
        }
        let page = site.page("/apis", aggregated).unwrap();
        let version = if number < FIRST_AGGREGATED { "v=v2beta1" } else { "v=v2;" };
        assert!(page.content_type.contains(version), "1.{number} {}", page.content_type);
    }
    let old = Site { minor: kubernetes::minor(29).unwrap(), custom: &[], address: "" };
    assert_eq!(old.page("/apis/resource.k8s.io/v1", "").unwrap().code, 404);
    assert_eq!(old.page("/apis/flowcontrol.apiserver.k8s.io/v1beta3", "").unwrap().code, 200);
}

#[test]
fn the_hash_of_a_storage_version_is_that_of_the_server() {
    assert_eq!(storage_hash("", "v1", "ConfigMap"), "qFsyl6wFWjQ=");
}
