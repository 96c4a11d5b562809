//! Trains small image generators and exports them for the `pocketgan` runtime.
//!
//! The rooms of the house: [`spec`] says what a network is; [`ops`] computes its layers, forward and
//! backward, on dfdx's tape; [`nn`] builds a network from its specification; `gan` trains it; [`samples`] has what it
//! is given and what it makes; `data` reads real pictures; [`metrics`] scores samples, partly through a [`classifier`],
//! and [`evaluation`] puts the scores together; `export` writes what a device runs.

pub mod classifier;
pub mod cli;
pub mod data;
pub mod engines;
pub mod evaluation;
pub mod export;
pub mod files;
pub mod gan;
pub mod gaussian;
pub mod interpolation;
pub mod mark;
pub mod metrics;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod parameters;
pub mod pixelcnn;
pub mod projection;
pub mod report;
pub mod rng;
pub mod samples;
pub mod spec;
pub mod verify;
