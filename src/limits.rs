//! How much of everything a build may take, so that no input can exhaust the program.

/// Upper bounds of a build; whatever exceeds one is an error of kind [`Limit`](crate::ErrorKind::Limit).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of one file.
    pub file_bytes: usize,
    /// Bytes of all files that one build reads, counted once per file.
    pub total_bytes: usize,
    /// Documents of one file.
    pub documents: usize,
    /// Nesting of lists and mappings in one document.
    pub depth: usize,
    /// Nodes that aliases add to one document.
    pub alias_nodes: usize,
    /// Files of one build.
    pub files: usize,
    /// Kustomizations between the root and a base.
    pub layers: usize,
    /// Resources of one build.
    pub resources: usize,
    /// Bytes that are printed.
    pub output_bytes: usize,
    /// Bytes of a compiled regular expression.
    pub regex_bytes: usize,
}

impl Limits {
    /// For a person at a terminal: far above any real repository.
    pub const PERSON: Self = Self {
        file_bytes: 256 << 20,
        total_bytes: 2 << 30,
        documents: 1_000_000,
        depth: 1_000,
        alias_nodes: 10_000_000,
        files: 1_000_000,
        layers: 1_000,
        resources: 1_000_000,
        output_bytes: 2 << 30,
        regex_bytes: 10 << 20,
    };

    /// For the admission webhook, whose input is hostile and whose memory is shared.
    pub const WEBHOOK: Self = Self {
        file_bytes: 8 << 20,
        total_bytes: 64 << 20,
        documents: 20_000,
        depth: 100,
        alias_nodes: 200_000,
        files: 20_000,
        layers: 50,
        resources: 20_000,
        output_bytes: 64 << 20,
        regex_bytes: 1 << 20,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::PERSON
    }
}
