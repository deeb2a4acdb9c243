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
