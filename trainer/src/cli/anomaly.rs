//! `trainer anomaly`: scores of pictures by how badly an autoencoder reconstructs them.

use super::export::{checkpoint, other, reconstruction};
use super::fit::{self, Loaded, Plan};
use super::{Failure, print_json};
use crate::data::{self, Dataset, Images, Split, Task};
use crate::engines::{channels_last, spec_shape};
use crate::export::quantize::Weights;
use crate::export::{Bundle, RECONSTRUCTION_BLOB, write_all};
use crate::gan::Variational;
use crate::gan::fit::Source;
use crate::metrics::roc::{auroc, quantile, roc};
use crate::report::{self, Curve};
use anyhow::Context;
use pocketgan::{Model, Pixels, Translator};
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Score pictures by how badly a run of autoencoder or vae reconstructs them.
///
/// A picture's score is the sum of the squared differences between its pixels and those of what the network makes of
/// it: the number that `Translator::score` gives on a device. Normal pictures are the held-out ones of the classes that
/// the run learned; anomalous are those of the other classes, or of --anomalous. How well the score tells them apart is
/// the area under the ROC curve (AUROC), in f32 and in int8. A picture is called anomalous where its score is above the
/// threshold, which the given share of the training pictures (of up to --samples of them) do not exceed.
///
/// Leaves in the run's folder: roc.png, anomaly.json, anomaly.md (the card), threshold.h and threshold.rs; and the blob
/// that a device runs, reconstruction.pgan.
#[derive(Debug, clap::Args)]
pub struct AnomalyArgs {
    /// The folder of a run.
    run: PathBuf,
    /// Held-out pictures that are anomalous, as `trainer data list` prints data sets; not needed of a run that learned
    /// some of its data set's classes.
    #[arg(long, value_name = "NAME")]
    anomalous: Option<String>,
    /// The share of the training pictures that do not exceed the threshold, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.99)]
    quantile: f64,
    /// Pictures of each kind that are scored, at even distances.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    samples: u32,
    /// Threads to compute with.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints and anomaly.json has.
#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "super::lossy")]
    run: PathBuf,
    dataset: String,
    /// The classes that the run learned; `null` if all.
    normal_classes: Option<String>,
    anomalous: String,
    normal_pictures: usize,
    anomalous_pictures: usize,
    /// By the int8 blob, which a device runs.
    auroc: f64,
    auroc_float: f64,
    quantile: f64,
    /// Of the int8 blob's scores.
    threshold: u64,
    /// Shares of the held-out pictures that are above it.
    false_alarms: f64,
    found: f64,
    blob_bytes: usize,
    working_memory: usize,
}

pub fn run(args: AnomalyArgs) -> Result<(), Failure> {
    if !(0.0..=1.0).contains(&args.quantile) {
        return Err(Failure::Input("--quantile must be from 0 to 1".into()));
    }
    let plan = fit::plan_of(&args.run)?;
    let found = checkpoint(&args.run, false)?;
    let is_other = plan.target.is_some()
        || plan
            .options
            .task
            .is_some_and(|task| task != Task::Reconstruct);
    let network = reconstruction(&found.checkpoint)?.filter(|_| !is_other);
    let Some((network, parameters)) = network else {
        let encoder = other(&found.checkpoint, Variational::ENCODER);
        let reason = if encoder.is_some_and(|(network, _)| network.classes().is_some()) {
            "is told the class of each picture, which one to be scored does not have: train without --conditional"
        } else {
            "does not reconstruct its own pictures, as runs of autoencoder and vae do"
        };
        return Err(Failure::Input(format!("{} {reason}", args.run.display())));
    };
    let samples = args.samples as usize;
    let train = Loaded::new(&plan, Split::Train)?;
    let (normal, anomalous, what) = held_out(&plan, args.anomalous.as_deref())?;
    let shape = train.images.shape();
    for images in [&normal, &anomalous] {
        if images.shape() != shape {
            return Err(Failure::Input(format!(
                "the run's pictures are {shape}, and the anomalous ones {}",
                images.shape()
            )));
        }
    }
    let calibration = train.calibration_on();
    let bundle = Bundle::new(&network, &parameters, Weights::Int8, calibration)?;
    let pool = super::thread_pool(args.threads)?;
    let scores = |blob: &[u8], images: &Images| pool.install(|| scores(blob, images, samples));
    let of_training = scores(&bundle.int8_blob, &train.images)?;
    let threshold = quantile(&of_training, args.quantile);
    let [float, int8] = [&bundle.float_blob, &bundle.int8_blob]
        .map(|blob| Ok::<_, Failure>([scores(blob, &normal)?, scores(blob, &anomalous)?]));
    let ([float_normal, float_anomalous], [int8_normal, int8_anomalous]) = (float?, int8?);
    let area = |normal: &[u64], anomalous: &[u64]| {
        auroc(normal, anomalous).context("there are no pictures to score")
    };
    let above = |scores: &[u64]| {
        let above = scores.iter().filter(|&&score| score > threshold);
        above.count() as f64 / scores.len().max(1) as f64
    };
    let model = Model::parse(&bundle.int8_blob).map_err(anyhow::Error::from)?;
    let report = Report {
        run: args.run.clone(),
        dataset: plan.dataset.to_string(),
        normal_classes: plan.options.only_classes.as_ref().map(ToString::to_string),
        anomalous: what,
        normal_pictures: int8_normal.len(),
        anomalous_pictures: int8_anomalous.len(),
        auroc: area(&int8_normal, &int8_anomalous)?,
        auroc_float: area(&float_normal, &float_anomalous)?,
        quantile: args.quantile,
        threshold,
        false_alarms: above(&int8_normal),
        found: above(&int8_anomalous),
        blob_bytes: bundle.int8_blob.len(),
        working_memory: model.working_memory(),
    };
    let curves = [
        ("int8", roc(&int8_normal, &int8_anomalous)),
        ("f32", roc(&float_normal, &float_anomalous)),
    ];
    let curves = curves.map(|(name, points)| Curve { name, points });
    let plot = report::plot(&curves).context("cannot draw the curve")?;
    report.write(&args.run, &plot, &bundle.int8_blob)?;
    if args.json {
        return print_json(&report);
    }
    say!("{}: {}", args.run.display(), report.sentence());
    Ok(())
}

impl Report {
    fn sentence(&self) -> String {
        format!(
            "AUROC {:.4} in int8 ({:.4} in f32); threshold {}: {:.2} % of the normal pictures and {:.2} % of the \
             anomalous are above it",
            self.auroc,
            self.auroc_float,
            self.threshold,
            100.0 * self.false_alarms,
            100.0 * self.found
        )
    }

    /// Writes all that the command leaves.
    fn write(&self, folder: &Path, plot: &[u8], blob: &[u8]) -> Result<(), Failure> {
        let mut json = serde_json::to_string(self).map_err(anyhow::Error::from)?;
        json.push('\n');
        let guard = "POCKETGAN_THRESHOLD_H";
        let header = format!(
            "/* A picture whose score is above it is anomalous. */\n#ifndef {guard}\n#define {guard}\n#include \
             <stdint.h>\nstatic const uint64_t ANOMALY_THRESHOLD = UINT64_C({});\n#endif\n",
            self.threshold
        );
        let constant = format!(
            "/// A picture whose score is above it is anomalous.\npub const ANOMALY_THRESHOLD: u64 = {};\n",
            self.threshold
        );
        let files = [
            ("roc.png", plot.to_vec()),
            ("anomaly.json", json.into_bytes()),
            ("anomaly.md", self.card().into_bytes()),
            ("threshold.h", header.into_bytes()),
            ("threshold.rs", constant.into_bytes()),
            (RECONSTRUCTION_BLOB, blob.to_vec()),
        ];
        let files: Vec<(&str, &Vec<u8>)> =
            files.iter().map(|(name, bytes)| (*name, bytes)).collect();
        Ok(write_all(folder, &files)?)
    }

    fn card(&self) -> String {
        let classes = match &self.normal_classes {
            Some(classes) => format!("classes {classes}"),
            None => "all classes".to_owned(),
        };
        format!(
            "# Anomalies\n\nLearned: {}, {classes}. Anomalous: {}.\n\n| | |\n|---|---|\n| AUROC, int8 | {:.4} |\n| AUROC, f32 | \
             {:.4} |\n| pictures, normal and anomalous | {} and {} |\n| threshold (not exceeded by {} of the training pictures) \
             | {} |\n| normal pictures above it | {:.4} |\n| anomalous pictures above it | {:.4} |\n| blob, bytes | {} |\n| working \
             memory, bytes | {} |\n\n![ROC curve](roc.png)\n",
            self.dataset,
            self.anomalous,
            self.auroc,
            self.auroc_float,
            self.normal_pictures,
            self.anomalous_pictures,
            self.quantile,
            self.threshold,
            self.false_alarms,
            self.found,
            self.blob_bytes,
            self.working_memory
        )
    }
}

/// The held-out pictures that are normal, those that are anomalous, and what the latter are.
fn held_out(plan: &Plan, anomalous: Option<&str>) -> Result<(Images, Images, String), Failure> {
    let normal = Loaded::new(plan, Split::Test)?.images;
    if let Some(name) = anomalous {
        let dataset: Dataset = name.parse()?;
        let options = plan.data_options_for(&dataset)?;
        return Ok((
            normal,
            data::load(&dataset, Split::Test, &options)?,
            dataset.to_string(),
        ));
    }
    let Some(classes) = &plan.options.only_classes else {
        return Err(Failure::Input(
            "the run learned all classes: say what is anomalous with --anomalous, or train with --only-classes".into(),
        ));
    };
    let mut others = data::load(&plan.dataset, Split::Test, &plan.data_options())?;
    let labels = others.labels.iter().enumerate();
    let kept = labels.filter(|&(_, &label)| !classes.contains(label));
    let kept: Vec<usize> = kept.map(|(number, _)| number).collect();
    if kept.is_empty() {
        return Err(Failure::Input(
            "the run learned all classes of the test images: say what is anomalous with --anomalous".into(),
        ));
    }
    others.retain(&kept);
    Ok((normal, others, "the other classes".to_owned()))
}

/// The scores of so many pictures at even distances, by a blob, as a device gives them.
fn scores(blob: &[u8], images: &Images, most: usize) -> Result<Vec<u64>, Failure> {
    let model = Model::parse(blob).map_err(anyhow::Error::from)?;
    let shape = spec_shape(model.output());
    let pixels = data::spread(&images.pixels, shape.len(), most);
    let pictures: Vec<&[u8]> = pixels.chunks_exact(shape.len()).collect();
    let scores = pictures.par_chunks(64).map(|pictures| {
        let mut buffer = vec![0; model.buffer_len()];
        let mut translator = Translator::new(&model, buffer.as_mut_slice())?;
        let score = |picture: &&[u8]| {
            let pixels = channels_last(shape, picture);
            translator.score(&mut Pixels::new(&pixels, model.output().row_len()))
        };
        let scores: Result<Vec<u64>, _> = pictures.iter().map(score).collect();
        Ok::<_, anyhow::Error>(scores?)
    });
    let scores: Result<Vec<Vec<u64>>, anyhow::Error> = scores.collect();
    Ok(scores?.concat())
}
