//! PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016, "Pixel Recurrent Neural Networks", section 3.4): the
//! distribution of each pixel, given all pixels before it in raster order.
//!
//! A network of masked convolutions gives the logits of all pixels' levels in one pass over a picture, from which its
//! likelihood follows exactly ([`nats`]). A picture is drawn pixel by pixel ([`Sampler`]).

mod file;
mod levels;
mod likelihood;
mod network;
mod sampler;

pub use file::{DecodeError, EncodeError, decode, encode};
pub use levels::Levels;
pub use likelihood::{nats, negative_log_likelihood};
pub use network::{Width, network, set_levels, tell};
pub use sampler::{Sampler, SamplerError};
