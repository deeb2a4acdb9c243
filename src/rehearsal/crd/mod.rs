//! Custom resources: a CustomResourceDefinition, and the objects of the kinds that it defines.
//!
//! Everything here is a function of JSON values; the server calls it and keeps the state. A write of
//! a definition goes through [`object`]: complete, prepare, validate, then [`object::settle`]. A
//! request to one of its kinds goes through [`Definition`] and [`Version`]:
//!
//! 1. [`Version::decode`] on what was decoded or patched, then [`Version::default`];
//! 2. [`Version::prepare_create`] or [`Version::prepare_update`], or that of the status;
//! 3. [`Version::validate`] or [`Version::validate_update`]: not empty means 422;
//! 4. [`Version::warnings`].
//!
//! Then [`Version::store`] brings the object into the version of the store, out of which
//! [`Version::read`] brings it into that of a request, also for the answer to the write.

mod check;
mod columns;
mod correlation;
mod definition;
mod embedded;
mod field_path;
mod formats;
mod lists;
mod meta;
pub mod object;
mod prune;
mod rules;
mod schema;
mod structural;
mod structure;
mod text;
mod values;

pub(super) use formats::named_format_faults;
pub(super) use text::{go_float_value as go_float_text, quote as go_quote};

pub use columns::Column;
pub use definition::{Checked, Definition, Names, Scale, Version};
pub use prune::Nulls;
