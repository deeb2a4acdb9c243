//! The plan as a person reads it.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use overlay::cluster::Review;
use overlay::inventory::Key;
use overlay::plan::{Action, Fate, Plan, Prune};
use overlay::review;
use serde_json::Value as Json;

use super::changes::{changes, short};
use super::visible;

/// How many changed fields of one object are shown.
const FIELDS: usize = 8;

/// The colour of an action.
#[must_use]
pub fn style(action: Action) -> Style {
    let colour = match action {
        Action::Created => AnsiColor::Green,
        Action::Configured => AnsiColor::Yellow,
        Action::Pruned | Action::Conflict => AnsiColor::Red,
        Action::Unchanged => return Style::new(),
    };
    Style::new().fg_color(Some(colour.into()))
}

/// The sign of an action in a list, and what is going to be done.
fn sign(action: Action) -> (char, &'static str) {
    match action {
        Action::Created => ('+', "create"),
        Action::Configured => ('~', "configure"),
        Action::Unchanged => (' ', "unchanged"),
        Action::Pruned => ('-', "prune"),
        Action::Conflict => ('!', "conflict"),
    }
}

/// The plan of a sync: what happens to which object, and to which of its fields.
#[must_use]
pub fn text(review: &Review) -> String {
    let mut text = String::new();
    for change in review.plan.changes().filter(|change| change.action != Action::Unchanged) {
        line(&mut text, change.action, review.key(change));
        if change.action == Action::Configured {
            fields(&mut text, change.live.as_ref(), change.merged.as_ref());
        }
        for conflict in &change.conflicts {
            let (field, manager) = (visible(&conflict.field), visible(&conflict.manager));
            let _ = writeln!(text, "      {field} is owned by \"{manager}\"");
        }
    }
    text.push_str(&prunes(&review.plan));
    let _ = writeln!(text, "{}", summary(&review.plan));
    text
}

/// The part of the plan about what is deleted.
#[must_use]
pub fn prunes(plan: &Plan) -> String {
    let mut text = String::new();
    for Prune { key, fate, member: _ } in &plan.prunes {
        match fate {
            Fate::Deleted(_) => line(&mut text, Action::Pruned, key),
            Fate::Gone => {}
            Fate::Released(reason) | Fate::Kept(reason) => {
                let _ = writeln!(text, "    stays      {key}: {reason}");
            }
        }
    }
    text
}

fn line(text: &mut String, action: Action, key: &Key) {
    let (sign, word) = sign(action);
    let style = style(action);
    let _ = writeln!(text, "  {style}{sign} {word:<9}{style:#}  {key}");
}

fn fields(text: &mut String, live: Option<&Json>, merged: Option<&Json>) {
    let (Some(live), Some(merged)) = review::pair(live, merged) else {
        return;
    };
    let changes = changes(&live, &merged);
    if changes.is_empty() {
        let _ = writeln!(text, "      only who owns its fields");
    }
    for (path, before, after) in changes.iter().take(FIELDS) {
        let _ =
            writeln!(text, "      {path}: {} -> {}", short(before.as_ref()), short(after.as_ref()));
    }
    if changes.len() > FIELDS {
        let _ = writeln!(text, "      and {} more fields", changes.len() - FIELDS);
    }
}

/// `1 to create, 2 unchanged`.
#[must_use]
pub fn summary(plan: &Plan) -> String {
    let mut parts = Vec::new();
    for (action, words) in [
        (Action::Created, "to create"),
        (Action::Configured, "to configure"),
        (Action::Pruned, "to prune"),
        (Action::Conflict, "in conflict"),
        (Action::Unchanged, "unchanged"),
    ] {
        let count = plan.count(action);
        if count > 0 {
            parts.push(format!("{count} {words}"));
        }
    }
    if parts.is_empty() { "nothing to do".into() } else { parts.join(", ") }
}
