//! Any tree is rendered or refused. A line `-- path --` begins a file, as in the cases of the suite.

#![no_main]

#[path = "tree.rs"]
mod tree;

use overlay::Memory;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut files = Memory::default();
    let (mut name, mut body) = ("kustomization.yaml", String::new());
    for line in text.split_inclusive('\n') {
        match line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --")) {
            Some(next) => {
                files.insert(format!("top/{name}"), std::mem::take(&mut body));
                name = next;
            }
            None => body.push_str(line),
        }
    }
    files.insert(format!("top/{name}"), body);
    tree::render(&files);
});
