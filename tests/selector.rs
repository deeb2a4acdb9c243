//! Selects as fluxcd/pkg's tests of its selectors say, where their data stand beside the checkout.

#![expect(clippy::disallowed_methods, reason = "the data are read where they lie")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use overlay::Resource;
use overlay::kustomization::Selector;
use overlay::resource::{Gvk, Origin};
use overlay::selector::Matcher;
use overlay::value::Value;
use serde_json::Value as Json;

fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    Some(given.unwrap_or(beside).join("flux/ssa-selector")).filter(|path| path.is_dir())
}

fn text(json: &Json, key: &str) -> String {
    json.get(key).and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn selector(json: &Json) -> Selector {
    Selector {
        gvk: Gvk {
            group: text(json, "Group").into(),
            version: text(json, "Version").into(),
            kind: text(json, "Kind").into(),
        },
        name: text(json, "Name").into(),
        namespace: text(json, "Namespace").into(),
        label_selector: text(json, "LabelSelector").into(),
        annotation_selector: text(json, "AnnotationSelector").into(),
    }
}

/// The object of a case, which most cases give in parts.
fn object(case: &Json) -> Resource {
    let mut value = Value::map();
    let mut set = |path: &[&str], json: Option<&Json>| {
        if let Some(text) = json.and_then(Json::as_str) {
            value.set(path, Value::string(text));
        }
    };
    let whole = case.get("u");
    let (group, version) = (text(case, "group"), text(case, "version"));
    let api_version = if group.is_empty() { version } else { format!("{group}/{version}") };
    set(&["apiVersion"], Some(&Json::String(api_version)));
    set(&["apiVersion"], whole.and_then(|object| object.get("apiVersion")));
    set(&["kind"], case.get("kind").or_else(|| whole?.get("kind")));
    let metadata = |key: &str| whole.and_then(|object| object.get("metadata")?.get(key));
    set(&["metadata", "name"], case.get("n").or_else(|| metadata("name")));
    set(&["metadata", "namespace"], case.get("ns").or_else(|| metadata("namespace")));
    for key in ["labels", "annotations"] {
        let pairs = case.get(key).or_else(|| metadata(key)).and_then(Json::as_object);
        for (name, text) in pairs.into_iter().flatten() {
            set(&["metadata", key, name], Some(text));
        }
    }
    Resource::new(value, Origin { file: "object".into(), document: 0 })
}

#[test]
fn objects_are_selected_as_flux_selects_them() {
    let Some(data) = data() else {
        let message = b"SKIPPED: no data of fluxcd/pkg beside the checkout\n";
        std::io::stderr().write_all(message).expect("an open stderr");
        return;
    };
    let mut count = 0;
    for group in ["annotations", "gvk", "labels", "name", "namespace", "object"] {
        let text = std::fs::read(data.join(group).join("in/cases.json")).expect("cases");
        let cases: Vec<Json> = serde_json::from_slice(&text).expect("JSON");
        for case in &cases {
            let selector = selector(case.get("selector").unwrap_or(&Json::Null));
            let matches = Matcher::new(&selector).expect("a selector").matches(&object(case));
            let wanted = case.get("want").and_then(Json::as_bool).unwrap_or_default();
            assert_eq!(matches, wanted, "{group}: {case}");
            count += 1;
        }
    }
    assert_eq!(count, 36);
}
