//! Any replacement fits any objects, or is refused.

#![no_main]

#[path = "tree.rs"]
mod tree;

use overlay::Memory;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (objects, replacement) = tree::parts(data);
    let mut files = Memory::default();
    let kustomization = "resources: [r.yaml]\nreplacements: [{path: p.yaml}]\n";
    files.insert("top/kustomization.yaml", kustomization);
    files.insert("top/r.yaml", objects.to_vec());
    files.insert("top/p.yaml", replacement.to_vec());
    tree::render(&files);
});
