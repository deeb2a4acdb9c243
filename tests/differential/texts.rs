//! Objects that hold YAML with comments, anchors and every style, and replacements that change it.

use std::fmt::Write as _;

use crate::chance::Chance;
use crate::compare::{TOP, Tree};

/// A value of an object is copied into a text of another one.
pub(crate) fn tree(chance: &mut Chance) -> Tree {
    let mut source = String::from(" 7\n");
    if chance.percent(70) {
        let mut writer = Writer { chance, lines: Vec::new(), in_object: true };
        writer.collection(2, 2);
        source = format!("\n{}", text(&writer.lines));
    }
    let mut writer = Writer { chance, lines: Vec::new(), in_object: false };
    writer.above(0, 30);
    writer.map(0, 3);
    writer.above(0, 40);
    let held = text(&writer.lines).replace('\n', "\n    ");
    let style = chance.pick(&["|", "|", "|-", "|+"]);
    let path =
        chance.pick(&["new", "k0", "k1", "k0.k0", "k1.k1", "new.a", "k0.0", "k1.0.k0", "k2.l.0"]);
    let options =
        chance.pick(&["", "    options: {create: true}\n", "    options: {create: true}\n"]);
    let objects = format!(
        "apiVersion: example.org/v1\nkind: Source\nmetadata: {{name: s}}\nspec:{source}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\n\
         data:\n  c.yaml: {style}\n    {held}\n"
    );
    let kustomization = format!(
        "resources: [r.yaml]\nreplacements:\n- source: {{kind: Source, fieldPath: spec}}\n  targets:\n  \
         - select: {{kind: ConfigMap}}\n    fieldPaths: ['data.[c.yaml].{path}']\n{options}"
    );
    [("kustomization.yaml", kustomization), ("r.yaml", objects)]
        .map(|(name, text)| (format!("{TOP}/{name}"), text))
        .into()
}

fn text(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "{line}");
        out
    })
}

/// Leaves, of which those from `BLOCK` on cannot stand between brackets.
const LEAVES: [&str; 29] = [
    "a",
    "b c",
    "1",
    "true",
    "null",
    "~",
    "\"q\"",
    "'s'",
    "\"a # b\"",
    "'it''s'",
    "x#y",
    "1.5",
    "0x1F",
    "2001-01-01",
    "yes",
    "!!str 5",
    "!t v",
    "é",
    "\"\"",
    "''",
    "a:b",
    "-1",
    "\"a\\nb\"",
    "",
    "",
    "&n v",
    "a, b",
    "[]",
    "{}",
];
const BLOCK: usize = 23;

struct Writer<'c> {
    chance: &'c mut Chance,
    lines: Vec<String>,
    /// Kustomize prints objects and reads them again, which no two comments of one block survive.
    in_object: bool,
}

impl Writer<'_> {
    fn collection(&mut self, indent: usize, depth: usize) {
        match self.chance.percent(60) {
            true => self.map(indent, depth),
            false => self.list(indent, depth),
        }
    }

    fn map(&mut self, indent: usize, depth: usize) {
        for at in 0..=self.chance.below(4) {
            self.above(indent, 20);
            let quote = self.chance.pick(&["", "", "", "\"", "'"]);
            self.lines.push(format!("{}{quote}k{at}{quote}:", " ".repeat(indent)));
            self.value(indent, depth, true);
        }
        self.above(indent, 10);
    }

    fn list(&mut self, indent: usize, depth: usize) {
        for _ in 0..=self.chance.below(3) {
            self.above(indent, 20);
            self.lines.push(format!("{}-", " ".repeat(indent)));
            match self.chance.below(10) {
                0..=2 if depth > 0 => self.inline(|one| one.map(indent + 2, depth - 1)),
                3 if depth > 0 => self.inline(|one| one.list(indent + 2, depth - 1)),
                _ => self.value(indent, depth.saturating_sub(1), false),
            }
        }
    }

    /// A block that begins on the line of its dash.
    fn inline(&mut self, write: impl FnOnce(&mut Self)) {
        let dash = self.lines.len() - 1;
        write(self);
        let is_content = |line: &String| !(line.trim().is_empty() || line.trim().starts_with('#'));
        let first =
            self.lines[dash + 1..].iter().position(is_content).map_or(dash, |at| dash + 1 + at);
        let content = format!(" {}", self.lines[first].trim_start());
        self.lines[dash].push_str(&content);
        self.lines.drain(dash + 1..=first);
    }

    /// What follows a colon or a dash.
    fn value(&mut self, indent: usize, depth: usize, of_key: bool) {
        match self.chance.below(100) {
            0..=29 if depth > 0 => {
                self.property(&["&m1", "&m2", "!t", "!!map"]);
                let deeper = if self.chance.percent(80) { 2 } else { 4 };
                self.map(indent + deeper, depth - 1);
            }
            30..=49 if depth > 0 => {
                self.property(&["&l1", "&l2", "!t", "!!seq"]);
                let deeper = if of_key && self.chance.percent(50) { 0 } else { 2 };
                self.list(indent + deeper, depth - 1);
            }
            50..=57 => self.block(indent),
            58..=65 => self.brackets(indent),
            66..=75 => {
                let flow = self.flow(2);
                self.push(&flow);
                self.behind(25);
            }
            _ => {
                let leaf = self.chance.pick(&LEAVES);
                self.push(leaf);
                self.behind(25);
            }
        }
    }

    fn property(&mut self, names: &[&str]) {
        if self.chance.percent(15) {
            let name = self.chance.pick(names);
            self.push(name);
            self.behind(if self.in_object { 0 } else { 25 });
        } else {
            self.behind(25);
        }
    }

    fn block(&mut self, indent: usize) {
        let sign = self.chance.pick(&["|", ">", "|-", ">-", "|+", ">+"]);
        self.push(sign);
        self.behind(25);
        let pad = " ".repeat(indent + 2);
        for _ in 0..=self.chance.below(3) {
            let line = self.chance.pick(&["text", "text # no", "w"]);
            self.lines.push(format!("{pad}{line}"));
        }
        if self.chance.percent(30) {
            self.lines.push(String::new());
        }
    }

    /// A collection in brackets over several lines.
    fn brackets(&mut self, indent: usize) {
        let (open, close) = if self.chance.percent(50) { ("{", "}") } else { ("[", "]") };
        self.push(open);
        self.behind(25);
        let count = 1 + self.chance.below(3);
        for at in 0..count {
            self.above(indent + 2, 20);
            let key = if open == "{" { format!("k{at}: ") } else { String::new() };
            let entry = self.flow(1);
            let comma = if at + 1 < count || self.chance.percent(30) { "," } else { "" };
            self.lines.push(format!("{}{key}{entry}{comma}", " ".repeat(indent + 2)));
            self.behind(25);
        }
        self.above(indent + 2, 20);
        self.lines.push(format!("{}{close}", " ".repeat(indent)));
        self.behind(25);
    }

    /// A value on one line.
    fn flow(&mut self, depth: usize) -> String {
        if depth == 0 || self.chance.percent(40) {
            return self.chance.pick(&LEAVES[..BLOCK]).to_owned();
        }
        let is_map = self.chance.percent(50);
        let entries: Vec<String> = (0..self.chance.below(4))
            .map(|at| {
                let value = self.flow(depth - 1);
                if is_map { format!("k{at}: {value}") } else { value }
            })
            .collect();
        let entries = entries.join(", ");
        if is_map { format!("{{{entries}}}") } else { format!("[{entries}]") }
    }

    fn push(&mut self, text: &str) {
        let line = self.lines.last_mut().expect("a line");
        if !text.is_empty() {
            line.push(' ');
            line.push_str(text);
        }
    }

    /// A comment behind what is there, at times.
    fn behind(&mut self, percent: usize) {
        if self.chance.percent(percent) {
            let comment = self.comment();
            self.push(&comment);
        }
    }

    /// Comments and blank lines, at times.
    fn above(&mut self, indent: usize, percent: usize) {
        while self.chance.percent(percent) {
            if self.chance.percent(35) {
                self.lines.push(String::new());
                continue;
            }
            let shift = self.chance.below(8);
            let column = match shift {
                0 => indent + 2,
                1 => indent + 1,
                2 => indent.saturating_sub(2),
                3 => indent.saturating_sub(1),
                _ => indent,
            };
            let comment = self.comment();
            self.lines.push(format!("{}{comment}", " ".repeat(column)));
        }
    }

    fn comment(&mut self) -> String {
        format!("# c{}", self.chance.below(100))
    }
}
