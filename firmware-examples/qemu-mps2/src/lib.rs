//! What the programs of this board share: counting instructions and stack, and printing pixels.
#![no_std]

pub mod counter;
pub mod picture;
pub mod stack;
