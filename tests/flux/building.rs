//! What Flux builds: its generator, its substitution, its controller's overlays, and its example.

use std::path::Path;

use overlay::build::{self, Options};
use overlay::flux::api::{self, Kustomization, Object, Reading};
use overlay::flux::generate::{self, Hidden};
use overlay::flux::ignore::Rules;
use overlay::flux::substitute::Objects;
use overlay::flux::{Rendered, Renderer, Untouched};
use overlay::store::Store;
use overlay::{Files, Limits, Warned, json};
use serde_json::Value as Json;

use crate::data::{Case, Tally, cases, tree};

/// The Kustomization of a case, or one that says nothing.
pub(crate) fn kustomization(text: Option<&str>) -> Kustomization {
    let text = text.unwrap_or_default();
    let read =
        api::read_file(text.as_bytes(), &"ks.yaml".into(), Reading::Lenient, &Limits::WEBHOOK);
    let objects = read.output.expect("a readable Kustomization");
    let found = objects.into_iter().find_map(|(_, object)| match object {
        Object::Kustomization(one) => Some(*one),
        _ => None,
    });
    found.unwrap_or_default()
}

struct Asked<'a> {
    strict: bool,
    objects: Option<&'a Objects>,
    hidden: Option<&'a Hidden<'a>>,
}

/// A build of the program, from which nothing is hidden: labels stay as they are.
const PROGRAM: Hidden<'_> = Hidden { hides: &|_, _| false, in_walks: false };

fn render(
    files: &dyn Files,
    kustomization: &Kustomization,
    asked: &Asked<'_>,
) -> overlay::Result<Rendered> {
    let options = Options { limits: Limits::WEBHOOK, ..Options::default() };
    let nothing = Objects::default();
    let objects = asked.objects.unwrap_or(&nothing);
    let lookup = |kind, namespace: &str, name: &str| objects.find(kind, namespace, name);
    let renderer = Renderer {
        files,
        root: Path::new("/"),
        store: &Store::default(),
        options: &options,
        decrypt: &Untouched,
        lookup: Some(&lookup),
        strict: asked.strict,
        hidden: asked.hidden,
    };
    renderer.render(kustomization).output
}

/// As the build prints it, without the labels of its owner.
fn printed(rendered: &Rendered) -> String {
    let mut resources = rendered.resources.clone();
    for resource in resources.iter_mut() {
        let labels = resource.value.at(&["metadata", "labels"]).cloned();
        let Some(mut labels) = labels.and_then(|labels| labels.as_map().cloned()) else { continue };
        labels.remove("kustomize.toolkit.fluxcd.io/name");
        labels.remove("kustomize.toolkit.fluxcd.io/namespace");
        let metadata = resource.value.get_mut("metadata").and_then(|one| one.as_map_mut());
        let metadata = metadata.expect("objects have metadata");
        if labels.is_empty() {
            metadata.remove("labels");
        } else {
            metadata.insert("labels", overlay::Value::Map(labels));
        }
    }
    build::print(&resources, &Limits::WEBHOOK).expect("printable")
}

fn same(made: &str, wanted: &str) -> Result<(), String> {
    if made == wanted { Ok(()) } else { Err(format!("prints\n{made}\n--- instead of\n{wanted}")) }
}

fn texts(json: &Json) -> impl Iterator<Item = &str> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str)
}

/// What a case asserts about the text of a build.
fn contains(case: &Json, printed: &str) -> Result<(), String> {
    for wanted in texts(&case["assert_contains"]) {
        if !printed.contains(wanted) {
            return Err(format!("lacks {wanted:?}:\n{printed}"));
        }
    }
    for unwanted in texts(&case["assert_not_contains"]) {
        if printed.contains(unwanted) {
            return Err(format!("has {unwanted:?}:\n{printed}"));
        }
    }
    Ok(())
}

#[test]
fn puts_variables_in_as_flux_does() {
    let Some(cases) = cases("varsub") else { return };
    let mut tally = Tally::new("varsub");
    let substituted = |case: &Case| {
        let mut one = kustomization(case.try_text("in/ks.yaml").as_deref());
        one.spec.path.clear();
        let mut post_build = one.post_build.take().unwrap_or_default();
        if case.said["always"] == true {
            post_build.strategy = overlay::flux::substitute::Strategy::Always;
        }
        one.post_build = Some(post_build);
        let (store, limits) = (Store::default(), Limits::WEBHOOK);
        let cluster = case.tree("in/cluster");
        let objects = Objects::in_folder(&cluster, &store, &limits, Path::new("/")).unwrap();
        let asked = Asked {
            strict: case.said["strict"] == true,
            objects: Some(&objects),
            hidden: Some(&PROGRAM),
        };
        render(&case.tree("in/dir"), &one, &asked).map(|rendered| printed(&rendered))
    };
    for case in &cases {
        let outcome = match substituted(case) {
            Err(error) if case.said["want_error"] == true => {
                let wanted = case.said["error_contains"].as_str().unwrap();
                let said = error.to_string();
                if said.contains(wanted) { Ok(()) } else { Err(said) }
            }
            Err(error) => Err(error.to_string()),
            Ok(printed) if case.said["want_error"] == true => Err(printed),
            Ok(printed) => {
                let wanted = match case.said["same_output_as"].as_str() {
                    Some(other) => {
                        let other = cases.iter().find(|one| one.name == other).unwrap();
                        // The two name one object differently only in the cluster.
                        Some(substituted(other).expect("the other case builds"))
                    }
                    None => case.try_text("expected.yaml"),
                };
                contains(&case.said, &printed)
                    .and_then(|()| wanted.map_or(Ok(()), |wanted| same(&printed, &wanted)))
            }
        };
        tally.add(case, None, outcome);
    }
    tally.finish();
}

#[test]
fn substitutes_by_strategy() {
    let Some(cases) = cases("flux-substitute-strategy") else { return };
    let mut tally = Tally::new("flux-substitute-strategy");
    for case in &cases {
        let one = kustomization(Some(&case.text("in/ks.yaml")));
        let asked = Asked { strict: false, objects: None, hidden: Some(&PROGRAM) };
        let rendered = render(&case.tree("in"), &one, &asked);
        let outcome = rendered.map_err(|error| error.to_string()).and_then(|rendered| {
            let object = &rendered.resources.as_slice()[0];
            let made = json::to_json(&object.value).map_err(|error| error.to_string())?;
            let labels = &made["metadata"]["labels"];
            let is_owned = labels["kustomize.toolkit.fluxcd.io/name"] == "test-ks"
                && labels["kustomize.toolkit.fluxcd.io/namespace"] == "flux-system";
            let wanted = &case.said["expect_data"];
            let has_data = wanted.is_null() || *wanted == made["data"];
            let keeps = wanted.is_object()
                || labels.get("valid").is_some() && labels.get("invalid").is_some();
            if is_owned && has_data && keeps { Ok(()) } else { Err(made.to_string()) }
        });
        tally.add(case, None, outcome);
    }
    tally.finish();
}

/// The document of that name and namespace, as `--kustomization-file` finds it.
#[test]
fn finds_a_kustomization_in_a_file() {
    let Some(cases) = cases("flux-kustomization-file") else { return };
    let mut tally = Tally::new("flux-kustomization-file");
    for case in &cases {
        let text = case.text("in/file.yaml");
        let found = api::find_kustomization(
            text.as_bytes(),
            &"in/file.yaml".into(),
            ("podinfo", "flux-system"),
            &Limits::WEBHOOK,
        );
        let Warned { output, .. } = found;
        let outcome = match (output, case.said["want_error"] == true) {
            (Err(error), true) => {
                let wanted = case.said["error_contains"].as_str().unwrap();
                let said = error.to_string();
                if said.contains(wanted) { Ok(()) } else { Err(said) }
            }
            (Err(error), false) => Err(error.to_string()),
            (Ok(_), true) => Err("is found".to_owned()),
            (Ok(one), false) if one.meta.name == "podinfo" && one.spec.components.is_empty() => {
                Ok(())
            }
            (Ok(one), false) => Err(format!("{one:?}")),
        };
        tally.add(case, None, outcome);
    }
    tally.finish();
}

#[test]
fn generates_and_builds_as_flux_does() {
    let Some(cases) = cases("generator") else { return };
    let mut tally = Tally::new("generator");
    for case in &cases {
        if case.said["vectors"].is_string() {
            for (index, vector) in case.vectors().iter().enumerate() {
                let path = vector["path"].as_str().unwrap();
                let is_right = generate::is_local(path) == (vector["expected"] == true);
                tally.add(case, Some(index), if is_right { Ok(()) } else { Err(path.to_owned()) });
            }
        } else if case.said["builds"].is_array() {
            tally.add(case, None, build_one_after_the_other(case));
        } else {
            tally.add(case, None, generated(case));
        }
    }
    tally.finish();
}

fn build_one_after_the_other(case: &Case) -> Result<(), String> {
    for folder in texts(&case.said["builds"]) {
        let asked = Asked { strict: true, objects: None, hidden: None };
        let rendered = render(&case.tree(folder), &Kustomization::default(), &asked);
        let printed = printed(&rendered.map_err(|error| error.to_string())?);
        let wanted = &case.said["assert_contains"][folder.trim_start_matches("in/")];
        for wanted in texts(wanted) {
            if !printed.contains(wanted) {
                return Err(format!("{folder} lacks {wanted:?}:\n{printed}"));
            }
        }
    }
    Ok(())
}

fn generated(case: &Case) -> Result<(), String> {
    let said = &case.said;
    let text = |key: &str, or: &str| said[key].as_str().unwrap_or(or).to_owned();
    let dir = text("dir", "in/dir");
    let root = text("root", &dir);
    let files = case.tree(&root);
    let path = dir.strip_prefix(root.as_str()).unwrap_or_default();
    let mut one = kustomization(case.try_text("in/ks.yaml").as_deref());
    one.spec.path = path.to_owned();
    // The walk alone is given patterns as they are, the whole generator those of files too.
    let pattern = said["options"]["ignore"].as_str();
    let respects = said["options"]["respect_sourceignore"] == true;
    let rules = if respects {
        let own = Rules::written(&files, Path::new("/"), pattern).expect("readable patterns");
        Rules::of_walk(own)
    } else {
        let mut rules = Rules::default();
        rules.add(pattern.unwrap_or_default(), &[]);
        rules
    };
    let hides = |path: &Path, is_directory: bool| {
        rules.excludes(path.strip_prefix("/").unwrap_or(path), is_directory)
    };
    let hidden = Hidden { hides: &hides, in_walks: true };
    let hidden = pattern.map(|_| &hidden);
    made_file(case, &files, &one, hidden)?;
    // Some cases are about the file alone: there is not enough to build.
    let is_built = said.get("want_build_error").is_some()
        || said.as_object().unwrap().keys().any(|key| {
            key.starts_with("assert_") && key != "assert_generated" && key != "assert_paths"
        })
        || case.try_text("expected.yaml").is_some()
        || said["want_generate_error"] == true;
    if !is_built || said["network"].is_string() {
        return Ok(());
    }
    let fails = said["want_build_error"] == true || said["want_generate_error"] == true;
    let asked = Asked { strict: true, objects: None, hidden };
    let rendered = match (render(&files, &one, &asked), fails) {
        (Err(error), true) => {
            // Kustomize panics where we refuse.
            let wanted = said["error_contains"].as_str().filter(|text| !text.contains("panic"));
            let is_right = wanted.is_none_or(|wanted| error.to_string().contains(wanted));
            return if is_right { Ok(()) } else { Err(error.to_string()) };
        }
        (Ok(_), true) => return Err("builds, but should not".into()),
        (Err(error), false) => return Err(format!("does not build: {error}")),
        (Ok(rendered), false) => rendered,
    };
    let printed = printed(&rendered);
    let count = rendered.resources.len() as u64;
    if said["assert_resources"].as_u64().is_some_and(|wanted| wanted != count) {
        return Err(format!("has {count} objects"));
    }
    for key in ["assert_container_image", "assert_name_contains", "assert_namespace"] {
        if said[key].as_str().is_some_and(|wanted| !printed.contains(wanted)) {
            return Err(format!("{key} does not hold:\n{printed}"));
        }
    }
    match case.try_text("expected.yaml") {
        Some(wanted) => same(&printed, &wanted),
        None => Ok(()),
    }
}

/// What the file at the path says once the spec is merged in.
fn made_file(
    case: &Case,
    files: &dyn Files,
    one: &Kustomization,
    hidden: Option<&Hidden<'_>>,
) -> Result<(), String> {
    let said = &case.said;
    let directory = Path::new("/").join(one.spec.path.trim_start_matches('/'));
    let (store, limits) = (Store::default(), Limits::WEBHOOK);
    let mut warnings = Vec::new();
    let edited =
        generate::edited(files, &store, &limits, &directory, &one.spec, hidden, &mut warnings);
    let made = match (edited, said["want_generate_error"] == true) {
        (Err(_), true) => return Ok(()),
        (Err(_), false) if said["want_build_error"] == true => return Ok(()),
        (Err(error), false) => return Err(format!("does not generate: {error}")),
        (Ok(_), true) => return Err("generates, but should not".into()),
        (Ok(edited), false) => edited.kustomization,
    };
    let list = |texts: &[ecow::EcoString]| Json::from_iter(texts.iter().map(|text| text.as_str()));
    let wanted = &said["assert_generated"];
    let field = |field: &str, made: Json| {
        let wanted = wanted
            .get(field)
            .map(|one| if one.is_null() { Json::Array(vec![]) } else { one.clone() });
        match wanted {
            Some(wanted) if wanted != made => Err(format!("{field} is {made}, not {wanted}")),
            _ => Ok(()),
        }
    };
    field("resources", list(&made.resources))?;
    field("components", list(&made.components))?;
    field("buildMetadata", list(&made.build_metadata))?;
    let images = made.images.iter().map(|image| {
        let mut fields = serde_json::Map::new();
        let all = [
            ("name", &image.name),
            ("newName", &image.new_name),
            ("newTag", &image.new_tag),
            ("digest", &image.digest),
        ];
        for (key, value) in all {
            if !value.is_empty() {
                fields.insert(key.to_owned(), value.as_str().into());
            }
        }
        Json::Object(fields)
    });
    field("images", Json::from_iter(images))?;
    match said["assert_generated_contains"].as_str() {
        Some("originAnnotations") if made.build_metadata != ["originAnnotations"] => {
            Err(format!("buildMetadata is {:?}", made.build_metadata))
        }
        Some("namespace: _placeholder") if made.namespace != "_placeholder" => {
            Err(format!("namespace is {:?}", made.namespace))
        }
        _ => Ok(()),
    }
}

#[test]
fn builds_the_overlays_of_the_controllers_tests() {
    let Some(cases) = cases("controller") else { return };
    let mut tally = Tally::new("controller");
    for case in &cases {
        let asked = Asked { strict: true, objects: None, hidden: None };
        let one = Kustomization::default();
        let rendered = render(&case.tree("in/dir"), &one, &asked);
        let outcome = match (rendered, case.said["want_build_error"] == true) {
            (Err(_), true) => Ok(()),
            (Err(error), false) => Err(error.to_string()),
            (Ok(_), true) => Err("builds".to_owned()),
            (Ok(rendered), false) => match case.try_text("expected.yaml") {
                Some(wanted) => same_documents(&printed(&rendered), &wanted),
                None => definitions_come_first(&rendered),
            },
        };
        tally.add(case, None, outcome);
    }
    tally.finish();
}

/// The order of documents is that of accumulation, where the reference sorted them.
fn same_documents(made: &str, wanted: &str) -> Result<(), String> {
    let sorted = |text: &str| {
        let mut documents: Vec<String> = text.split("---\n").map(str::to_owned).collect();
        documents.sort();
        documents
    };
    if sorted(made) == sorted(wanted) { Ok(()) } else { same(made, wanted) }
}

fn definitions_come_first(rendered: &Rendered) -> Result<(), String> {
    let kinds: Vec<&str> = rendered.inventory.iter().map(|entry| entry.id.kind.as_str()).collect();
    let is_right = match kinds.iter().position(|kind| *kind == "CustomResourceDefinition") {
        Some(at) => at == 0,
        None => !kinds.is_empty(),
    };
    if is_right { Ok(()) } else { Err(format!("{kinds:?}")) }
}

#[test]
fn builds_the_example_repository() {
    let Some(cases) = cases("example-repo") else { return };
    let mut tally = Tally::new("example-repo");
    for case in &cases {
        let files = tree(&case.path.with_file_name("_repo"));
        let command = case.said["command"].as_str().unwrap();
        let mut one = Kustomization::default();
        one.spec.path = command.trim_start_matches("build in/repo/").to_owned();
        let asked = Asked { strict: true, objects: None, hidden: None };
        let outcome = render(&files, &one, &asked)
            .map_err(|error| error.to_string())
            .and_then(|rendered| same_documents(&printed(&rendered), &case.text("expected.yaml")));
        tally.add(case, None, outcome);
    }
    tally.finish();
}
