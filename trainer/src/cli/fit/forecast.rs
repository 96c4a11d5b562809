//! How long a run will take.

use crate::gan::fit::{Length, Run, Source};
use crate::gan::{Batch, Gan, Settings};
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
    let batch = Batch {
        n: run.batch,
        images: &images,
        classes: &classes,
        inputs: &inputs,
    };
    let all = run.steps_an_epoch(source.count()).saturating_mul(epochs);
    let left = |first: u32, after: u32| after.saturating_sub(first.max(done));
    let Some(growth) = &run.settings.growth else {
        return Ok(Some(
            of_a_step(device, &run.settings, batch)? * left(0, all),
        ));
    };
    // Each phase takes its own time.
    let mut time = Duration::ZERO;
    for (number, phase) in growth.phases.iter().enumerate() {
        let first = growth.steps.saturating_mul(number as u32);
        let after = match growth.phases.get(number + 1) {
            Some(_) => first.saturating_add(growth.steps).min(all),
            None => all,
        };
        let steps = left(first, after);
        if steps > 0 {
            let settings = Settings {
                networks: phase.networks.clone(),
                growth: None,
                ..run.settings.clone()
            };
            time += of_a_step(device, &settings, batch)? * steps;
        }
    }
    Ok(Some(time))
}

/// The time of a step of networks that are made for it.
fn of_a_step<D: Device<f32>>(
    device: &D,
    settings: &Settings,
    batch: Batch<'_>,
) -> Result<Duration, ModelError> {
    let mut gan = Gan::new(device.clone(), settings)?;
    // The first one makes the buffers.
    gan.step(batch)?;
    let start = Instant::now();
    gan.step(batch)?;
    Ok(start.elapsed())
}
