//! Renders Kustomize overlays as kustomize and Flux do, and applies them.

pub mod archive;
pub mod build;
pub mod error;
pub mod fields;
pub mod files;
pub mod generate;
pub mod json;
pub mod kustomization;
pub mod layer;
pub mod limits;
pub mod manifest;
pub mod nearest;
pub mod pattern;
pub mod references;
pub mod resource;
pub mod resources;
pub mod schema;
pub mod selector;
pub mod store;
pub mod transform;
pub mod value;
pub mod yaml;

pub use error::{Error, ErrorKind, Place, Result, Warned, Warning};
pub use files::{Disk, Files, Memory};
pub use limits::Limits;
pub use resource::Resource;
pub use resources::Resources;
pub use value::Value;
