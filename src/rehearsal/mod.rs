//! A Kubernetes API in memory: what a cluster would have said, without a cluster.
//!
//! Its answers are those of a kube-apiserver 1.36, measured: objects, managed fields, status codes,
//! reasons, causes and warnings.

pub mod crd;
pub mod kind;
pub mod kinds;
pub mod ownership;
pub mod status;

pub use kind::Kind;
pub use status::{Cause, Failure};
