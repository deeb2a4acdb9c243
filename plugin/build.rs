//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |part: &str| std::env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    // At a fixed address the tables of the program are ready as they lie in its file. Elsewhere 19,000
    // pointers in them would be set at every start, and a hundred pages copied for that: a tenth of what
    // a small build takes. Its libraries, heap and stacks lie where chance puts them all the same.
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
