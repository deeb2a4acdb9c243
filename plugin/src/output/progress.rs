//! What happens while it happens: lines that stay, and on a terminal one that is redrawn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use overlay::cluster::Event;
use overlay::health::{Health, Status};
use overlay::inventory::Key;
use overlay::plan::Action;
use serde_json::{Value as Json, json};

use super::plan::style;
use super::{Console, visible};

/// How often the line is redrawn, at most.
const TICK: Duration = Duration::from_millis(120);

/// Shows events.
pub struct Progress {
    console: Console,
    form: Form,
    /// From which level on requests are told; kubectl's 6.
    verbosity: u8,
    state: Mutex<State>,
}

/// How events are shown.
enum Form {
    /// A line each.
    Lines,
    /// A line each, and one that is redrawn.
    Live(ProgressBar),
    /// A JSON document each, on standard output.
    Json,
}

#[derive(Default)]
struct State {
    /// What is waited for, and what was said last about it.
    waiting: BTreeMap<Key, String>,
    /// What was seen unready, so that its readiness is news.
    unready: BTreeSet<Key>,
}

impl Progress {
    /// For a run whose events are JSON, or on a terminal that can redraw, or plain lines.
    #[must_use]
    pub fn new(console: &Console, is_json: bool, can_redraw: bool, verbosity: u8) -> Self {
        let form = match (is_json, can_redraw) {
            (true, _) => Form::Json,
            (false, true) => Form::Live(bar()),
            (false, false) => Form::Lines,
        };
        Self { console: console.clone(), form, verbosity, state: Mutex::default() }
    }

    /// Whether events are JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self.form, Form::Json)
    }

    /// Says what is being done.
    pub fn begin(&self, what: &str) {
        if let Form::Live(bar) = &self.form {
            // It may have been taken away before.
            bar.reset();
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(TICK);
        }
    }

    /// Takes the redrawn line away.
    pub fn end(&self) {
        if let Form::Live(bar) = &self.form {
            bar.disable_steady_tick();
            bar.finish_and_clear();
        }
    }

    /// Shows an event.
    pub fn hear(&self, event: &Event) {
        if self.is_json() {
            self.tell_json(event);
            return;
        }
        match event {
            Event::Warning(text) => self.line(&format!("warning: {}", visible(text))),
            Event::Request { method, path, code, took } if self.verbosity >= 6 => {
                self.line(&format!("{method} {path} {code} in {} ms", took.as_millis()));
            }
            Event::Done(_, Action::Unchanged) => {}
            Event::Done(key, action) => self.done(key, *action),
            Event::Failed(key, _) => self.line(&format!("  failed     {key}")),
            Event::Stays(key, reason) => {
                self.line(&format!("  stays      {key}: {}", visible(reason)));
            }
            Event::Health(key, health) => self.health(key, health),
            _ => {}
        }
    }

    fn done(&self, key: &Key, action: Action) {
        let style = style(action);
        self.line(&format!("  {style}{:<10}{style:#} {key}", action.name()));
    }

    fn health(&self, key: &Key, health: &Health) {
        let message = visible(&health.message);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let line = match health.status {
            Status::Current => {
                state.waiting.remove(key);
                state.unready.remove(key).then(|| format!("  ready      {key}"))
            }
            Status::Failed => {
                state.waiting.remove(key);
                Some(format!("  failed     {key}: {message}"))
            }
            _ => {
                state.unready.insert(key.clone());
                state.waiting.insert(key.clone(), message.clone());
                let is_plain = matches!(self.form, Form::Lines);
                is_plain.then(|| format!("  waiting    {key}: {message}"))
            }
        };
        if let Form::Live(bar) = &self.form
            && let Some((key, message)) = state.waiting.iter().next()
        {
            let more = match state.waiting.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            bar.set_message(format!("waiting for {key}: {message}{more}"));
        }
        drop(state);
        if let Some(line) = line {
            self.line(&line);
        }
    }

    fn line(&self, line: &str) {
        match &self.form {
            Form::Live(bar) => bar.suspend(|| self.console.say_line(line)),
            Form::Lines | Form::Json => self.console.say_line(line),
        }
    }

    fn tell_json(&self, event: &Event) {
        let document = match event {
            Event::Warning(text) => json!({ "event": "warning", "message": text }),
            Event::Done(key, action) => {
                json!({ "event": "done", "action": action.name(), "object": object(key) })
            }
            Event::Failed(key, failure) => {
                json!({ "event": "failed", "object": object(key), "error": super::failure(failure) })
            }
            Event::Stays(key, reason) => {
                json!({ "event": "stays", "object": object(key), "reason": reason })
            }
            Event::Health(key, health) => json!({
                "event": "health", "object": object(key),
                "status": health.status.name(), "message": health.message,
            }),
            _ => return,
        };
        self.document(&document);
    }

    /// Prints a JSON document on a line of its own.
    pub fn document(&self, document: &Json) {
        self.console.print_line(document);
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar
}

/// A key in events and summaries.
#[must_use]
pub fn object(key: &Key) -> Json {
    json!({ "group": key.group, "kind": key.kind, "namespace": key.namespace, "name": key.name })
}
