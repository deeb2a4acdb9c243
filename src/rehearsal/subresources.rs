//! Parts of objects that have paths of their own: `status`, `scale`, `finalize` …

use crate::rehearsal::answer::Answer;
use crate::rehearsal::refusals::no_such_resource;
use crate::rehearsal::server::{Call, State};
use crate::rehearsal::{Failure, list, patch, scale, update};

/// A request to a part of an object.
pub(super) fn answer(state: &mut State, call: &mut Call, verb: &str) -> Result<Answer, Failure> {
    match (&*call.spot.subresource, verb) {
        ("status", "get") => list::get(state, call),
        ("status", "patch") => patch::patch(state, call),
        ("status" | "finalize", "update") => update::update(state, call),
        ("scale", _) => scale::answer(state, call, verb),
        _ => Err(no_such_resource()),
    }
}
