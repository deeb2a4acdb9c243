//! The plan meets the server: the only asynchronous code.
//!
//! [`connect()`] finds the server, [`review()`] asks it what a sync would do and makes the
//! [plan](crate::plan), [`carry_out()`] does it: the inventory first, then the objects stage by stage,
//! then what is to be deleted, then the wait for their health. [`survey()`] and [`tear_down()`] go by
//! the inventory alone. [`drift()`](drift::drift) asks what Flux would change.
//!
//! Requests are made as they are: kube brings the connection and the credentials, and everything else
//! (retries, warnings, errors, watches) is decided here, in [`request`].

mod apply;
mod ask;
mod connect;
mod copy;
mod discovery;
pub mod drift;
mod explain;
pub mod flux;
mod ledger;
mod marked;
mod prepare;
mod prune;
pub mod request;
mod survey;
mod wait;

use std::time::Duration;

use crate::error::{Error, Place};
use crate::health::Health;
use crate::inventory::Key;
use crate::plan::Action;
use crate::resource::Origin;
use crate::yaml::Step;

pub use apply::{Outcome, carry_out};
pub use ask::{Review, Wanted, review};
pub use connect::{Connection, connect};
pub use copy::{Copy, everything};
pub use prepare::digest;
pub use request::Server;
pub use survey::{Standing, Teardown, survey, tear_down};

/// What a caller decides about a sync.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name under which fields are owned.
    pub manager: String,
    /// Whether fields that others own are taken over.
    pub force: bool,
    /// Whether what the overlay no longer has is deleted.
    pub prune: bool,
    /// Whether everything may be deleted because nothing was rendered.
    pub allow_empty: bool,
    /// How long to wait for health; `None` does not wait.
    pub wait: Option<Duration>,
}

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The server sent a warning with an answer.
    Warning(String),
    /// A request was answered: method, path, code (0 where there was none) and time.
    Request {
        /// The method.
        method: &'static str,
        /// The path with its query.
        path: String,
        /// The code of the answer, 0 where there was none.
        code: u16,
        /// How long it took.
        took: Duration,
    },
    /// An object was written, or deleted.
    Done(Key, Action),
    /// An object could not be written or deleted.
    Failed(Key, Error),
    /// An object that the overlay no longer has stays; why.
    Stays(Key, String),
    /// An object is not healthy yet, or no longer on its way.
    Health(Key, Health),
}

/// Hears what happens while it happens.
pub type Listener<'a> = dyn Fn(Event) + Send + Sync + 'a;

/// Finds the line and column of a path in the document that an object comes from.
pub type Locate<'a> = dyn Fn(&Origin, &[Step<'_>]) -> Place + Send + Sync + 'a;
