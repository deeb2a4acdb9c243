//! One file for each field that changes objects.

pub mod annotations;
pub mod config;
pub mod images;
pub mod labels;
pub mod metadata;
pub mod namespace;
pub mod patches;
pub mod prefix;
pub mod replacements;
pub mod replicas;
pub mod sort;
mod structured;
pub mod value_add;
pub mod vars;
