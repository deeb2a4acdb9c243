//! How the program is linked: for a quick start.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Linkers that take no scripts.
const WITHOUT_SCRIPTS: [&str; 3] = ["mold", "wild", "gold"];

/// Has LLD write the program at once. What it maps and fills instead, the system keeps in memory in pieces of
/// 4 KiB until it is started anew, and each of them is mapped for itself at every start: a tenth of what a small
/// build takes. LLD 22 does with this option what it says of the one with `no` before it; one that is mended maps
/// the file, as it would without.
const WRITES_AT_ONCE: &str = "-Wl,--mmap-output-file";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=near.ld");
    let target = |part: &str| variable(&format!("CARGO_CFG_TARGET_{part}"));
    if target("OS") != "linux" || target("ENV") != "gnu" {
        return;
    }
    // At a fixed address the tables of the program are ready as they lie in its file. Elsewhere 19,000
    // pointers in them would be set at every start, and a hundred pages copied for that: a tenth of what
    // a small build takes. Its libraries, heap and stacks lie where chance puts them all the same.
    println!("cargo::rustc-link-arg-bins=-no-pie");
    let is_without = |name: &&str| variable("CARGO_ENCODED_RUSTFLAGS").contains(name);
    // The script takes a few seconds, for programs that are started often.
    if variable("PROFILE") == "release" && !WITHOUT_SCRIPTS.iter().any(is_without) {
        let script = Path::new(&variable("CARGO_MANIFEST_DIR")).join("near.ld");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
        if takes(WRITES_AT_ONCE) {
            println!("cargo::rustc-link-arg-bins={WRITES_AT_ONCE}");
        }
    }
    if variable("TARGET") == variable("HOST") && has_static_unwinder() {
        unwind_without_library();
    }
}

/// Has the part of the C compiler's library that takes a panic apart come into the program: to load a library
/// for it takes a tenth of a millisecond at every start.
fn unwind_without_library() {
    let directory = PathBuf::from(variable("OUT_DIR")).join("libraries");
    let written = fs::create_dir_all(&directory)
        .and_then(|()| fs::write(directory.join("libgcc_s.so"), "INPUT(libgcc_eh.a libgcc.a)\n"));
    // The library will do as well.
    if written.is_ok() {
        println!("cargo::rustc-link-arg-bins=-L{}", directory.display());
    }
}

/// Whether the linker that will be used knows an option: it is asked to link a program that does nothing.
fn takes(option: &str) -> bool {
    let directory = PathBuf::from(variable("OUT_DIR"));
    let source = directory.join("nothing.rs");
    let mut compiler = Command::new(variable("RUSTC"));
    compiler.arg(&source).arg("--out-dir").arg(&directory).arg("--target").arg(variable("TARGET"));
    compiler.args([
        "--crate-type",
        "bin",
        "--cap-lints",
        "allow",
        "-C",
        &format!("link-arg={option}"),
    ]);
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    compiler.args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        compiler.arg("-C").arg(format!("linker={linker}"));
    }
    let linked = fs::write(&source, "fn main() {}\n").and_then(|()| compiler.output());
    linked.is_ok_and(|output| output.status.success())
}

fn has_static_unwinder() -> bool {
    let compiler = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let asked = Command::new(compiler).arg("-print-file-name=libgcc_eh.a").output();
    // Where there is none, the compiler repeats the name.
    let answer = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    answer.is_ok_and(|path| Path::new(&path).is_absolute() && Path::new(&path).is_file())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
