//! Nodes as text: two spaces a level, lists not indented, lines not folded.
//!
//! Comments wait until there is a place for them: those above before the next line begins, those
//! behind and below after a leaf or a closing bracket. One that waits is lost when the next comes.
//!
//! Source: go-yaml v3, `encode.go` (`node`) and `emitterc.go`.

use ecow::EcoString;

use super::{Content, Document, Node, Style, scalar};
use crate::yaml::scan::push_folded;
use crate::yaml::write::Shape;
use crate::yaml::{is_break, write_double_quoted};

/// Spaces a level.
const STEP: isize = 2;

/// The longest key on one line, in bytes.
const KEY: usize = 128;

/// What ends a plain text between brackets.
///
/// Source: go-yaml v3, `yaml_emitter_analyze_scalar`.
const BETWEEN_BRACKETS: [char; 7] = [',', '?', '[', ']', '{', '}', ':'];

/// The text of a document, without blanks at its ends.
pub(super) fn document(document: &Document) -> String {
    let mut emitter = Emitter::new();
    if !document.head.is_empty() {
        emitter.waiting.head = document.head.clone();
        emitter.comments_above();
        emitter.line_break();
    }
    emitter.root(&document.root);
    let foot = document.foot.clone();
    emitter.wait_for(Waiting { foot, ..Waiting::default() });
    emitter.foot_indent = 0;
    emitter.comment_below();
    emitter.out.trim().to_owned()
}

/// The text of a node alone, without blanks at its ends.
pub(super) fn node(node: &Node) -> String {
    let mut emitter = Emitter::new();
    emitter.root(node);
    emitter.out.trim().to_owned()
}

/// Comments that have no place yet.
#[derive(Default)]
struct Waiting {
    /// Below the entry before.
    tail: EcoString,
    head: EcoString,
    line: EcoString,
    foot: EcoString,
    /// Behind a key.
    key: EcoString,
}

struct Emitter {
    out: String,
    column: isize,
    /// Whether the last character separates what comes next.
    is_blank: bool,
    /// Whether nothing but indentation is on the line.
    is_indentation: bool,
    /// Spaces before the entries of the open collection, -1 outside of all.
    indent: isize,
    /// Of the comment that was written last, where it belongs to what is above it, or -1.
    foot_indent: isize,
    /// Open brackets.
    flow: usize,
    waiting: Waiting,
}

/// What holds a node.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Parent {
    Nothing,
    /// A list over several lines.
    List,
    /// A list between brackets.
    FlowList,
    /// A mapping, whose key or value it is.
    Key,
    Map,
}

impl Emitter {
    fn new() -> Self {
        Self {
            out: String::new(),
            column: 0,
            is_blank: true,
            is_indentation: true,
            indent: -1,
            foot_indent: -1,
            flow: 0,
            waiting: Waiting::default(),
        }
    }

    fn root(&mut self, node: &Node) {
        self.begin(node);
        self.comments_above();
        self.node(node, Parent::Nothing, false);
        self.comments_after();
        self.contents(node, Parent::Nothing);
    }

    /// The comments that wait, and those that come now, which win.
    fn wait_for(&mut self, new: Waiting) {
        let old = &mut self.waiting;
        for (old, new) in [
            (&mut old.tail, new.tail),
            (&mut old.head, new.head),
            (&mut old.line, new.line),
            (&mut old.foot, new.foot),
        ] {
            if !new.is_empty() {
                *old = new;
            }
        }
    }

    /// Takes in the comments with which a node begins.
    fn begin(&mut self, node: &Node) {
        self.begin_below(node, EcoString::new(), node.comments.foot.clone());
    }

    /// Takes in the comments of a key, and `tail`, which is below the entry before; what is below its own
    /// entry is kept for the next one.
    fn begin_key(&mut self, key: &Node, tail: &mut EcoString) {
        let before = std::mem::replace(tail, key.comments.foot.clone());
        self.begin_below(key, before, EcoString::new());
    }

    /// An alias or a list as a key loses what is below the entry before.
    fn begin_below(&mut self, node: &Node, before: EcoString, foot: EcoString) {
        let mut new = Waiting { head: node.comments.head.clone(), ..Waiting::default() };
        if matches!(node.content, Content::Scalar(..) | Content::Alias(_)) {
            (new.line, new.foot) = (node.comments.line.clone(), foot);
        }
        if !matches!(node.content, Content::Alias(_) | Content::List(..)) {
            new.tail = before;
        }
        self.wait_for(new);
    }

    /// Takes in those with which a collection ends; what is below a key is below its entry.
    fn end(&mut self, node: &Node, tail: EcoString, parent: Parent) {
        let line = node.comments.line.clone();
        let foot =
            if parent == Parent::Key { EcoString::new() } else { node.comments.foot.clone() };
        self.wait_for(Waiting { tail, line, foot, ..Waiting::default() });
    }

    /// Whether a comment waits that ends an entry between brackets.
    fn ends_entry(&self) -> bool {
        let waiting = &self.waiting;
        !(waiting.line.is_empty() && waiting.foot.is_empty() && waiting.tail.is_empty())
    }

    fn node(&mut self, node: &Node, parent: Parent, is_simple_key: bool) {
        if let Content::Alias(name) = &node.content {
            self.indicator("*", true, false, false);
            self.word(name);
            return;
        }
        let (tag, style) = presentation(node);
        self.properties(node, &tag);
        if let Content::Scalar(text, _) = &node.content {
            self.scalar(text, style, parent, is_simple_key);
        }
    }

    /// What is in a collection. What waits when it begins stands before its bracket.
    fn contents(&mut self, node: &Node, parent: Parent) {
        match &node.content {
            Content::Scalar(..) | Content::Alias(_) => {}
            Content::List(items, flow) if self.flow > 0 || *flow || items.is_empty() => {
                self.flow_list(node, items, parent);
            }
            Content::List(items, _) => self.list(node, items, parent),
            Content::Map(entries, flow) if self.flow > 0 || *flow || entries.is_empty() => {
                self.flow_map(node, entries, parent);
            }
            Content::Map(entries, _) => self.map(node, entries, parent),
        }
    }

    fn properties(&mut self, node: &Node, tag: &str) {
        if !node.anchor.is_empty() {
            self.indicator("&", true, false, false);
            self.word(&node.anchor);
        }
        if tag.is_empty() {
            return;
        }
        if tag.starts_with('!') {
            self.separate();
            self.word(tag);
        } else {
            self.indicator("!<", true, false, false);
            self.word(tag);
            self.indicator(">", false, false, false);
        }
    }

    /// Goes a level deeper, and gives the level back to return to.
    fn deeper(&mut self, flow: bool, parent: Parent, is_compact: bool) -> isize {
        let before = self.indent;
        self.indent = match (before < 0, parent) {
            (true, _) if flow => STEP,
            (true, _) => 0,
            (false, Parent::List) => before + STEP,
            (false, _) => {
                let aligned = STEP * ((before + STEP) / STEP);
                if is_compact { aligned - STEP } else { aligned }
            }
        };
        before
    }

    fn list(&mut self, node: &Node, items: &[Node], parent: Parent) {
        let is_value = matches!(parent, Parent::Key | Parent::Map)
            && (self.column == 0 || !self.is_indentation);
        let outer = self.deeper(false, parent, is_value);
        for item in items {
            self.begin(item);
            self.comments_above();
            self.start_line();
            self.indicator("-", true, false, true);
            self.node(item, Parent::List, false);
            self.comments_after();
            self.contents(item, Parent::List);
        }
        self.end(node, EcoString::new(), parent);
        self.indent = outer;
    }

    fn map(&mut self, node: &Node, entries: &[(Node, Node)], parent: Parent) {
        let outer = self.deeper(false, parent, false);
        let mut tail = EcoString::new();
        for (key, value) in entries {
            self.begin_key(key, &mut tail);
            self.comments_above();
            self.start_line();
            if !self.waiting.line.is_empty() {
                self.waiting.key = std::mem::take(&mut self.waiting.line);
            }
            let is_simple = self.key(key);
            self.begin(value);
            if is_simple {
                self.indicator(":", false, false, false);
            } else {
                self.start_line();
                self.indicator(":", true, false, true);
            }
            self.comment_of_key(value);
            self.node(value, Parent::Map, false);
            self.comments_after();
            self.contents(value, Parent::Map);
        }
        self.end(node, tail, parent);
        self.comments_above();
        self.indent = outer;
    }

    /// Writes a key, and says whether it stands on the line of its value.
    fn key(&mut self, key: &Node) -> bool {
        let is_simple = is_simple_key(key);
        if !is_simple {
            self.indicator("?", true, false, self.flow == 0);
        }
        self.node(key, Parent::Key, is_simple);
        self.contents(key, Parent::Key);
        is_simple
    }

    /// The comment of a key goes to a leaf without one of its own, or before a block.
    fn comment_of_key(&mut self, value: &Node) {
        if self.waiting.key.is_empty() {
            return;
        }
        match &value.content {
            Content::Scalar(..) if self.waiting.line.is_empty() => {
                self.waiting.line = std::mem::take(&mut self.waiting.key);
            }
            Content::List(_, false) | Content::Map(_, false) => {
                let key = std::mem::take(&mut self.waiting.key);
                let line = std::mem::replace(&mut self.waiting.line, key);
                self.comment_behind();
                self.waiting.key = std::mem::take(&mut self.waiting.line);
                self.waiting.line = line;
            }
            _ => {}
        }
    }

    fn flow_list(&mut self, node: &Node, items: &[Node], parent: Parent) {
        self.indicator("[", true, true, false);
        let outer = self.deeper(true, parent, false);
        self.flow += 1;
        let mut is_separated = true;
        for item in items {
            self.begin(item);
            self.flow_entry(is_separated);
            is_separated = self.ends_entry();
            self.node(item, Parent::FlowList, false);
            self.end_flow_entry();
            self.contents(item, Parent::FlowList);
        }
        self.end(node, EcoString::new(), parent);
        self.flow -= 1;
        self.indent = outer;
        if self.column == 0 {
            self.start_line();
        }
        self.indicator("]", false, false, false);
        self.comments_after();
    }

    fn flow_map(&mut self, node: &Node, entries: &[(Node, Node)], parent: Parent) {
        self.indicator("{", true, true, false);
        let outer = self.deeper(true, parent, false);
        self.flow += 1;
        let mut is_separated = true;
        let mut tail = EcoString::new();
        for (key, value) in entries {
            self.begin_key(key, &mut tail);
            self.flow_entry(is_separated);
            let is_simple = self.key(key);
            self.begin(value);
            self.indicator(":", !is_simple, false, false);
            is_separated = self.ends_entry();
            self.node(value, Parent::Map, false);
            self.end_flow_entry();
            self.contents(value, Parent::Map);
        }
        self.end(node, tail, parent);
        let Waiting { head, foot, tail, .. } = &self.waiting;
        let has_comment = !(head.is_empty() && foot.is_empty() && tail.is_empty());
        if has_comment && !is_separated {
            self.indicator(",", false, false, false);
        }
        self.comments_above();
        self.flow -= 1;
        self.indent = outer;
        self.indicator("}", false, false, false);
        self.comments_after();
    }

    /// What stands before an entry between brackets.
    fn flow_entry(&mut self, is_separated: bool) {
        if !is_separated {
            self.indicator(",", false, false, false);
        }
        self.comments_above();
        if self.column == 0 {
            self.start_line();
        }
    }

    /// What stands behind one, or before its contents: a comment needs the comma before it.
    fn end_flow_entry(&mut self) {
        if self.ends_entry() {
            self.indicator(",", false, false, false);
        }
        self.comments_after();
    }

    fn scalar(&mut self, text: &str, style: Style, parent: Parent, is_simple_key: bool) {
        let outer = self.deeper(true, parent, false);
        match self.settled(text, style, is_simple_key) {
            Style::Plain => self.plain(text),
            Style::Single => self.single(text),
            Style::Double => self.double(text),
            Style::Literal => self.literal(text),
            Style::Folded => self.folded(text),
        }
        self.indent = outer;
    }

    /// The style, or the next one that can hold the text here.
    fn settled(&self, text: &str, style: Style, is_simple_key: bool) -> Style {
        let shape = Shape::of(text);
        let in_flow = self.flow > 0;
        let mut style = if is_simple_key && shape.line_breaks { Style::Double } else { style };
        let is_plain = shape.allows_plain() && !(in_flow && text.contains(BETWEEN_BRACKETS));
        let is_lost = text.is_empty() && (in_flow || is_simple_key);
        if style == Style::Plain && (!is_plain || is_lost) {
            style = Style::Single;
        }
        match style {
            Style::Single if !shape.allows_single_quotes() => Style::Double,
            Style::Literal | Style::Folded
                if !shape.allows_block(text) || in_flow || is_simple_key =>
            {
                Style::Double
            }
            style => style,
        }
    }

    fn plain(&mut self, text: &str) {
        if !text.is_empty() {
            self.separate();
            self.push(text);
            self.is_blank = false;
        }
        self.is_indentation = false;
    }

    /// Each run of line breaks has one more of them than the text.
    fn single(&mut self, text: &str) {
        self.indicator("'", true, false, false);
        let mut after_break = false;
        for c in text.chars() {
            if is_break(c) {
                if !after_break && c == '\n' {
                    self.line_break();
                }
                self.push_break(c);
            } else {
                if after_break {
                    self.start_line();
                }
                if c == '\'' {
                    self.push_char(c);
                }
                self.push_char(c);
                self.is_indentation = false;
            }
            after_break = is_break(c);
        }
        self.word("'");
    }

    fn double(&mut self, text: &str) {
        self.separate();
        let before = self.out.len();
        write_double_quoted(text, &mut self.out);
        let written = self.out[before..].chars().count();
        self.column += isize::try_from(written).unwrap_or(isize::MAX);
        (self.is_blank, self.is_indentation) = (false, false);
    }

    /// The sign of a block, and what stands behind it.
    fn header(&mut self, sign: &str, text: &str) {
        self.indicator(sign, true, false, false);
        if text.starts_with(|c| c == ' ' || is_break(c)) {
            self.indicator("2", false, false, false);
        }
        let mut from_end = text.chars().rev();
        match (from_end.next().is_some_and(is_break), from_end.next()) {
            (false, _) => self.indicator("-", false, false, false),
            (true, None) => self.indicator("+", false, false, false),
            (true, Some(c)) if is_break(c) => self.indicator("+", false, false, false),
            (true, Some(_)) => {}
        }
        if self.waiting.line.is_empty() {
            self.line_break();
        } else {
            self.comment_behind();
        }
        self.is_blank = true;
    }

    fn literal(&mut self, text: &str) {
        self.header("|", text);
        let mut after_break = true;
        for c in text.chars() {
            if is_break(c) {
                self.push_break(c);
            } else {
                if after_break {
                    self.start_line();
                }
                self.push_char(c);
                self.is_indentation = false;
            }
            after_break = is_break(c);
        }
    }

    fn folded(&mut self, text: &str) {
        self.header(">", text);
        push_folded(text, usize::try_from(self.indent).unwrap_or(0), &mut self.out);
        let last_line = self.out.rsplit(is_break).next().unwrap_or_default();
        self.column = isize::try_from(last_line.chars().count()).unwrap_or(isize::MAX);
        self.is_indentation = last_line.is_empty();
    }
}

/// Comments.
impl Emitter {
    fn comments_above(&mut self) {
        if !self.waiting.tail.is_empty() {
            let tail = std::mem::take(&mut self.waiting.tail);
            self.start_line();
            self.comment(&tail);
            self.foot_indent = self.indent.max(0);
        }
        if !self.waiting.head.is_empty() {
            let head = std::mem::take(&mut self.waiting.head);
            self.start_line();
            self.comment(&head);
        }
    }

    fn comments_after(&mut self) {
        if !self.waiting.line.is_empty() {
            self.comment_behind();
        }
        self.comment_below();
    }

    fn comment_behind(&mut self) {
        let line = std::mem::take(&mut self.waiting.line);
        self.separate();
        self.comment(&line);
    }

    fn comment_below(&mut self) {
        if self.waiting.foot.is_empty() {
            return;
        }
        let foot = std::mem::take(&mut self.waiting.foot);
        self.start_line();
        self.comment(&foot);
        self.foot_indent = self.indent.max(0);
    }

    fn comment(&mut self, text: &str) {
        let (mut after_break, mut has_sign) = (false, false);
        for c in text.chars() {
            if is_break(c) {
                self.push_break(c);
                has_sign = false;
            } else {
                if after_break {
                    self.start_line();
                }
                if !has_sign && c != '#' {
                    self.push("# ");
                }
                has_sign = true;
                self.push_char(c);
                self.is_indentation = false;
            }
            after_break = is_break(c);
        }
        if !after_break {
            self.line_break();
        }
        self.is_blank = true;
    }
}

/// Characters.
impl Emitter {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += isize::try_from(text.chars().count()).unwrap_or(isize::MAX);
    }

    fn push_char(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn push_break(&mut self, c: char) {
        self.out.push(c);
        self.column = 0;
        self.is_indentation = true;
    }

    fn line_break(&mut self) {
        self.push_break('\n');
    }

    /// A blank, where none is there.
    fn separate(&mut self) {
        if !self.is_blank {
            self.push_char(' ');
        }
    }

    /// A name, or the end of a quote.
    fn word(&mut self, text: &str) {
        self.push(text);
        (self.is_blank, self.is_indentation) = (false, false);
    }

    fn indicator(&mut self, text: &str, separate: bool, is_blank: bool, is_indentation: bool) {
        if separate {
            self.separate();
        }
        self.push(text);
        self.is_blank = is_blank;
        self.is_indentation &= is_indentation;
    }

    /// Begins a line, unless one is begun; a blank one is above it where it stands below a comment
    /// that belongs to what is above at the same indentation.
    fn start_line(&mut self) {
        let indent = self.indent.max(0);
        if !self.is_indentation || self.column > indent || self.column == indent && !self.is_blank {
            self.line_break();
        }
        if self.foot_indent == indent {
            self.line_break();
        }
        while self.column < indent {
            self.push_char(' ');
        }
        self.is_blank = true;
        self.foot_indent = -1;
    }
}

/// The tag that has to be written, and the style.
fn presentation(node: &Node) -> (EcoString, Style) {
    let written = |style| (node.tag.clone(), style);
    let Content::Scalar(text, style) = &node.content else {
        let own = if matches!(node.content, Content::List(..)) { "!!seq" } else { "!!map" };
        let is_written = node.is_tagged || !(node.tag.is_empty() || node.tag == own);
        return if is_written { written(Style::Plain) } else { (EcoString::new(), Style::Plain) };
    };
    let is_lines = *style == Style::Plain && text.contains('\n');
    let style = if is_lines { Style::Literal } else { *style };
    if node.is_tagged || node.tag.is_empty() {
        return written(style);
    }
    let is_text = node.tag == "!!str";
    // `<<` means something as a key alone.
    let is_understood = node.tag != "!!merge" && scalar::plain_tag(text) == node.tag;
    match style {
        _ if is_text && style != Style::Plain => (EcoString::new(), style),
        style if is_understood => (EcoString::new(), style),
        _ if is_text => (EcoString::new(), Style::Double),
        style => written(style),
    }
}

/// Whether a key stands on the line of its value.
fn is_simple_key(key: &Node) -> bool {
    let properties = key.anchor.len() + presentation(key).0.len();
    match &key.content {
        Content::Alias(name) => name.len() <= KEY,
        Content::Scalar(text, _) => !text.contains(is_break) && properties + text.len() <= KEY,
        Content::List(items, _) => items.is_empty() && properties <= KEY,
        Content::Map(entries, _) => entries.is_empty() && properties <= KEY,
    }
}
