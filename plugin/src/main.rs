//! `kubectl overlay` and `flux overlay`: parses the command line, runs it, exits.

fn main() {}
