//! How long a run will take.

use crate::gan::fit::{Length, Run, Source};
use crate::gan::{Batch, Gan};
use crate::nn::ModelError;
use crate::ops::Device;
use std::time::{Duration, Instant};

/// The time that the steps of a run take from `done` steps on, told from one of them; `None` for a run that is limited
/// by time. The step is taken by networks of its own.
///
/// # Errors
/// The device's.
pub(super) fn forecast<D: Device<f32>>(
    device: &D,
    run: &Run,
    source: &dyn Source,
    done: u32,
) -> Result<Option<Duration>, ModelError> {
    let Length::Epochs(epochs) = run.length else {
        return Ok(None);
    };
    let mut gan = Gan::new(device.clone(), &run.settings)?;
    let numbers: Vec<u32> = (0..run.images_a_step() as u32).collect();
    let (mut images, mut classes) = (Vec::new(), Vec::new());
    source.assemble(&numbers, &mut images, &mut classes);
    let generator = &run.settings.networks.generator.network;
    if generator.classes().is_none() {
        classes.clear();
    }
    let inputs = if generator.reads_pictures() {
        vec![0.0; run.batch * generator.input.len()]
    } else {
        Vec::new()
    };
    let mut step = || {
        gan.step(Batch {
            n: run.batch,
            images: &images,
            classes: &classes,
            inputs: &inputs,
        })
    };
    // The first one makes the buffers.
    step()?;
    let start = Instant::now();
    step()?;
    let all = run.steps_an_epoch(source.count()).saturating_mul(epochs);
    Ok(Some(start.elapsed() * all.saturating_sub(done)))
}
