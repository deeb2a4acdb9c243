//! Many objects at once: what several threads make of them is what one makes.

use std::fmt::Write;
use std::path::Path;

use overlay::build::{Options, build, print};
use overlay::store::Store;
use overlay::threads::Threads;
use overlay::{Limits, Memory, Result};

/// More than threads are worth.
const FILES: usize = 600;

/// The output of the directory `/top`, made by so many threads.
fn render(files: &Memory, threads: usize) -> Result<String> {
    let options = Options { threads: Threads::new(threads), ..Options::default() };
    let built = build(files, &Store::default(), &options, Path::new("/top"));
    built.output.and_then(|resources| print(&resources, &Limits::default()))
}

/// An application in one of seven namespaces, whose names are as long as not to be told apart soon.
fn application(number: usize) -> String {
    let namespace = if number.is_multiple_of(7) {
        String::new()
    } else {
        format!(", namespace: n{}", number % 7)
    };
    let name = format!("the-application-of-number-{number}");
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}{namespace}}}\nspec:\n  template:\n    \
         spec:\n      containers:\n      - name: main\n        image: app:{number}\n        envFrom:\n        \
         - configMapRef:\n            name: {name}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: \
         {{name: {name}{namespace}}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: n-{number}}}\n"
    )
}

/// A base of so many applications and an overlay over it, with a file of the base changed.
fn tree(overlay: &str, changed: impl Fn(usize) -> Option<String>) -> Memory {
    let mut files = Memory::default();
    let mut listed = "resources:\n".to_owned();
    for number in 0..FILES {
        let _ = writeln!(listed, "- app{number}.yaml");
        let content = changed(number).unwrap_or_else(|| application(number));
        files.insert(format!("base/app{number}.yaml"), content);
    }
    files.insert("base/kustomization.yaml", listed);
    files.insert("top/kustomization.yaml", format!("resources: [../base]\n{overlay}"));
    files
}

/// Asserts that four threads say what one says.
fn agree(files: &Memory) -> Result<String> {
    let one = render(files, 1);
    let four = render(files, 4);
    match (&one, &four) {
        (Ok(one), Ok(four)) => assert!(one == four, "the outputs differ"),
        (Err(one), Err(four)) => assert_eq!(one.to_string(), four.to_string()),
        (one, four) => panic!("one: {:?}, four: {:?}", one.is_ok(), four.is_ok()),
    }
    one
}

#[test]
fn every_step_gives_the_same() {
    let patch = "{op: add, path: /metadata/annotations, value: {patched: \"yes\"}}";
    let overlay = format!(
        "namePrefix: p-\nnameSuffix: -s\nlabels: [{{pairs: {{team: a}}, includeSelectors: true}}]\n\
         images: [{{name: app, newTag: \"2\"}}]\nreplicas: [{{name: the-application-of-number-5, count: 3}}]\n\
         patches:\n- target: {{kind: Deployment, name: the-application-of-number-77}}\n  patch: |-\n    \
         - {patch}\n"
    );
    let output = agree(&tree(&overlay, |_| None)).expect("it builds");
    assert_eq!(output.matches("\nkind: ").count(), 3 * FILES);
    assert_eq!(output.matches("patched: \"yes\"").count(), 1);
    assert!(output.contains(
        "        - configMapRef:\n            name: p-the-application-of-number-599-s\n"
    ));
    let first = output.find("name: p-the-application-of-number-7-s\n").expect("it is there");
    let second = output.find("name: p-the-application-of-number-77-s\n").expect("it is there");
    assert!(first < second, "in the order of the names");
}

#[test]
fn an_object_that_is_there_twice_is_told_with_the_first() {
    let twice = |number| (number == 590).then(|| application(3));
    let error = agree(&tree("", twice)).expect_err("twice");
    assert!(error.to_string().contains("base/app590.yaml"), "{error}");
    assert!(error.to_string().contains("base/app3.yaml"), "{error}");
}

#[test]
fn a_namespace_that_makes_two_objects_one_is_refused() {
    let other =
        |number| (number == 590).then(|| application(3).replace("namespace: n3", "namespace: n4"));
    let error = agree(&tree("namespace: all\n", other)).expect_err("twice");
    assert!(error.to_string().contains("base/app3.yaml"), "{error}");
}

#[test]
fn of_several_files_that_cannot_be_read_the_same_are_told() {
    let broken = |number| (number == 100 || number == 500).then(|| "a: [\n".to_owned());
    let error = agree(&tree("", broken)).expect_err("broken");
    assert!(error.to_string().contains("base/app100.yaml"), "{error}");
}
