//! The Kustomizations of a whole repository, and the group `flux-tree`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;

use overlay::build::Options;
use overlay::error::Warned;
use overlay::flux::api::Object;
use overlay::flux::discover::drawing::{Branch, draw, named};
use overlay::flux::discover::{Asked, Beyond, Fetching, Found, Local, Outcome, Request, discover};
use overlay::flux::inventory::ObjectId;
use overlay::flux::sources::{Source, working_tree};
use overlay::flux::substitute::{Found as Data, Kind, Lookup, Objects};
use overlay::flux::{Rendered, Renderer, Untouched};
use overlay::store::Store;
use overlay::{Limits, Memory, Value, yaml};

use super::declared;

const LIMITS: Limits = Limits::WEBHOOK;

fn tree(files: &[(&str, &str)]) -> Source {
    let mut memory = Memory::default();
    memory.insert_directory("/");
    for (path, text) in files {
        memory.insert(path, text.to_string());
    }
    Source::new(Arc::new(memory), PathBuf::from("/"), String::new())
}

pub(super) fn found(source: &Source, entry: &str, local: &[Local]) -> (Found, Vec<String>) {
    cloned(source, entry, local, &[])
}

/// As it is found in a clone of `remotes`.
fn cloned(
    source: &Source,
    entry: &str,
    local: &[Local],
    remotes: &[String],
) -> (Found, Vec<String>) {
    with_beyond(source, entry, local, remotes, Beyond::default())
}

fn with_beyond(
    source: &Source,
    entry: &str,
    local: &[Local],
    remotes: &[String],
    beyond: Beyond<'_>,
) -> (Found, Vec<String>) {
    let store = Store::default();
    let options = Options { limits: LIMITS, ..Options::default() };
    let rendered = Mutex::new(Vec::new());
    let render = |asked: &Asked<'_>| -> Warned<overlay::Result<Rendered>> {
        let Asked { object, source, known } = *asked;
        rendered.lock().unwrap().push(format!("{}/{}", object.meta.namespace, object.meta.name));
        let renderer = Renderer {
            files: &*source.files,
            root: &source.root,
            store: &store,
            options: &options,
            decrypt: &Untouched,
            lookup: Some(&|kind, namespace, name| {
                let mut objects = Objects::default();
                let found = known(kind, namespace, name);
                found.iter().for_each(|one| objects.add(&one.value, &one.file));
                objects.find(kind, namespace, name)
            }),
            strict: true,
            hidden: None,
        };
        renderer.render(object)
    };
    let entry = source.root.join(entry);
    let request = Request {
        repository: source,
        entry: &entry,
        local,
        remotes,
        limits: &LIMITS,
        render: &render,
        beyond,
    };
    let found = discover(&request).unwrap();
    let mut rendered = rendered.into_inner().unwrap();
    rendered.sort();
    (found, rendered)
}

pub(super) fn kustomization(name: &str, path: &str, more: &str) -> String {
    format!(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: {name}, namespace: flux-system}}\n\
         spec:\n  interval: 5m\n  prune: true\n  path: {path}\n  sourceRef: {{kind: GitRepository, name: flux-system}}\n{more}---\n"
    )
}

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

/// The tree of Kustomizations in one line a node.
fn outline(found: &Found) -> String {
    fn below(found: &Found, nodes: &[usize], depth: usize, out: &mut String) {
        for index in nodes {
            let node = &found.nodes[*index];
            out.push_str(&format!("{}{}\n", "  ".repeat(depth), node.object.meta.name));
            below(found, &node.children, depth + 1, out);
        }
    }
    let mut out = String::new();
    below(found, &found.roots, 0, &mut out);
    out
}

pub(super) fn problems(found: &Found) -> Vec<String> {
    found.problems.iter().chain(&found.elsewhere).map(ToString::to_string).collect()
}

#[test]
fn what_nobody_renders_is_judged_as_it_stands() {
    let bad = "  suspended: true\n  kubeConfig: {secretRef: {name: a}, configMapRef: {name: b}}\n";
    let open = kustomization("open", "./web", "").replace("  prune: true\n", "");
    let old = kustomization("old", "./web", "  validation: none\n").replace("/v1\n", "/v1beta1\n");
    let drifting = "  ignore: [{paths: [/a], target: {labelSelector: a in}}]\n";
    let all = kustomization("bad", "./web", bad) + &open + &old;
    let all = all + &kustomization("drifting", "./web", drifting);
    // Its parent takes the field away again.
    let child = kustomization("child", "./web", "  suspended: true\n");
    let patch = "resources: [child.yaml]\npatches:\n- target: {kind: Kustomization}\n  patch: |-\n    \
                 - {op: remove, path: /spec/suspended}\n";
    let source = tree(&[
        ("all.yaml", &(all + &kustomization("parent", "./parent", ""))),
        ("parent/child.yaml", &child),
        ("parent/kustomization.yaml", patch),
        ("web/a.yaml", CONFIG_MAP),
    ]);
    let (found, rendered) = found(&source, ".", &[]);
    let problems = problems(&found).join("\n");
    for said in [
        "all.yaml:9:3: unknown field \"suspended\"",
        "all.yaml:10:16: \"secretRef\" and \"configMapRef\" exclude each other",
        "all.yaml:38:3: labelSelector \"a in\"",
    ] {
        assert!(problems.contains(said), "{said}\n{problems}");
    }
    assert_eq!(found.problems.len(), 2, "{problems}");
    let wanted = ["child", "drifting", "old", "open", "parent"];
    assert_eq!(rendered, wanted.map(|name| format!("flux-system/{name}")));
    let warnings: Vec<_> = found.warnings.iter().map(|one| one.message.as_str()).collect();
    let [open, gone, field] = warnings[..] else { panic!("{warnings:?}") };
    assert!(open.starts_with("the API server refuses it: \"prune\" is missing"), "{open}");
    assert!(
        gone.starts_with("v1beta1 is gone since Flux 2.7 (kustomize-controller 1.7): write"),
        "{gone}"
    );
    assert!(field.starts_with("v1 has no \"validation\": "), "{field}");
}

#[test]
fn sources_and_releases_are_judged_too() {
    let source = |name: &str, spec: &str| {
        format!(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: {name}, namespace: flux-system}}\n\
             spec:\n  interval: 1m\n  url: https://example.org/{name}\n{spec}---\n"
        )
    };
    let release = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web}\nspec:\n  \
                   interval: ${every}\n  chart: {spec: {chart: x, sourceRef: {kind: HelmRepository, name: r}}}\n";
    let variables = "  postBuild: {substitute: {every: 1d}}\n";
    let tree = tree(&[
        (
            "all.yaml",
            &(source("one", "  timout: 1m\n") + &kustomization("web", "./web", variables)),
        ),
        ("web/release.yaml", release),
        ("web/source.yaml", &source("two", "  ref: {branch: [main]}\n")),
        ("templates/release.yaml", release),
    ]);
    let (found, _) = found(&tree, ".", &[]);
    let problems = problems(&found);
    let [one, release, two] = &problems[..] else { panic!("{problems:?}") };
    assert!(one.starts_with("all.yaml:7:3: unknown field \"timout\""), "{one}");
    assert!(release.starts_with("web/release.yaml:5:3: \"1d\" is no duration"), "{release}");
    assert!(two.starts_with("web/source.yaml:7:9: \"branch\" takes a string, not a list"), "{two}");
}

#[test]
fn nesting_is_followed_and_each_is_rendered_once() {
    let apps = kustomization("team-a", "./teams/a", "") + &kustomization("team-b", "./teams/b", "");
    let source = tree(&[
        (
            "clusters/prod/flux-system/sync.yaml",
            &kustomization("flux-system", "./clusters/prod", ""),
        ),
        ("clusters/prod/infra.yaml", &kustomization("infra", "./infra", "")),
        (
            "clusters/prod/apps.yaml",
            &kustomization("apps", "./apps", "  dependsOn: [{name: infra}]\n"),
        ),
        ("apps/teams.yaml", &apps),
        ("infra/a.yaml", CONFIG_MAP),
        ("teams/a/a.yaml", CONFIG_MAP),
        ("teams/b/a.yaml", CONFIG_MAP),
    ]);
    for entry in [".", "clusters/prod"] {
        let (found, rendered) = found(&source, entry, &[]);
        assert_eq!(problems(&found), Vec::<String>::new());
        assert_eq!(outline(&found), "flux-system\n  apps\n    team-a\n    team-b\n  infra\n");
        let all = ["apps", "flux-system", "infra", "team-a", "team-b"];
        assert_eq!(rendered, all.map(|name| format!("flux-system/{name}")));
    }
}

#[test]
fn a_child_is_what_its_parent_renders_it_to() {
    let more = "  postBuild: {substitute: {where: real}}\n";
    let source = tree(&[
        ("sync.yaml", &kustomization("root", "./apps", more)),
        ("apps/app.yaml", &kustomization("app", "./$${where}", "").replace("$$", "$")),
        ("real/a.yaml", CONFIG_MAP),
    ]);
    let (found, _) = found(&source, "sync.yaml", &[]);
    assert_eq!(problems(&found), Vec::<String>::new());
    assert_eq!(found.nodes[1].object.spec.path, "./real");
    assert!(matches!(found.nodes[1].outcome, Outcome::Rendered(_)));
}

#[test]
fn what_is_wrong_is_named_with_file_and_line() {
    let source = tree(&[
        ("c/sync.yaml", &kustomization("flux-system", "./c", "")),
        ("c/a.yaml", &kustomization("a", "./ok", "  dependsOn:\n  - name: b\n")),
        ("c/b.yaml", &kustomization("b", "./ok", "  dependsOn:\n  - name: c\n")),
        ("c/c.yaml", &kustomization("c", "./ok", "  dependsOn:\n  - name: nowhere\n  - name: a\n")),
        ("c/d.yaml", &kustomization("d", "./missing", "")),
        (
            "c/e.yaml",
            &kustomization("e", "./ok", "").replace("name: flux-system}\n", "name: other}\n"),
        ),
        ("ok/a.yaml", CONFIG_MAP),
    ]);
    let (found, _) = found(&source, "c", &[]);
    let problems = problems(&found);
    let wanted = [
        "c/d.yaml:7:3: spec.path \"./missing\" is no directory of its source",
        "c/c.yaml:10:5: depends on flux-system/nowhere, which is not there",
        "c/c.yaml:11:5: waits for itself, so that none of these ever becomes ready: \
         flux-system/a -> flux-system/b -> flux-system/c -> flux-system/a",
        "c/e.yaml:8:3: there is no GitRepository/flux-system/other\n\
         hint: --local-source GitRepository/flux-system/other=PATH has a directory stand for it",
    ];
    assert_eq!(problems, wanted);
}

#[test]
fn a_circle_of_kustomizations_ends() {
    let source = tree(&[
        ("start.yaml", &kustomization("a", "./one", "")),
        ("one/b.yaml", &kustomization("b", "./two", "")),
        ("two/a.yaml", &kustomization("a", "./one", "")),
    ]);
    let (found, rendered) = found(&source, "start.yaml", &[]);
    assert_eq!(rendered, ["flux-system/a", "flux-system/b"]);
    let problems = problems(&found);
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].contains(
            "renders itself through others: flux-system/a -> flux-system/b -> flux-system/a"
        ),
        "{problems:?}"
    );
}

#[test]
fn one_that_two_render_is_a_problem() {
    let source = tree(&[
        ("c/sync.yaml", &kustomization("root", "./c", "")),
        ("c/x.yaml", &(kustomization("x", "./shared", "") + &kustomization("w", "./shared", ""))),
        ("shared/z.yaml", &kustomization("z", "./ok", "")),
        ("ok/a.yaml", CONFIG_MAP),
    ]);
    let (found, _) = found(&source, "c", &[]);
    assert_eq!(
        problems(&found),
        ["shared/z.yaml:1:1: flux-system/z is rendered by flux-system/x and by flux-system/w"]
    );
}

#[test]
fn a_directory_stands_for_a_source_of_another_name() {
    let source = tree(&[(
        "a.yaml",
        &kustomization("a", "./ok", "").replace("name: flux-system}\n", "name: other}\n"),
    )]);
    let local = [Local {
        kind: "GitRepository".into(),
        namespace: "flux-system".into(),
        name: "other".into(),
        source: tree(&[("ok/a.yaml", CONFIG_MAP)]),
    }];
    let (found, _) = found(&source, "a.yaml", &local);
    assert!(
        matches!(&found.nodes[0].outcome, Outcome::Rendered(rendered) if rendered.resources.len() == 1)
    );
}

#[test]
fn the_result_does_not_depend_on_threads() {
    let sync: String =
        (0..60).map(|n| kustomization(&format!("k{n}"), &format!("./apps/{n}"), "")).collect();
    let mut files = vec![("sync.yaml".to_owned(), sync)];
    files.extend((0..60).map(|n| (format!("apps/{n}/a.yaml"), CONFIG_MAP.to_owned())));
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let source = tree(&files);
    let first = outline(&found(&source, "sync.yaml", &[]).0);
    assert_eq!(first.lines().count(), 60);
    for _ in 0..5 {
        assert_eq!(outline(&found(&source, "sync.yaml", &[]).0), first);
    }
}

fn conformance() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    Some(given.unwrap_or(beside).join("flux")).filter(|path| path.is_dir())
}

#[test]
fn the_example_of_flux_is_found_with_its_generated_artifacts() {
    let Some(flux) = conformance() else { return };
    let root = flux.join("example-repo/_repo").canonicalize().unwrap();
    let source = working_tree(&root, &root, None).unwrap();
    for cluster in ["clusters/production", "clusters/staging"] {
        let (found, _) = found(&source, cluster, &[]);
        assert_eq!(problems(&found), Vec::<String>::new(), "{cluster}");
        assert_eq!(outline(&found), "apps\ninfra-controllers\ninfra-configs\n", "{cluster}");
        assert!(
            found.nodes.iter().all(
                |node| matches!(&node.outcome, Outcome::Rendered(r) if !r.resources.is_empty())
            )
        );
    }
    // Both clusters at once, with the same names twice.
    let (found, _) = found(&source, ".", &[]);
    assert_eq!(problems(&found), Vec::<String>::new());
    assert_eq!(found.nodes.len(), 6);
}

/// What the `flux` program draws of the inventories in a cluster.
#[test]
fn trees_are_drawn_as_flux_draws_them() {
    let Some(flux) = conformance() else { return };
    let mut passed = 0;
    for case in ["full", "compact", "empty-inventory"] {
        let folder = flux.join("flux-tree").join(case);
        let text = std::fs::read(folder.join("in/kustomizations.yaml")).unwrap();
        let objects = yaml::read(&text, &"in".into(), &LIMITS).unwrap();
        let name = if case == "empty-inventory" { "empty" } else { "flux-system" };
        let id = ObjectId {
            namespace: "flux-system".into(),
            name: name.into(),
            group: "kustomize.toolkit.fluxcd.io".into(),
            kind: "Kustomization".into(),
        };
        let drawn = draw(&branch(&id, &objects, case == "compact"));
        let expected = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
        assert_eq!(drawn.trim_end(), expected.trim_end(), "{case}");
        passed += 1;
    }
    assert_eq!(passed, 3);
}

fn branch(id: &ObjectId, objects: &[Value], compact: bool) -> Branch {
    let is_it = |object: &&Value| {
        object.text_at(&["metadata", "name"]) == Some(&id.name)
            && object.text_at(&["kind"]) == Some("Kustomization")
    };
    let object = objects.iter().find(is_it).filter(|_| id.kind == "Kustomization");
    let entries = object
        .and_then(|object| object.at(&["status", "inventory", "entries"])?.as_list().cloned());
    let ids = entries.unwrap_or_default();
    let ids = ids.iter().map(|entry| ObjectId::parse(entry.text_at(&["id"]).unwrap()).unwrap());
    let kept =
        ids.filter(|child| child != id && (!compact || child.group.contains("toolkit.fluxcd.io")));
    Branch {
        text: named(id),
        branches: kept.map(|child| branch(&child, objects, compact)).collect(),
    }
}

/// A Kustomization of another source, and that source.
fn other(name: &str, path: &str, more: &str) -> String {
    let source = format!(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: shop, namespace: flux-system}}\n\
         spec: {{interval: 1m, url: 'ssh://git@git.example/team/shop.git'{more}}}\n---\n"
    );
    source + &kustomization(name, path, "").replace("name: flux-system}\n", "name: shop}\n")
}

#[test]
fn a_source_counts_where_its_url_is_a_remote() {
    let remotes = ["git.example/team/shop".to_owned()];
    let is_rendered = |text: &str, remotes: &[String]| {
        let source = tree(&[("clusters/a.yaml", text), ("ok/a.yaml", CONFIG_MAP)]);
        let (found, _) = cloned(&source, "clusters", &[], remotes);
        let problems = problems(&found).join("\n");
        (matches!(found.nodes[0].outcome, Outcome::Rendered(_)), problems)
    };
    assert_eq!(is_rendered(&other("a", "./ok", ""), &remotes), (true, String::new()));
    assert!(!is_rendered(&other("a", "./ok", ""), &["git.example/team/other".to_owned()]).0);
    assert!(!is_rendered(&other("a", "./ok", ""), &[]).0);
    let (rendered, problem) = is_rendered(&other("a", "./ok", ", ref: {tag: v1}"), &remotes);
    assert!(
        !rendered && problem.contains("is this repository, but held at the tag v1"),
        "{problem}"
    );
}

#[test]
fn what_a_source_ignores_is_not_rendered() {
    let rendered = |more: &str| {
        let folder = declared::written(&[
            ("clusters/a.yaml", &other("a", "./ok", more)),
            ("ok/a.yaml", CONFIG_MAP),
            ("ok/b.yaml", &CONFIG_MAP.replace("metadata: {name: a", "metadata: {name: b")),
        ]);
        let source = declared::tree(&folder);
        let (found, _) = cloned(&source, "clusters", &[], &["git.example/team/shop".to_owned()]);
        let objects = found.nodes[0].resources().map(|one| one.name().to_owned()).collect();
        (objects, problems(&found).join("\n"))
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(rendered(""), (names(&["a", "b"]), String::new()));
    assert_eq!(rendered(", ignore: b.yaml"), (names(&["a"]), String::new()));
    let only = ", ignore: \"/*\\n!/ok\\n/ok/a.yaml\"";
    assert_eq!(rendered(only), (names(&["b"]), String::new()));
    let (objects, problem) = rendered(", ignore: /ok/");
    assert_eq!(objects, names(&[]));
    assert!(problem.contains("spec.path \"./ok\" is no directory of its source"), "{problem}");
}

#[test]
fn a_kustomization_that_is_found_in_what_it_renders_is_of_this_repository() {
    let source = tree(&[
        ("clusters/prod/sync.yaml", &other("shop", "./clusters/prod", "")),
        ("clusters/prod/a.yaml", CONFIG_MAP),
    ]);
    let (found, _) = cloned(&source, ".", &[], &[]);
    assert!(matches!(found.nodes[0].outcome, Outcome::Rendered(_)));
    // The URL tells more than the path.
    let (found, _) = cloned(&source, ".", &[], &["git.example/team/other".to_owned()]);
    assert!(matches!(found.nodes[0].outcome, Outcome::Elsewhere));
}

const VARIABLES: &str = "  postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}]}\n";

fn variables(value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: vars, namespace: flux-system}}\ndata: {{value: {value}}}\n"
    )
}

/// The value that an object of a Kustomization got.
fn got(found: &Found, name: &str) -> Vec<String> {
    let nodes = found.nodes.iter().filter(|node| node.object.meta.name == name);
    let value = |node: &overlay::flux::discover::Node| match &node.outcome {
        Outcome::Rendered(rendered) => {
            let one = rendered.resources.iter().next().expect("an object");
            one.value.text_at(&["data", "a"]).unwrap_or_default().to_owned()
        }
        other => format!("{other:?}"),
    };
    nodes.map(value).collect()
}

const TEMPLATE: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: \"${value}\"}\n";

#[test]
fn variables_come_from_what_a_sibling_renders() {
    let source = tree(&[
        ("c/sync.yaml", &kustomization("flux-system", "./c", "")),
        ("c/apps.yaml", &kustomization("apps", "./apps", VARIABLES)),
        ("c/vars.yaml", &kustomization("vars", "./vars", "")),
        ("apps/a.yaml", TEMPLATE),
        ("vars/vars.yaml", &variables("sibling")),
    ]);
    let (found, rendered) = found(&source, "c", &[]);
    assert_eq!(problems(&found), Vec::<String>::new());
    assert_eq!(rendered.len(), 3);
    assert_eq!(got(&found, "apps"), ["sibling"]);
}

#[test]
fn of_two_clusters_each_has_its_own_variables() {
    let files = ["prod", "staging"].map(|name| {
        let path = format!("./clusters/{name}");
        [
            (format!("clusters/{name}/sync.yaml"), kustomization("flux-system", &path, "")),
            (format!("clusters/{name}/apps.yaml"), kustomization("apps", "./apps", VARIABLES)),
            (format!("clusters/{name}/vars.yaml"), variables(name)),
        ]
    });
    let mut files: Vec<_> = files.iter().flatten().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    files.push(("apps/a.yaml", TEMPLATE));
    let (found, _) = found(&tree(&files), ".", &[]);
    assert_eq!(problems(&found), Vec::<String>::new());
    assert_eq!(got(&found, "apps"), ["prod", "staging"]);
}

#[test]
fn variables_in_a_file_that_nobody_renders_are_those_nearest() {
    let source = tree(&[
        ("one/apps.yaml", &kustomization("apps", "./apps", VARIABLES)),
        ("one/vars.yaml", &variables("near")),
        ("two/vars.yaml", &variables("far")),
        ("apps/a.yaml", TEMPLATE),
    ]);
    let (found, _) = found(&source, ".", &[]);
    assert_eq!(got(&found, "apps"), ["near"]);
}

#[test]
fn those_that_wait_for_nothing_in_particular_go_in_the_order_of_their_dependencies() {
    let from = |name: &str| {
        format!(
            "  postBuild: {{substituteFrom: [{{kind: ConfigMap, name: {name}, optional: true}}]}}\n"
        )
    };
    let source = tree(&[
        ("c/sync.yaml", &kustomization("flux-system", "./c", "")),
        ("c/a.yaml", &kustomization("a", "./apps", &(from("vars") + "  dependsOn: [{name: b}]\n"))),
        ("c/b.yaml", &kustomization("b", "./vars", &from("elsewhere"))),
        ("apps/a.yaml", TEMPLATE),
        ("vars/vars.yaml", &variables("found")),
    ]);
    let (found, _) = found(&source, "c", &[]);
    assert_eq!(got(&found, "a"), ["found"]);
}

const APPS: &str = "apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: apps, namespace: flux-system}
spec: {interval: 5m, url: oci://registry.example/apps, secretRef: {name: pull}}
---
apiVersion: v1
kind: Secret
metadata: {name: pull, namespace: flux-system}
stringData: {username: reader, password: PASSWORD}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: one, namespace: flux-system}
spec: {interval: 5m, prune: true, path: one, sourceRef: {kind: OCIRepository, name: apps}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: two, namespace: flux-system}
spec: {interval: 5m, prune: true, path: two, sourceRef: {kind: OCIRepository, name: apps}}
";

/// What comes of the Kustomizations of `APPS` where its source is fetched, and who signed in how often.
fn fetched(password: &str, cluster: Option<&str>) -> (Found, Vec<String>) {
    let signed_in = Mutex::new(Vec::new());
    let fetch = |object: &Object, secrets: &Lookup<'_>| {
        let Object::OciRepository(repository) = object else { panic!("{object:?}") };
        let secret = secrets(Kind::Secret, &repository.meta.namespace, "pull")?;
        let text = |secret: Data| String::from_utf8(secret["password"].clone()).unwrap();
        signed_in.lock().unwrap().push(secret.map_or_else(|| "nobody".to_owned(), text));
        Ok(Some(tree(&[("one/a.yaml", CONFIG_MAP), ("two/a.yaml", CONFIG_MAP)])))
    };
    let credentials = |_: Kind, _: &str, _: &str| {
        Ok(cluster.map(|password| Data::from([("password".to_owned(), password.into())])))
    };
    let beyond = Beyond {
        sources: Some(Fetching { fetch: &fetch, credentials: &credentials }),
        charts: None,
    };
    let source = tree(&[("clusters/apps.yaml", &APPS.replace("PASSWORD", password))]);
    let (found, rendered) = with_beyond(&source, "clusters", &[], &[], beyond);
    assert_eq!(rendered, ["flux-system/one", "flux-system/two"]);
    (found, signed_in.into_inner().unwrap())
}

#[test]
fn a_source_that_is_elsewhere_is_fetched_once_where_that_is_asked_for() {
    let source = tree(&[("clusters/apps.yaml", APPS)]);
    let (unfetched, _) = found(&source, "clusters", &[]);
    assert_eq!(unfetched.elsewhere.len(), 2);
    let hint = unfetched.elsewhere[0].remedy().unwrap();
    assert!(hint.ends_with(", and --fetch-sources fetches it"), "{hint}");

    let (found, signed_in) = fetched("canary", Some("of the cluster"));
    assert_eq!(problems(&found), Vec::<String>::new());
    assert!(found.nodes.iter().all(|node| node.resources().count() == 1));
    assert_eq!(signed_in, ["canary"]);
}

#[test]
fn nobody_signs_in_with_what_is_encrypted() {
    let encrypted = "'ENC[AES256_GCM,data:YWJj,iv:YWJj,tag:YWJj,type:str]'";
    assert_eq!(fetched(encrypted, Some("of the cluster")).1, ["of the cluster"]);
    assert_eq!(fetched(encrypted, None).1, ["nobody"]);
}

#[test]
fn what_cannot_be_fetched_fails_where_it_is_declared() {
    let fetch = |_: &Object, _: &Lookup<'_>| {
        let place = overlay::error::Place::file("oci://registry.example/apps");
        Err(overlay::Error::new(overlay::error::ErrorKind::Denied, place, "no entry"))
    };
    let nowhere = |_: Kind, _: &str, _: &str| Ok(None);
    let sources = Some(Fetching { fetch: &fetch, credentials: &nowhere });
    let source = tree(&[("clusters/apps.yaml", APPS)]);
    let beyond = Beyond { sources, charts: None };
    let (found, _) = with_beyond(&source, "clusters", &[], &[], beyond);
    let problems = problems(&found);
    assert_eq!(problems.len(), 2);
    assert!(problems[0].contains("no entry") && problems[0].contains("clusters/apps.yaml:1:1"));
}
