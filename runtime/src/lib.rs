//! Runs small image generators on microcontrollers: `no_std`, no heap, the same bits everywhere.
//!
//! A generator is trained on a desktop and arrives as a `.pgan` blob (its format is specified in
//! `docs/blob-format.md`). This crate checks the blob, at compile time if it is included, and makes
//! images from it in a buffer whose size is a constant:
//!
//! ```
//! use pocketgan::{Buffer, Generator, Model};
//!
//! const MODEL: Model = pocketgan::include_model!("../tests/data/v1-int8.pgan");
//!
//! # fn main() -> Result<(), pocketgan::Error> {
//! let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
//! let mut image = [0; MODEL.image_len()];
//! let mut generator = Generator::new(&MODEL, &mut buffer)?;
//! generator.sample(1, &mut image)?;
//! # assert_eq!(image[..4], [0xd0, 0xb7, 0xbc, 0xca]);
//! # Ok(())
//! # }
//! ```
//!
//! - A seed means the same image on every machine: the [latent] is drawn with integers, and
//!   int8 arithmetic is specified to the bit. f32 models differ at most in the last bits of tanh
//!   and sigmoid.
//! - A model with classes makes images of the class it is told: [`Generator::set_class`].
//! - After [`Model::parse`] has accepted a blob nothing can fail but a slice of the wrong length, rows or a
//!   class that there are not, and nothing can panic: release firmware holds no panicking code for
//!   parsing and sampling at all.
//! - Layers work row by row, so working memory is a few rows of each tensor
//!   ([`Model::working_memory`]), and rows can be sent off as they are made
//!   ([`Generator::sample_rows`]), one at a time ([`Generator::next_row`]), or some of them only
//!   ([`Generator::sample_row_range`]).
//!
//! # Pictures in
//!
//! A model that reads pictures (denoising, enlarging, another style, an autoencoder) is run by a [`Translator`]: rows
//! of the picture go in as they come from a camera, rows of the image come out, and only those that the network needs
//! at once are in memory. [`Translator::score`] says how unlike the pictures of its training a picture is.
//!
//! # Cost
//!
//! One image of 28x28 from a latent of 64 through two 4x4 stride-2 transposed convolutions, int8, in
//! instructions under QEMU, not cycles, the mean over the seeds 1 to 16 of the models in `models/`:
//!
//! | generator | products | Cortex-M0 | M3 | M4, M7, M33 | M55 | RV32IMC | working memory, bytes |
//! |---|---|---|---|---|---|---|---|
//! | 7x7x32, 14x14x16, 28x28x1 | 551,936 | 2,340,214 | 1,160,572 | 772,867 | 343,133 | 1,655,141 | 1,212 |
//! | 7x7x64, 14x14x32, 28x28x1 | 1,906,688 | 6,783,781 | 3,423,647 | 2,187,020 | 663,385 | 5,075,726 | 2,300 |
//!
//! `docs/device.md` has the account. Classes take a byte of the blob for each class and output of the first
//! layer, no working memory, and one multiplication for each such output.
//!
//! # What it does not do
//!
//! It makes images only: a graph of up to 64 [linear, convolution, transposed convolution, nearest upsampling,
//! addition, concatenation and average pooling layers](Operator) from a latent or a picture to an image, with
//! [five activations](Activation). There are no batches and no normalization layers (the exporter folds them). Tensors
//! are limited to 2^22 elements. It does not train.
//!
//! # Features
//!
//! - `writer`: the [blob encoder](blob), and module `cost`, what a model takes on a core; with the standard library.
//! - `convolution`, on by default: layers that are not linear. Without it models with such are refused, and
//!   no code for them is linked.
//! - `images`, on by default: models that read pictures ([`Translator`]) and linear layers over images. Without it they are
//!   refused, and no code for them is linked.
//! - `f32`, on by default: models that compute with f32. Without it they are refused, and firmware holds no
//!   float code.
//! - `int4`, on by default: models with int4 weights, half as large in flash, for more working memory and time
//!   (`docs/device.md` has the price). Without it they are refused, and no code for them is linked.
//! - `embedded-graphics`: module `display`, pictures on displays.
//! - `dsp`: for Armv8-M Mainline cores that have the DSP extension, as most Cortex-M33 do. Other targets need no flag.
//! - `mve`: for Armv8.1-M cores that have Helium's whole-number vectors, as most Cortex-M55 and M85 do, under the
//!   target `thumbv8m.main-none-eabihf`. The firmware has to switch the vector registers on, as `cortex-m-rt` does. It goes
//!   before `dsp`.
//! - `micromath`: f32 models' tanh and sigmoid through `micromath`, smaller and faster, off by up to
//!   1.1e-3.
#![no_std]
#![deny(missing_docs, unsafe_code)]

extern crate no_std_compat as std;

// No module refers to a higher one: `tests/layering.rs` has the order, and docs/architecture.md says what is where.
pub mod blob;
mod bytes;
#[cfg(feature = "writer")]
pub mod cost;
#[cfg(feature = "embedded-graphics")]
pub mod display;
mod error;
mod exec;
mod generator;
mod invariant;
mod kernels;
pub mod latent;
mod layer;
mod rgb565;
mod ring;
mod rows;
mod scratch;
mod shape;
#[cfg(feature = "images")]
mod translator;
mod weights;
mod window;

/// What the trainer, the tests and the tools of this repository take from the kernels. It is not part of the API: it
/// may change in any version.
#[cfg(feature = "writer")]
#[doc(hidden)]
pub mod internals {
    pub use crate::kernels::{arithmetic, reference};
}

pub use blob::{Activation, Layer, Model, Numbers, Operator, PixelRange, Shape, Window};
pub use error::Error;
pub use exec::Buffer;
pub use generator::Generator;
pub use latent::Rng;
pub use rgb565::rgb565_row;
pub use rows::{
    Kept, Pixels, Rewind, Row, RowSink, RowSource, SampleError, ScoreError, TranslateError,
    TryRowSink,
};
#[cfg(feature = "images")]
pub use translator::{Translator, Turn};
