//! YAML as go-yaml reads and writes it.

mod read;
pub mod scalar;
mod write;

pub use read::{Step, locate, read, read_first};
pub(crate) use write::unprintable;
pub use write::write;
