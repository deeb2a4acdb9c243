//! What a build may take: each bound refuses what exceeds it, and nothing overflows.

use std::path::Path;

use overlay::build::{Options, build, print};
use overlay::store::Store;
use overlay::{ErrorKind, Limits, Memory, Result};

/// The output of the directory `/top`, within limits.
fn render(files: &Memory, limits: Limits) -> Result<String> {
    let options = Options { limits, ..Options::default() };
    let built = build(files, &Store::default(), &options, Path::new("/top"));
    built.output.and_then(|resources| print(&resources, &limits))
}

fn refusal(files: &Memory, limits: Limits) -> ErrorKind {
    render(files, limits).expect_err("over the limit").kind()
}

fn tree(files: &[(&str, &str)]) -> Memory {
    let mut tree = Memory::default();
    for (path, text) in files {
        tree.insert(path, (*text).to_owned());
    }
    tree
}

const TWO: &str = "kind: A\nmetadata: {name: a}\n---\nkind: A\nmetadata: {name: b}\n";

/// A chain of so many kustomizations, the last of which has an object.
fn chain(layers: usize) -> Memory {
    let mut files = Memory::default();
    let name = |layer: usize| if layer == 0 { "top".to_owned() } else { format!("base{layer}") };
    for layer in 0..layers {
        let below = format!("resources: [../{}]\n", name(layer + 1));
        files.insert(format!("{}/kustomization.yaml", name(layer)), below);
    }
    files.insert(format!("{}/kustomization.yaml", name(layers)), "resources: [r.yaml]\n");
    files.insert(format!("{}/r.yaml", name(layers)), "kind: A\nmetadata: {name: a}\n");
    files
}

#[test]
fn resources_are_counted() {
    let files = tree(&[("top/kustomization.yaml", "resources: [r.yaml]\n"), ("top/r.yaml", TWO)]);
    assert_eq!(refusal(&files, Limits { resources: 1, ..Limits::PERSON }), ErrorKind::Limit);
    assert!(render(&files, Limits { resources: 2, ..Limits::PERSON }).is_ok());
}

#[test]
fn a_value_is_not_copied_into_itself_without_end() {
    let limits = Limits { depth: 20, ..Limits::PERSON };
    let mut kustomization =
        "resources: [r.yaml]\nreplacements:\n- source: {kind: A, fieldPath: spec}\n  \
         targets:\n  - select: {kind: A}\n    options: {create: true}\n    fieldPaths:\n"
            .to_owned();
    for field in 0..20_000 {
        kustomization.push_str(&format!("    - spec.a{field}\n"));
    }
    let object = "kind: A\nmetadata: {name: a}\nspec: {x: 1}\n";
    let files = tree(&[("top/kustomization.yaml", &kustomization), ("top/r.yaml", object)]);
    let error = render(&files, limits).expect_err("refused");
    assert!(error.to_string().contains("copied into itself"), "{error}");
    let list = format!("kind: A\nmetadata: {{name: a}}\nspec: [{}]\n", "{b: 1}, ".repeat(2_000));
    let kustomization = "resources: [r.yaml]\nreplacements:\n- source: {kind: A, fieldPath: spec}\n  \
         targets:\n  - select: {kind: A}\n    options: {create: true}\n    fieldPaths: [spec.*.a]\n";
    let files = tree(&[("top/kustomization.yaml", kustomization), ("top/r.yaml", &list)]);
    let error = render(&files, limits).expect_err("refused");
    assert!(error.to_string().contains("copied into itself"), "{error}");
}

#[test]
fn documents_bytes_and_output_are_counted() {
    let files = tree(&[("top/kustomization.yaml", "resources: [r.yaml]\n"), ("top/r.yaml", TWO)]);
    for limits in [
        Limits { documents: 1, ..Limits::PERSON },
        Limits { file_bytes: 30, ..Limits::PERSON },
        Limits { total_bytes: 60, ..Limits::PERSON },
        Limits { files: 1, ..Limits::PERSON },
        Limits { output_bytes: 10, ..Limits::PERSON },
    ] {
        assert_eq!(refusal(&files, limits), ErrorKind::Limit, "{limits:?}");
    }
}

#[test]
fn nesting_is_bounded_in_both_styles() {
    let flow = format!("kind: A\nmetadata: {{name: a}}\nspec: {}\n", "[".repeat(100_000));
    let block: String = (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    for text in [flow, block] {
        let files =
            tree(&[("top/kustomization.yaml", "resources: [r.yaml]\n"), ("top/r.yaml", &text)]);
        assert_eq!(refusal(&files, Limits::PERSON), ErrorKind::Limit);
    }
}

#[test]
fn aliases_do_not_multiply() {
    let mut text =
        "kind: A\nmetadata: {name: a}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let files = tree(&[("top/kustomization.yaml", "resources: [r.yaml]\n"), ("top/r.yaml", &text)]);
    assert_eq!(refusal(&files, Limits::PERSON), ErrorKind::Limit);
}

#[test]
fn a_chain_of_bases_ends_at_its_limit() {
    // A test has a stack of two megabytes; the layers take what more they need.
    assert_eq!(refusal(&chain(1_200), Limits::PERSON), ErrorKind::Limit);
    assert!(render(&chain(900), Limits::PERSON).is_ok());
}

/// A resource and a kustomization that says something about it.
fn one(object: &str, rest: &str) -> Memory {
    let kustomization = format!("resources: [r.yaml]\n{rest}");
    tree(&[("top/kustomization.yaml", &kustomization), ("top/r.yaml", object)])
}

const OBJECT: &str = "kind: A\nmetadata: {name: a}\nspec: {containers: [{image: x}]}\n";

#[test]
fn regular_expressions_are_bounded_wherever_they_are_written() {
    let huge = r"(a|\pL){200}.";
    let replacement = "replacements:\n- sourceValue: x\n  targets:\n";
    for rest in [
        format!(
            "patches:\n- target: {{name: '{huge}'}}\n  patch: '- {{op: remove, path: /spec}}'\n"
        ),
        format!("images: [{{name: '{huge}', newTag: x}}]\n"),
        format!("{replacement}  - select: {{name: '{huge}'}}\n"),
        format!("{replacement}  - select: {{kind: A}}\n    reject: [{{name: '{huge}'}}]\n"),
    ] {
        let files = one(OBJECT, &rest);
        let few = Limits { regex_bytes: 10_000, ..Limits::PERSON };
        assert_eq!(refusal(&files, few), ErrorKind::Limit, "{rest}");
        assert!(render(&files, Limits::PERSON).is_ok(), "{rest}");
    }
    // Expressions within a path have a bound of their own.
    let path = r"spec.containers.[image=\pL{999}].name";
    let rest = format!(
        "{replacement}  - select: {{kind: A}}\n    fieldPaths: ['{path}']\n    options: {{create: true}}\n"
    );
    assert_eq!(refusal(&one(OBJECT, &rest), Limits::PERSON), ErrorKind::Limit);
}

#[test]
fn depth_aliases_and_layers_are_counted() {
    let files = one("kind: A\nmetadata: {name: a}\na: &a [[x]]\nb: [*a, *a]\n", "");
    for (limits, is_enough) in [
        (Limits { depth: 2, ..Limits::PERSON }, false),
        (Limits { depth: 4, ..Limits::PERSON }, true),
        (Limits { alias_nodes: 5, ..Limits::PERSON }, false),
        (Limits { alias_nodes: 6, ..Limits::PERSON }, true),
    ] {
        assert_eq!(render(&files, limits).is_ok(), is_enough, "{limits:?}");
    }
    assert_eq!(refusal(&chain(3), Limits { layers: 3, ..Limits::PERSON }), ErrorKind::Limit);
    assert!(render(&chain(3), Limits { layers: 4, ..Limits::PERSON }).is_ok());
}

#[test]
fn a_parsed_file_is_not_shared_beyond_stricter_limits() {
    let files = one(TWO, "");
    let store = Store::default();
    let options = |limits| Options { limits, ..Options::default() };
    let wide = build(&files, &store, &options(Limits::PERSON), Path::new("/top"));
    assert!(wide.output.is_ok());
    let strict = options(Limits { documents: 1, ..Limits::PERSON });
    let strict = build(&files, &store, &strict, Path::new("/top"));
    assert_eq!(strict.output.expect_err("two documents").kind(), ErrorKind::Limit);
}

#[test]
fn the_bytes_of_a_file_count_once() {
    let generators: String =
        (0..8).map(|one| format!("- {{name: c{one}, files: [f.txt]}}\n")).collect();
    let files = tree(&[
        ("top/kustomization.yaml", &format!("configMapGenerator:\n{generators}")),
        ("top/f.txt", &"x".repeat(1_000)),
    ]);
    assert!(render(&files, Limits { total_bytes: 2_000, ..Limits::PERSON }).is_ok());
    assert_eq!(refusal(&files, Limits { total_bytes: 1_000, ..Limits::PERSON }), ErrorKind::Limit);
}

#[test]
fn reading_the_same_files_over_and_over_ends() {
    // Each component names the next one twice: 2 to the 60 of them altogether.
    let mut files = Memory::default();
    files.insert("top/kustomization.yaml", "components: [../part0]\n");
    for part in 0..60 {
        let text = format!("kind: Component\ncomponents: [../part{0}, ../part{0}]\n", part + 1);
        files.insert(format!("part{part}/kustomization.yaml"), text);
    }
    files.insert("part60/kustomization.yaml", "kind: Component\nnamePrefix: a-\n");
    assert_eq!(refusal(&files, Limits { files: 500, ..Limits::PERSON }), ErrorKind::Limit);
    assert_eq!(refusal(&files, Limits { total_bytes: 20_000, ..Limits::PERSON }), ErrorKind::Limit);
}

#[test]
fn a_json_patch_adds_no_more_than_aliases_may() {
    let operations: String =
        (0..40).map(|at| format!("    - {{op: copy, from: /spec, path: /spec/x{at}}}\n")).collect();
    let rest = format!("patches:\n- target: {{kind: A}}\n  patch: |\n{operations}");
    assert_eq!(refusal(&one(OBJECT, &rest), Limits::PERSON), ErrorKind::Limit);
}

#[cfg(unix)]
mod disk {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use overlay::Disk;

    use super::*;

    /// A directory with a kustomization of this text.
    fn directory(kustomization: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("top")).expect("a directory");
        fs::write(directory.path().join("top/kustomization.yaml"), kustomization).expect("a file");
        directory
    }

    fn render(directory: &Path, unrestricted: bool) -> Result<String> {
        let directory = directory.canonicalize().expect("a directory");
        let files = Disk::new(directory.clone());
        let options = Options { unrestricted, ..Options::default() };
        let built = build(&files, &Store::default(), &options, &directory.join("top"));
        built.output.and_then(|resources| print(&resources, &Limits::PERSON))
    }

    fn pipe(path: &Path) {
        let kind = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).expect("a pipe");
    }

    /// All fields that name files.
    const REFERRING: [&str; 9] = [
        "resources: [it]\n",
        "patches: [{path: it}]\n",
        "patchesStrategicMerge: [it]\n",
        "configMapGenerator: [{name: a, files: [it]}]\n",
        "secretGenerator: [{name: a, envs: [it]}]\n",
        "configurations: [it]\n",
        "crds: [it]\n",
        "openapi: {path: it}\n",
        "replacements: [{path: it}]\n",
    ];

    #[test]
    fn a_pipe_is_no_file_and_nobody_waits_for_it() {
        for field in REFERRING {
            let directory = directory(field);
            pipe(&directory.path().join("top/it"));
            let error = render(directory.path(), false).expect_err("a pipe");
            assert_eq!(error.kind(), ErrorKind::Invalid, "{field}: {error}");
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("top")).expect("a directory");
        pipe(&directory.path().join("top/kustomization.yaml"));
        assert!(render(directory.path(), false).is_err());
    }

    #[test]
    fn a_device_is_no_file() {
        for field in REFERRING {
            let directory = directory(field);
            symlink("/dev/zero", directory.path().join("top/it")).expect("a link");
            let error = render(directory.path(), true).expect_err("a device");
            assert_eq!(error.kind(), ErrorKind::Invalid, "{field}: {error}");
        }
    }

    #[test]
    fn a_directory_is_no_file() {
        for field in REFERRING {
            let directory = directory(field);
            fs::create_dir(directory.path().join("top/it")).expect("a directory");
            let error = render(directory.path(), false).expect_err("a directory");
            assert!(
                matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Missing),
                "{field}: {error}"
            );
        }
    }

    #[test]
    fn a_link_does_not_lead_out_of_the_root() {
        for field in REFERRING {
            let directory = directory(field);
            fs::write(directory.path().join("secret"), "kind: A\nmetadata: {name: a}\n")
                .expect("a file");
            symlink("../secret", directory.path().join("top/it")).expect("a link");
            let error = render(directory.path(), false).expect_err("a file elsewhere");
            assert_eq!(error.kind(), ErrorKind::Forbidden, "{field}: {error}");
        }
    }

    #[test]
    fn a_link_to_itself_is_missing() {
        let directory = directory("resources: [it]\n");
        symlink("it", directory.path().join("top/it")).expect("a link");
        assert!(render(directory.path(), false).is_err());
        let files = Disk::new(directory.path().to_owned());
        assert!(overlay::Files::read(&files, &directory.path().join("top/it"), 10).is_err());
    }

    #[test]
    fn a_file_that_holds_more_than_it_says_is_not_read_beyond_the_limit() {
        let files = Disk::new("/".into());
        let path = Path::new("/proc/self/status");
        if path.exists() {
            let error = overlay::Files::read(&files, path, 10).expect_err("more than 10 bytes");
            assert_eq!(error.kind(), ErrorKind::Limit);
        }
    }

    #[test]
    fn names_and_content_need_not_be_text() {
        let directory = directory("resources: [mising.yaml]\n");
        let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe.yaml");
        fs::write(directory.path().join("top").join(odd), "x").expect("a file");
        fs::write(directory.path().join("top/missing.yaml"), "x").expect("a file");
        let error = render(directory.path(), false).expect_err("a slip");
        assert_eq!(error.remedy(), Some("there is \"missing.yaml\" in that directory"));
        for field in REFERRING {
            let directory = super::disk::directory(field);
            fs::write(directory.path().join("top/it"), b"a: \xff\n").expect("a file");
            let rendered = render(directory.path(), false);
            // Only files that become data may hold what is no text.
            assert_eq!(rendered.is_ok(), field.contains("files:"), "{field}: {rendered:?}");
        }
        fs::write(directory.path().join("top/kustomization.yaml"), b"namePrefix: \xff\n")
            .expect("a file");
        let error = render(directory.path(), false).expect_err("no text");
        assert_eq!(error.to_string(), "top/kustomization.yaml:1:13: not UTF-8");
    }
}
