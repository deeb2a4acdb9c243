//! Admits Flux Kustomizations that build, and says why where one does not.
//!
//! [`server`] takes a connection and [`routes`] a request, [`review`] says what it asks, [`render`] finds the
//! answer with [`source`] and a [`worker`], and [`review`] writes it. [`certs`] keeps the certificate fresh, [`config`] is the command
//! line, [`run`] puts it all together.

pub mod certs;
pub mod config;
pub mod log;
pub mod metrics;
pub mod render;
pub mod review;
pub mod routes;
pub mod run;
pub mod server;
pub mod source;
pub mod worker;
