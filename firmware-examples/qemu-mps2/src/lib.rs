//! What the programs of this board share: counting instructions and stack, printing pixels, and
//! reading what the user asks for.
#![no_std]

pub mod counter;
pub mod picture;
pub mod request;
pub mod stack;
