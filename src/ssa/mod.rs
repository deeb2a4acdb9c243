//! Server-side apply, pure: who owns which field of an object, what an apply would change, and
//! whom it would take a field from.
//!
//! The rules are those of structured-merge-diff 6.4, the library with which a kube-apiserver
//! decides. Objects are [`serde_json::Value`]: what travels to and from a server.

pub mod schema;

pub use schema::Schema;
