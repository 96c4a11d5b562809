//! `trainer inspect`: what a blob costs, layer by layer.

use super::Failure;
use crate::engines::RuntimeEngine;
use crate::export::INT8_BLOB;
use pocketgan::{Layer, Model, Shape};
use serde::Serialize;
use std::path::PathBuf;

/// Print a blob's layers, shapes, multiply-accumulates, bytes and working memory.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// A .pgan file, or the folder of a run or a model that holds model.pgan.
    model: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    model: PathBuf,
    numbers: String,
    latent_size: usize,
    /// 0 for a model without classes.
    classes: usize,
    blob_bytes: usize,
    /// What the classes take of them.
    class_bytes: usize,
    /// RAM to make an image row by row.
    working_memory: usize,
    /// RAM of the image itself, where it is kept whole.
    image_bytes: usize,
    macs: u64,
    layers: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    operator: &'static str,
    activation: String,
    input: String,
    output: String,
    macs: u64,
    weight_bytes: usize,
    parameter_bytes: usize,
    row_buffer_bytes: usize,
}

pub fn run(args: InspectArgs) -> Result<(), Failure> {
    let path = match args.model.is_dir() {
        true => args.model.join(INT8_BLOB),
        false => args.model,
    };
    let engine = RuntimeEngine::open(&path)?;
    let report = Report::new(path, &engine.model()?);
    if args.json {
        return super::print_json(&report);
    }
    report.print();
    Ok(())
}

impl Report {
    fn new(path: PathBuf, model: &Model<'_>) -> Self {
        Self {
            model: path,
            numbers: format!("{:?}", model.numbers()).to_lowercase(),
            latent_size: model.latent_size(),
            classes: model.classes(),
            blob_bytes: model.blob_len(),
            class_bytes: model.layers().map(|layer| layer.class_bytes()).sum(),
            working_memory: model.working_memory(),
            image_bytes: model.image_len(),
            macs: model.macs(),
            layers: model.layers().map(|layer| Row::new(&layer)).collect(),
        }
    }

    fn print(&self) {
        say!(
            "{}: {} weights, latent {}",
            self.model.display(),
            self.numbers,
            self.latent_size
        );
        say!(
            "{:<16} {:<12} {:>10} {:>10} {:>12} {:>9} {:>11} {:>11}",
            "layer",
            "activation",
            "in",
            "out",
            "MACs",
            "weights",
            "parameters",
            "row buffer"
        );
        for row in &self.layers {
            say!(
                "{:<16} {:<12} {:>10} {:>10} {:>12} {:>9} {:>11} {:>11}",
                row.operator,
                row.activation,
                row.input,
                row.output,
                row.macs,
                row.weight_bytes,
                row.parameter_bytes,
                row.row_buffer_bytes
            );
        }
        say!(
            "flash           {:>9} bytes, the whole blob",
            self.blob_bytes
        );
        if self.classes > 0 {
            say!(
                "classes         {:>9} bytes of that flash, for {}",
                self.class_bytes,
                self.classes
            );
        }
        say!(
            "working memory  {:>9} bytes of RAM, images row by row",
            self.working_memory
        );
        say!(
            "image           {:>9} bytes of RAM more to keep it whole",
            self.image_bytes
        );
        say!(
            "work            {:>9} multiply-accumulates an image",
            self.macs
        );
    }
}

impl Row {
    fn new(layer: &Layer<'_>) -> Self {
        Self {
            operator: layer.name(),
            activation: format!("{:?}", layer.activation),
            input: shape(layer.input),
            output: shape(layer.output),
            macs: layer.macs(),
            weight_bytes: layer.weight_bytes(),
            parameter_bytes: layer.parameter_bytes(),
            row_buffer_bytes: layer.row_buffer_bytes(),
        }
    }
}

/// Channels, height, width.
fn shape(shape: Shape) -> String {
    format!("{}x{}x{}", shape.channels, shape.height, shape.width)
}
