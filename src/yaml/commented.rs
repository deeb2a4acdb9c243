//! YAML documents with their comments, in the order of their source: what SOPS encrypts.
//!
//! go-yaml v3 hangs a comment on a node: above it, behind it or below it. SOPS flattens that into a list in
//! which comments stand between the entries, so all that has to be known of a comment is the collection that
//! it belongs to: the innermost open one that does not begin to the right of it.
//!
//! Source: go-yaml v3 `yaml_parser_scan_comments`; SOPS `stores/yaml/store.go`.

use std::borrow::Cow;
use std::sync::Arc;

use ecow::EcoString;

use super::events::{Event, Events};
use super::pieces::{Piece, decode, pieces};
use super::scan::Form;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::Limits;
use crate::value::{Scalar, Style, Tag};

/// A value with the comments within it.
pub(crate) enum Node {
    /// A leaf, also nothing.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Part>),
    /// A mapping.
    Map(Vec<Part>),
}

/// A piece of a list or mapping.
pub(crate) enum Part {
    /// What stands behind `#`, and whether it stands behind the value of the next entry.
    Comment { text: String, inline: bool },
    /// An entry; elements of lists have no key.
    Entry { key: Option<Scalar>, value: Node },
}

/// The documents of a file, with empty ones.
///
/// # Errors
/// Where the text is no YAML, has anchors, or exceeds a limit.
pub(crate) fn read(text: &[u8], file: &Arc<str>, limits: &Limits) -> Result<Vec<Node>> {
    let text = decode(text, file, limits)?;
    let mut documents = Vec::new();
    for piece in pieces(&text) {
        let piece = piece.map_err(|bad| bad.error(file))?;
        if documents.len() >= limits.documents {
            let message = format!("more than {} documents", limits.documents);
            return Err(Error::new(ErrorKind::Limit, piece.place(file, 0), message));
        }
        let reader = Reader { piece: &piece, file, limits, open: Vec::new(), comments: Vec::new() };
        documents.push(reader.document()?);
    }
    Ok(documents)
}

struct Reader<'a> {
    piece: &'a Piece<'a>,
    file: &'a Arc<str>,
    limits: &'a Limits,
    open: Vec<Open>,
    /// Comments that are not placed yet, by the bytes before them.
    comments: Vec<usize>,
}

/// A collection whose end is not reached.
struct Open {
    parts: Vec<Part>,
    map: bool,
    flow: bool,
    column: usize,
    /// The key whose value comes next.
    key: Option<Scalar>,
}

impl<'a> Reader<'a> {
    fn document(mut self) -> Result<Node> {
        if let Some(at) = self.piece.control_character() {
            return Err(self.invalid(at, "control characters are not allowed"));
        }
        let mut events = Events::new(self.piece.text(), 2);
        let mut document = Node::Scalar(Scalar { text: EcoString::new(), style: Style::Plain });
        let _ = events.comments();
        loop {
            let event = events.next().map_err(|bad| self.invalid(bad.at, bad.message))?;
            self.comments.extend(events.comments());
            match event {
                None | Some((Event::DocumentEnd, _)) => return Ok(self.close(document)),
                Some((event, at)) => {
                    if let Some(whole) = self.event(event, at)? {
                        document = whole;
                    }
                }
            }
        }
    }

    /// Takes an event in and gives the document back once it is whole.
    fn event(&mut self, event: Event<'a>, at: usize) -> Result<Option<Node>> {
        self.behind_values(at);
        match event {
            Event::Scalar { anchor: Some(_), .. } | Event::Alias(_) => Err(self.anchored(at)),
            Event::Scalar { text, form, tag, anchor: None } => {
                self.above(at);
                Ok(self.place(Item::Scalar(leaf(text, form, tag))))
            }
            Event::List(opening) | Event::Map(opening) if opening.anchor.is_some() => {
                Err(self.anchored(at))
            }
            Event::List(opening) => self.begin(false, opening.flow, at),
            Event::Map(opening) => self.begin(true, opening.flow, at),
            Event::End => Ok(self.end(at)),
            Event::DocumentEnd => Ok(None),
        }
    }

    fn begin(&mut self, map: bool, flow: bool, at: usize) -> Result<Option<Node>> {
        if self.open.len() >= self.limits.depth {
            let message = format!("nested deeper than {} levels", self.limits.depth);
            return Err(Error::new(ErrorKind::Limit, self.piece.place(self.file, at), message));
        }
        if self.open.last().is_some_and(|open| open.map && open.key.is_none()) {
            return Err(self.invalid(at, "a key has to be a string"));
        }
        let in_list = self.open.last().is_some_and(|open| !open.map);
        if in_list {
            // Above a dash: it belongs to the element as a whole.
            self.above(at);
        }
        let column = self.column(at);
        self.open.push(Open { parts: Vec::new(), map, flow, column, key: None });
        if !flow {
            self.above(at);
        }
        Ok(None)
    }

    fn end(&mut self, at: usize) -> Option<Node> {
        let root = self.open.len() == 1;
        let (column, flow) = self.open.last().map(|open| (open.column, open.flow))?;
        let inside = self
            .comments
            .iter()
            .take_while(|comment| {
                **comment < at && (root || flow || self.column(**comment) >= column)
            })
            .count();
        self.push_comments(inside);
        let open = self.open.pop()?;
        let node = if open.map { Node::Map(open.parts) } else { Node::List(open.parts) };
        self.place(Item::Collection(node))
    }

    /// Puts a whole node where it belongs; the outermost is given back.
    fn place(&mut self, item: Item) -> Option<Node> {
        let Some(open) = self.open.last_mut() else { return Some(item.node()) };
        match (open.map, open.key.take(), item) {
            (true, None, Item::Scalar(key)) => open.key = Some(key),
            (_, key, item) => open.parts.push(Part::Entry { key, value: item.node() }),
        }
        None
    }

    /// Places the comments that stand behind something on its line.
    fn behind_values(&mut self, at: usize) {
        while let Some(comment) = self.comments.first().copied() {
            if comment >= at || self.own_line(comment) {
                return;
            }
            self.comments.remove(0);
            let text = self.text(comment);
            let Some(open) = self.open.last_mut() else { return };
            let before_last = open.parts.len().saturating_sub(1);
            match (&open.key, open.parts.last()) {
                (None, Some(Part::Entry { .. })) => {
                    open.parts.insert(before_last, Part::Comment { text, inline: true });
                }
                _ => open.parts.push(Part::Comment { text, inline: false }),
            }
        }
    }

    /// Places the comments above what begins at `at`.
    fn above(&mut self, at: usize) {
        let above = self.comments.iter().take_while(|comment| **comment < at).count();
        self.push_comments(above);
    }

    fn push_comments(&mut self, count: usize) {
        for comment in self.comments.drain(..count).collect::<Vec<_>>() {
            let (text, inline) = (self.text(comment), false);
            if let Some(open) = self.open.last_mut() {
                open.parts.push(Part::Comment { text, inline });
            }
        }
    }

    /// What stands below the last entry, and what is all there is.
    fn close(mut self, mut document: Node) -> Node {
        let texts: Vec<_> = std::mem::take(&mut self.comments)
            .into_iter()
            .map(|comment| (self.text(comment), self.own_line(comment)))
            .collect();
        if let Node::Map(parts) | Node::List(parts) = &mut document {
            for (text, own_line) in texts {
                let inline = !own_line && !parts.is_empty();
                let at = parts.len() - usize::from(inline);
                parts.insert(at, Part::Comment { text, inline });
            }
        }
        document
    }

    fn text(&self, comment: usize) -> String {
        let rest = &self.piece.text()[comment..];
        let line = rest.split('\n').next().unwrap_or_default();
        line.strip_prefix('#').unwrap_or(line).to_owned()
    }

    fn column(&self, at: usize) -> usize {
        let before = &self.piece.text()[..at];
        before.len() - before.rfind('\n').map_or(0, |line| line + 1)
    }

    fn own_line(&self, comment: usize) -> bool {
        let before = &self.piece.text()[comment - self.column(comment)..comment];
        before.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'-'))
    }

    fn anchored(&self, at: usize) -> Error {
        self.invalid(at, "SOPS writes no anchors and aliases, so none can be read here")
    }

    fn invalid(&self, at: usize, message: impl Into<Cow<'static, str>>) -> Error {
        let place: Place = self.piece.place(self.file, at);
        Error::new(ErrorKind::Invalid, place, message.into())
    }
}

/// What was read whole.
enum Item {
    Scalar(Scalar),
    Collection(Node),
}

impl Item {
    fn node(self) -> Node {
        match self {
            Self::Scalar(scalar) => Node::Scalar(scalar),
            Self::Collection(node) => node,
        }
    }
}

fn leaf(text: Cow<'_, str>, form: Form, tag: Option<Tag>) -> Scalar {
    let style = match (tag, form) {
        (Some(tag), _) => Style::Tagged(tag),
        (None, Form::Plain) => Style::Plain,
        (None, Form::Quoted | Form::Literal | Form::Folded) => Style::Quoted,
    };
    Scalar { text: text.as_ref().into(), style }
}
