//! `control-plane` on the command line.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use control_plane::programs::{self, Programs};
use control_plane::{LONGEST, Result};

const PROGRAM: &str = env!("CARGO_BIN_EXE_control-plane");

#[test]
fn exits_as_its_command_does() -> Result<()> {
    let Some(_) = Programs::for_a_test(programs::SERVER)? else { return Ok(()) };
    let script = "grep -q https://127.0.0.1 \"$KUBECONFIG\" && exit 7";
    let status = Command::new(PROGRAM).args(["--bare", "--", "sh", "-c", script]).status().unwrap();
    assert_eq!(status.code(), Some(7));
    Ok(())
}

#[test]
fn nothing_remains_when_its_input_ends() -> Result<()> {
    let Some(_) = Programs::for_a_test(programs::SERVER)? else { return Ok(()) };
    let mut program = start();
    let kubeconfig = first_line(&mut program);
    drop(program.stdin.take());
    assert!(program.wait().unwrap().success());
    assert!(!Path::new(&kubeconfig).exists());
    Ok(())
}

#[test]
fn nothing_remains_when_it_is_killed() -> Result<()> {
    let Some(_) = Programs::for_a_test(programs::SERVER)? else { return Ok(()) };
    let mut program = start();
    let kubeconfig = first_line(&mut program);
    let folder = Path::new(&kubeconfig).parent().unwrap();
    assert!(is_a_working_folder(folder));
    program.kill().unwrap();
    program.wait().unwrap();
    let deadline = Instant::now() + LONGEST;
    while folder.exists() || is_a_working_folder(folder) {
        assert!(Instant::now() < deadline, "{} is still in use", folder.display());
    }
    Ok(())
}

fn start() -> std::process::Child {
    Command::new(PROGRAM)
        .arg("--bare")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn first_line(program: &mut std::process::Child) -> String {
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "it ended without a kubeconfig");
    line.trim_end().to_owned()
}

/// Whether a process works in the folder, as all the servers do.
fn is_a_working_folder(folder: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(std::result::Result::ok);
    processes.filter_map(|process| std::fs::read_link(process.path().join("cwd")).ok()).any(|cwd| {
        cwd.starts_with(folder) || cwd.to_string_lossy().starts_with(&*folder.to_string_lossy())
    })
}
