//! Runs small image generators on microcontrollers: `no_std`, no heap, the same bits everywhere.
#![no_std]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

pub mod latent;
