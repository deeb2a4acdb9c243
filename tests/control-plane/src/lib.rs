//! Real servers for the tests: a Kubernetes API server with its database, controllers and pretended nodes, Flux's
//! controllers, and a Git server, all on loopback and all gone when the test is.
//!
//! ```no_run
//! // One control plane for a whole test binary, and a namespace for each test.
//! if let Some(plane) = control_plane::shared() {
//!     plane.start_nodes()?; // Deployments become ready by themselves
//!     let namespace = plane.namespace("sync")?;
//!     println!("KUBECONFIG={} in {namespace}", plane.kubeconfig().display());
//! }
//! # Ok::<(), control_plane::Error>(())
//! ```
//!
//! [`programs`] builds the servers once, by `build.sh`. [`ControlPlane`] starts etcd and kube-apiserver in a folder of
//! its own and, when asked, more: `controllers` (kube-controller-manager), `nodes` (kube-scheduler and kwok) and `flux`
//! (source-controller and kustomize-controller). [`GitServer`] serves repositories to Flux. `group` is what makes sure
//! that nothing outlives the program, however it ends.
#![expect(clippy::disallowed_methods, reason = "reads its own files, not those of a build")]

mod error;
mod flux;
mod git;
mod group;
mod identity;
mod kubeconfig;
mod nodes;
mod plane;
pub mod programs;
mod request;

pub use error::{Error, Result};
pub use git::GitServer;
pub use plane::{ControlPlane, LONGEST, condition, shared};
