//! One file for each field that changes objects.

pub mod patches;
