//! A Kubernetes API in memory: what a cluster would have said, without a cluster.
//!
//! Its answers are those of a kube-apiserver 1.36, measured: objects, managed fields, status codes,
//! reasons, causes and warnings.
//!
//! ```
//! use overlay::rehearsal::{Options, Rehearsal};
//!
//! let api = Rehearsal::new(&Options::default()).expect("the default minor is known");
//! let request = http::Request::get("/api/v1/namespaces/default").body(Default::default());
//! let response = api.handle(request.expect("a well-formed request"));
//! assert_eq!(response.status(), 200);
//! ```
//!
//! # The map
//!
//! | step | module |
//! |---|---|
//! | who asks for what, and which part answers | `server`; `path`, `media`, `body`, `rights` |
//! | what there is | `catalogue`, `store` |
//! | reading | `list` with `selectors`, `watch` with `waiting`, `table` |
//! | writing | `create`, `update`, `patch`, `delete` with `options`, `admission`, `convert` |
//! | parts of objects, questions | `subresources`, `reviews` |
//! | who owns which field | [`ownership`] |
//! | what it says of itself | [`discovery`] |
//! | what a body says, what its types keep of it | [`fields`] |
//! | patches that know the lists of a kind | [`strategic`] |
//! | what is known of kinds | [`kinds`], [`crd`] |
//! | what a cluster makes of objects | [`controllers`] |
//! | what is there from the beginning, how exact it all is | `begin`, [`Grade`] |
//! | clients within the process and over a socket | `front` |
//! | refusals, some on purpose | [`status`], `refusals`, `faults` |

pub mod discovery;
pub mod fields;
#[cfg(feature = "cluster")]
pub mod front;
pub mod kind;
pub mod kinds;
pub mod ownership;
pub mod policy;
pub mod status;
pub mod cel;
pub mod strategic;
pub mod crd;
pub mod controllers;
mod admission;
mod answer;
mod begin;
mod body;
mod catalogue;
mod chance;
mod clock;
mod columns;
mod convert;
mod create;
mod custom;
mod decode;
mod delete;
mod faults;
mod grade;
mod list;
mod media;
mod options;
mod owners;
mod patch;
mod path;
mod refusals;
mod reviews;
mod rights;
mod rules;
mod scale;
mod selectors;
mod server;
mod store;
mod subresources;
mod table;
mod update;
mod waiting;
mod watch;

pub use answer::Body;
pub use clock::Clock;
pub use faults::{Fault, Outage};
pub use grade::{Grade, NOT_REHEARSED};
pub use kind::Kind;
pub use rights::User;
pub use server::{Options, Rehearsal};
pub use status::{Cause, Failure};
pub use watch::Watcher;
