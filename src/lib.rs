//! Renders Kustomize overlays as kustomize and Flux do, and applies them.
//!
//! Files are parsed once into values. A kustomization is a function from values to values. The
//! result becomes a plan, and only the plan meets the server.
//!
//! ```text
//! Files ── yaml::read ─▶ Store ─▶ manifest ─▶ Resources ─┐
//!   └── kustomization::decode ─▶ Kustomization ──────────┤
//!                                                        ▼
//!                     build: layer(overlay(base …)) ─▶ Resources ─▶ yaml::write
//!                                                        │
//!     outcome ◀─ cluster::{apply, wait, prune} ◀─ Plan ◀─ plan(resources, live, inventory)
//! ```
//!
//! # The map
//!
//! | step | module |
//! |---|---|
//! | what a document is | [`value`], read and written by [`yaml`], sent and hashed as [`json`] |
//! | what a build may see | [`files`], within [`limits`], through [`layer`]; parsed once by [`store`] |
//! | what a kustomization says | [`kustomization`] |
//! | what it works on | [`resource`], [`resources`], read from files by [`manifest`]; [`twins`] are values that kustomize shares |
//! | the order of steps | [`build`]; [`roots`] finds what there is to build |
//! | one file for each field | [`generate`], [`transform`], and [`references`] for names that follow |
//! | what is known about kinds | [`schema`], [`fields`] |
//! | which programs it may run: Helm, functions | [`tools`] |
//! | how many cores it works on | [`threads`] |
//! | which resources are meant | [`selector`], [`pattern`] |
//! | which of their values | [`field_path`] |
//! | what comes from elsewhere | [`remote`] |
//! | artifacts of Flux, and what its objects add to a build | [`archive`], [`flux`] |
//! | what is encrypted in it | `sops` |
//! | what was applied before | [`inventory`] |
//! | what a sync would do, and what a person sees of it | [`plan`], [`review`] |
//! | whether an object is as it should be | [`health`] |
//! | how the plan meets the server | `cluster` |
//! | who owns which field | [`ssa`] |
//! | a server to rehearse on | `rehearsal` |
//! | when something fails | [`error`], with the help of [`nearest`] |
//!
//! # Invariants
//!
//! 1. A build is a function of its [`Files`]: no environment, no clock, no network but through
//!    [`remote`], no program but through [`tools`], no global state.
//! 2. Output never depends on threads or hash order.
//! 3. What a step needs to remember about an object is a field of [`Resource`], never an annotation
//!    inside the user's object.
//! 4. The source tree is never written.
//! 5. Decrypted text is never cached, logged or put in an error; secrets are masked wherever a
//!    person reads.
//! 6. The library never prints, waits for input or exits.
//! 7. Every error says what failed, where (file, line and column of the user's own file), who
//!    referred to it and, where certain, what mends it.
//! 8. Nothing that a user's file holds can panic, hang or exhaust the program: [`Limits`] bound
//!    every input.
//! 9. The server is asked before it is written to: what the plan shows is what is applied.

pub mod error;
pub mod find;
pub mod value;
pub mod yaml;
pub mod json;
pub mod files;
pub mod archive;
pub mod limits;
pub mod store;
pub mod twins;
pub mod threads;
pub mod resource;
pub mod resources;
pub mod manifest;
pub mod schema;
pub mod fields;
pub mod pattern;
pub mod field_path;
pub mod selector;
pub mod kustomization;
pub mod layer;
pub mod tools;
mod functions;
pub mod remote;
pub mod generate;
pub mod transform;
pub mod references;
pub mod build;
pub mod flux;
#[cfg(feature = "sops")]
pub mod sops;
pub mod ssa;
pub mod inventory;
pub mod health;
pub mod plan;
pub mod review;
#[cfg(feature = "cluster")]
pub mod cluster;
#[cfg(feature = "rehearsal")]
pub mod rehearsal;
pub mod roots;
pub mod nearest;
mod calendar;

pub use error::{Error, ErrorKind, Place, Result, Warned, Warning};
pub use files::{Disk, Files, Memory};
pub use limits::Limits;
pub use resource::Resource;
pub use resources::Resources;
pub use value::Value;
