//! `completion`: scripts that let a shell complete the command line, and kubectl's own protocol.

use clap_complete::Shell;

use crate::args::{self, Program};
use crate::exit;
use crate::output::Console;

/// Prints the script of a shell.
pub fn run(args: &args::Completion, program: Program, console: &Console) -> u8 {
    let shell = match args.shell {
        args::Shell::Bash => Shell::Bash,
        args::Shell::Zsh => Shell::Zsh,
        args::Shell::Fish => Shell::Fish,
        args::Shell::Powershell => Shell::PowerShell,
    };
    // Shells complete the word that is typed first, so the scripts are for the program's own name;
    // kubectl completes its plugins by other means.
    let name = program.shown().replace(' ', "-");
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(program), name, &mut script);
    console.print(&String::from_utf8_lossy(&script));
    exit::OK
}
