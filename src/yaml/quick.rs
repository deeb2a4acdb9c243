//! The part of YAML that most manifests are written in, read line by line.
//!
//! Block mappings and lists of plain words, numbers and simple quotes need no tokens: a line tells
//! by its indentation where it belongs. Whatever this reader is not certain of (anchors, tags, folded
//! text, brackets, anything beyond ASCII, a mistake) it leaves to the general one, so
//! all that it may get wrong is to be of no use. The tests hold the two against each other.

use ecow::EcoString;

use super::scalar;
use super::write::WORD;
use crate::find;
use crate::value::{Key, Scalar, Style, Tag, Value};

/// How many collections are open at once in most manifests.
const DEPTH: usize = 16;

/// How many entries these have together.
const ENTRIES: usize = 32;

/// Longest key; the general reader takes 1024 characters.
const LONGEST_KEY: usize = 256;

/// What becomes of the line break at the end of a literal block.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Chomping {
    /// `|`
    Clip,
    /// `|-`
    Strip,
}

/// The lines of a literal block, which stand deeper than its key.
fn literal(lines: &mut Lines<'_>, chomping: Chomping, key_indent: usize) -> Option<Value> {
    let mut text = String::new();
    let (mut indent, mut breaks, mut is_ended) = (None, 0, false);
    loop {
        let mut behind = Lines(lines.0);
        let Some(line) = behind.next() else { break };
        let spaces = line.len() - without_spaces(line).len();
        if line.is_empty() {
            breaks += 1;
            lines.0 = behind.0;
            continue;
        }
        let indent = *indent.get_or_insert(spaces);
        // Blanks that may be text, and blocks that begin with empty lines, are for the other reader.
        if spaces == line.len() || indent <= key_indent || text.is_empty() && breaks > 0 {
            return None;
        }
        if spaces < indent {
            break;
        }
        if !text.is_empty() {
            text.extend(std::iter::repeat_n('\n', breaks + 1));
        }
        text.push_str(line.get(indent..)?);
        breaks = 0;
        is_ended = lines.0.len() > line.len();
        lines.0 = behind.0;
    }
    if chomping == Chomping::Clip && is_ended {
        text.push('\n');
    }
    let text = EcoString::from(text);
    (!text.is_empty()).then_some(Value::Scalar(Scalar { text, style: Style::Quoted }))
}

/// The lines of a text, without the breaks between them.
struct Lines<'a>(&'a str);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let end = find::byte(b'\n', self.0.as_bytes()).unwrap_or(self.0.len());
        let line = self.0.get(..end)?;
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        Some(line)
    }
}

/// Reads one document after the other, in the same room.
pub(super) struct Reader {
    open: Vec<Open>,
    /// The elements of all open lists, the innermost last.
    values: Vec<Value>,
    /// The entries of all open mappings likewise.
    entries: Vec<(Key, Value)>,
    /// How many collections may be open.
    depth: usize,
    /// The header of a literal block that begins on the next line.
    block: Option<Chomping>,
}

/// A list or mapping whose end is not reached.
struct Open {
    /// Spaces before its entries.
    indent: usize,
    /// How many elements or entries the collections around it have.
    from: usize,
    content: Content,
}

enum Content {
    /// `loose`: no deeper than the key that holds it. `waiting`: a dash has no value yet.
    List { loose: bool, waiting: bool },
    /// The key that has no value yet.
    Map { key: Option<Key> },
}

impl Reader {
    pub(super) fn new(depth: usize) -> Self {
        Self {
            open: Vec::with_capacity(DEPTH),
            values: Vec::with_capacity(DEPTH),
            entries: Vec::with_capacity(ENTRIES),
            depth,
            block: None,
        }
    }

    /// The one document of a text, or nothing where the general reader has to look.
    pub(super) fn read(&mut self, text: &str) -> Option<Value> {
        let is_simple = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n');
        // Without an early way out of the inner loop it runs on many bytes at once.
        let clean = |chunk: &[u8]| chunk.iter().fold(true, |clean, byte| clean & is_simple(byte));
        if !text.as_bytes().chunks(256).all(clean) {
            return None;
        }
        self.forget();
        let mut lines = Lines(text.strip_prefix("---\n").unwrap_or(text));
        while let Some(line) = lines.next() {
            let content = without_spaces(line);
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            self.line(content, line.len() - content.len())?;
            if let Some(chomping) = self.block.take() {
                let value = literal(&mut lines, chomping, self.open.last()?.indent)?;
                self.place(value)?;
            }
        }
        self.finish()
    }

    /// Forgets what a document has left behind that was given up.
    fn forget(&mut self) {
        self.open.clear();
        self.values.clear();
        self.entries.clear();
        self.block = None;
    }

    fn line(&mut self, content: &str, indent: usize) -> Option<()> {
        while self.open.last().is_some_and(|open| open.indent > indent) {
            self.close()?;
        }
        if indent == 0 && matches!(content.get(..3), Some("---" | "...")) {
            return None;
        }
        let is_entry = content.starts_with("- ");
        if !is_entry && self.is_in_loose_list(indent) {
            self.close()?;
        }
        if is_entry {
            return self.dash(content, indent);
        }
        let (key, rest) = key(content)?;
        self.key(key, rest, indent)
    }

    fn is_in_loose_list(&self, indent: usize) -> bool {
        self.open.last().is_some_and(|open| {
            open.indent == indent && matches!(open.content, Content::List { loose: true, .. })
        })
    }

    /// An element of a list: `- ` and what comes behind it on the line.
    fn dash(&mut self, content: &str, indent: usize) -> Option<()> {
        match self.open.last_mut() {
            Some(Open { indent: own, content: Content::List { waiting, .. }, .. })
                if *own == indent && !*waiting =>
            {
                *waiting = true;
            }
            _ => {
                let loose = self.open.last().is_some_and(|open| open.indent == indent);
                self.begin(indent, Content::List { loose, waiting: true })?;
            }
        }
        let behind = without_spaces(content.get(2..)?);
        let column = indent + content.len() - behind.len();
        if behind.starts_with("- ") {
            return self.dash(behind, column);
        }
        match key(behind) {
            Some((key, rest)) => self.key(key, rest, column),
            None => {
                let value = value(behind)?;
                self.place(value)
            }
        }
    }

    /// A key, and what stands behind its colon.
    fn key(&mut self, text: &str, rest: &str, indent: usize) -> Option<()> {
        match self.open.last_mut() {
            Some(Open { indent: own, content: Content::Map { key }, .. }) if *own == indent => {
                let before = key.take();
                self.entries.extend(before.map(|key| (key, Value::Null)));
            }
            _ => self.begin(indent, Content::Map { key: None })?,
        }
        let typed = scalar::resolve(text) != Tag::Str;
        let Some(Open { content: Content::Map { key }, .. }) = self.open.last_mut() else {
            return None;
        };
        *key = Some(Key { text: EcoString::from(text), typed });
        let rest = without_spaces(rest);
        if rest.is_empty() || rest.starts_with('#') {
            return Some(());
        }
        self.block = match rest {
            "|" => Some(Chomping::Clip),
            "|-" => Some(Chomping::Strip),
            _ => {
                let value = value(rest)?;
                return self.place(value);
            }
        };
        Some(())
    }

    /// Opens a collection, which has to be what the one around it waits for.
    fn begin(&mut self, indent: usize, content: Content) -> Option<()> {
        let fits = match self.open.last() {
            None => self.values.is_empty() && self.entries.is_empty(),
            Some(around) => match (&around.content, &content) {
                (Content::Map { key: Some(_) }, Content::List { .. }) => around.indent <= indent,
                (Content::Map { key: Some(_) }, Content::Map { .. }) => around.indent < indent,
                (Content::List { waiting: true, .. }, _) => around.indent < indent,
                _ => false,
            },
        };
        if !fits || self.open.len() >= self.depth {
            return None;
        }
        let from = match content {
            Content::List { .. } => self.values.len(),
            Content::Map { .. } => self.entries.len(),
        };
        self.open.push(Open { indent, from, content });
        Some(())
    }

    /// Gives the innermost collection the value that it waits for.
    fn place(&mut self, value: Value) -> Option<()> {
        match &mut self.open.last_mut()?.content {
            Content::List { waiting, .. } if *waiting => {
                *waiting = false;
                self.values.push(value);
            }
            Content::Map { key } => self.entries.push((key.take()?, value)),
            Content::List { .. } => return None,
        }
        Some(())
    }

    /// Ends the innermost collection, which is none of the outermost.
    fn close(&mut self) -> Option<()> {
        let value = self.pop()?;
        self.place(value)
    }

    fn pop(&mut self) -> Option<Value> {
        let Open { from, content, .. } = self.open.pop()?;
        match content {
            Content::List { waiting: true, .. } => None,
            Content::List { .. } => Some(Value::List(self.values.drain(from..).collect())),
            Content::Map { key } => {
                self.entries.extend(key.map(|key| (key, Value::Null)));
                Some(Value::Map(self.entries.drain(from..).collect()))
            }
        }
    }

    fn finish(&mut self) -> Option<Value> {
        while self.open.len() > 1 {
            self.close()?;
        }
        self.pop()
    }
}

/// What begins behind the spaces; a byte at a time, for they are few.
fn without_spaces(text: &str) -> &str {
    let spaces = text.bytes().take_while(|byte| *byte == b' ').count();
    text.get(spaces..).unwrap_or_default()
}

/// A key of simple characters with a colon behind it, and the rest of the line.
fn key(content: &str) -> Option<(&str, &str)> {
    let length = content.bytes().position(|byte| !WORD[usize::from(byte)])?;
    let rest = content.get(length..)?.strip_prefix(':')?;
    let ends = rest.is_empty() || rest.starts_with(' ');
    let fits = ends && (1..=LONGEST_KEY).contains(&length) && !content.starts_with("- ");
    fits.then(|| (&content[..length], rest))
}

/// The value at the end of a line.
fn value(text: &str) -> Option<Value> {
    let first = *text.as_bytes().first()?;
    match first {
        b'"' => quoted(text, b'"', b'\\'),
        b'\'' => quoted(text, b'\'', b'\''),
        b'[' if ends_behind(text, "[]") => Some(Value::list()),
        b'{' if ends_behind(text, "{}") => Some(Value::map()),
        b'-' if text.as_bytes().get(1).is_some_and(|byte| *byte != b' ') => plain(text),
        _ if first.is_ascii_alphanumeric() || b"_/.+$(^~=<;".contains(&first) => plain(text),
        _ => None,
    }
}

fn ends_behind(text: &str, start: &str) -> bool {
    text.strip_prefix(start).is_some_and(is_end)
}

/// Whether nothing but a comment comes any more.
fn is_end(rest: &str) -> bool {
    let blank = without_spaces(rest);
    blank.is_empty() || blank.starts_with('#') && blank.len() < rest.len()
}

/// Text between quotes, if nothing in it is escaped.
fn quoted(text: &str, quote: u8, escape: u8) -> Option<Value> {
    let inside = text.get(1..)?;
    let end = find::either([quote, escape], inside.as_bytes())?;
    let rest = inside.get(end + 1..)?;
    if inside.as_bytes().get(end) != Some(&quote) || !is_end(rest) {
        return None;
    }
    let text = EcoString::from(&inside[..end]);
    Some(Value::Scalar(Scalar { text, style: Style::Quoted }))
}

fn plain(text: &str) -> Option<Value> {
    let mut text = text;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b':' if matches!(text.as_bytes().get(at + 1), None | Some(b' ')) => return None,
            b'#' if text.as_bytes().get(at.wrapping_sub(1)) == Some(&b' ') => {
                text = text.get(..at)?;
                break;
            }
            _ => {}
        }
    }
    let spaces = text.bytes().rev().take_while(|byte| *byte == b' ').count();
    let text = text.get(..text.len() - spaces)?;
    let style = if scalar::is_null(text) { Style::Tagged(Tag::Null) } else { Style::Plain };
    Some(Value::Scalar(Scalar { text: EcoString::from(text), style }))
}

#[cfg(test)]
mod tests {
    use super::super::read::read_generally;
    use super::*;

    fn quick(text: &str) -> Option<Value> {
        Reader::new(100).read(text)
    }

    /// What both readers make of it.
    fn both(text: &str) -> Value {
        let value = quick(text).expect("simple enough");
        assert_eq!(read_generally(text).ok().flatten().as_ref(), Some(&value), "{text}");
        value
    }

    #[test]
    fn a_manifest_is_read_line_by_line() {
        let value = both(
            "---\n# a comment\napiVersion: apps/v1 # and another\nmetadata:\n  name: \"a\"\n  empty:\n\n\
             spec:\n  args:\n  - --level=3\n  - -v\n  ports:\n    - name: http\n      port: 80\n\
             \u{20}   -   - nested\n        - 'list'\n  none: {}\n  nothing: [] # here\nlast: ~\n",
        );
        assert_eq!(value.text_at(&["metadata", "name"]), Some("a"));
        assert_eq!(value.at(&["spec", "ports"]).and_then(Value::as_list).map(|l| l.len()), Some(2));
    }

    #[test]
    fn what_was_given_up_leaves_nothing_behind() {
        let mut reader = Reader::new(100);
        for given_up in
            ["a:\n- b:\n    c: &d e\n", "- a\n- - b\n  - *c\n", "a: |\n  b\nc: |+\n  d\n"]
        {
            assert_eq!(reader.read(given_up), None);
            assert_eq!(reader.read("a:\n- b\n").as_ref(), Some(&both("a:\n- b\n")));
        }
    }

    #[test]
    fn literal_blocks_keep_their_lines() {
        let value = both("a: |\n  b\n\n   c\n  # d\n\nb:\n- c: |-\n    x: y\n  d: e\n");
        assert_eq!(value.text_at(&["a"]), Some("b\n\n c\n# d\n"));
        assert_eq!(both("a: |\n  b").text_at(&["a"]), Some("b"));
        assert_eq!(both("a: |-\n  b\n\n\n").text_at(&["a"]), Some("b"));
    }

    #[test]
    fn what_is_not_simple_is_left_to_the_general_reader() {
        let others = [
            "",
            "# only\n",
            "a\n",
            "a: b: c\n",
            "a: b\n  c\n",
            "a: b\n c: d\n",
            "a:\n  b\n",
            "a: &x b\n",
            "a: >\n  b\n",
            "a: |+\n  b\n",
            "a: |\n",
            "a: |\n\n  b\n",
            "a: |\n  b\n   \n",
            "a: |\nb: c\n",
            "a: [b]\n",
            "a: \"b\\n\"\n",
            "a: 'it''s'\n",
            "a: \"b\" c\n",
            "a: ü\n",
            "a:\tb\n",
            "-\n- a\n",
            "a:\n  - b\n c: d\n",
            "a:\n    b: 1\n  c: 2\n",
            "a: 1\n---\nb: 2\n",
            "a: 1\n...\n",
            "? a\n",
            "\"a\": b\n",
            "a b: c\n",
            "- a: b\n  - c\n",
            "a: b:\n",
            "- - a\n - b\n",
            "*a : b\n",
            "a:b\n",
            "a: @b\n",
            "a: %b\n",
            "a: ,b\n",
            "a: !b c\n",
            "<<: {}\n",
            "a: b\r\n",
            "  a: 1\nb: 2\n",
        ];
        for text in others {
            assert_eq!(quick(text), None, "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = (0..100).map(|depth| format!("{:1$}a:\n", "", depth)).collect::<String>();
        assert!(quick(&deep).is_some());
        assert_eq!(quick(&format!("{deep}{}a: b\n", " ".repeat(100))), None);
    }

    /// Lines of all kinds at all indentations: where this reader answers, the general one agrees.
    #[test]
    fn it_never_disagrees_with_the_general_reader() {
        let parts = [
            "a: b",
            "a:",
            "b: 1",
            "- ",
            "- ",
            "- a: b",
            "- x",
            "-",
            "- - y",
            "a",
            "# c",
            "a: b # c",
            "c: 'x'",
            "d: \"x\"",
            "e: {}",
            "f: []",
            "a: x#y",
            "a: \"x\"#",
            "g:  ",
            "- h:",
            "---",
            "...",
            "1: 2",
            "true: x",
            "i: ~",
            "j: null",
            "k: 0x1F",
            "l: 2001-01-01",
            "m: <<",
            "n: -",
            "o: -x",
            "p: --- ",
            "q: a: b",
            "r: a:",
            "s: a :b",
            "- 't'",
            "- \"u\" # v",
            "w: \"a' b\"",
            "x: 'a\" b'",
            "y/z.-_: .5",
            "-a: b",
            "--: c",
            "- -b",
            "- - - c",
            "a: =",
            "a: (b)",
            "a: b, c",
            "a: b]",
            "? a",
            ": b",
            "a: &b c",
            "a: *b",
            "a: !c d",
            "a: |",
            "b: |",
            "c: |-",
            "- d: |",
            "a: | ",
            "a: |+",
            "a: >",
            "a: [x, y]",
            "a: {b: c}",
            "a: 'it''s'",
            "a: \\x",
            "",
            "  ",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap_or_default()
        };
        let mut answered = 0;
        for _ in 0..60_000 {
            let mut text = String::new();
            for _ in 0..1 + random(5) {
                let indent = [0, 0, 0, 1, 2, 2, 2, 4, 4][random(9)];
                text.extend(std::iter::repeat_n(' ', indent));
                text.push_str(parts[random(parts.len())]);
                text.push_str(if random(8) == 0 { " " } else { "" });
                text.push('\n');
            }
            if let Some(value) = quick(&text) {
                answered += 1;
                let other = read_generally(&text);
                assert_eq!(other.ok().flatten(), Some(value), "{text:?}");
            }
        }
        assert!(answered > 5_000, "{answered}");
    }
}
