//! `trainer sample`: images from an exported model.

use super::output::Output;
use super::pixels::PixelModel;
use super::{Failure, export};
use crate::engines::{self, Engine, EngineError, EngineKind};
use crate::export::FLOAT_ONNX;
use crate::export::quantize::Calibration;
use crate::files::sha256;
use crate::report::sheet;
use crate::spec::Shape;
use pocketgan::latent;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Draw images from an exported model into one picture.
///
/// The image of a seed is the same on every machine with the runtime, and the same but for rounding
/// with the other engines. A model with classes draws each class in turn, or the one that is asked for.
#[derive(Debug, clap::Args)]
pub struct SampleArgs {
    /// A run's folder (its newest checkpoint while it has no exported model), a model's folder in
    /// models/, or a file: .pgan for the runtime, .onnx for the others.
    model: PathBuf,
    /// What runs the model.
    #[arg(long, value_enum, default_value_t)]
    engine: EngineKind,
    /// The class of all images, counted from 0, of a model with classes.
    #[arg(long, value_name = "CLASS")]
    class: Option<u32>,
    /// How many images; by default 64, or 8 of each class if each is drawn in turn (2 to 16 classes).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    count: Option<u32>,
    /// Seed of the first image; the others follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pull the latents towards 0 by this factor, from 0 to 1, to the nearest 256th: a smaller one gives fewer poor
    /// images and less variety. No score is taken so.
    #[arg(long, default_value_t = 1.0)]
    psi: f64,
    /// Draw the images of these latents, as `trainer project` writes them, in place of seeds.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "count", "psi"])]
    latents: Option<PathBuf>,
    /// Images in a row; by default 8, or one of each class if each is drawn in turn (2 to 16 classes).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    columns: Option<u32>,
    /// The picture to write, by its ending .png, .jpg, .gif, .webp or .bmp; - is standard output, as PNG. A picture
    /// that is there is replaced; a file of another kind is not.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "samples.png",
        allow_hyphen_values = true
    )]
    output: PathBuf,
    /// Print one JSON object, with the SHA-256 of each image's pixels.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Sampled {
    #[serde(serialize_with = "super::lossy")]
    model: PathBuf,
    /// `null` of a model that draws pixel by pixel, which the trainer does itself.
    engine: Option<EngineKind>,
    output: Output,
    psi: f64,
    channels: usize,
    height: usize,
    width: usize,
    images: Vec<Sample>,
}

#[derive(Serialize)]
struct Sample {
    /// `null` where latents were given.
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<u32>,
    /// Of the pixels in the device's order: row, column, channel.
    pixels_sha256: String,
}

/// Latents as a device takes them, in a file.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Latents {
    /// Components from -127 to 127; a latent's number is a 32nd of each.
    latents: Vec<Vec<i8>>,
    /// The class of each; none of a model without classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    classes: Vec<u32>,
}

impl Latents {
    /// Adds one.
    pub fn push(&mut self, latent: Vec<i8>, class: Option<u32>) {
        self.latents.push(latent);
        self.classes.extend(class);
    }

    /// Reads those of a model.
    fn read(path: &Path, model: &Path, engine: &dyn Engine) -> Result<Self, Failure> {
        let refused = |reason: &dyn std::fmt::Display| {
            Failure::Input(format!("{}: {reason}", path.display()))
        };
        let bytes = engines::read(path)?;
        let own: Self = serde_json::from_slice(&bytes).map_err(|error| refused(&error))?;
        let size = engine.latent_size();
        if own.latents.is_empty() {
            return Err(refused(&"there are no latents in it"));
        }
        if let Some(other) = own.latents.iter().find(|latent| latent.len() != size) {
            let model = model.display();
            let (found, wanted) = (other.len(), size);
            let reason = format!("it has latents of {found} numbers, and {model} takes {wanted}");
            return Err(refused(&reason));
        }
        Ok(own)
    }
}

/// The engine on a file, on a folder's exported model, or on the newest checkpoint of a run that has not been
/// exported yet; and the path of that.
pub(super) fn open(model: &Path, kind: EngineKind) -> Result<(PathBuf, Box<dyn Engine>), Failure> {
    let onnx = model.join(FLOAT_ONNX);
    if engines::reads_pictures(&onnx) {
        return Err(EngineError::ReadsPictures(onnx).into());
    }
    PixelModel::refuse(model, "has no latents")?;
    let found = match export::Source::find(model, kind.file_name())? {
        export::Source::File(file) => {
            let engine = engines::open(kind, &file)?;
            return Ok((file, engine));
        }
        export::Source::Checkpoint(found) => found,
    };
    if export::reads_pictures(&found)? {
        return Err(EngineError::ReadsPictures(found.path).into());
    }
    let folder = export::temporary_folder()?;
    let exported = export::export_to(&found, None, Calibration::default(), folder.path())?;
    if let (EngineKind::Runtime, Err(error)) = (kind, exported.device) {
        return Err(Failure::Input(format!("{error}: add --engine tract")));
    }
    let engine = engines::open(kind, &folder.path().join(kind.file_name()))?;
    Ok((found.path, engine))
}

/// Which images to draw.
struct Plan {
    count: usize,
    columns: usize,
    /// The class of each image; none for a model without classes.
    classes: Vec<u32>,
    /// In 256ths.
    psi: u16,
}

impl Plan {
    /// What the arguments come to for a model with so many classes.
    fn new(args: &SampleArgs, model: &Path, classes: usize) -> Result<Self, Failure> {
        if !(0.0..=1.0).contains(&args.psi) {
            return Err(Failure::Input("--psi must be from 0 to 1".into()));
        }
        let usual = match (args.class, classes) {
            (None, classes @ 2..=16) => classes,
            _ => 8,
        };
        let columns = args.columns.map_or(usual, |columns| columns as usize);
        let count = args.count.map_or(8 * usual, |count| count as usize);
        let classes = match args.class {
            None => engines::classes_in_turn(classes, count),
            Some(class) => only(class, model, classes, count)?,
        };
        Ok(Self {
            count,
            columns,
            classes,
            psi: (args.psi * 256.0).round() as u16,
        })
    }
}

/// One class for all of `count` images of a model with so many classes.
pub(super) fn only(
    class: u32,
    model: &Path,
    classes: usize,
    count: usize,
) -> Result<Vec<u32>, Failure> {
    if (class as usize) < classes {
        Ok(vec![class; count])
    } else {
        Err(Failure::Input(no_such_class(model, class, classes)))
    }
}

fn no_such_class(model: &Path, class: u32, classes: usize) -> String {
    let model = model.display();
    match classes {
        0 => format!("{model} has no classes; leave out --class"),
        n => format!(
            "{model} has no class {class}; its classes are 0 to {}",
            n - 1
        ),
    }
}

pub fn run(args: SampleArgs) -> Result<(), Failure> {
    let output = Output::check(args.output.clone(), args.json)?;
    if let Some(model) = PixelModel::find(&args.model)? {
        return pixel_by_pixel(&args, output, model);
    }
    let (path, mut engine) = open(&args.model, args.engine)?;
    let mut plan = Plan::new(&args, &path, engine.classes())?;
    let latents = match &args.latents {
        Some(file) => {
            let given = Latents::read(file, &path, engine.as_ref())?;
            plan.count = given.latents.len();
            plan.classes = match args.class {
                Some(class) => only(class, &path, engine.classes(), plan.count)?,
                None => given.classes,
            };
            given.latents.concat()
        }
        None => {
            let mut latents = engines::latents(args.seed, plan.count, engine.latent_size());
            latent::truncate(&mut latents, plan.psi);
            latents
        }
    };
    let images = engine.images(&latents, &plan.classes)?;
    report(
        &args,
        output,
        path,
        &plan,
        Some(args.engine),
        (images.shape, &images.to_pixels()),
    )
}

/// Draws images of a model that draws pixel by pixel.
fn pixel_by_pixel(args: &SampleArgs, output: Output, model: PixelModel) -> Result<(), Failure> {
    let plan = Plan::new(args, &model.path, model.classes())?;
    if plan.psi != 256 || args.latents.is_some() {
        return Err(Failure::Input(format!(
            "{} draws pixel by pixel and has no latents: leave out --psi and --latents",
            model.path.display()
        )));
    }
    let pixels = model.draw(args.seed, plan.count, &plan.classes);
    let shape = model.shape();
    report(args, output, model.path, &plan, None, (shape, &pixels))
}

/// Writes the images and says what they are.
fn report(
    args: &SampleArgs,
    output: Output,
    path: PathBuf,
    plan: &Plan,
    engine: Option<EngineKind>,
    (shape, pixels): (Shape, &[u8]),
) -> Result<(), Failure> {
    output.save(sheet(pixels, shape, plan.columns))?;
    if !args.json {
        let (count, model) = (plan.count, path.display());
        output.say(&format!("{count} images from {model}: {output}"));
        return Ok(());
    }
    let images = pixels.chunks_exact(shape.len()).enumerate();
    super::print_json(&Sampled {
        model: path,
        engine,
        output,
        psi: f64::from(plan.psi) / 256.0,
        channels: shape.channels,
        height: shape.height,
        width: shape.width,
        images: images
            .map(|(i, pixels)| Sample {
                seed: args
                    .latents
                    .is_none()
                    .then(|| args.seed.wrapping_add(i as u64)),
                class: plan.classes.get(i).copied(),
                pixels_sha256: sha256(&engines::channels_last(shape, pixels)),
            })
            .collect(),
    })
}
