//! `trainer inspect`: what a blob costs, layer by layer.

use super::Failure;
use super::pixels::PixelModel;
use crate::engines::{EngineError, read};
use crate::export::INT8_BLOB;
use pocketgan::cost::Core;
use pocketgan::{Layer, Model, Shape};
use serde::Serialize;
use std::path::PathBuf;

/// Print a blob's layers, shapes, multiply-accumulates, bytes and working memory.
///
/// With a target, also what the model takes on a core, before anything is built: code and stack of the smallest
/// firmware that draws an image, and executed instructions. They are predicted from figures of many other models under
/// QEMU; docs/device.md says how well.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// A .pgan file, or the folder of a run or a model that holds model.pgan.
    model: PathBuf,
    /// Predict what it takes on a core: flash, stack, and instructions layer by layer.
    #[arg(long, value_name = "CORE", value_parser = cores())]
    target: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "super::lossy")]
    model: PathBuf,
    numbers: String,
    /// 0 of a model that reads pictures.
    latent_size: usize,
    /// The pictures that it reads, CxHxW; `null` of one that reads latents.
    picture: Option<String>,
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
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
}

/// What a model takes on a core, as predicted.
#[derive(Serialize)]
struct Target {
    target: String,
    /// `None` for a model with concatenations or average pooling.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    firmware: Option<Firmware>,
    /// Of an image.
    instructions: u64,
    /// Of these, those outside of the layers: the latent, which row is next, the pixels.
    other_instructions: u64,
}

/// The smallest firmware with the features that a model needs, as predicted.
#[derive(Serialize)]
struct Firmware {
    /// The blob not counted.
    code_bytes: u64,
    /// The blob and that code.
    flash_bytes: u64,
    /// While it makes an image, at the deepest.
    stack_bytes: u64,
}

/// The names of the cores.
fn cores() -> clap::builder::PossibleValuesParser {
    Core::all().map(Core::name).collect::<Vec<_>>().into()
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
    /// On the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<u64>,
}

pub fn run(args: InspectArgs) -> Result<(), Failure> {
    PixelModel::refuse(&args.model, "has no blob to inspect")?;
    let path = if args.model.is_dir() {
        args.model.join(INT8_BLOB)
    } else {
        args.model
    };
    let blob = read(&path)?;
    let model = Model::parse(&blob).map_err(|error| EngineError::Blob {
        path: path.clone(),
        error,
    })?;
    let mut report = Report::new(path, &model);
    if let Some(name) = args.target {
        report.add_target(name, &model)?;
    }
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
            picture: model.picture().map(shape),
            classes: model.classes(),
            blob_bytes: model.blob_len(),
            class_bytes: model.layers().map(|layer| layer.class_bytes()).sum(),
            working_memory: model.working_memory(),
            image_bytes: model.image_len(),
            macs: model.macs(),
            layers: rows(model),
            target: None,
        }
    }

    fn add_target(&mut self, name: String, model: &Model<'_>) -> Result<(), Failure> {
        let core: Option<Core> = name.parse().ok();
        let predicted = core.and_then(|core| {
            let instructions = core.instructions(model)?;
            let (&other, layers) = instructions.split_first()?;
            let firmware = core.code_bytes(model).zip(core.stack_bytes(model));
            Some((other, layers.to_vec(), firmware))
        });
        let Some((other, layers, firmware)) = predicted else {
            let path = self.model.display();
            let refusal = format!("{path} computes with f32: only int8 and int4 have targets");
            return Err(Failure::Input(refusal));
        };
        for (row, &instructions) in self.layers.iter_mut().zip(&layers) {
            row.instructions = Some(instructions);
        }
        self.target = Some(Target {
            target: name,
            firmware: firmware.map(|(code_bytes, stack_bytes)| Firmware {
                code_bytes,
                flash_bytes: code_bytes + self.blob_bytes as u64,
                stack_bytes,
            }),
            instructions: other + layers.iter().sum::<u64>(),
            other_instructions: other,
        });
        Ok(())
    }

    fn print(&self) {
        let reads = match &self.picture {
            Some(picture) => format!("pictures {picture}"),
            None => format!("latent {}", self.latent_size),
        };
        say!(
            "{}: {} weights, {reads}",
            self.model.display(),
            self.numbers
        );
        let instructions = match &self.target {
            Some(_) => format!(" {:>12}", "instructions"),
            None => String::new(),
        };
        say!(
            "{:<16} {:<12} {:>10} {:>10} {:>12} {:>9} {:>11} {:>11}{instructions}",
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
            let instructions = row.instructions.map(|n| format!(" {n:>12}"));
            say!(
                "{:<16} {:<12} {:>10} {:>10} {:>12} {:>9} {:>11} {:>11}{}",
                row.operator,
                row.activation,
                row.input,
                row.output,
                row.macs,
                row.weight_bytes,
                row.parameter_bytes,
                row.row_buffer_bytes,
                instructions.unwrap_or_default()
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
        if let Some(target) = &self.target {
            target.print();
        }
    }
}

impl Target {
    fn print(&self) {
        say!("on {}, predicted:", self.target);
        match &self.firmware {
            Some(firmware) => firmware.print(),
            None => say!(
                "flash and stack of models that read pictures, concatenate or pool are not predicted"
            ),
        }
        say!(
            "instructions    {:>9} an image, {} of them outside of the layers",
            self.instructions,
            self.other_instructions
        );
    }
}

impl Firmware {
    fn print(&self) {
        say!(
            "flash           {:>9} bytes with {} of code, in the smallest firmware",
            self.flash_bytes,
            self.code_bytes
        );
        say!(
            "stack           {:>9} bytes of RAM more, at the deepest, in that firmware",
            self.stack_bytes
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
            instructions: None,
        }
    }
}

/// The layers of a model, the last with the image's shape, however the blob has it.
fn rows(model: &Model<'_>) -> Vec<Row> {
    let mut rows: Vec<Row> = model.layers().map(|layer| Row::new(&layer)).collect();
    if let Some(last) = rows.last_mut() {
        last.output = shape(model.output());
    }
    rows
}

/// Channels, height, width.
fn shape(shape: Shape) -> String {
    format!("{}x{}x{}", shape.channels, shape.height, shape.width)
}
