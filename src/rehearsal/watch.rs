//! Watches: the changes of a collection, as they happen.
//!
//! Source: apiserver `pkg/storage/cacher/cache_watcher.go`; what is refused is measured.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::rehearsal::answer::{Answer, Content};
use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::list::{self, Filter, metadata_only};
use crate::rehearsal::media::Form;
use crate::rehearsal::refusals::{internal, too_many_requests, too_old};
use crate::rehearsal::server::{Call, State};
use crate::rehearsal::store::{Change, Stored};
use crate::rehearsal::waiting::Seat;
use crate::rehearsal::{Failure, Rehearsal, table};

/// Says that all objects were sent that there were when the watch began.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// How many events are made ready at once. Whoever does not read holds no more than these, and is told
/// that the rest is gone once the log has forgotten it.
const AT_ONCE: usize = 16;

/// The events of a watch, each a line of JSON.
pub struct Watcher {
    api: Rehearsal,
    resource: Arc<Resource>,
    filter: Filter,
    form: Form,
    /// What was there when it began, and is yet to be sent.
    initial: VecDeque<Stored>,
    /// Whether the end of that is to be marked.
    marks_end: bool,
    /// Everything up to this version is sent, or among what is ready.
    position: u64,
    ready: VecDeque<Bytes>,
    bookmarks: bool,
    /// Whether a table has been sent with its columns.
    columns_sent: bool,
    ended: bool,
    seat: Seat,
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("position", &self.position).finish_non_exhaustive()
    }
}

/// Begins a watch.
pub(super) fn start(state: &State, api: &Rehearsal, call: &Call) -> Result<Answer, Failure> {
    list::check_options(call, true)?;
    let filter = Filter::read(call)?;
    let asked = list::revision(call).map_err(internal)?;
    let seat = state.waiting.seat(&call.resource.table).ok_or_else(too_many_requests)?;
    let mut watcher = Watcher {
        api: api.clone(),
        resource: Arc::clone(&call.resource),
        filter,
        form: call.wanted.form,
        initial: VecDeque::new(),
        marks_end: false,
        position: state.store.revision(),
        ready: VecDeque::new(),
        bookmarks: call.parameters.is_on("allowWatchBookmarks"),
        columns_sent: false,
        ended: false,
        seat,
    };
    let initial = call.parameters.is_on("sendInitialEvents");
    match asked {
        Some(revision) if !initial => {
            let oldest = state.store.oldest(&call.resource.table);
            if revision < oldest {
                watcher.fail(&too_old(revision, oldest));
            }
            watcher.position = revision;
        }
        _ => {
            let meant = state.store.list(&call.resource.table, &watcher.filter.namespace);
            let meant = meant.filter(|(key, stored)| watcher.filter.admits(key, stored));
            watcher.initial = meant.map(|(_, stored)| stored.clone()).collect();
            watcher.marks_end = initial && watcher.bookmarks;
        }
    }
    Ok(Answer { code: 200, content: Content::Watch(watcher) })
}

impl Watcher {
    /// The next event, if there is one already.
    pub fn next_event(&mut self) -> Option<Bytes> {
        if self.ready.is_empty() && !self.ended {
            let api = self.api.clone();
            self.follow(&api.state());
        }
        self.ready.pop_front()
    }

    /// The next event, or a wake-up when there may be one; `None` after the last.
    pub fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.ended {
            // Before the look, so that what changes after it is not missed.
            self.seat.wait(context.waker());
        }
        match self.next_event() {
            None if !self.ended => Poll::Pending,
            event => Poll::Ready(event),
        }
    }

    /// An event that only says how far the watch has come, if the client asked for such.
    pub fn bookmark(&mut self) -> Option<Bytes> {
        self.bookmarks.then(|| self.bookmark_of(json!({})))
    }

    fn bookmark_of(&self, mut metadata: Value) -> Bytes {
        metadata["resourceVersion"] = self.position.to_string().into();
        metadata["creationTimestamp"] = Value::Null;
        let object = json!({
            "kind": self.resource.kind.kind, "apiVersion": self.resource.kind.api_version(),
            "metadata": metadata,
        });
        line(&json!({"type": "BOOKMARK", "object": object}))
    }

    /// Makes the next events ready: what was there first, then what changed since.
    fn follow(&mut self, state: &State) {
        let oldest = state.store.oldest(&self.resource.table);
        if self.position < oldest {
            self.initial.clear();
            self.fail(&too_old(self.position, oldest));
            return;
        }
        while self.ready.len() < AT_ONCE
            && let Some(stored) = self.initial.pop_front()
        {
            self.send(state, "ADDED", &stored, stored.revision);
        }
        if !self.initial.is_empty() {
            return;
        }
        if std::mem::take(&mut self.marks_end) {
            let annotations = json!({"annotations": {INITIAL_EVENTS_END: "true"}});
            let event = self.bookmark_of(annotations);
            self.ready.push_back(event);
        }
        for change in state.store.changes(self.position) {
            if self.ready.len() >= AT_ONCE {
                return;
            }
            self.position = change.revision;
            if change.table == self.resource.table {
                self.note(state, change);
            }
        }
        let kind = &self.resource.kind;
        let served = state.catalogue.find(&kind.group, &kind.version, &self.resource.plural);
        self.ended = served.is_none();
    }

    fn note(&mut self, state: &State, change: &Change) {
        let admits = |stored: &Option<Stored>| {
            stored.clone().filter(|stored| self.filter.admits(&change.key, stored))
        };
        match (admits(&change.before), admits(&change.after)) {
            (None, Some(after)) => self.send(state, "ADDED", &after, change.revision),
            (Some(_), Some(after)) => self.send(state, "MODIFIED", &after, change.revision),
            // What was last seen, under the version in which it went.
            (Some(before), None) => self.send(state, "DELETED", &before, change.revision),
            (None, None) => {}
        }
    }

    fn send(&mut self, state: &State, what: &str, stored: &Stored, revision: u64) {
        let mut object = list::tree(&self.resource, stored);
        object["metadata"]["resourceVersion"] = revision.to_string().into();
        let shown = match self.form {
            Form::Object => object,
            Form::Metadata | Form::MetadataList => metadata_only(&object),
            Form::Table => {
                let columns = !std::mem::replace(&mut self.columns_sent, true);
                table::of_event(state, &self.resource, object, columns)
            }
        };
        self.ready.push_back(line(&json!({"type": what, "object": shown})));
    }

    fn fail(&mut self, failure: &Failure) {
        self.ready.push_back(line(&json!({"type": "ERROR", "object": failure.to_value()})));
        self.ended = true;
    }
}

fn line(event: &Value) -> Bytes {
    let mut text = event.to_string();
    text.push('\n');
    text.into()
}
