//! What the object that declares a source says of its artifact: `spec.ignore`, `spec.include` and `spec.sparseCheckout`.

use std::path::Path;

use overlay::flux::discover::{Found, Local, Outcome};
use overlay::flux::sources::{Source, committed, working_tree};
use tempfile::TempDir;

use super::discover::{found, kustomization, problems};
use super::git;

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n";

/// A GitRepository; `more` is of its spec.
fn declaration(name: &str, more: &str) -> String {
    format!(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: {name}, namespace: flux-system}}\n\
         spec:\n  interval: 1m\n  url: https://example.org/{name}\n{more}---\n"
    )
}

fn config_map(name: &str) -> String {
    CONFIG_MAP.replace("NAME", name)
}

pub(super) fn written(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

pub(super) fn tree(folder: &TempDir) -> Source {
    working_tree(folder.path(), folder.path(), None).unwrap()
}

/// The names of the objects that a Kustomization renders to.
fn names(found: &Found, kustomization: &str) -> Vec<String> {
    let node = found.nodes.iter().find(|node| node.object.meta.name == kustomization).unwrap();
    assert!(matches!(node.outcome, Outcome::Rendered(_)), "{:?}", node.outcome);
    node.resources().map(|resource| resource.name().to_owned()).collect()
}

#[test]
fn what_a_declaration_ignores_is_not_in_the_repository() {
    let ignore = "  ignore: |\n    /*\n    !/clusters\n    !/apps\n    /apps/draft.yaml\n";
    let all = declaration("flux-system", ignore)
        + &kustomization("apps", "./apps", "")
        + &kustomization("logos", "./apps/logos", "")
        + &kustomization("hidden", "./hidden", "");
    let logos = "configMapGenerator:\n- name: logo\n  files: [logo.png]\n";
    let folder = written(&[
        ("clusters/all.yaml", &all),
        ("apps/a.yaml", &config_map("a")),
        ("apps/draft.yaml", &config_map("draft")),
        ("apps/logos/kustomization.yaml", logos),
        ("apps/logos/logo.png", "not left out, since patterns are given"),
        ("hidden/a.yaml", &config_map("hidden")),
    ]);
    let path = folder.path();
    std::os::unix::fs::symlink("..", path.join("hidden/circle")).unwrap();
    git::run(path, &["init", "--quiet"]);
    git::run(path, &["add", "."]);
    git::run(path, &["commit", "--quiet", "--message", "all"]);
    let commit = committed(path, "HEAD", None).unwrap();
    for source in [tree(&folder), commit.clone().mounted(path, path), commit] {
        let (found, _) = found(&source, "clusters", &[]);
        let wanted = "clusters/all.yaml:37:3: spec.path \"./hidden\" is no directory of its source";
        assert_eq!(problems(&found), [wanted]);
        assert_eq!(names(&found, "apps")[0], "a");
        assert!(!names(&found, "apps").contains(&"draft".to_owned()));
        assert!(names(&found, "logos")[0].starts_with("logo-"));
    }
}

/// The working tree and what is committed, under both names.
fn states(folder: &TempDir) -> [Source; 3] {
    let path = folder.path();
    git::run(path, &["init", "--quiet"]);
    git::run(path, &["add", "."]);
    git::run(path, &["commit", "--quiet", "--message", "all"]);
    let commit = committed(path, "HEAD", None).unwrap();
    [tree(folder), commit.clone().mounted(path, path), commit]
}

#[test]
fn only_what_a_declaration_checks_out_is_in_the_repository() {
    let all = declaration("flux-system", "  sparseCheckout: [clusters, ./apps/, teams]\n")
        + &kustomization("apps", "./apps", "")
        + &kustomization("hidden", "./hidden", "")
        + &kustomization("teams", "./teams", "");
    let folder = written(&[
        ("clusters/all.yaml", &all),
        // It is not checked out itself.
        (".sourceignore", "b.yaml\n"),
        ("apps/a.yaml", &config_map("a")),
        ("apps/b.yaml", &config_map("b")),
        ("hidden/a.yaml", &config_map("hidden")),
        ("teams/kustomization.yaml", "resources: [../hidden/a.yaml]\n"),
    ]);
    for source in states(&folder) {
        let (found, _) = found(&source, "clusters", &[]);
        assert_eq!(names(&found, "apps"), ["a", "b"]);
        let problems = problems(&found);
        let [hidden, teams] = &problems[..] else { panic!("{problems:?}") };
        let hint = "hint: spec.sparseCheckout of GitRepository \"flux-system\" leaves it out: clusters/all.yaml:7:3";
        assert!(hidden.contains("spec.path \"./hidden\" is no directory"), "{hidden}");
        assert!(hidden.ends_with(hint), "{hidden}");
        assert!(teams.contains("hidden/a.yaml"), "{teams}");
    }
}

#[test]
fn a_directory_that_cannot_be_checked_out_is_named() {
    let all = declaration("flux-system", "  sparseCheckout:\n  - clusters\n  - nowhere\n")
        + &kustomization("apps", "./apps", "");
    let files = [("clusters/all.yaml", all.as_str()), ("apps/a.yaml", &config_map("a"))];
    for source in states(&written(&files)) {
        let (found, _) = found(&source, "clusters", &[]);
        let problem = problems(&found).join("\n");
        let wanted =
            "clusters/all.yaml:7:3: sparse checkout dir 'nowhere' does not exist in repository";
        assert!(problem.starts_with(wanted), "{problem}");
    }
}

#[test]
fn each_cluster_has_its_own_declaration() {
    let cluster = |name: &str, ignored: &str| {
        let more = format!("  ignore: |\n    /apps/{ignored}.yaml\n");
        declaration("flux-system", &more) + &kustomization(name, "./apps", "")
    };
    let folder = written(&[
        ("clusters/one/sync.yaml", &cluster("one", "a")),
        ("clusters/two/sync.yaml", &cluster("two", "b")),
        ("apps/a.yaml", &config_map("a")),
        ("apps/b.yaml", &config_map("b")),
    ]);
    let (found, _) = found(&tree(&folder), ".", &[]);
    assert_eq!(problems(&found), Vec::<String>::new());
    assert_eq!((names(&found, "one"), names(&found, "two")), (vec!["b".into()], vec!["a".into()]));
}

#[test]
fn what_is_rendered_counts_more_than_its_file() {
    let root = kustomization("flux-system", "./clusters", "");
    let patch = "resources: [all.yaml]\npatches:\n- target: {kind: GitRepository}\n  patch: |-\n    \
                 - {op: add, path: /spec/ignore, value: /apps/a.yaml}\n";
    let all = declaration("flux-system", "") + &root + &kustomization("apps", "./apps", "");
    let folder = written(&[
        ("clusters/all.yaml", &all),
        ("clusters/kustomization.yaml", patch),
        ("apps/a.yaml", &config_map("a")),
        ("apps/b.yaml", &config_map("b")),
    ]);
    let (found, _) = found(&tree(&folder), "clusters", &[]);
    assert_eq!(problems(&found), Vec::<String>::new());
    assert_eq!(names(&found, "apps"), ["b"]);
}

fn local(name: &str, folder: &TempDir) -> Local {
    let (kind, namespace) = ("GitRepository".to_owned(), "flux-system".to_owned());
    Local { kind, namespace, name: name.to_owned(), source: tree(folder) }
}

const INCLUDE: &str =
    "  include:\n  - repository: {name: shared}\n    fromPath: ./base\n    toPath: vendor/shared\n";

#[test]
fn what_a_declaration_includes_is_in_the_repository() {
    let all = declaration("flux-system", INCLUDE)
        + &declaration("shared", "  ignore: /base/draft.yaml\n")
        + &kustomization("apps", "./apps", "")
        + &kustomization("vendor", "./vendor", "")
        + &kustomization("plain", "./plain", "");
    let folder = written(&[
        ("clusters/all.yaml", &all),
        ("apps/kustomization.yaml", "resources: [../vendor/shared]\n"),
        ("plain/a.yaml", &config_map("a")),
    ]);
    let shared = written(&[
        ("base/a.yaml", &config_map("shared")),
        ("base/draft.yaml", &config_map("draft")),
        ("base/.sourceignore", "other.yaml\n"),
        ("base/other.yaml", &config_map("other")),
        ("beside.yaml", "- nothing of Kubernetes"),
    ]);
    let with = written(&[("base/kustomization.yaml", "resources: [a.yaml]\n")]);
    std::fs::copy(shared.path().join("base/a.yaml"), with.path().join("base/a.yaml")).unwrap();
    let (one, _) = found(&tree(&folder), "clusters", &[local("shared", &with)]);
    assert_eq!(problems(&one), Vec::<String>::new());
    assert_eq!(
        (names(&one, "apps"), names(&one, "vendor")),
        (vec!["shared".into()], vec!["shared".into()])
    );
    // Without a kustomization file the artifact tells what there is: its own patterns hold too.
    let (one, _) = found(&tree(&folder), "clusters", &[local("shared", &shared)]);
    assert_eq!(names(&one, "vendor"), ["shared"]);
    // Elsewhere, it matters to those that need it.
    let (one, _) = found(&tree(&folder), "clusters", &[]);
    let problems = problems(&one);
    assert_eq!(problems.len(), 2, "{problems:?}");
    for problem in problems {
        let wanted = "clusters/all.yaml:8:5: includes GitRepository/flux-system/shared: its files are elsewhere";
        assert!(problem.contains(wanted), "{problem}");
        assert!(problem.ends_with("hint: --local-source GitRepository/flux-system/shared=PATH has a directory stand for it"));
    }
    assert_eq!(names(&one, "plain"), ["a"]);
}

/// The problem of a repository with one Kustomization whose source includes something.
fn refused(include: &str, shared: &[(&str, &str)]) -> String {
    let folder = written(&[
        ("apps/a.yaml", &config_map("a")),
        (
            "clusters/all.yaml",
            &(declaration("flux-system", include) + &kustomization("apps", "./apps", "")),
        ),
    ]);
    let shared = written(shared);
    let found = found(&tree(&folder), "clusters", &[local("shared", &shared)]).0;
    let problems = problems(&found);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].clone()
}

#[test]
fn what_cannot_be_included_is_refused() {
    let include = |from: &str, to: &str| {
        format!(
            "  include:\n  - {{repository: {{name: shared}}, fromPath: '{from}', toPath: '{to}'}}\n"
        )
    };
    let shared: &[_] = &[("base/a.yaml", "a: 1\n")];
    for (from, to, wanted) in [
        ("none", "new", "there is no \"none\" in it"),
        ("base", "apps", "there is a \"apps\" already, which Flux does not replace"),
        ("base", "apps/a.yaml", "there is a \"apps/a.yaml\" already, which Flux does not replace"),
        ("base", "../..", "there is a \"../..\" already, which Flux does not replace"),
        ("base", "apps/a.yaml/b", "\"apps/a.yaml/b\" would lie below a file"),
    ] {
        let place = "clusters/all.yaml:8:5: includes GitRepository/flux-system/shared";
        assert_eq!(refused(&include(from, to), shared), format!("{place}: {wanted}"));
    }
    // A name that stands for the path too, and a file over a file.
    let problem = refused(
        "  include:\n  - repository: {name: shared}\n    fromPath: ../../base/a.yaml\n    toPath: apps/a.yaml\n",
        shared,
    );
    assert!(problem.starts_with("base/a.yaml"), "{problem}");
    let itself = "  include:\n  - repository: {name: flux-system}\n";
    let wanted = "includes itself, so that it is never there: GitRepository/flux-system/flux-system -> GitRepository/flux-system/flux-system";
    assert!(refused(itself, shared).ends_with(wanted), "{}", refused(itself, shared));
}

#[test]
fn links_do_not_lead_out_of_what_is_included() {
    let shared =
        written(&[("base/a.yaml", &config_map("a")), ("secret.yaml", &config_map("secret"))]);
    std::os::unix::fs::symlink("../secret.yaml", shared.path().join("base/link.yaml")).unwrap();
    let all = declaration("flux-system", INCLUDE) + &kustomization("vendor", "./vendor/shared", "");
    let folder = written(&[("clusters/all.yaml", &all)]);
    let (found, _) = found(&tree(&folder), "clusters", &[local("shared", &shared)]);
    assert_eq!(problems(&found), Vec::<String>::new());
    assert_eq!(names(&found, "vendor"), ["a"]);
    assert!(!Path::new(folder.path()).join("vendor").exists());
}
