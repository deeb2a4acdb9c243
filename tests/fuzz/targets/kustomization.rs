//! Any text is a kustomization file, or is refused as one.

#![no_main]

use overlay::Limits;
use overlay::kustomization::{Source, decode};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source { file: "kustomization.yaml".into(), text: data.to_vec().into() };
    if let Ok(kustomization) = decode(&source, &Limits::WEBHOOK) {
        let _ = kustomization.deprecations(&source);
    }
});
