//! Documents as go-yaml v3 keeps them: every node with its comments, style, anchor and tag, so that a
//! document can be changed and written again as its author wrote it.
//!
//! Elsewhere a document is a [`Value`]: kustomize drops comments and styles before it prints. Only
//! what stands as text in a field is printed with them.
//!
//! Source: go-yaml v3, `scannerc.go` and `parserc.go` (whose a comment is), `decode.go` and
//! `encode.go` (nodes), `emitterc.go` (how they are written).

mod copy;
mod emit;
mod parse;
mod remarks;
mod scalar;

use ecow::EcoString;

/// A document.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// What it holds.
    pub(crate) root: Node,
    /// The comment above it, with a blank line behind.
    head: EcoString,
    /// The comment below it.
    foot: EcoString,
}

/// A node of a document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) content: Content,
    /// Its type in short form, such as `!!str`; empty for what a step made.
    pub(crate) tag: EcoString,
    /// Whether the tag is written.
    is_tagged: bool,
    /// Its name, empty for none.
    anchor: EcoString,
    comments: Comments,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A leaf.
    Scalar(EcoString, Style),
    /// `*name`, which is not expanded: nothing leads into it.
    Alias(EcoString),
    /// A sequence, and whether it stands in brackets.
    List(Vec<Node>, bool),
    /// A mapping, and whether it stands in brackets; duplicate keys stay.
    Map(Vec<(Node, Node)>, bool),
}

/// How a leaf is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Style {
    /// Without quotes.
    Plain,
    /// `'text'`
    Single,
    /// `"text"`
    Double,
    /// Behind `|`.
    Literal,
    /// Behind `>`.
    Folded,
}

/// The comments of a node, each with its `#`; lines stand apart as in the text.
#[derive(Clone, Debug, Default)]
struct Comments {
    /// Above it.
    head: EcoString,
    /// Behind it.
    line: EcoString,
    /// Below it.
    foot: EcoString,
}

/// The type that nothing has.
const NULL: &str = "!!null";

impl Node {
    /// A leaf that a step makes: its text alone says what it is.
    pub(crate) fn made(text: impl Into<EcoString>) -> Self {
        Self::new(Content::Scalar(text.into(), Style::Plain), "")
    }

    fn new(content: Content, tag: &str) -> Self {
        let (tag, anchor, comments) = (tag.into(), EcoString::new(), Comments::default());
        Self { content, tag, is_tagged: false, anchor, comments }
    }

    /// Whether it is nothing.
    pub(crate) fn is_null(&self) -> bool {
        self.tag == NULL
    }

    /// The text of a leaf.
    pub(crate) fn text(&self) -> Option<&EcoString> {
        match &self.content {
            Content::Scalar(text, _) => Some(text),
            Content::Alias(_) | Content::List(..) | Content::Map(..) => None,
        }
    }
}

/// The first document of a text; `None` where it is no YAML, or nests deeper than `depth`, or where
/// there is none.
pub(crate) fn read(text: &str, depth: usize) -> Option<Document> {
    let text = super::pieces::whole(text);
    match text.control_character() {
        Some(_) => None,
        None => parse::document(&remarks::scan(text.text(), depth), depth),
    }
}

/// A document of a file; which one is counted as for [`super::locate`].
pub(crate) fn read_of_file(file: &[u8], document: usize, depth: usize) -> Option<Document> {
    read(&super::read::document(file, document)?, depth)
}

impl Document {
    /// Its text, without a line break at the end.
    pub(crate) fn write(&self) -> String {
        emit::document(self)
    }
}

impl Node {
    /// Its text as a document of its own.
    pub(crate) fn write(&self) -> String {
        emit::node(self)
    }
}

/// A string as it is written on one line: quoted where it would be read as something else.
pub(crate) fn one_line(text: &str) -> String {
    let style = if super::scalar::bool_v2(text).is_some() { Style::Double } else { Style::Plain };
    Node::new(Content::Scalar(text.into(), style), "!!str").write()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPTH: usize = 100;

    fn again(text: &str) -> Option<String> {
        read(text, DEPTH).map(|document| document.write())
    }

    #[test]
    fn what_is_not_changed_is_written_as_it_was() {
        for text in [
            "a: 'b'\nc: \"d\"\ne: |\n  f\ng: [1, {h: i}]\n? [j]\n: k",
            "# head\n\n# a\na: b # behind\n# below a\n\n# foot",
            "a: &x !!str 5\nb: *x\nc: !t\n  d:\n  - e # f\n  - g: h",
            "",
        ] {
            assert_eq!(again(text).unwrap_or_default(), text);
        }
    }

    #[test]
    fn a_document_ends_where_the_next_begins() {
        assert_eq!(again("a: b\n# below\n---\nc: d").as_deref(), Some("a: b\n\n# below"));
        assert_eq!(again("--- # above\na: b\n...\n[").as_deref(), Some("# above\na: b"));
    }

    #[test]
    fn what_is_no_yaml_is_no_document() {
        for text in
            ["a: [", "a: b: c", "*a", "%YAML 1.2\n---\na: b", "a: \u{1}", "# nothing", "a: !x!y z"]
        {
            assert!(read(text, DEPTH).is_none(), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
            let nested = |count: usize| open.repeat(count) + "x" + &close.repeat(count);
            assert!(read(&nested(DEPTH - 1), DEPTH).is_some(), "{open}");
            assert!(read(&nested(DEPTH + 1), DEPTH).is_none(), "{open}");
            assert!(read(&nested(100_000), DEPTH).is_none(), "{open}");
        }
    }

    #[test]
    fn strings_are_quoted_where_they_would_be_something_else() {
        let written = ["a b", "1", "yes", "a: b", "", "- a", "a\tb"].map(one_line);
        let expected = ["a b", "\"1\"", "\"yes\"", "'a: b'", "\"\"", "'- a'", "\"a\\tb\""];
        assert_eq!(written, expected);
    }
}
