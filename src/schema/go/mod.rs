//! Objects of built-in kinds as Go's types hold them: what a value becomes when it is read into its type, and what
//! of it is written again.
//!
//! A server reads what was merged this way, and Flux everything that it applies: fields that the types do not have
//! are dropped, quantities, times and bytes become canonical, and what Go's tags do not leave out is written even
//! where nobody has set it (`strategy: {}`, `status: {}`). [`convert`] reads and [`encode`] writes; they need no
//! more than the tables of [`kubernetes`](super::kubernetes).
//!
//! Source: apimachinery `pkg/runtime/converter.go`.

mod convert;
mod encode;
mod scalars;
mod types;

pub use convert::{Converted, Step, Unknown, convert};
pub use encode::{Target, encode};
pub use scalars::{base64, int64, micro_time, quantity, time};
pub use types::{SCHEMA, Special, go_name, json_word, short_type, special, zero};
