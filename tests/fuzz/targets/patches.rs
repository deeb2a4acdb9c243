//! Any patch fits any object, or is refused: strategic, JSON, and both ways of naming the object.

#![no_main]

#[path = "tree.rs"]
mod tree;

use overlay::Memory;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (object, patch) = tree::parts(data);
    for field in [
        "patches: [{path: p.yaml, target: {kind: .*}}]\n",
        "patchesStrategicMerge: [p.yaml]\n",
    ] {
        let mut files = Memory::default();
        let kustomization = format!("resources: [r.yaml]\n{field}");
        files.insert("top/kustomization.yaml", kustomization);
        files.insert("top/r.yaml", object.to_vec());
        files.insert("top/p.yaml", patch.to_vec());
        tree::render(&files);
    }
});
