//! Any text in a field can be changed, or is left alone.

#![no_main]

#[path = "tree.rs"]
mod tree;

use overlay::Memory;

/// The parts of a path into the text, of which those that can be found are, and the others made.
const PATHS: [&str; 6] = ["new.a", "k0", "k1.l.0", "x.y", "l.[name=a].v", "l.*"];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (text, source) = tree::parts(data);
    let (Ok(text), Ok(source)) = (std::str::from_utf8(text), std::str::from_utf8(source)) else {
        return;
    };
    // Whatever is in it, as JSON it is a string.
    let mut held = String::new();
    overlay::json::write_string(text, &mut held);
    for path in PATHS {
        let mut files = Memory::default();
        let kustomization = format!(
            "resources: [c.json, s.yaml]\nreplacements:\n- source: {{kind: Source, fieldPath: spec}}\n  targets:\n  \
             - {{select: {{kind: Text}}, fieldPaths: ['data.{path}'], options: {{create: true}}}}\n"
        );
        files.insert("top/kustomization.yaml", kustomization);
        files.insert(
            "top/c.json",
            format!("{{\"kind\": \"Text\", \"metadata\": {{\"name\": \"t\"}}, \"data\": {held}}}"),
        );
        files.insert("top/s.yaml", format!("kind: Source\nmetadata: {{name: s}}\nspec:\n{source}\n"));
        tree::render(&files);
    }
});
