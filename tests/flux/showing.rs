//! What the `flux` program prints of a cluster, from the objects alone.

use std::collections::BTreeMap;
use std::path::Path;

use overlay::build::Options;
use overlay::files::Memory;
use overlay::flux::api::{self, Kustomization, Object, Reading};
use overlay::flux::drift::{self, Ignored};
use overlay::flux::local::LocalBuild;
use overlay::flux::report::{self, Standing};
use overlay::flux::substitute::{Objects, Variables};
use overlay::flux::veil::Veil;
use overlay::flux::{normalize, shown};
use overlay::resource::{Origin, Resource};
use overlay::sops::decryption::Masking;
use overlay::store::Store;
use overlay::{Limits, json, yaml};
use serde_json::Value as Json;

use crate::data::{Case, Tally, cases};

fn kustomizations(text: &str) -> Vec<Kustomization> {
    let read =
        api::read_file(text.as_bytes(), &"in.yaml".into(), Reading::Lenient, &Limits::WEBHOOK);
    let objects = read.output.expect("readable").into_iter();
    let only = |(_, object)| match object {
        Object::Kustomization(one) => Some(*one),
        _ => None,
    };
    objects.filter_map(only).collect()
}

fn same(made: &str, wanted: &str) -> Result<(), String> {
    let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    if trimmed(made).trim_end() == trimmed(wanted).trim_end() {
        Ok(())
    } else {
        Err(format!("prints\n{made}\n--- instead of\n{wanted}"))
    }
}

#[test]
fn shows_what_a_kustomization_is_made_of() {
    let Some(cases) = cases("flux-debug") else { return };
    let mut tally = Tally::new("flux-debug");
    for case in &cases {
        let text = case.text("in/objects.yaml");
        let name = match case.name.as_str() {
            "show-vars-only-from-refs" => "test-from",
            "show-history" => "test-with-history",
            _ => "test",
        };
        let all = kustomizations(&text);
        let one = all.iter().find(|one| one.meta.name == name).expect("there");
        let made = match case.name.as_str() {
            "show-status" => shown::status(one).unwrap(),
            "show-history" | "show-history-empty" => shown::history(one).unwrap(),
            _ => {
                let mut objects = Objects::default();
                let file = "in.yaml".into();
                let documents = yaml::read(text.as_bytes(), &file, &Limits::WEBHOOK).unwrap();
                documents.iter().for_each(|document| objects.add(document, &file));
                let lookup =
                    |kind, namespace: &str, name: &str| objects.find(kind, namespace, name);
                let post_build = one.post_build.as_ref().expect("there");
                let variables = Variables::load(post_build, &one.meta.namespace, &lookup);
                shown::variables(&variables.unwrap())
            }
        };
        tally.add(case, None, same(&made, &case.text("expected.txt")));
    }
    tally.finish();
}

#[test]
fn draws_what_a_kustomization_has_applied() {
    let Some(cases) = cases("flux-tree") else { return };
    let mut tally = Tally::new("flux-tree");
    for case in &cases {
        let command = case.said["command"].as_str().unwrap();
        let name = command.split(' ').nth(3).unwrap();
        let all = kustomizations(&case.text("in/kustomizations.yaml"));
        let find = |namespace: &str, name: &str| {
            all.iter().find(|one| one.meta.name == name && one.meta.namespace == namespace).cloned()
        };
        let root = find("flux-system", name).expect("there");
        let tree = shown::tree(&root, command.contains("--compact"), &find).unwrap();
        tally.add(case, None, same(&shown::draw(&tree), &case.text("expected.txt")));
    }
    tally.finish();
}

/// The objects of a cluster, by kind, namespace and name.
fn cluster(files: &Path) -> BTreeMap<String, Json> {
    let mut found = BTreeMap::new();
    let entries = std::fs::read_dir(files.join("in/cluster")).into_iter().flatten();
    for entry in entries {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let file = "cluster.yaml".into();
        for document in yaml::read(text.as_bytes(), &file, &Limits::WEBHOOK).unwrap() {
            let one = Resource::new(document, Origin { file: "cluster.yaml".into(), document: 0 });
            let mut object = json::to_json(&one.value).unwrap();
            normalize::object(&mut object);
            found.insert(subject(&one), object);
        }
    }
    found
}

fn subject(one: &Resource) -> String {
    match one.namespace() {
        "" => format!("{}/{}", one.kind(), one.name()),
        namespace => format!("{}/{namespace}/{}", one.kind(), one.name()),
    }
}

/// The report of a diff, where the server would answer with what it is sent.
fn diff(case: &Case) -> String {
    let command = case.said["command"].as_str().unwrap();
    let after = |flag: &str| command.split(' ').skip_while(|word| *word != flag).nth(1);
    let name = command.split(' ').nth(3).unwrap();
    let file = after("--kustomization-file").unwrap_or("in/cluster/podinfo-kustomization.yaml");
    let all = kustomizations(&case.text(file));
    let one = all.iter().find(|one| one.meta.name == name).expect("there");
    let files: Memory = case.tree("");
    let sources = BTreeMap::from([("GitRepository/default/podinfo".to_owned(), "/in".into())]);
    let options = Options { limits: Limits::WEBHOOK, ..Options::default() };
    let decrypt = Masking::new(None);
    let store = Store::default();
    let build = LocalBuild {
        files: &files,
        store: &store,
        options: &options,
        decrypt: &decrypt,
        lookup: None,
        live: None,
        strict: false,
        ignore: &[],
        recursive: false,
        sources: &sources,
    };
    let live = cluster(&case.path);
    let path = Path::new("/").join(after("--path").unwrap());
    let out = compared(&build, one, &path, &live);
    if !command.contains("--recursive") {
        return out;
    }
    let mut out = out;
    for resource in build.build(one, &path).output.unwrap() {
        if resource.kind() != "Kustomization" {
            continue;
        }
        let child = kustomizations(
            &overlay::build::print(&vec![resource.clone()].into(), &Limits::WEBHOOK).unwrap(),
        );
        let path = Path::new("/in").join(child[0].spec.path.trim_start_matches("./"));
        out.push_str(&report::folder(&subject(&resource)));
        out.push_str(&compared(&build, &child[0], &path, &live));
    }
    out
}

fn compared(
    build: &LocalBuild<'_>,
    one: &Kustomization,
    path: &Path,
    live: &BTreeMap<String, Json>,
) -> String {
    let ignored = Ignored::new(&one.ignore, &Limits::WEBHOOK).unwrap();
    let mut out = String::new();
    for resource in build.build(one, path).output.unwrap() {
        let subject = subject(&resource);
        let Some(before) = live.get(&subject) else {
            out.push_str(&report::line(&subject, Standing::Created));
            continue;
        };
        let mut after = json::to_json(&resource.value).unwrap();
        normalize::object(&mut after);
        let paths: Vec<&str> = ignored.paths(&resource).collect();
        if drift::changes(before, &after, &paths, false).is_empty() {
            continue;
        }
        let veil = Veil::default();
        let drifted = report::drifted(&subject, (before, &after), &after, &paths, &veil);
        out.extend(drifted.unwrap());
    }
    out
}

/// The cases that print something: the others are about what the command refuses.
#[test]
fn reports_differences_as_flux_diff_does() {
    let Some(cases) = cases("flux-diff") else { return };
    let mut tally = Tally::new("flux-diff");
    for case in cases.iter().filter(|case| case.try_text("expected.txt").is_some()) {
        tally.add(case, None, same(&diff(case), &case.text("expected.txt")));
    }
    tally.finish();
}
