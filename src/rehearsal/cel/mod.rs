//! The Common Expression Language as far as the API server uses it: the rules of custom resources
//! and of admission policies.
//!
//! Own, because rules come from whoever writes a CRD: what they may cost is bounded, their nesting
//! is too, and what goes wrong is said as the server says it. Source: cel-go 0.26, the library of
//! kube-apiserver 1.36, and apiserver `pkg/cel/library`.

pub mod time;
