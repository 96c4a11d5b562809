//! What a generator is given and what its images become, in training as on the device.

use crate::engines;
use crate::nn::{Model, ModelError};
use crate::ops::Device;
use crate::pixelcnn::{Sampler, SamplerError};
use crate::spec::Network;
use pocketgan::latent;

/// The latents of the images with the seeds `seed`, `seed + 1`, …, as the runtime draws them: `(count, size)`.
pub fn latents(seed: u64, count: usize, size: usize) -> Vec<f32> {
    let drawn = engines::latents(seed, count, size);
    drawn
        .into_iter()
        .map(|q| f32::from(q) * latent::SCALE)
        .collect()
}

/// The classes of `count` images of a network, each class in turn; none where it is told none.
pub fn classes_in_turn(network: &Network, count: usize) -> Vec<u32> {
    engines::classes_in_turn(network.classes().unwrap_or(0), count)
}

/// The pixels of the images of the seeds `seed`, `seed + 1`, …, `(count, C, H, W)`, by a generator that reads latents
/// or draws pixel by pixel; `classes` are as [`Model::evaluate`] takes them. The bits do not depend on the number of
/// threads.
///
/// # Errors
/// The device's.
pub fn draw<D: Device<f32>>(
    generator: &Model<D>,
    seed: u64,
    count: usize,
    classes: &[u32],
) -> Result<Vec<u8>, ModelError> {
    let network = generator.network();
    if !network.draws_pixels() {
        let latents = latents(seed, count, network.input.len());
        return Ok(to_pixels(&generator.evaluate(&latents, classes)?));
    }
    let sampler = Sampler::of(network, &generator.parameters()?).map_err(|error| match error {
        SamplerError::Spec(error) => ModelError::from(error),
        SamplerError::Parameters(error) => error.into(),
        error => ModelError::Pixels(error.to_string()),
    })?;
    Ok(sampler.draw(seed, count, classes))
}

/// What a step of a pixel is worth to networks.
pub const PIXEL: f32 = 1.0 / 128.0;

/// The values that networks read of pixels: that of `p` is `(p - 128) / 128`.
pub fn from_pixels(pixels: &[u8]) -> Vec<f32> {
    pixels
        .iter()
        .map(|&p| (f32::from(p) - 128.0) * PIXEL)
        .collect()
}

/// The pixels of images with values in [-1, 1]: rounded and clamped; the inverse of what training reads.
pub fn to_pixels(images: &[f32]) -> Vec<u8> {
    images.iter().map(|y| (128.0 * y + 128.5) as u8).collect()
}
