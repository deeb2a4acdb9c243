//! From tokens and comments to nodes.
//!
//! A comment is collected once the token that it belongs to is looked at, and goes to the next node
//! that takes comments: leaves, aliases and brackets do when they begin, brackets and block mappings
//! when they end; empty nodes and block sequences do not.
//!
//! Source: go-yaml v3, `parserc.go` and `decode.go`.

use std::collections::HashSet;

use ecow::EcoString;

use super::remarks::{Scan, Side};
use super::{Comments, Content, Document, NULL, Node, Style, scalar};
use crate::yaml::scan::{Form, Tag, Token, YAML};

/// The document; `None` where it is malformed, nests too deeply, or there is none.
pub(super) fn document(scan: &Scan<'_>, depth: usize) -> Option<Document> {
    let mut parser = Parser {
        scan,
        token: 0,
        remark: 0,
        waiting: Comments::default(),
        stem: EcoString::new(),
        names: HashSet::new(),
        depth,
    };
    parser.document()
}

struct Parser<'s, 'a> {
    scan: &'s Scan<'a>,
    /// The next token, and the next comment.
    token: usize,
    remark: usize,
    /// Comments that no node has taken.
    waiting: Comments,
    /// What stands above an entry of a list that is itself a block.
    stem: EcoString,
    /// The anchors so far.
    names: HashSet<&'a str>,
    /// How many more levels there may be.
    depth: usize,
}

/// How many tokens are read before one is looked at.
///
/// Source: go-yaml v3, `yaml_parser_fetch_more_tokens`.
const AHEAD: usize = 2;

/// Adds a comment to those before it.
fn join(comments: &mut EcoString, text: &str) {
    if !comments.is_empty() {
        comments.push('\n');
    }
    comments.push_str(text);
}

impl<'s, 'a> Parser<'s, 'a> {
    fn peek(&mut self) -> Option<&'s Token<'a>> {
        let (token, at) = self.scan.tokens.get(self.token)?;
        while let Some(remark) = self.scan.remarks.get(self.remark).filter(|one| *at >= one.token) {
            match remark.side {
                // It is above what comes after the end.
                Side::Above if matches!(token, Token::BlockEnd) => break,
                Side::Above => join(&mut self.waiting.head, &remark.text),
                Side::Below => join(&mut self.waiting.foot, &remark.text),
                Side::Behind => join(&mut self.waiting.line, &remark.text),
            }
            self.remark += 1;
        }
        Some(token)
    }

    fn skip(&mut self) {
        self.token += 1;
    }

    fn take(&mut self) -> Comments {
        self.stem.clear();
        std::mem::take(&mut self.waiting)
    }

    fn document(&mut self) -> Option<Document> {
        let is_explicit = matches!(self.peek()?, Token::DocumentStart);
        if !is_explicit && (self.scan.has_directives || matches!(self.peek()?, Token::End)) {
            return None;
        }
        let head = if is_explicit { EcoString::new() } else { self.head_of_document() };
        if is_explicit {
            self.skip();
        }
        let root = match self.peek()? {
            Token::DocumentStart | Token::DocumentEnd | Token::End => empty(),
            _ => self.node(true, false)?,
        };
        // Whatever comes behind is not read, but for the tokens that were looked at ahead.
        self.peek()?;
        if self.scan.is_cut_off && self.scan.tokens.len() <= self.token + AHEAD {
            return None;
        }
        let Comments { head: above, foot, .. } = self.take();
        let foot = if foot.is_empty() { above } else { foot };
        Some(Document { root, head, foot })
    }

    /// What stands above the last blank line in the comment at the top.
    fn head_of_document(&mut self) -> EcoString {
        let above = self.waiting.head.clone();
        let (head, rest) = match above.strip_suffix('\n') {
            Some(whole) => (whole, ""),
            None => above.rsplit_once("\n\n").unwrap_or(("", &above)),
        };
        self.waiting.head = rest.into();
        head.into()
    }

    /// A node; `loose` allows a list that stands no deeper than its key.
    fn node(&mut self, block: bool, loose: bool) -> Option<Node> {
        self.depth = self.depth.checked_sub(1)?;
        let node = self.whole(block, loose);
        self.depth += 1;
        node
    }

    fn whole(&mut self, block: bool, loose: bool) -> Option<Node> {
        if let Token::Alias(name) = self.peek()? {
            let mut node = Node::new(Content::Alias((*name).into()), "");
            node.comments = self.take();
            self.skip();
            return self.names.contains(name).then_some(node);
        }
        let (anchor, tag) = self.properties()?;
        self.names.extend(anchor);
        let mut node = self.content(block, loose, tag.as_deref(), anchor.is_some())?;
        node.anchor = anchor.unwrap_or_default().into();
        if let Some(tag) = tag.filter(|tag| tag != "!") {
            (node.tag, node.is_tagged) = (tag, true);
        }
        Some(node)
    }

    /// The anchor and the tag before a node.
    fn properties(&mut self) -> Option<(Option<&'a str>, Option<EcoString>)> {
        let (mut anchor, mut tag) = (None, None);
        loop {
            match self.peek()? {
                Token::Anchor(name) if anchor.is_none() => anchor = Some(*name),
                Token::Tag(written) if tag.is_none() => tag = Some(self.resolve(written)?),
                _ => return Some((anchor, tag)),
            }
            self.skip();
        }
    }

    /// A tag in short form.
    fn resolve(&self, tag: &Tag<'_>) -> Option<EcoString> {
        let whole = tag.whole(&self.scan.handles)?;
        Some(match whole.strip_prefix(YAML) {
            Some(name) => ecow::eco_format!("!!{name}"),
            None => whole.into(),
        })
    }

    fn content(
        &mut self,
        block: bool,
        loose: bool,
        tag: Option<&str>,
        has_anchor: bool,
    ) -> Option<Node> {
        match self.peek()? {
            Token::Entry if loose => self.loose_list(),
            Token::Scalar { text, form } => {
                let style = self.style(*form);
                let mut node = leaf(text, style);
                node.comments = self.take();
                self.skip();
                Some(node)
            }
            Token::FlowListStart => self.flow_list(),
            Token::FlowMapStart => self.flow_map(),
            Token::ListStart if block => self.list(),
            Token::MapStart if block => self.map(),
            _ if has_anchor || tag.is_some() => Some(empty()),
            _ => None,
        }
    }

    fn style(&self, form: Form) -> Style {
        let at = self.scan.tokens[self.token].1;
        match form {
            Form::Plain => Style::Plain,
            Form::Quoted if self.scan.text.as_bytes().get(at) == Some(&b'"') => Style::Double,
            Form::Quoted => Style::Single,
            Form::Literal => Style::Literal,
            Form::Folded => Style::Folded,
        }
    }

    fn list(&mut self) -> Option<Node> {
        let head = std::mem::take(&mut self.stem);
        self.skip();
        let mut items = Vec::new();
        loop {
            match self.peek()? {
                Token::Entry => {
                    self.entry();
                    items.push(match self.peek()? {
                        Token::Entry | Token::BlockEnd => empty(),
                        _ => self.node(true, false)?,
                    });
                }
                Token::BlockEnd => break,
                _ => return None,
            }
        }
        self.skip();
        Some(list(items, false, Comments { head, ..Comments::default() }))
    }

    /// A list that stands no deeper than its key.
    fn loose_list(&mut self) -> Option<Node> {
        let mut items = Vec::new();
        while matches!(self.peek()?, Token::Entry) {
            self.entry();
            items.push(match self.peek()? {
                Token::Entry | Token::Key | Token::Value | Token::BlockEnd => empty(),
                _ => self.node(true, false)?,
            });
        }
        Some(list(items, false, Comments::default()))
    }

    /// Goes over the sign of an entry; what stands above it is that of the block within, if there is
    /// one.
    fn entry(&mut self) {
        let stem = self.waiting.head.len();
        self.skip();
        if stem == 0 || !matches!(self.peek(), Some(Token::ListStart | Token::MapStart)) {
            return;
        }
        let above = std::mem::take(&mut self.waiting.head);
        self.stem = above[..stem].into();
        self.waiting.head = above.get(stem + 1..).unwrap_or_default().into();
    }

    fn map(&mut self) -> Option<Node> {
        let head = std::mem::take(&mut self.stem);
        self.skip();
        let mut entries: Vec<(Node, Node)> = Vec::new();
        loop {
            match self.peek()? {
                Token::Key => self.skip(),
                Token::BlockEnd => break,
                _ => return None,
            }
            let mut key = self.node_of_map()?;
            if !key.comments.foot.is_empty()
                && let Some((before, _)) = entries.last_mut()
            {
                before.comments.foot = std::mem::take(&mut key.comments.foot);
            }
            let value = match self.peek()? {
                Token::Value => {
                    self.skip();
                    self.node_of_map()?
                }
                _ => empty(),
            };
            entries.push(with_foot(key, value));
        }
        let mut comments = Comments { head, ..self.take() };
        self.skip();
        if !comments.foot.is_empty()
            && let Some((last, _)) = entries.last_mut()
        {
            last.comments.foot = std::mem::take(&mut comments.foot);
        }
        Some(map(entries, false, comments))
    }

    /// A key or a value of a block mapping.
    fn node_of_map(&mut self) -> Option<Node> {
        match self.peek()? {
            Token::Key | Token::Value | Token::BlockEnd => Some(empty()),
            _ => self.node(true, true),
        }
    }

    fn flow_list(&mut self) -> Option<Node> {
        let head = self.take().head;
        self.skip();
        let mut items = Vec::new();
        while !matches!(self.peek()?, Token::FlowListEnd) {
            if !items.is_empty() {
                self.comma()?;
            }
            match self.peek()? {
                Token::Key => {
                    self.skip();
                    items.push(self.pair()?);
                }
                Token::FlowListEnd => break,
                _ => items.push(self.node(false, false)?),
            }
        }
        let comments = Comments { head, ..self.take() };
        self.skip();
        Some(list(items, true, comments))
    }

    fn comma(&mut self) -> Option<()> {
        let is_there = matches!(self.peek()?, Token::Comma);
        self.skip();
        is_there.then_some(())
    }

    /// A mapping of one entry, without brackets of its own.
    fn pair(&mut self) -> Option<Node> {
        let key = match self.peek()? {
            Token::Value | Token::Comma | Token::FlowListEnd => {
                self.skip();
                empty()
            }
            _ => self.node(false, false)?,
        };
        let value = self.flow_value()?;
        self.peek()?;
        Some(map(vec![with_foot(key, value)], true, Comments::default()))
    }

    /// The value of an entry between brackets.
    fn flow_value(&mut self) -> Option<Node> {
        if !matches!(self.peek()?, Token::Value) {
            return Some(empty());
        }
        self.skip();
        match self.peek()? {
            Token::Comma | Token::FlowListEnd | Token::FlowMapEnd => Some(empty()),
            _ => self.node(false, false),
        }
    }

    fn flow_map(&mut self) -> Option<Node> {
        let head = self.take().head;
        self.skip();
        let mut entries = Vec::new();
        while !matches!(self.peek()?, Token::FlowMapEnd) {
            if !entries.is_empty() {
                self.comma()?;
            }
            let (key, value) = match self.peek()? {
                Token::FlowMapEnd => break,
                Token::Key => {
                    self.skip();
                    let key = match self.peek()? {
                        Token::Value | Token::Comma | Token::FlowMapEnd => empty(),
                        _ => self.node(false, false)?,
                    };
                    (key, self.flow_value()?)
                }
                _ => {
                    let key = self.node(false, false)?;
                    self.peek()?;
                    (key, empty())
                }
            };
            entries.push(with_foot(key, value));
        }
        let comments = Comments { head, ..self.take() };
        self.skip();
        Some(map(entries, true, comments))
    }
}

fn list(items: Vec<Node>, flow: bool, comments: Comments) -> Node {
    Node { comments, ..Node::new(Content::List(items, flow), "!!seq") }
}

fn map(entries: Vec<(Node, Node)>, flow: bool, comments: Comments) -> Node {
    Node { comments, ..Node::new(Content::Map(entries, flow), "!!map") }
}

/// What stands below a value stands below its entry.
fn with_foot(mut key: Node, mut value: Node) -> (Node, Node) {
    if key.comments.foot.is_empty() {
        key.comments.foot = std::mem::take(&mut value.comments.foot);
    }
    (key, value)
}

/// Nothing where a node is due.
fn empty() -> Node {
    Node::new(Content::Scalar(EcoString::new(), Style::Plain), NULL)
}

fn leaf(text: &str, style: Style) -> Node {
    let tag = match style {
        Style::Plain => scalar::tag_of(text),
        _ => "!!str",
    };
    Node::new(Content::Scalar(text.into(), style), tag)
}
