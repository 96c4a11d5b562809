//! What `trainer fit` reports at its end.

use super::options::{Plan, input};
use crate::cli::Failure;
use crate::data::{Dataset, Images};
use crate::export::{self, NoDevice, quantize::Calibration};
use crate::files::write_whole;
use crate::gan::fit::{self, EpochScore, Shown, Source, Trained};
use crate::gan::rounded;
use crate::gan::{Recipe, Size};
use crate::metrics::Histogram;
use crate::metrics::fid_cls::PROTOCOL;
use crate::ops::Device;
use crate::report;
use crate::samples;
use anyhow::Context;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The figures of a run that ended well.
#[derive(Serialize)]
pub(super) struct Summary {
    #[serde(serialize_with = "crate::cli::lossy")]
    run: PathBuf,
    dataset: Dataset,
    recipe: Recipe,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<Size>,
    steps: u32,
    minutes: f64,
    images_per_s: f64,
    parameters: usize,
    /// `null` where the network could not be quantized.
    blob_bytes: Option<usize>,
    working_memory: Option<usize>,
    macs: u64,
    #[serde(skip)]
    reads_pictures: bool,
    /// Why there is no int8 form, if there is none.
    #[serde(skip)]
    pub no_device: Option<NoDevice>,
    /// As in the last line of stats.jsonl, each `null` where there is none.
    #[serde(flatten)]
    losses: BTreeMap<String, Option<f32>>,
    scores: Scores,
    /// What speaks of mode collapse at the end; `null` where nothing does.
    collapse: Option<String>,
}

/// Figures of the averaged generator, in float; the histograms are over 1,024 images.
#[derive(Serialize)]
struct Scores {
    /// Normalized entropy of the pixel values.
    pixel_entropy: f64,
    /// The same of the training images.
    data_pixel_entropy: f64,
    /// Jensen-Shannon divergence of the two histograms, nats.
    pixel_js: f64,
    /// By the protocol fid-cls-5k-test, where the data set has a classifier; of pictures with images that belong to
    /// them, the distance from these.
    #[serde(flatten)]
    at_end: Option<EpochScore>,
    /// Share of the classes that are seen, where the data set has a classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    class_coverage: Option<f64>,
    /// As in the last line of stats.jsonl: of the generator in training.
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest_generated: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest_training: Option<f64>,
}

impl Summary {
    /// Draws the last samples, exports the averaged generator, and adds up.
    ///
    /// # Errors
    /// A file that cannot be written; the device's.
    pub fn new<D: Device<f32>>(
        plan: &Plan,
        held_out: Option<&Shown>,
        trained: &Trained<D>,
        images: &Images,
        calibration: Calibration,
    ) -> Result<Self, Failure> {
        let shape = images.shape();
        const SAMPLES: usize = 1024;
        // What the device will draw.
        let drawn = plan
            .options
            .finetune
            .map(|weights| rounded(&trained.generator, weights));
        let drawn = drawn.transpose()?;
        let generator = drawn.as_ref().unwrap_or(&trained.generator);
        let network = generator.network();
        let classes = samples::classes_in_turn(network, SAMPLES);
        let pixels = match held_out {
            Some(held_out) => {
                samples::to_pixels(&generator.evaluate(&held_out.pictures, &classes)?)
            }
            None => samples::draw(generator, plan.options.seed, SAMPLES, &classes)?,
        };
        let grid = match held_out {
            Some(held_out) => report::png(fit::translations(held_out, &pixels, shape)),
            None => {
                let shown = &pixels[..fit::grid(network) * shape.len()];
                report::montage(shown, shape, fit::columns(network))
            }
        };
        let grid = grid.context("cannot encode the sample grid")?;
        let path = plan.out.join("samples.png");
        write_whole(&path, &grid)
            .or_else(|error| input(format!("cannot write {}: {error}", path.display())))?;
        let parameters = trained.generator.parameters()?;
        let exported = export::export(
            network,
            &parameters,
            plan.options.finetune.unwrap_or_default(),
            calibration,
            &plan.out,
        )?;
        let device = exported.device.as_ref().ok();
        let last = trained.last.as_ref();
        let losses = plan.game.losses().iter().map(|name| {
            let loss = last.and_then(|line| plan.game.loss_of(&line.losses, name));
            (format!("{}_loss", name.key), loss)
        });
        let (ours, theirs) = (Histogram::of(&pixels), Histogram::of(&images.pixels));
        Ok(Self {
            run: plan.out.clone(),
            dataset: plan.dataset.clone(),
            recipe: plan.options.recipe,
            size: plan.options.size,
            steps: trained.steps,
            minutes: trained.elapsed.as_secs_f64() / 60.0,
            images_per_s: trained.images_per_s,
            parameters: super::parameters(network),
            blob_bytes: device.map(|device| device.blob_bytes),
            working_memory: device.map(|device| device.working_memory),
            macs: exported.macs,
            reads_pictures: network.reads_pictures(),
            no_device: exported.device.err(),
            losses: losses.collect(),
            scores: Scores {
                pixel_entropy: ours.entropy(),
                data_pixel_entropy: theirs.entropy(),
                pixel_js: ours.jensen_shannon(&theirs),
                at_end: trained.score.as_ref().map(|line| line.score.clone()),
                class_coverage: trained.score.as_ref().and_then(|line| line.class_coverage),
                nearest_generated: last.and_then(|line| line.nearest_generated),
                nearest_training: last.and_then(|line| line.nearest_training),
            },
            collapse: trained.collapse.clone(),
        })
    }

    /// The figures as one JSON object.
    ///
    /// # Errors
    /// The encoder's.
    pub fn to_json(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string(self).map_err(anyhow::Error::from)?)
    }

    /// Prints the figures and what to do next.
    pub fn print(&self) {
        let run = self.run.display();
        let s = &self.scores;
        say!(
            "{run}: {} steps in {:.1} minutes, {:.0} images/s",
            self.steps,
            self.minutes,
            self.images_per_s
        );
        say!(
            "  generator       {:>9} parameters, {} multiply-accumulates an image",
            self.parameters,
            self.macs
        );
        if let (Some(flash), Some(memory)) = (self.blob_bytes, self.working_memory) {
            say!("  model.pgan      {flash:>9} bytes of flash");
            say!("  working memory  {memory:>9} bytes of RAM");
        }
        say!(
            "  pixel entropy   {:>9.3} (training images {:.3}), Jensen-Shannon divergence {:.4}",
            s.pixel_entropy,
            s.data_pixel_entropy,
            s.pixel_js
        );
        match &s.at_end {
            Some(EpochScore::Images(score)) => say!(
                "  {PROTOCOL} {:>9.2}, class entropy {:.3}",
                score.fid_cls,
                score.class_entropy
            ),
            Some(EpochScore::Pairs(score)) => say!(
                "  held out        {:>9.2} grey levels (L1), PSNR {:.2} dB",
                score.l1,
                score.psnr
            ),
            Some(EpochScore::Likelihood(score)) => say!(
                "  held out        {:>9.2} nats an image, {:.4} bits a pixel",
                score.nats,
                score.bits_per_dimension
            ),
            None => {}
        }
        if let Some(signs) = &self.collapse {
            say!("  collapsed       {signs}");
        }
        say!("  samples         {run}/samples.png");
        say!("Next:");
        let trainer = super::program();
        if self.reads_pictures {
            say!("  {trainer} translate {run} --input PICTURE -o image.png");
            say!("  {trainer} eval {run}");
            say!("  {trainer} verify {run}");
            if self.no_device.is_none() {
                say!("  {trainer} inspect {run}/model.pgan");
            }
            return;
        }
        let engine = if self.no_device.is_some() {
            " --engine tract"
        } else {
            ""
        };
        say!("  {trainer} sample {run} --count 64{engine} -o grid.png");
        if self.no_device.is_none() {
            say!("  {trainer} verify {run}");
            say!("  {trainer} inspect {run}/model.pgan");
        }
    }
}
