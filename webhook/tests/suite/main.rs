//! The webhook over real sockets: an API server and an artifact server on loopback, and whatever a client may send.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the helpers of tests are tests too"
)]

mod fixture;

mod certificates;
mod chart;
mod connections;
mod flux;
mod hostile;
mod process;
mod recorded;
mod reviews;
mod sources;
