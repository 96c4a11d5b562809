//! Runs small image generators on microcontrollers: `no_std`, no heap, the same bits everywhere.
//!
//! ```ignore
//! use pocketgan::{Buffer, Generator, Model};
//!
//! const MODEL: Model = pocketgan::include_model!("model.pgan");
//! let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
//! let mut image = [0; MODEL.image_len()];
//! let mut generator = Generator::new(&MODEL, &mut buffer)?;
//! generator.sample(1, &mut image)?;
//! ```
#![no_std]
#![deny(missing_docs, unsafe_code)]

extern crate no_std_compat as std;

pub mod blob;
mod error;
mod exec;
pub mod kernels;
pub mod latent;
mod plan;
mod rows;

pub use blob::{Activation, Layer, Model, Numbers, Operator, PixelRange, Shape, Window};
pub use error::Error;
pub use exec::{Buffer, Generator};
pub use latent::Rng;
pub use rows::RowSink;
