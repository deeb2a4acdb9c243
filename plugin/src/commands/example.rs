//! `try`: the example, without a checkout and without a cluster.

use std::path::Path;

use overlay::error::{Error, ErrorKind, Place, Result};

use super::{build, sync};
use crate::args;
use crate::exit;
use crate::output::Console;
use crate::settings::Settings;

/// The files of the example, as they are in the repository.
const FILES: &[(&str, &str)] = &[
    ("base/kustomization.yaml", include_str!("../../../examples/nginx/base/kustomization.yaml")),
    ("base/deployment.yaml", include_str!("../../../examples/nginx/base/deployment.yaml")),
    (
        "overlays/production/kustomization.yaml",
        include_str!("../../../examples/nginx/overlays/production/kustomization.yaml"),
    ),
    (
        "overlays/production/replicas.yaml",
        include_str!("../../../examples/nginx/overlays/production/replicas.yaml"),
    ),
];

/// Runs it.
///
/// # Errors
/// Where the files cannot be written, or a file is there already.
pub fn run(args: &args::Try, settings: &Settings, console: &Console) -> Result<u8> {
    let failed = |path: &Path, error: std::io::Error| {
        Error::new(ErrorKind::Io, Place::file(path.to_string_lossy()), error.to_string())
    };
    let temporary = tempfile::tempdir().map_err(|error| failed(Path::new("."), error))?;
    let folder = match &args.into {
        Some(folder) => settings.directory.join(folder),
        None => temporary.path().to_owned(),
    };
    for (name, text) in FILES {
        let path = folder.join(name);
        if path.exists() {
            let message = "is there already, and is left as it is";
            return Err(Error::new(
                ErrorKind::Refused,
                Place::file(path.to_string_lossy()),
                message,
            ));
        }
        std::fs::create_dir_all(path.parent().unwrap_or(&folder))
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|error| failed(&path, error))?;
    }
    let settings = Settings { directory: folder, ..settings.clone() };
    show_files(console);
    let run = |words: &[&str]| -> Result<u8> {
        console.print_line(format_args!("\n$ kubectl overlay {}", words.join(" ")));
        let parsed = args::parse(["kubectl-overlay"].iter().chain(words));
        match parsed.as_ref().map(|args| (&args.command, &args.connection)) {
            Some((args::Command::Build(one), _)) => build::run(one, &settings, console),
            Some((args::Command::Sync(one), flags)) => sync::run(one, flags, &settings, console),
            _ => Ok(exit::USAGE),
        }
    };
    let first = run(&["build", "production"])?;
    let second = run(&["sync", "production", "--rehearse"])?;
    let next = match &args.into {
        Some(folder) => {
            format!("cd {}; kubectl overlay sync production --rehearse", folder.display())
        }
        None => "kubectl overlay try --into DIR keeps the files".to_owned(),
    };
    console.say_line(format_args!("\n{next}"));
    Ok(first.max(second))
}

fn show_files(console: &Console) {
    for (name, text) in FILES {
        console.print_line(format_args!("# {name}\n{}", text.trim_end()));
    }
}
