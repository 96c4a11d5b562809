//! What the programs of these boards share: which core this is, and how its instructions are counted.
#![no_std]

pub mod core_name;
pub mod timer;
