//! What is done with objects on their way to the server: order, inventory, selection, and what is shown.

use ecow::EcoString;
use overlay::flux::drift::{self, Change};
use overlay::flux::inventory::{self, ObjectId, gone, kinds, order, stage};
use overlay::flux::marks;
use overlay::kustomization::Selector;
use overlay::resource::{Gvk, Origin, Resource};
use overlay::selector::Matcher;
use overlay::{Limits, Place, json, manifest, yaml};
use serde_json::Value as Json;

use crate::data::{Tally, cases};

fn resources(text: &str) -> Vec<Resource> {
    let file: std::sync::Arc<str> = "in.yaml".into();
    let documents = yaml::read(text.as_bytes(), &file, &Limits::WEBHOOK).expect("YAML");
    let place = |_| Place::file(file.clone());
    // What is no object is dropped one by one.
    let objects = |document| {
        manifest::resources(std::slice::from_ref(document), text.as_bytes(), &file, &place)
    };
    documents.iter().filter_map(|document| objects(document).ok()).flatten().collect()
}

fn from_json(object: &Json) -> Resource {
    Resource::new(json::from_json(object), Origin { file: "in.json".into(), document: 0 })
}

fn id(object: &Json) -> ObjectId {
    let text = |value: &Json| EcoString::from(value.as_str().unwrap_or_default());
    ObjectId {
        namespace: text(&object["Namespace"]),
        name: text(&object["Name"]),
        group: text(&object["GroupKind"]["Group"]),
        kind: text(&object["GroupKind"]["Kind"]),
    }
}

fn check(is_right: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if is_right { Ok(()) } else { Err(why()) }
}

#[test]
fn lists_what_was_applied() {
    let Some(cases) = cases("inventory") else { return };
    let mut tally = Tally::new("inventory");
    for case in &cases {
        if case.name == "entries-and-stale-objects" {
            let list = |path: &str| {
                let entries = inventory::entries(&resources(&case.text(path)));
                entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
            };
            let names = std::fs::read_dir(case.path.join("in")).unwrap();
            let mut names: Vec<String> = names
                .map(|one| format!("in/{}", one.unwrap().file_name().to_string_lossy()))
                .collect();
            names.sort();
            let (new, old) = (list(&names[0]), list(&names[1]));
            let stale: Vec<String> = gone(&old, &new).iter().map(ToString::to_string).collect();
            tally.add(
                case,
                None,
                check(stale == ["test_test2__ConfigMap"], || format!("{stale:?}")),
            );
            continue;
        }
        for (index, vector) in case.vectors().iter().enumerate() {
            let outcome = if case.name == "set-diff" {
                let set = |key: &str| -> Vec<ObjectId> {
                    vector[key].as_array().into_iter().flatten().map(id).collect()
                };
                let (before, after) = (set("setA"), set("setB"));
                let left: Vec<ObjectId> = gone(&before, &after).into_iter().cloned().collect();
                let (mut left, mut wanted) = (left, set("expected"));
                left.sort();
                wanted.sort();
                check(left == wanted, || format!("{left:?}"))
            } else {
                let text = vector["invStr"].as_str().unwrap();
                match ObjectId::parse(text) {
                    Err(error) => check(vector["isError"] == true, || error.to_string()),
                    Ok(read) => {
                        let is_back = read.to_string() == text;
                        let is_read =
                            vector["isError"] == false && read == id(&vector["inventory"]);
                        check(is_read && is_back, || format!("{read:?} is {read}"))
                    }
                }
            };
            tally.add(case, Some(index), outcome);
        }
    }
    tally.finish();
}

#[test]
fn writes_in_the_order_of_flux() {
    let Some(cases) = cases("ssa-manifests") else { return };
    let mut tally = Tally::new("ssa-manifests");
    let shown = |resource: &Resource| match resource.namespace() {
        "" => format!("{}/{}", resource.kind(), resource.name()),
        namespace => format!("{}/{namespace}/{}", resource.kind(), resource.name()),
    };
    for case in &cases {
        let text = case.text("in/manifests.yaml").replace("%[1]s", "id1");
        let wanted = crate::data::json(&case.path.join("expected.json"));
        let mut sorted = resources(&text);
        sorted.sort_by(|one, other| order(&ObjectId::of(one), &ObjectId::of(other)));
        let mut staged = sorted.clone();
        staged.sort_by_key(|one| stage(one.api_version(), one.kind(), &[]));
        let names = |list: &[Resource]| Json::from_iter(list.iter().map(shown));
        let is_right = names(&sorted) == wanted["sorted"] && names(&staged) == wanted["staged"];
        tally.add(case, None, check(is_right, || format!("{} {}", names(&sorted), names(&staged))));
    }
    tally.finish();
}

#[test]
fn selects_as_flux_does() {
    let Some(cases) = cases("ssa-selector") else { return };
    let mut tally = Tally::new("ssa-selector");
    for case in &cases {
        for (index, vector) in case.vectors().iter().enumerate() {
            let of = |object: &Json, key: &str| {
                EcoString::from(object[key].as_str().unwrap_or_default())
            };
            let wanted = &vector["selector"];
            let selector = Selector {
                gvk: Gvk {
                    group: of(wanted, "Group"),
                    version: of(wanted, "Version"),
                    kind: of(wanted, "Kind"),
                },
                name: of(wanted, "Name"),
                namespace: of(wanted, "Namespace"),
                label_selector: of(wanted, "LabelSelector"),
                annotation_selector: of(wanted, "AnnotationSelector"),
            };
            let object = match vector.get("u") {
                Some(object) => from_json(object),
                None => {
                    let gvk = Gvk {
                        group: of(vector, "group"),
                        version: of(vector, "version"),
                        kind: of(vector, "kind"),
                    };
                    from_json(&serde_json::json!({
                        "apiVersion": gvk.api_version().as_str(),
                        "kind": gvk.kind.as_str(),
                        "metadata": {
                            "name": vector["n"], "namespace": vector["ns"],
                            "labels": vector["labels"], "annotations": vector["annotations"],
                        },
                    }))
                }
            };
            let outcome = match Matcher::new(&selector) {
                Ok(matcher) => {
                    let matches = matcher.matches(&object);
                    check(matches == (vector["want"] == true), || format!("{vector}: {matches}"))
                }
                Err(error) => Err(error.to_string()),
            };
            tally.add(case, Some(index), outcome);
        }
    }
    tally.finish();
}

#[test]
fn knows_what_flux_knows_about_objects() {
    let Some(cases) = cases("ssa-utils") else { return };
    let mut tally = Tally::new("ssa-utils");
    for case in &cases {
        for (index, vector) in case.vectors().iter().enumerate() {
            let outcome = match case.name.as_str() {
                "common-metadata" => common(vector),
                "group-kind-set" => {
                    let made = kinds(vector["input"].as_str().unwrap());
                    let wanted = vector["expected"].as_object().unwrap();
                    let has = |(group, kind): &(EcoString, EcoString)| {
                        wanted
                            .contains_key(&format!("{{\"Group\":\"{group}\",\"Kind\":\"{kind}\"}}"))
                    };
                    check(made.len() == wanted.len() && made.iter().all(has), || {
                        format!("{made:?}")
                    })
                }
                "read-objects-drops-invalid" => {
                    let made = resources(vector["resources"].as_str().unwrap());
                    let made = made.iter().filter(|one| !one.api_version().is_empty()).count();
                    check(vector["expected"] == made, || made.to_string())
                }
                "remove-invalid-cabundle-from-crd" => {
                    let mut object = vector["object"].clone();
                    overlay::flux::normalize::drop_broken_bundle(&mut object);
                    let bundle = object.pointer("/spec/conversion/webhook/clientConfig/caBundle");
                    let had =
                        vector["object"].pointer("/spec/conversion/webhook/clientConfig/caBundle");
                    let is_removed = had.is_some() && bundle.is_none();
                    check(is_removed == (vector["expectRemoved"] == true), || object.to_string())
                }
                "is-job" => {
                    let text = |key: &str| vector[key].as_str().unwrap();
                    let is_job = inventory::is_job(text("apiVersion"), text("kind"));
                    check(is_job == (vector["want"] == true), || vector.to_string())
                }
                "jobs-with-ttl" => {
                    let objects = vector["objects"].as_array().unwrap();
                    let made = objects.iter().filter(|one| inventory::vanishes(one)).count();
                    check(vector["want"] == made, || made.to_string())
                }
                "immutable-errors" => {
                    let text = vector["err"].as_str().unwrap();
                    let made = overlay::flux::normalize::is_immutable(text);
                    check(made == (vector["match"] == true), || text.to_owned())
                }
                other => Err(format!("{other} is not known")),
            };
            tally.add(case, Some(index), outcome);
        }
    }
    tally.finish();
}

fn common(vector: &Json) -> Result<(), String> {
    let pairs = |key: &str| -> Vec<(EcoString, EcoString)> {
        let pairs = vector[key].as_object().into_iter().flatten();
        pairs.map(|(key, value)| (key.as_str().into(), value.as_str().unwrap().into())).collect()
    };
    let common = overlay::flux::api::CommonMetadata {
        labels: pairs("labels"),
        annotations: pairs("annotations"),
    };
    for mut resource in resources(vector["resources"].as_str().unwrap()) {
        marks::set_common(&mut resource, &common);
        let made = json::to_json(&resource.value).expect("JSON");
        for key in ["labels", "annotations"] {
            if made["metadata"][key] != vector[key] {
                return Err(made.to_string());
            }
        }
    }
    Ok(())
}

#[test]
fn normalizes_as_flux_does_before_it_applies() {
    let Some(cases) = cases("ssa-normalize") else { return };
    let mut tally = Tally::new("ssa-normalize");
    for case in &cases {
        let mut object = crate::data::json(&case.path.join("in/object.json"));
        if case.name.contains("metrics") {
            overlay::flux::normalize::answer(&mut object);
        } else {
            overlay::flux::normalize::object(&mut object);
        }
        let wanted = crate::data::json(&case.path.join("expected.json"));
        tally.add(case, None, check(object == wanted, || format!("{object} instead of {wanted}")));
    }
    tally.finish();
}

#[test]
fn hides_the_data_of_secrets() {
    let Some(cases) = cases("ssa-sanitize-secret") else { return };
    let mut tally = Tally::new("ssa-sanitize-secret");
    for case in &cases {
        let read = |path: &str| {
            let path = case.path.join(path);
            path.is_file().then(|| crate::data::json(&path)).filter(|object| !object.is_null())
        };
        let secret = |object: Option<Json>| {
            object.map(|mut object| {
                // The cases show the part that is masked.
                object["apiVersion"] = "v1".into();
                object["kind"] = "Secret".into();
                object
            })
        };
        let (old, new) = (secret(read("in/old.json")), secret(read("in/new.json")));
        let (old, new) = overlay::review::pair(old.as_ref(), new.as_ref());
        let data = |object: Option<Json>| object.and_then(|object| object.get("data").cloned());
        let is_right = data(old.clone()) == data(read("expected-old.json"))
            && data(new.clone()) == data(read("expected-new.json"));
        tally.add(case, None, check(is_right, || format!("{old:?} {new:?}")));
    }
    tally.finish();
}

#[test]
fn compares_as_flux_does() {
    let Some(cases) = cases("ssa-jsondiff") else { return };
    let mut tally = Tally::new("ssa-jsondiff");
    for case in &cases {
        let read = |path: &str| crate::data::json(&case.path.join(path));
        let ignored: &[&str] =
            if case.name.ends_with("with-ignore-path") { &["/metadata/annotations"] } else { &[] };
        let joined = case.said["rationalize"] == true;
        let changes = drift::changes(&read("in/x.json"), &read("in/y.json"), ignored, joined);
        let made = Json::from_iter(changes.iter().map(Change::operation));
        let wanted = read("expected.json");
        let wanted = if wanted.is_null() { Json::Array(Vec::new()) } else { wanted };
        tally.add(case, None, check(made == wanted, || format!("{made} instead of {wanted}")));
    }
    tally.finish();
}

#[test]
fn hides_secrets_in_changes() {
    let Some(cases) = cases("ssa-jsondiff-mask") else { return };
    let mut tally = Tally::new("ssa-jsondiff-mask");
    for case in &cases {
        let patch = crate::data::json(&case.path.join("in/patch.json"));
        let mut changes: Vec<Change> = patch.as_array().unwrap().iter().map(Change::read).collect();
        drift::mask(&mut changes);
        let made = Json::from_iter(changes.iter().map(Change::operation));
        let wanted = crate::data::json(&case.path.join("expected.json"));
        tally.add(case, None, check(made == wanted, || format!("{made} instead of {wanted}")));
    }
    tally.finish();
}

/// The inputs of the tests against a server: each differs in nothing from itself.
#[test]
fn finds_no_drift_where_there_is_none() {
    let Some(cases) = cases("ssa-jsondiff-manifests") else { return };
    let mut tally = Tally::new("ssa-jsondiff-manifests");
    for case in &cases {
        let object =
            json::to_json(&resources(&case.text("in/object.yaml"))[0].value).expect("JSON");
        let mut normal = object.clone();
        overlay::flux::normalize::object(&mut normal);
        let mut again = normal.clone();
        overlay::flux::normalize::object(&mut again);
        let changes = drift::changes(&object, &object, &[], false);
        let is_right = changes.is_empty() && normal == again;
        tally.add(case, None, check(is_right, || format!("{changes:?}")));
    }
    tally.finish();
}
