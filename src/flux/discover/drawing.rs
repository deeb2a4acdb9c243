//! A tree as people read it.

use crate::flux::inventory::ObjectId;

/// A line with those that belong below it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Branch {
    /// The line.
    pub text: String,
    /// Those below.
    pub branches: Vec<Self>,
}

/// `Kind/namespace/name`, as Flux shows objects.
#[must_use]
pub fn named(id: &ObjectId) -> String {
    let ObjectId { namespace, name, kind, .. } = id;
    match namespace.as_str() {
        "" => format!("{kind}/{name}"),
        namespace => format!("{kind}/{namespace}/{name}"),
    }
}

/// The lines of a tree.
#[must_use]
pub fn draw(tree: &Branch) -> String {
    let mut out = format!("{}\n", tree.text);
    below(&tree.branches, &mut String::new(), &mut out);
    out
}

fn below(branches: &[Branch], margin: &mut String, out: &mut String) {
    for (index, branch) in branches.iter().enumerate() {
        let last = index + 1 == branches.len();
        out.extend([margin.as_str(), if last { "└── " } else { "├── " }, &branch.text, "\n"]);
        let length = margin.len();
        margin.push_str(if last { "    " } else { "│   " });
        below(&branch.branches, margin, out);
        margin.truncate(length);
    }
}
