//! Trains small image generators and exports them for the `pocketgan` runtime.
//!
//! The rooms of the house: [`spec`] says what a network is; [`ops`] computes its layers, forward and
//! backward, on dfdx's tape; [`nn`] builds a network from its specification; `gan` trains it; `data`
//! reads real pictures; `export` writes what a device runs.

pub mod data;
pub mod parameters;
pub mod spec;
