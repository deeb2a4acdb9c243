//! Server-side apply, pure: who owns which field of an object, what an apply would change, and
//! whom it would take a field from.
//!
//! The rules are those of structured-merge-diff 6.4, the library with which a kube-apiserver
//! decides. Objects are [`serde_json::Value`]: what travels to and from a server.
//!
//! | question | answer |
//! |---|---|
//! | which lists have keys, which maps change as a whole | [`schema`] |
//! | how a field is named: `.spec.containers[name="a"].image` | [`path`] |
//! | which fields | [`FieldSet`]; as `managedFields` carry it: [`FieldSet::from_json`], [`FieldSet::to_json`] |
//! | does a value fit its type, which fields does it set | [`Type::validate`], [`Type::field_set`] |
//! | what differs, what do two values make together, what is left without some fields | [`Type::compare`], [`Type::merge`], [`Type::remove`] |
//! | who takes over from client-side apply | [`adopt()`] |
//! | what does an apply or an update do | [`Updater::apply`], [`Updater::update`] |

mod adopt;
mod compare;
mod fields_v1;
mod merge;
pub mod path;
mod remove;
pub mod schema;
mod set;
pub(crate) mod shown;
mod typed;
mod update;

pub use adopt::adopt;
pub use compare::Comparison;
pub use fields_v1::Malformed;
pub use path::{Path, PathElement};
pub use schema::Schema;
pub use set::{FieldSet, Filter, Matcher};
pub use shown::go_text;
pub use typed::{Duplicates, Errors, Type};
pub use update::{Conflict, Managers, Owned, Refused, Unversioned, Updater, Versions};
