//! `flux`: what the `flux` program does, by this engine, and what it does not do: all of a repository at once.
//!
//! [`repository`] is what `tree`, [`rendered`] (`build`), [`compared`] and [`live`] (`diff`) begin with. [`build`] and
//! [`diff`] are the commands `build kustomization` and `diff kustomization` of the program itself.

pub mod beyond;
pub mod build;
pub mod cluster;
pub mod compared;
pub mod diff;
pub mod live;
pub mod rendered;
pub mod repository;
pub mod tree;

use overlay::error::Result;

use crate::args::{Connection, Flux, FluxBuildOne, FluxCommand, FluxDiffOne};
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
        FluxCommand::Build(all) => match &all.one {
            Some(FluxBuildOne::Kustomization(one)) => {
                build::run(one, connection, settings, console)
            }
            None => rendered::run(all, connection, settings, console),
        },
        FluxCommand::Diff(all) => match &all.one {
            Some(FluxDiffOne::Kustomization(one)) => diff::run(one, connection, settings, console),
            None if all.live => live::run(all, connection, settings, console),
            None => compared::run(all, connection, settings, console),
        },
        FluxCommand::Tree(tree) => tree::run(tree, settings, console),
    }
}
