//! Files as odd tools write them: line ends, marks, comments, anchors, scalars in every style.

use std::fmt::Write as _;

use overlay::{Limits, json, yaml};

use crate::chance::Chance;

/// The same file as another tool would have written it.
pub(crate) fn dressed(chance: &mut Chance, text: String) -> String {
    let mut text = text;
    if chance.percent(4) {
        text = text.replace('\n', "\r\n");
    }
    if chance.percent(3) {
        text.insert(0, '\u{feff}');
    }
    if chance.percent(4) {
        text.insert_str(0, chance.pick(&["---\n", "# a comment\n", "# one\n---\n", "\n\n"]));
    }
    if chance.percent(4) {
        text.push_str(chance.pick(&["---\n", "...\n", "# the end\n", "\n\n", "---\n# nothing\n"]));
    }
    if chance.percent(3) && text.ends_with('\n') {
        text.pop();
    }
    if chance.percent(4) {
        text.push_str(chance.pick(&["\n# below\n", "\n  # deeper\n# below\n", "  # deeper\n"]));
    }
    if chance.percent(4) { as_json(&text).unwrap_or(text) } else { text }
}

/// A file of one document as a program would write it.
fn as_json(text: &str) -> Option<String> {
    let documents = yaml::read(text.as_bytes(), &"r.yaml".into(), &Limits::PERSON).ok()?;
    let [document] = documents.as_slice() else { return None };
    let mut json = String::new();
    json::write(document, &mut json).ok()?;
    Some(json + "\n")
}

/// Documents in a list of their own kind, at times.
pub(crate) fn listed(chance: &mut Chance, documents: &[String]) -> String {
    let kind = chance.pick(&["List", "List", "ConfigMapList", "WidgetList", "ResourceList"]);
    let mut text = format!("apiVersion: v1\nkind: {kind}\nitems:\n");
    for document in documents {
        let mut lines = document.lines();
        let _ = writeln!(text, "- {}", lines.next().unwrap_or_default());
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// Entries of a mapping whose values are hard to read, at an indent.
pub(crate) fn entries(chance: &mut Chance, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    for at in 0..=chance.below(3) {
        let key = chance.pick(&["plain", "'single'", "\"double\"", "with space", "é", "a/b.c-d"]);
        let key = if chance.percent(60) { format!("o{at}") } else { format!("{key}{at}") };
        // What is quoted ends with its quote.
        let key = match key.chars().next() {
            Some(quote @ ('\'' | '"')) => format!("{quote}{}{quote}", key.replace(quote, "")),
            _ => key,
        };
        let _ = writeln!(out, "{pad}{key}: {}", value(chance, indent + 2));
    }
}

/// A value whose further lines are indented by so much.
fn value(chance: &mut Chance, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let header = chance.pick(&["|", "|-", "|+", ">", ">-", ">+", "|2", ">2-", "| # why"]);
    let body = chance.pick(&[
        "first\nsecond",
        "first\n\nsecond\n",
        "  more\nless",
        "one\n  two\n three\n\n\nfour",
        "é\n日本 words that are long enough to be folded somewhere when they are printed again later",
        "a: b\n# no comment\nc: [d, e]",
        "{\"a\": 1, \"b\": [true, null]}",
        "ends with blanks  \nnext",
        "\ttab\nnext",
        "- one\n- two\n\n",
        "kept\n\n\n",
        "one\n  two\n\nthree\n\n",
    ]);
    match chance.below(16) {
        0..=4 => {
            let indicated = header.contains('2');
            // With an indicator the text may begin with more blanks; without, it may not.
            let body = if indicated { body } else { body.trim_start() };
            body.lines().fold(header.to_owned(), |out, line| {
                if line.is_empty() { out + "\n" } else { format!("{out}\n{pad}{line}") }
            })
        }
        5 => format!("plain text\n{pad}that goes on\n\n{pad}and on"),
        6 => format!("'it''s\n{pad}folded\n\n{pad}twice'"),
        7 => format!("\"a\\\n{pad}b \\x41 \\u00e9\n{pad}\\ c\\tq\\\"\""),
        8 => format!("\n{pad}{{a: 1, 'b': [x, \"y\", {{}}], c: }}"),
        9 => format!(
            "\n{pad}- one # comment\n{pad}# between\n{pad}- - two\n{pad}  - 2.50\n{pad}- k: v\n{pad}  l: ~"
        ),
        10 => format!("&anchor\n{pad}a: 1\n{pad}b: {{c: *anchor2}}").replace("{c: *anchor2}", "x"),
        11 => chance
            .pick(&[
                "!!str 5",
                "!!int '7'",
                "!!float 3",
                "!custom text",
                "!!str",
                "!!binary aGVsbG8=",
                "!<tag:yaml.org,2002:str> 1",
            ])
            .to_owned(),
        12 => chance
            .pick(&["[1, [2, 3], {a: b, c}]", "[]", "{}", "[a: b, c]", "{a, b: c}", "{\"a\":1}"])
            .to_owned(),
        13 => chance
            .pick(&[
                "a:b",
                "http://x/y?z=1#q",
                "a, b",
                "x # y",
                "x#y",
                "[",
                "? a",
                "!",
                "&x y",
                "@",
                "`",
            ])
            .replace('[', "'['")
            .replace('@', "'@'")
            .replace('`', "'`'")
            .replace("? a", "'? a'")
            .replace("!", "\"!\""),
        14 => chance
            .pick(&[
                "\u{85}a",
                "'\u{2028}b'",
                "\"\\u2029c\"",
                "\"\\e\\0\"",
                "'\u{a0}'",
                "\u{10ffff}",
                "\"\\U0001F600 and\"",
                "\u{feff}x",
                "'\u{7f}'",
            ])
            .to_owned(),
        _ => chance
            .pick(&[
                "0.10",
                "1e3",
                "-0",
                "+.5",
                "1__0",
                "0b101",
                "1:30",
                ".inf",
                "00",
                "1.",
                "0x",
                "- ",
                "9223372036854775808",
                "-1e-9",
                "123456.7",
                "2001-1-1 1:2:3",
                "2001-12-14t21:59:43.10-05:00",
            ])
            .replace("- ", "'- '")
            .replace(".inf", "inf"),
    }
}
