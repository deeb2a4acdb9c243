//! The difference between two objects, as unified text.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use overlay::error::Result;
use overlay::{json, yaml};
use serde_json::Value as Json;
use similar::{ChangeTag, TextDiff};

/// An object as YAML; nothing for one that is not there.
///
/// # Errors
/// Where it cannot be printed.
pub fn document(object: Option<&Json>) -> Result<String> {
    let mut text = String::new();
    if let Some(object) = object {
        yaml::write(&json::from_json(object), &mut text)?;
    }
    Ok(text)
}

fn paint(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(colour.into()))
}

/// The unified difference of two texts under the heading `name`; nothing where they are the same.
#[must_use]
pub fn unified(name: &str, before: &str, after: &str, is_coloured: bool) -> String {
    between(("live", "merged"), name, before, after, is_coloured)
}

/// As [`unified`], of two sides that have names.
#[must_use]
pub fn between(
    (one, other): (&str, &str),
    name: &str,
    before: &str,
    after: &str,
    is_coloured: bool,
) -> String {
    if before == after {
        return String::new();
    }
    let style = |style: Style| if is_coloured { style } else { Style::new() };
    let (bold, hunk_style) = (style(Style::new().bold()), style(paint(AnsiColor::Cyan)));
    let (red, green) = (style(paint(AnsiColor::Red)), style(paint(AnsiColor::Green)));
    let mut text = String::new();
    let side = |text: &str, label: &str| match text {
        "" => "/dev/null".to_owned(),
        _ => format!("{label}/{name}"),
    };
    let _ = writeln!(text, "{bold}--- {}{bold:#}", side(before, one));
    let _ = writeln!(text, "{bold}+++ {}{bold:#}", side(after, other));
    let diff = TextDiff::from_lines(before, after);
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        let _ = writeln!(text, "{hunk_style}{}{hunk_style:#}", hunk.header());
        for change in hunk.iter_changes() {
            let (sign, style) = match change.tag() {
                ChangeTag::Equal => (' ', Style::new()),
                ChangeTag::Delete => ('-', red),
                ChangeTag::Insert => ('+', green),
            };
            let line = change.value().trim_end_matches('\n');
            let _ = writeln!(text, "{style}{sign}{line}{style:#}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_lines_have_signs() {
        let text = unified("a", "x: 1\ny: 2\n", "x: 1\ny: 3\n", false);
        assert_eq!(text, "--- live/a\n+++ merged/a\n@@ -1,2 +1,2 @@\n x: 1\n-y: 2\n+y: 3\n");
    }

    #[test]
    fn colours_are_only_for_those_who_see_them() {
        assert!(!unified("a", "x\n", "y\n", false).contains('\u{1b}'));
        assert!(unified("a", "x\n", "y\n", true).contains('\u{1b}'));
    }

    #[test]
    fn a_new_object_comes_from_nothing() {
        assert!(unified("a", "", "y\n", false).starts_with("--- /dev/null\n+++ merged/a\n"));
    }
}
