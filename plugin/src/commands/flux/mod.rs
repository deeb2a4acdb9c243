//! `flux`: what the `flux` program does, by this engine.

pub mod build;
pub mod charts;
pub mod tree;

use overlay::error::Result;

use crate::args::{Connection, Flux, FluxBuild, FluxCommand};
use crate::output::Console;
use crate::settings::Settings;

/// Runs it.
///
/// # Errors
/// As the command that is asked for.
pub fn run(
    args: &Flux,
    connection: &Connection,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    match &args.command {
        FluxCommand::Build(FluxBuild::Kustomization(build)) => {
            build::run(build, connection, settings, console)
        }
        FluxCommand::Tree(tree) => tree::run(tree, settings, console),
    }
}
