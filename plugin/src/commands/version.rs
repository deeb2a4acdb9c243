//! `version`: which program this is, and which kustomize it renders like.

use crate::args::{self, DataFormat};
use crate::exit;
use crate::output::Console;

/// The kustomize whose output is the reference; kubectl 1.37.1 carries it.
pub const KUSTOMIZE: &str = "5.8.1";

/// Runs it.
pub fn run(args: &args::Version, console: &Console) -> u8 {
    let version = env!("CARGO_PKG_VERSION");
    match args.output {
        None => console.print(&format!("overlay {version} (renders as kustomize {KUSTOMIZE})\n")),
        Some(DataFormat::Yaml) => {
            console.print(&format!("kustomize: {KUSTOMIZE}\noverlay: {version}\n"));
        }
        Some(DataFormat::Json) => {
            console
                .print(&format!("{{\"kustomize\":\"{KUSTOMIZE}\",\"overlay\":\"{version}\"}}\n"));
        }
    }
    exit::OK
}
