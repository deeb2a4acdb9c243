//! YAML as go-yaml reads and writes it.

#[cfg(feature = "sops")]
pub(crate) mod commented;
mod events;
mod foot;
mod keys;
pub(crate) mod nodes;
mod pieces;
mod quick;
mod quotes;
mod read;
pub mod scalar;
mod scan;
mod unprintable;
mod write;

pub use foot::add_break;
pub use keys::{KeyLine, key_lines};
pub use pieces::is_one_piece;
pub use quotes::{is_no_text, plain_key, set_string};
pub use read::{Step, blocks_above_comments, locate, read, read_first};
pub(crate) use unprintable::{Printed, Unprintable};
pub use write::write;
#[cfg(feature = "sops")]
pub(crate) use write::write_line_v3;
pub(crate) use write::{
    check_key, duplicate_key, fold_next_lines, is_break, is_lost_as_block, print,
    write_double_quoted,
};
