//! Fields inside texts: JSON or YAML that a field of a resource holds, as ConfigMaps often do.
//!
//! Kustomize reads such a text, sets the field and writes the text anew: JSON with sorted keys, YAML
//! with the quotes, flow collections and comments that it had but indented by two spaces. So the
//! text is read into a value, which is changed, beside a [`Layout`], which says how it was written.
//!
//! Source: kustomize `api/filters/replacement/replacement.go`, `setValueInStructuredData`; go-yaml v3.

use std::ops::Range;

use ecow::EcoString;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::field_path::{self, Found, Make};
use crate::json;
use crate::limits::Limits;
use crate::value::{Key, Map, Scalar, Style, Tag, Value};
use crate::yaml::{self, is_break, scalar, stays_block, stays_single_quoted};

/// Sets the fields at the end of `path` where the way there leads through a text; `None`, with
/// nothing changed, where it does not or there is no such field.
pub(super) fn set(
    object: &mut Value,
    path: &[EcoString],
    make: Make,
    value: &Value,
) -> Option<Found> {
    let (outer, inner) = path.split_at(text_depth(object, path)?);
    let Ok(Some(Value::Scalar(field))) = field_path::find_mut(object, outer) else { return None };
    let (text, found) = edited(&field.text, inner, make, value)?;
    let style = match field.style {
        Style::Plain => Style::Tagged(field.tag()),
        style => style,
    };
    *field = Scalar { text: text.into(), style };
    Some(found)
}

/// How many parts of the path lead to a scalar.
fn text_depth(object: &Value, path: &[EcoString]) -> Option<usize> {
    (1..path.len()).find(|depth| {
        matches!(field_path::find(object, &path[..*depth]), Ok(Some(Value::Scalar(_))))
    })
}

/// The text with the field set; `None` where it holds no such field or cannot be written again.
fn edited(text: &str, path: &[EcoString], make: Make, new: &Value) -> Option<(String, Found)> {
    let (mut value, layout) = Document::read(text)?;
    let found = field_path::visit(&mut value, path, make, &mut |field| {
        put(field, new);
        Ok(())
    });
    let found = found.ok().filter(|found| found.values > 0)?;
    let text = match text.trim_start().starts_with(['{', '[']) {
        true => json_text(&value, text)?,
        false => Writer::new(text).document(&value, &layout),
    };
    Some((text, found))
}

/// A scalar keeps its type; options do not count inside texts.
fn put(field: &mut Value, new: &Value) {
    if is_alias(field) {
        *field = new.clone();
        return;
    }
    *field = match field {
        Value::Null => Value::Scalar(Scalar { text: bare(new), style: Style::Tagged(Tag::Null) }),
        // Made just now.
        Value::Scalar(old) if old.text.is_empty() && old.style == Style::Plain => {
            Value::plain(bare(new))
        }
        Value::Scalar(old) => {
            let style = match old.style {
                Style::Plain => Style::Tagged(old.tag()),
                style => style,
            };
            Value::Scalar(Scalar { text: bare(new), style })
        }
        Value::List(_) | Value::Map(_) => new.clone(),
    };
}

fn bare(value: &Value) -> EcoString {
    value.as_text().unwrap_or_default().into()
}

/// JSON over several lines stays so, all other on one line.
fn json_text(value: &Value, before: &str) -> Option<String> {
    let mut compact = String::new();
    json::write(value, &mut compact).ok()?;
    let is_pretty = before.contains('\n') && before.contains("  ");
    Some(if is_pretty { indented(&compact) } else { compact })
}

/// Compact JSON over several lines, two spaces a level.
fn indented(compact: &str) -> String {
    let mut out = String::with_capacity(compact.len() * 2);
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut rest = compact.chars().peekable();
    while let Some(c) = rest.next() {
        if in_string {
            out.push(c);
            in_string = c != '"' || is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            continue;
        }
        match c {
            '{' | '[' if matches!(rest.peek(), Some('}' | ']')) => {
                out.push(c);
                out.extend(rest.next());
            }
            '{' | '[' => {
                out.push(c);
                depth += 1;
                break_line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// How a value was written.
#[derive(Clone, Debug)]
struct Layout {
    /// Line and column of its first character, from 1 and 0.
    line: usize,
    column: usize,
    /// Line of its last character; of a block scalar the line after it.
    last_line: usize,
    /// Its anchor and its tag as they are written, each with a space behind it.
    properties: EcoString,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    /// `*name`, which is not expanded: nothing leads into it.
    Alias(EcoString),
    Scalar(ScalarStyle, EcoString),
    List {
        flow: bool,
        items: Vec<Layout>,
    },
    Map {
        flow: bool,
        entries: Vec<(Layout, Layout)>,
    },
}

/// What stands in the place of an alias.
fn alias(name: &EcoString) -> Value {
    Value::Scalar(Scalar { text: name.clone(), style: Style::Tagged(Tag::Merge) })
}

fn is_alias(value: &Value) -> bool {
    value.as_scalar().is_some_and(|scalar| {
        scalar.style == Style::Tagged(Tag::Merge) && scalar.text.starts_with('*')
    })
}

/// A document that is being read.
struct Document<'a> {
    text: &'a str,
    /// Where each character begins; empty where there are no anchors and tags.
    offsets: Vec<usize>,
    open: Vec<Open>,
}

/// A collection whose end is not reached.
struct Open {
    layout: Layout,
    values: Vec<Value>,
}

impl<'a> Document<'a> {
    fn new(text: &'a str) -> Self {
        let has_names = text.contains(['&', '*', '!']);
        let offsets = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        let offsets = if has_names { offsets.collect() } else { Vec::new() };
        Self { text, offsets, open: Vec::new() }
    }

    /// Reads the first document of a text; `None` where it is no YAML.
    fn read(text: &'a str) -> Option<(Value, Layout)> {
        let mut document = Self::new(text);
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.ok()?;
            let whole = document.event(event, span)?;
            if whole.is_some() {
                return whole;
            }
        }
        None
    }

    /// Takes an event in and gives the document back once it is whole; the outer `None` is for what
    /// cannot be read.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<Option<(Value, Layout)>> {
        Some(match event {
            Event::Scalar(scalar, style, anchor, tag) => {
                let scalar = match is_cut_off(self.text, span, style) {
                    true => scalar.strip_suffix('\n').unwrap_or(&scalar),
                    false => &scalar,
                };
                let value = leaf(scalar, style, tag.as_deref());
                let properties = self.properties(anchor, tag.as_deref(), span)?;
                let form = Form::Scalar(style, scalar.into());
                let mut layout = layout(span, properties, form);
                if scalar.is_empty() && style == ScalarStyle::Plain {
                    // Nothing reaches to what comes next, but ends with its anchor.
                    layout.last_line = layout.line;
                }
                self.place(value, layout)
            }
            Event::Alias(_) => {
                let name = EcoString::from(self.name(span.start.index(), '*')?);
                self.place(alias(&name), layout(span, EcoString::new(), Form::Alias(name)))
            }
            Event::SequenceStart(anchor, tag) => {
                let properties = self.properties(anchor, tag.as_deref(), span)?;
                let form = Form::List { flow: self.is_flow(span), items: Vec::new() };
                self.begin(layout(span, properties, form))?;
                None
            }
            Event::MappingStart(anchor, tag) => {
                let properties = self.properties(anchor, tag.as_deref(), span)?;
                let form = Form::Map { flow: self.is_flow(span), entries: Vec::new() };
                self.begin(layout(span, properties, form))?;
                None
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (value, layout) = self.open.pop()?.end(span)?;
                self.place(value, layout)
            }
            Event::StreamEnd => return None,
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {
                None
            }
        })
    }

    /// The anchor and the tag with which the text of a node begins.
    fn properties(
        &self,
        anchor: usize,
        tag: Option<&saphyr_parser::Tag>,
        span: Span,
    ) -> Option<EcoString> {
        let mut properties = EcoString::new();
        if anchor > 0 {
            let node = self.text.get(*self.offsets.get(span.start.index())?..)?;
            let is_tagged = node.starts_with('!');
            let at = if is_tagged { node.find("&")? } else { 0 };
            let at = span.start.index() + node.get(..at)?.chars().count();
            properties.push_str(self.name(at, '&')?);
            properties.push(' ');
        }
        if let Some(tag) = tag {
            let is_core = tag.handle == CORE;
            properties.push_str(if is_core { "!!" } else { &tag.handle });
            properties.push_str(&tag.suffix);
            properties.push(' ');
        }
        Some(properties)
    }

    /// A collection on one line begins with a bracket, the others with nothing but their properties.
    fn is_flow(&self, span: Span) -> bool {
        let (start, end) = (span.start.index(), span.end.index());
        match self.offsets.get(end) {
            Some(end) => self.text[..*end].ends_with(['{', '[']) && start != span.end.index(),
            None => start != end,
        }
    }

    /// The name that begins at a character, with its sign.
    fn name(&self, at: usize, sign: char) -> Option<&'a str> {
        let rest = self.text.get(*self.offsets.get(at)?..)?.strip_prefix(sign)?;
        let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let length = rest.find(ends).unwrap_or(rest.len());
        let from = self.text.len() - rest.len() - sign.len_utf8();
        (length > 0).then(|| &self.text[from..from + length + sign.len_utf8()])
    }

    fn begin(&mut self, layout: Layout) -> Option<()> {
        self.open.push(Open { layout, values: Vec::new() });
        (self.open.len() <= Limits::WEBHOOK.depth).then_some(())
    }

    /// Gives the document back once it is whole.
    fn place(&mut self, value: Value, layout: Layout) -> Option<(Value, Layout)> {
        let Some(parent) = self.open.last_mut() else { return Some((value, layout)) };
        let is_key = parent.values.len() % 2 == 0;
        parent.values.push(value);
        match &mut parent.layout.form {
            Form::List { items, .. } => items.push(layout),
            Form::Map { entries, .. } if is_key => entries.push((layout.clone(), layout)),
            Form::Map { entries, .. } => {
                if let Some(entry) = entries.last_mut() {
                    entry.1 = layout;
                }
            }
            Form::Alias(_) | Form::Scalar(..) => {}
        }
        None
    }
}

/// Whether a block scalar ends with a text that does not end its last line: then its value does
/// not end with a line break either.
fn is_cut_off(text: &str, span: Span, style: ScalarStyle) -> bool {
    matches!(style, ScalarStyle::Literal | ScalarStyle::Folded)
        && !text.ends_with('\n')
        && span.end.index() >= text.chars().count()
}

impl Open {
    fn end(self, span: Span) -> Option<(Value, Layout)> {
        let Self { mut layout, values } = self;
        layout.last_line = span.end.line();
        if !layout.properties.is_empty() {
            layout.column = layout.first_column().unwrap_or(layout.column);
        }
        let value = match &layout.form {
            Form::Map { .. } => Value::Map(mapping(values)?),
            _ => Value::List(values.into_iter().collect()),
        };
        Some((value, layout))
    }
}

fn mapping(values: Vec<Value>) -> Option<Map> {
    let mut map = Map::default();
    let mut values = values.into_iter();
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        let text: EcoString = key.as_text()?.into();
        map.push(Key { typed: key.as_str().is_none(), text }, value);
    }
    Some(map)
}

impl Layout {
    /// Where the first entry of a collection begins that stands on lines of its own.
    fn first_column(&self) -> Option<usize> {
        match &self.form {
            Form::Map { flow: false, entries } => Some(entries.first()?.0.column),
            // Its dash.
            Form::List { flow: false, items } => items.first()?.column.checked_sub(2),
            _ => None,
        }
    }

    /// Whether a value is still of the kind that was written.
    fn is_of(&self, value: &Value) -> bool {
        match &self.form {
            Form::Alias(name) => *value == alias(name),
            Form::Scalar(..) => matches!(value, Value::Null | Value::Scalar(_)),
            Form::List { .. } => matches!(value, Value::List(_)),
            Form::Map { .. } => matches!(value, Value::Map(_)),
        }
    }

    fn is_text_block(&self) -> bool {
        matches!(self.form, Form::Scalar(ScalarStyle::Literal | ScalarStyle::Folded, _))
    }
}

fn layout(span: Span, properties: EcoString, form: Form) -> Layout {
    let (line, column) = (span.start.line(), span.start.col());
    Layout { line, column, last_line: span.end.line(), properties, form }
}

/// The handle of the tags of YAML itself, written `!!`.
const CORE: &str = "tag:yaml.org,2002:";

fn leaf(text: &str, style: ScalarStyle, tag: Option<&saphyr_parser::Tag>) -> Value {
    if tag.is_some() {
        // Written as it was, whatever the text.
        return Value::Scalar(Scalar { text: text.into(), style: Style::Tagged(Tag::Str) });
    }
    let is_plain = style == ScalarStyle::Plain;
    if is_plain && scalar::resolve(text) == Tag::Null {
        return Value::Null;
    }
    let style = if is_plain { Style::Plain } else { Style::Quoted };
    Value::Scalar(Scalar { text: text.into(), style })
}

/// A comment of the text.
struct Comment {
    line: usize,
    column: usize,
    text: EcoString,
    /// Whether nothing else is on its line.
    is_alone: bool,
    /// Whether nothing but dashes is before it, of which the last is that of the item below.
    is_behind_dash: bool,
    /// Whether a blank line is above it.
    blank_before: bool,
    /// Whether a blank line follows.
    blank_after: bool,
}

/// The comments of a text: whatever follows a `#` outside of scalars.
fn comments(lines: &[&str], layout: &Layout) -> Vec<Comment> {
    let mut inside = vec![None; lines.len() + 2];
    mark_scalars(layout, lines, &mut inside);
    let mut comments = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((column, byte)) = comment_start(line, inside[at + 1]) else { continue };
        let before = line[..byte].trim();
        comments.push(Comment {
            line: at + 1,
            column,
            text: line[byte..].trim_end_matches('\r').into(),
            is_alone: before.is_empty(),
            is_behind_dash: before.ends_with('-') && before.split(' ').all(|word| word == "-"),
            blank_before: at > 0 && lines[at - 1].trim().is_empty(),
            blank_after: lines.get(at + 1).is_some_and(|next| next.trim().is_empty()),
        });
    }
    comments
}

/// The column and the byte where the comment of a line begins; from column `text` on it is text.
fn comment_start(line: &str, text: Option<usize>) -> Option<(usize, usize)> {
    let places = line.char_indices().enumerate().map(|(column, (byte, c))| (column, byte, c));
    let mut hashes = places.filter(|(_, _, c)| *c == '#').map(|(column, byte, _)| (column, byte));
    hashes.find(|(column, byte)| {
        let before = &line[..*byte];
        (before.is_empty() || before.ends_with([' ', '\t']))
            && !is_quoted(before)
            && text.is_none_or(|text| *column < text)
    })
}

/// Whether the beginning of a line ends within quotes.
fn is_quoted(start: &str) -> bool {
    let mut quote = None;
    let mut before = ' ';
    for c in start.chars() {
        match quote {
            Some(open) if open == c && before != '\\' => quote = None,
            None if matches!(c, '"' | '\'') && matches!(before, ' ' | '[' | '{' | ',' | ':') => {
                quote = Some(c);
            }
            _ => {}
        }
        before = c;
    }
    quote.is_some()
}

/// Writes YAML as go-yaml v3 does: two spaces a level, lists not indented, lines not folded.
struct Writer<'a> {
    lines: Vec<&'a str>,
    out: String,
    comments: Vec<Comment>,
    /// The next comment that stands alone.
    next: usize,
    /// The indentation of the comment that was written last, where it belongs to what is above it.
    foot: Option<usize>,
    /// What stands behind the anchor or tag of a collection: it goes to the first scalar within.
    carried: Option<EcoString>,
    /// Of a key that took it, for the first value from there on that has no comment of its own.
    ///
    /// Source: go-yaml `emitterc.go`, `key_line_comment`.
    of_key: Option<EcoString>,
    /// Of the scalar that is written next; it stands behind the first line of a block.
    behind: Option<EcoString>,
}

impl<'a> Writer<'a> {
    fn new(text: &'a str) -> Self {
        let (out, comments) = (String::new(), Vec::new());
        let lines = text.lines().collect();
        Self {
            lines,
            out,
            comments,
            next: 0,
            foot: None,
            carried: None,
            of_key: None,
            behind: None,
        }
    }

    fn document(mut self, value: &Value, layout: &Layout) -> String {
        self.comments = comments(&self.lines, layout);
        match layout.form {
            Form::Scalar(..) => self.scalar(value, Some(layout), 0, false),
            _ => {
                self.properties(Some(layout));
                self.carried = self.comment_of_properties(Some(layout));
                self.block(value, Some(layout), layout.column, 0, usize::MAX, false);
            }
        }
        self.comments_after(0, 0, usize::MAX);
        self.out.trim().to_owned()
    }

    /// Begins a line; a blank one is above it where it stands below a comment that belongs to what is
    /// above at the same indentation.
    ///
    /// Source: go-yaml `emitterc.go`, `yaml_emitter_write_indent`, `foot_indent`.
    fn start_line(&mut self, indent: usize) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        if self.foot.take() == Some(indent) {
            self.out.push('\n');
        }
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    /// The next comments before `line` that stand alone, one below the other, not left of `column`.
    fn next_comments(&mut self, line: usize, column: usize) -> Option<Range<usize>> {
        while self.comments.get(self.next).is_some_and(|comment| !comment.is_alone) {
            self.next += 1;
        }
        let from = self.next;
        let first =
            self.comments.get(from).filter(|one| one.line < line && one.column >= column)?;
        let goes_on = |(at, one): &(usize, &Comment)| {
            one.is_alone
                && one.line < line
                && one.line == first.line + at
                && one.column == first.column
        };
        let count = self.comments[from..].iter().enumerate().take_while(goes_on).count();
        Some(from..from + count)
    }

    fn write_comments(&mut self, range: Range<usize>, indent: usize) {
        self.next = range.end;
        for at in range {
            self.start_line(indent);
            self.out.push_str(&self.comments[at].text);
        }
    }

    /// The comments below the last entry of a collection. Blank lines count at the end of the text
    /// alone: there they stand above the comments too.
    fn comments_after(&mut self, column: usize, indent: usize, next_line: usize) {
        let before = self.next;
        let is_end = next_line == usize::MAX;
        while let Some(range) = self.next_comments(next_line, column) {
            if is_end && range.start == before && self.comments[range.start].blank_before {
                self.out.push('\n');
            }
            let blank_after = self.comments[range.end - 1].blank_after;
            self.write_comments(range, indent);
            if blank_after {
                self.out.push('\n');
            }
        }
        if self.next > before && self.comments[before..self.next].iter().any(|one| one.is_alone) {
            if !is_end && self.out.ends_with('\n') {
                self.out.pop();
            }
            self.foot = Some(indent);
        }
    }

    /// The comments above an entry that begins at `column`. Those right below what is above, with a
    /// blank line behind them or further to the right, belong to that; the last of the others have no
    /// blank line behind them but at the top of the text. Those above the first of a nested collection
    /// belong to it, whatever blank lines are between.
    fn comments_before(&mut self, line: usize, column: usize, indent: usize, is_first: bool) {
        let is_top = self.out.is_empty();
        while let Some(range) = self.next_comments(line, 0) {
            let (first, last) = (&self.comments[range.start], &self.comments[range.end - 1]);
            let belongs_above = !first.blank_before && last.blank_after || first.column > column;
            let is_foot = !is_first && belongs_above;
            let blank_after = last.blank_after;
            self.write_comments(range, indent);
            let is_last = self.next_comments(line, 0).is_none();
            if is_foot {
                self.foot = Some(indent);
            } else if blank_after && (is_top || !is_first && !is_last) {
                self.out.push('\n');
            }
        }
    }

    /// What was replaced takes its comments along.
    fn drop_comments(&mut self, from: usize, end: usize) {
        let from = self.comments_above(from);
        for comment in self.comments[from..].iter_mut().take_while(|one| one.line < end) {
            comment.is_alone = false;
            comment.text.clear();
        }
    }

    /// How many comments there are above a line.
    fn comments_above(&self, line: usize) -> usize {
        self.comments.partition_point(|comment| comment.line < line)
    }

    /// The comment at the end of a line, which is written once.
    fn line_comment(&mut self, line: usize) -> Option<EcoString> {
        let at = self.comments_above(line);
        let comment = self.comments.get_mut(at)?;
        let is_there = comment.line == line && !comment.is_alone && !comment.text.is_empty();
        is_there.then(|| std::mem::take(&mut comment.text))
    }

    fn push_comment(&mut self, comment: Option<EcoString>) {
        if let Some(comment) = comment {
            self.out.push(' ');
            self.out.push_str(&comment);
        }
    }

    /// What stands behind the anchor or tag of a collection over several lines.
    fn comment_of_properties(&mut self, layout: Option<&Layout>) -> Option<EcoString> {
        self.line_comment(layout.filter(|layout| !layout.properties.is_empty())?.line)
    }

    /// What stands behind a scalar, and behind the sign that a block begins with.
    fn comment_of_scalar(&mut self, layout: Option<&Layout>) -> Option<EcoString> {
        let layout = layout?;
        if !layout.is_text_block() {
            return self.line_comment(layout.last_line);
        }
        if !layout.properties.is_empty() {
            return self.line_comment(layout.line);
        }
        let above = self.lines.get(..layout.line - 1)?;
        let sign = above.iter().rposition(|line| !line.trim().is_empty())?;
        self.line_comment(sign + 1)
    }

    /// A collection over several lines; `is_inline` where it begins behind `- `. The comments below it
    /// are its own from `column` on.
    fn block(
        &mut self,
        value: &Value,
        layout: Option<&Layout>,
        column: usize,
        indent: usize,
        next_line: usize,
        is_inline: bool,
    ) {
        match value {
            Value::Map(map) => self.map(map, layout, indent, next_line, is_inline),
            Value::List(list) => self.list(list, layout, column, indent, next_line, is_inline),
            Value::Null | Value::Scalar(_) => {}
        }
        if layout.is_some() {
            self.comments_after(column, indent, next_line);
        }
    }

    fn map(
        &mut self,
        map: &Map,
        layout: Option<&Layout>,
        indent: usize,
        next_line: usize,
        is_inline: bool,
    ) {
        let entries = match layout.map(|layout| &layout.form) {
            Some(Form::Map { entries, .. }) => entries.as_slice(),
            _ => &[],
        };
        for (at, (key, value)) in map.iter().enumerate() {
            let entry = entries.get(at);
            let after = entries.get(at + 1).map_or(next_line, |(key, _)| key.line);
            if let Some((key, _)) = entry.filter(|_| !(is_inline && at == 0)) {
                self.comments_before(key.line, key.column, indent, at == 0);
            }
            if !(is_inline && at == 0) {
                self.start_line(indent);
            }
            self.key(key, entry.map(|(key, _)| key));
            self.out.push(':');
            self.of_key = self.carried.take().or_else(|| self.of_key.take());
            self.value(value, entry, indent, after);
        }
    }

    /// The anchor and the tag of a collection whose entries stand on lines of their own.
    fn properties(&mut self, layout: Option<&Layout>) {
        if let Some(layout) = layout.filter(|layout| !layout.properties.is_empty()) {
            self.out.push_str(layout.properties.trim_end());
        }
    }

    fn key(&mut self, key: &Key, layout: Option<&Layout>) {
        let style = if key.typed { Style::Plain } else { Style::Tagged(Tag::Str) };
        let scalar = Value::Scalar(Scalar { text: key.text.clone(), style });
        self.scalar(&scalar, layout, 0, false);
    }

    /// What follows the colon of an entry.
    fn value(
        &mut self,
        value: &Value,
        entry: Option<&(Layout, Layout)>,
        indent: usize,
        next_line: usize,
    ) {
        let layout = entry.map(|(_, layout)| layout).filter(|layout| layout.is_of(value));
        if let Some((key, layout)) = entry
            && !layout.is_of(value)
        {
            self.drop_comments(key.last_line, layout.last_line);
        }
        if is_block(value, layout) {
            let carried = self.comment_of_properties(layout);
            let own = entry.and_then(|(key, _)| self.line_comment(key.last_line));
            match self.of_key.take() {
                Some(comment) => self.comment_between(comment, own, layout, indent),
                None => {
                    if has_properties(layout) {
                        self.out.push(' ');
                        self.properties(layout);
                    }
                    self.push_comment(own);
                }
            }
            self.carried = carried;
            let inner = if matches!(value, Value::List(_)) { indent } else { indent + 2 };
            // What stands below a list at the column of its key is above the next key.
            let least = entry.map_or(0, |(key, _)| key.column + 1);
            let column = layout.map_or(0, |layout| layout.column.max(least));
            self.block(value, layout, column, inner, next_line, false);
            return;
        }
        let own = self.comment_of_scalar(layout);
        let takes = matches!(value, Value::Null | Value::Scalar(_)) && !is_alias(value);
        self.behind = own.or_else(|| self.of_key.take_if(|_| takes));
        let before = self.out.len();
        self.out.push(' ');
        self.scalar(value, layout, indent + 2, false);
        if self.out.len() == before + 1 {
            self.out.pop();
        }
        let behind = self.behind.take();
        self.push_comment(behind);
    }

    /// A key that took a comment before a collection over several lines: what has an anchor or a tag
    /// begins at the left margin then.
    fn comment_between(
        &mut self,
        comment: EcoString,
        own: Option<EcoString>,
        layout: Option<&Layout>,
        indent: usize,
    ) {
        self.push_comment(Some(comment));
        if let Some(own) = own {
            self.start_line(indent);
            self.out.push_str(&own);
        }
        if has_properties(layout) {
            self.start_line(0);
            self.properties(layout);
        }
    }

    fn list(
        &mut self,
        list: &[Value],
        layout: Option<&Layout>,
        column: usize,
        indent: usize,
        next_line: usize,
        is_inline: bool,
    ) {
        let own_column = layout.map_or(0, |layout| layout.column);
        let items = match layout.map(|layout| &layout.form) {
            Some(Form::List { items, .. }) => items.as_slice(),
            _ => &[],
        };
        for (at, value) in list.iter().enumerate() {
            let item = items.get(at);
            let after = items.get(at + 1).map_or(next_line, |item| item.line);
            let is_block = is_block(value, item);
            let dash = item.and_then(|item| self.behind_dash(item.line));
            if !(is_inline && at == 0) {
                if let Some(item) = item {
                    let line = dash.as_ref().map_or(item.line, |(line, _)| *line);
                    self.comments_before(line, own_column, indent, at == 0);
                }
                if let Some((_, comment)) = dash.as_ref().filter(|_| !is_block) {
                    self.start_line(indent);
                    self.out.push_str(comment);
                }
                self.start_line(indent);
            }
            self.out.push_str("- ");
            if !is_block {
                self.item(value, item, indent);
                continue;
            }
            if let Some((_, comment)) = &dash {
                self.out.push_str(comment);
            }
            self.properties(item);
            self.carried = self.comment_of_properties(item).or_else(|| self.carried.take());
            let is_inline = dash.is_none() && !has_properties(item);
            // What stands below the last item, at its dash, belongs to it.
            let is_last = at + 1 == list.len();
            let inner = item.map_or(0, |item| item.column);
            let inner = if is_last { inner.min(column) } else { inner };
            self.block(value, item, inner, indent + 2, after, is_inline);
        }
    }

    /// An item on one line. What it takes from an anchor or a tag above leaves its own comment no
    /// place but below it.
    fn item(&mut self, value: &Value, item: Option<&Layout>, indent: usize) {
        let own = self.comment_of_scalar(item);
        let carried = self.carried.take();
        let is_flow = matches!(value, Value::List(_) | Value::Map(_));
        let (behind, below) = match carried.filter(|_| !is_flow) {
            None => (own, None),
            carried => (carried, own),
        };
        self.behind = behind;
        self.scalar(value, item, indent + 2, false);
        let behind = self.behind.take();
        self.push_comment(behind);
        if let Some(below) = below {
            self.out.push('\n');
            self.start_line(indent);
            self.out.push_str(&below);
        }
    }

    /// The comment behind the dash of an item that begins at a line further down, with its line.
    fn behind_dash(&mut self, line: usize) -> Option<(usize, EcoString)> {
        let end = self.comments_above(line);
        let comment = self.comments[..end].iter_mut().rev().find(|one| !one.is_alone)?;
        let is_there = comment.is_behind_dash && !comment.text.is_empty();
        is_there.then(|| (comment.line, std::mem::take(&mut comment.text)))
    }

    /// A scalar, or a collection on one line.
    fn scalar(&mut self, value: &Value, layout: Option<&Layout>, indent: usize, in_flow: bool) {
        let form = layout.map(|layout| &layout.form);
        if let Some(Form::Alias(name)) = form.filter(|_| is_alias(value)) {
            self.out.push_str(name);
            return;
        }
        if let Some(layout) = layout {
            self.out.push_str(&layout.properties);
        }
        match value {
            Value::Null => match form {
                Some(Form::Scalar(_, text)) if text.is_empty() && !in_flow => self.trim_end(),
                Some(Form::Scalar(_, text)) if text.is_empty() => self.out.push_str("''"),
                Some(Form::Scalar(_, text)) => self.out.push_str(text),
                // Nothing where a value should be stays so; a null that was written is a scalar.
                _ if in_flow => self.out.push_str("''"),
                _ => self.trim_end(),
            },
            Value::Scalar(scalar) => {
                let style = match form {
                    Some(Form::Scalar(style, _)) => *style,
                    _ if scalar.style.is_quoted() => ScalarStyle::DoubleQuoted,
                    _ => ScalarStyle::Plain,
                };
                match layout.is_some_and(|layout| layout.properties.contains('!')) {
                    true => self.tagged(&scalar.text, style, indent, in_flow),
                    false => self.text(scalar, style, indent, in_flow),
                }
            }
            Value::List(list) => self.flow_list(list, layout, indent),
            Value::Map(map) => self.flow_map(map, layout, indent),
        }
    }

    fn flow_list(&mut self, list: &[Value], layout: Option<&Layout>, indent: usize) {
        let items = match layout.map(|layout| &layout.form) {
            Some(Form::List { items, .. }) => items.as_slice(),
            _ => &[],
        };
        self.out.push('[');
        let mut is_begun = true;
        for (at, value) in list.iter().enumerate() {
            let item = items.get(at);
            self.flow_gap(item.map(|item| item.line), is_begun, indent);
            self.scalar(value, item, indent + 2, true);
            let next = items.get(at + 1).map(|item| item.line);
            let behind = self.flow_comment(item, next.or(layout.map(|layout| layout.last_line)));
            is_begun = self.flow_separator(behind, at + 1 == list.len(), indent);
        }
        self.out.push(']');
    }

    fn flow_map(&mut self, map: &Map, layout: Option<&Layout>, indent: usize) {
        let entries = match layout.map(|layout| &layout.form) {
            Some(Form::Map { entries, .. }) => entries.as_slice(),
            _ => &[],
        };
        self.out.push('{');
        let mut is_begun = true;
        for (at, (key, value)) in map.iter().enumerate() {
            let entry = entries.get(at);
            self.flow_gap(entry.map(|(key, _)| key.line), is_begun, indent);
            self.key(key, entry.map(|(key, _)| key));
            self.out.push_str(": ");
            let value_layout = entry.map(|(_, value)| value);
            self.scalar(value, value_layout, indent + 2, true);
            let next = entries.get(at + 1).map(|(key, _)| key.line);
            let end = next.or(layout.map(|layout| layout.last_line));
            let behind = self.flow_comment(value_layout, end);
            is_begun = self.flow_separator(behind, at + 1 == map.len(), indent);
        }
        self.out.push('}');
    }

    /// What stands before an entry of a collection on one line: the comments above it, or a blank.
    fn flow_gap(&mut self, line: Option<usize>, is_begun: bool, indent: usize) {
        let range = line.and_then(|line| self.next_comments(line, 0));
        match range {
            Some(range) => {
                self.trim_end();
                self.write_comments(range, indent);
                self.start_line(indent);
            }
            None if !is_begun => self.out.push(' '),
            None => {}
        }
    }

    /// The comment behind an entry of a collection on one line, where a line ends behind it.
    fn flow_comment(
        &mut self,
        entry: Option<&Layout>,
        next_line: Option<usize>,
    ) -> Option<EcoString> {
        let line = entry?.last_line;
        if next_line? > line { self.line_comment(line) } else { None }
    }

    /// What follows an entry of a collection on one line; a comment ends the line, which is told.
    fn flow_separator(&mut self, comment: Option<EcoString>, is_last: bool, indent: usize) -> bool {
        if comment.is_some() || !is_last {
            self.out.push(',');
        }
        let ends_line = comment.is_some();
        self.push_comment(comment);
        if ends_line {
            self.start_line(if is_last { indent.saturating_sub(2) } else { indent });
        }
        ends_line
    }

    /// A text whose tag stands before it.
    fn tagged(&mut self, text: &str, style: ScalarStyle, indent: usize, in_flow: bool) {
        match style {
            ScalarStyle::Plain if is_plain(text, in_flow) => self.out.push_str(text),
            ScalarStyle::Plain if text.is_empty() => self.trim_end(),
            style => {
                let style =
                    if style == ScalarStyle::Plain { ScalarStyle::SingleQuoted } else { style };
                let scalar = Scalar { text: text.into(), style: Style::Quoted };
                self.text(&scalar, style, indent, in_flow);
            }
        }
    }

    fn trim_end(&mut self) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
    }

    fn text(&mut self, scalar: &Scalar, style: ScalarStyle, indent: usize, in_flow: bool) {
        let text = scalar.text.as_str();
        let tag = match scalar.style {
            Style::Tagged(tag) => tag,
            _ => scalar.tag(),
        };
        let is_mistaken = tag == Tag::Str && scalar::resolve(text) != Tag::Str;
        let is_other = tag == Tag::Merge || scalar::resolve(text) != tag;
        if style == ScalarStyle::Plain && tag != Tag::Str && is_other {
            self.out.push_str(tag_name(tag));
        }
        match style {
            ScalarStyle::DoubleQuoted => self.double_quoted(text),
            ScalarStyle::SingleQuoted if stays_single_quoted(text) => {
                self.single_quoted(text, indent);
            }
            ScalarStyle::Literal if !in_flow && stays_block(text) => self.literal(text, indent),
            ScalarStyle::Folded if !in_flow && stays_block(text) => self.folded(text, indent),
            ScalarStyle::Plain if text.contains('\n') && !in_flow && stays_block(text) => {
                self.literal(text, indent);
            }
            ScalarStyle::Plain if is_mistaken => self.double_quoted(text),
            ScalarStyle::Plain if text.is_empty() && !in_flow => self.trim_end(),
            ScalarStyle::Plain if is_plain(text, in_flow) => self.out.push_str(text),
            ScalarStyle::Plain if stays_single_quoted(text) => self.single_quoted(text, indent),
            _ => self.double_quoted(text),
        }
    }

    /// Each run of line breaks has one more of them than the text.
    fn single_quoted(&mut self, text: &str, indent: usize) {
        self.out.push('\'');
        let mut after_break = false;
        for c in text.chars() {
            match (c == '\n', after_break) {
                (true, false) => self.out.push('\n'),
                (false, true) => self.out.extend(std::iter::repeat_n(' ', indent)),
                _ => {}
            }
            if c == '\'' {
                self.out.push(c);
            }
            self.out.push(c);
            after_break = c == '\n';
        }
        self.out.push('\'');
    }

    fn double_quoted(&mut self, text: &str) {
        yaml::write_double_quoted(text, &mut self.out);
    }

    fn header(&mut self, c: char, text: &str) {
        self.out.push(c);
        if text.starts_with([' ', '\n']) {
            self.out.push('2');
        }
        if !text.ends_with('\n') {
            self.out.push('-');
        } else if text.ends_with("\n\n") || text == "\n" {
            self.out.push('+');
        }
        let behind = self.behind.take();
        self.push_comment(behind);
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.header('|', text);
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            self.start_line(if line.is_empty() { 0 } else { indent });
            self.out.push_str(line);
        }
    }

    /// Lines are not folded again.
    fn folded(&mut self, text: &str, indent: usize) {
        self.header('>', text);
        self.out.push('\n');
        yaml::push_folded(text, indent, &mut self.out);
        // The next line begins with it.
        if text.ends_with('\n') {
            self.out.pop();
        }
    }
}

/// Marks for each line the column from which on it is text, where it is: the lines of a block
/// scalar, and all but the first of a quoted one.
fn mark_scalars(layout: &Layout, lines: &[&str], inside: &mut [Option<usize>]) {
    match &layout.form {
        Form::Scalar(ScalarStyle::Literal | ScalarStyle::Folded, _) => {
            let (from, column) = block_text(layout, lines);
            mark(inside, from, layout.last_line, column);
        }
        Form::Alias(_) | Form::Scalar(ScalarStyle::Plain, _) => {}
        Form::Scalar(..) => mark(inside, layout.line + 1, layout.last_line + 1, 0),
        Form::List { items, .. } => {
            items.iter().for_each(|item| mark_scalars(item, lines, inside));
        }
        Form::Map { entries, .. } => entries.iter().for_each(|(key, value)| {
            mark_scalars(key, lines, inside);
            mark_scalars(value, lines, inside);
        }),
    }
}

/// Line and column of the text of a block: there it begins, unless it has an anchor or a tag.
fn block_text(layout: &Layout, lines: &[&str]) -> (usize, usize) {
    if layout.properties.is_empty() {
        return (layout.line, layout.column);
    }
    let below = lines.get(layout.line..layout.last_line.min(lines.len())).unwrap_or_default();
    let first = below.iter().find(|line| !line.trim().is_empty());
    let column = first.map_or(0, |line| line.len() - line.trim_start_matches(' ').len());
    (layout.line + 1, column)
}

fn mark(inside: &mut [Option<usize>], from: usize, end: usize, column: usize) {
    for line in from..end {
        if let Some(text) = inside.get_mut(line) {
            *text = Some(column);
        }
    }
}

/// A string as go-yaml v3 writes it on one line: quoted where it would be read as something else.
pub(super) fn plain_or_quoted(text: &str) -> String {
    let mut writer = Writer::new("");
    let style = Style::Tagged(Tag::Str);
    let is_mistaken = scalar::bool_v2(text).is_some();
    let form = if is_mistaken { ScalarStyle::DoubleQuoted } else { ScalarStyle::Plain };
    writer.text(&Scalar { text: text.into(), style }, form, 0, false);
    writer.out
}

/// Whether a collection is written over several lines.
fn is_block(value: &Value, layout: Option<&Layout>) -> bool {
    let flow = match layout.map(|layout| &layout.form) {
        Some(Form::List { flow, .. } | Form::Map { flow, .. }) => *flow,
        _ => false,
    };
    match value {
        Value::Map(map) => !flow && !map.is_empty(),
        Value::List(list) => !flow && !list.is_empty(),
        Value::Null | Value::Scalar(_) => false,
    }
}

fn has_properties(layout: Option<&Layout>) -> bool {
    layout.is_some_and(|layout| !layout.properties.is_empty())
}

/// Whether a text needs no quotes.
///
/// Source: go-yaml `emitterc.go`, `yaml_emitter_analyze_scalar`.
fn is_plain(text: &str, in_flow: bool) -> bool {
    let mut chars = text.chars();
    let (Some(first), second) = (chars.next(), chars.next()) else { return false };
    let is_blank = |c: Option<char>| c.is_none_or(|c| c == ' ' || c == '\t');
    let is_indicator = match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
        | '@' | '`' => true,
        '?' | ':' => in_flow || is_blank(second),
        '-' => is_blank(second),
        _ => false,
    };
    let in_flow_only = |c: char| matches!(c, ',' | '?' | '[' | ']' | '{' | '}' | ':');
    !is_indicator
        && stays_single_quoted(text)
        && !text.contains(is_break)
        && !text.starts_with(' ')
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !(in_flow && text.contains(in_flow_only))
}

fn tag_name(tag: Tag) -> &'static str {
    match tag {
        Tag::Null => "!!null ",
        Tag::Bool => "!!bool ",
        Tag::Int => "!!int ",
        Tag::Float => "!!float ",
        Tag::Timestamp => "!!timestamp ",
        Tag::Binary => "!!binary ",
        Tag::Merge => "!!merge ",
        Tag::Str => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_in(text: &str, path: &str, new: &str) -> Option<String> {
        edited(text, &field_path::split(path), Make::Nothing, &Value::plain(new))
            .map(|(text, _)| text)
    }

    #[test]
    fn json_keeps_its_lines_and_sorts_its_keys() {
        assert_eq!(
            set_in(r#"{"b": {"p": 1}, "a": "<x>"}"#, "b.p", "2").as_deref(),
            Some(r#"{"a":"\u003cx\u003e","b":{"p":2}}"#)
        );
        assert_eq!(
            set_in("{\n  \"b\": [1, {}],\n  \"a\": \"q:\\\"\"\n}", "b.0", "2").as_deref(),
            Some("{\n  \"a\": \"q:\\\"\",\n  \"b\": [\n    2,\n    {}\n  ]\n}")
        );
    }

    #[test]
    fn json_refuses_a_text_for_a_number() {
        assert_eq!(set_in(r#"{"a": 1}"#, "a", "x"), None);
    }

    #[test]
    fn yaml_keeps_quotes_flow_and_comments() {
        let text = "# top\n\nx:   # of x\n    y: old # of y\n    z: 'a'  \n    # end of x\n\n\
                    # list\nl:\n  - \"q\"\n  # second\n  -   - {a:  1}\ne:\nn: ~\n# last\n";
        assert_eq!(
            set_in(text, "x.y", "new").as_deref(),
            Some(
                "# top\n\nx: # of x\n  y: new # of y\n  z: 'a'\n  # end of x\n\
             # list\nl:\n- \"q\"\n# second\n- - {a: 1}\ne:\nn: ~\n# last"
            )
        );
    }

    #[test]
    fn yaml_keeps_blocks() {
        let text = "a: |\n  x # no comment\n\n   y\nb: >-\n  one\n  two\n\n  three\nc: 1\n";
        assert_eq!(
            set_in(text, "c", "2").as_deref(),
            Some("a: |\n  x # no comment\n\n   y\nb: >-\n  one two\n\n  three\nc: 2")
        );
    }

    #[test]
    fn yaml_keeps_anchors_and_tags() {
        let text = "base: &b {a: 1, b: [x, y]} # one\nmore: # two\n  <<: *b\n  c: &s text\n  d: *s\n\
                    e: &t\n- &y\n  b: c\n- f: &u |\n    text\n- &n\n- *y\n&k g: !!str 5\nh: !x {i: &v \"q\"}\n\
                    j: !!map &z\n  x: y\n";
        assert_eq!(
            set_in(text, "more.c", "new").as_deref(),
            Some(
                "base: &b {a: 1, b: [x, y]} # one\nmore: # two\n  !!merge <<: *b\n  c: &s new\n  d: *s\n\
                 e: &t\n- &y\n  b: c\n- f: &u |\n    text\n- &n\n- *y\n&k g: !!str 5\nh: !x {i: &v \"q\"}\n\
                 j: &z !!map\n  x: y"
            )
        );
        assert_eq!(
            set_in(text, "g", "6").as_deref().map(|text| text.contains("g: !!str 6")),
            Some(true)
        );
        assert_eq!(set_in("a: &x 1\nb: *x", "b", "2").as_deref(), Some("a: &x 1\nb: 2"));
        assert_eq!(set_in("a: &x {c: 1}\nb: *x", "b.c", "2"), None);
        let nothing = "a: &x # of a\nb: 1 # of b\n";
        assert_eq!(set_in(nothing, "b", "2").as_deref(), Some("a: &x # of a\nb: 2 # of b"));
    }

    #[test]
    fn comments_behind_anchors_go_to_what_comes_next() {
        let set = |text: &str| {
            let whole = set_in(&format!("x: old\n{text}"), "x", "new");
            whole.map(|whole| whole.trim_start_matches("x: new\n").to_owned()).unwrap_or_default()
        };
        assert_eq!(set("m: &c # c\n  k: v\n  l: w"), "m: &c\n  k: v # c\n  l: w");
        assert_eq!(set("m: &c # c\n  k: v # own\n  l: w"), "m: &c\n  k: v # own\n  l: w # c");
        assert_eq!(set("m: &c # c\n  k:\n    l: w"), "m: &c\n  k: # c\n    l: w");
        assert_eq!(set("m: !x # c\n- [a]\n- b"), "m: !x\n- [a]\n- b");
        assert_eq!(set("m: &c # c\n- a: b # own\n  d: e"), "m: &c\n- a: b # own\n  d: e # c");
        assert_eq!(set("m: &c # c\n- a # own\n- b"), "m: &c\n- a # c\n\n# own\n- b");
    }

    #[test]
    fn comments_behind_dashes_and_the_signs_of_blocks_stay() {
        let text = "x: old\nl: # c\n- # d\n  k: v # e\n- # f\n  - # g\n    # h\n    k: v\n- # i\n  a\n\
                    - | # j\n  # text\n- &a | # k\n  # text\nlonger: &b >- # l\n  # text\n# m\nn: 1";
        assert_eq!(
            set_in(text, "x", "new").as_deref(),
            Some(
                "x: new\nl: # c\n- # d\n  k: v # e\n- # f\n  - # g\n    # h\n    k: v\n# i\n- a\n\
                 - | # j\n  # text\n- &a | # k\n  # text\nlonger: &b >- # l\n  # text\n# m\nn: 1"
            )
        );
    }

    #[test]
    fn yaml_scalars_keep_their_type() {
        assert_eq!(set_in("a: x\nb: 1", "a", "5").as_deref(), Some("a: \"5\"\nb: 1"));
        assert_eq!(set_in("a: x\nb: 1", "b", "y").as_deref(), Some("a: x\nb: !!int y"));
        assert_eq!(set_in("a: x\nb: |\n  t", "a", "y").as_deref(), Some("a: y\nb: |-\n  t"));
        assert_eq!(set_in("a: x", "a", "git:").as_deref(), Some("a: 'git:'"));
    }

    #[test]
    fn a_text_without_the_field_is_left_alone() {
        assert_eq!(set_in("a: 1", "b", "x"), None);
        assert_eq!(set_in("just text", "b", "x"), None);
        assert_eq!(set_in("a: [", "a", "x"), None);
    }
}
