//! `control-plane`: a local API server for as long as one needs it.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;
use control_plane::{ControlPlane, Result};

/// Starts a Kubernetes API server on loopback, with controllers and pretended nodes, and prints its kubeconfig's path
///
/// Without a command it runs until standard input ends or Ctrl-C; with one, until that ends. Nothing of it remains.
#[derive(Parser)]
struct Arguments {
    /// Only the API server: nothing makes Pods, and nothing deletes what a deleted object owned
    #[arg(long)]
    bare: bool,
    /// Flux's definitions, source-controller and kustomize-controller too
    #[arg(long)]
    flux: bool,
    /// Also write the kubeconfig to this file
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Run this with KUBECONFIG set, and exit as it does
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let plane = start(arguments)?;
    if let Some(file) = &arguments.kubeconfig
        && let Err(error) = std::fs::copy(plane.kubeconfig(), file)
    {
        say(&format!("error: write \"{}\": {error}", file.display()));
        return Ok(ExitCode::FAILURE);
    }
    let Some((program, rest)) = arguments.command.split_first() else {
        let _ = writeln!(std::io::stdout(), "{}", plane.kubeconfig().display());
        wait_for_end_of_input();
        return Ok(ExitCode::SUCCESS);
    };
    match Command::new(program).args(rest).env("KUBECONFIG", plane.kubeconfig()).status() {
        Ok(status) => {
            Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
        }
        Err(error) => {
            say(&format!("error: run \"{program}\": {error}"));
            Ok(ExitCode::from(127))
        }
    }
}

fn start(arguments: &Arguments) -> Result<ControlPlane> {
    say("control-plane: starting an API server");
    let plane = ControlPlane::start()?;
    if !arguments.bare {
        say("control-plane: starting controllers and nodes");
        plane.start_nodes()?;
    }
    if arguments.flux {
        say("control-plane: starting Flux");
        plane.start_flux()?;
    }
    say(&format!("control-plane: ready at {}", plane.server_url()));
    Ok(plane)
}

fn wait_for_end_of_input() {
    let mut bytes = [0; 1024];
    while std::io::stdin().read(&mut bytes).is_ok_and(|count| count > 0) {}
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
