//! Custom resources: a CustomResourceDefinition, and the objects of the kinds that it defines.
//!
//! Everything here is a function of JSON values; the server calls it and keeps the state.
