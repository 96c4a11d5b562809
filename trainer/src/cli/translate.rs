//! `trainer translate`: images of pictures, by an exported model.

use super::output::Output;
use super::{Failure, export};
use crate::data::{Draw, Picture, Task};
use crate::engines::{EngineKind, Translator};
use crate::export::FLOAT_ONNX;
use crate::files::write_whole;
use crate::gan::fit::{Shown, translations};
use crate::metrics::PairScore;
use crate::spec::Shape;
use anyhow::Context;
use image::{ImageFormat, RgbImage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Make images of pictures by a model that reads pictures.
///
/// Of a file one image is made, of a folder one of each picture below it, as PNG files of the same names. A network of
/// convolutions takes pictures of any size, square or not, whose sides fit its strides; others take the size that they
/// were trained with, to which --resize brings pictures.
#[derive(Debug, clap::Args)]
pub struct TranslateArgs {
    /// A run's folder (its newest checkpoint while it has no exported model), or a file: model.onnx.
    model: PathBuf,
    /// A picture, or a folder of pictures.
    #[arg(long, value_name = "PATH")]
    input: PathBuf,
    /// The picture to write, by its ending .png, .jpg, .gif, .webp or .bmp; of a folder, the folder to write into, made
    /// if it is not there.
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
    /// What runs the model.
    #[arg(long, value_enum, default_value_t = EngineKind::Tract)]
    engine: EngineKind,
    /// The images that should come out, of the same names: a picture or a folder. How far the images are from them is
    /// said.
    #[arg(long, value_name = "PATH")]
    truth: Option<PathBuf>,
    /// Make the pictures that are read of the input by the run's task (noise, a smaller picture, …): the input is what
    /// should come out.
    #[arg(long, conflicts_with = "truth")]
    apply_task: bool,
    /// Scale the largest square in the middle of each picture to the size in training.
    #[arg(long)]
    resize: bool,
    /// A grid of each picture, its image, and what should have come out, where that is known. All pictures must have
    /// one size.
    #[arg(long, value_name = "FILE")]
    grid: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "super::lossy")]
    model: PathBuf,
    engine: EngineKind,
    images: Vec<Translated>,
    /// Means over the images; `null` where nothing says what should come out.
    score: Option<PairScore>,
}

#[derive(Serialize)]
struct Translated {
    name: String,
    #[serde(serialize_with = "super::lossy")]
    output: PathBuf,
    channels: usize,
    height: usize,
    width: usize,
    score: Option<PairScore>,
}

/// What a run's configuration says of its pictures.
#[derive(Deserialize)]
struct Known {
    task: Option<Task>,
}

pub fn run(args: TranslateArgs) -> Result<(), Failure> {
    let grid = args.grid.clone().map(|path| Output::check(path, args.json));
    let grid = grid.transpose()?;
    let of_folder = args.input.is_dir();
    let single = if of_folder {
        check_folder(&args.output)?;
        None
    } else {
        Some(Output::check(args.output.clone(), args.json)?)
    };
    let (path, mut translator) = open(&args.model, args.engine)?;
    let task = if args.apply_task {
        Some(task(&args.model)?)
    } else {
        None
    };
    let tell = &mut |line: &str| tell!("{line}");
    let inputs = Picture::all(&args.input, tell)?;
    let truths = truths(args.truth.as_deref(), &inputs, tell)?;
    let mut report = Report {
        model: path,
        engine: args.engine,
        images: Vec::new(),
        score: None,
    };
    let mut seen = Seen::default();
    for (number, input) in inputs.iter().enumerate() {
        let given = Given::read(&args, &translator, input, task, number as u32)?;
        let wanted = match truths.get(number) {
            Some(truth) => {
                let output = translator.output(given.shape)?;
                let side = args.resize.then_some(output.height);
                let (pixels, shape) = truth.read(output.channels, side)?;
                check_truth(truth, shape, output)?;
                Some(pixels)
            }
            None => given.truth,
        };
        let images = translator.images(&given.picture, given.shape)?;
        let (made, shape) = (images.to_pixels(), images.shape);
        let picture = sheet_of_one(&made, shape);
        let output = match &single {
            Some(output) => {
                output.save(picture)?;
                args.output.clone()
            }
            None => write_below(&args.output, &input.name, picture)?,
        };
        let score = wanted
            .as_ref()
            .map(|wanted| PairScore::new(&made, wanted, shape.len()));
        report.images.push(Translated {
            name: input.name.clone(),
            output,
            channels: shape.channels,
            height: shape.height,
            width: shape.width,
            score,
        });
        if grid.is_some() {
            seen.add(&given.picture, given.shape, &made, shape, wanted.as_deref())?;
        }
    }
    report.score = mean(&report.images);
    if let Some(grid) = grid {
        grid.write(seen.grid())?;
    }
    if args.json {
        return super::print_json(&report);
    }
    let count = report.images.len();
    let plural = if count == 1 { "" } else { "s" };
    let line = format!(
        "{count} image{plural} from {}: {}",
        report.model.display(),
        args.output.display()
    );
    match &single {
        Some(output) => output.say(&line),
        None => say!("{line}"),
    }
    if let Some(score) = &report.score {
        tell!(
            "L1 {:.2} grey levels, PSNR {:.2} dB from what should come out",
            score.l1,
            score.psnr
        );
    }
    Ok(())
}

/// The model on a file, in a folder, or of the newest checkpoint of a run that has not been exported yet.
fn open(model: &Path, kind: EngineKind) -> Result<(PathBuf, Translator), Failure> {
    let exported = if model.is_dir() {
        model.join(FLOAT_ONNX)
    } else {
        model.to_owned()
    };
    if exported.exists() || !model.join("checkpoints").is_dir() {
        let translator = Translator::open(kind, &exported)?;
        return Ok((exported, translator));
    }
    let found = export::checkpoint(model, false)?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    export::export_to(&found, None, folder.path())?;
    let translator = Translator::open(kind, &folder.path().join(FLOAT_ONNX))?;
    Ok((found.path, translator))
}

/// What the run in a folder is to undo.
fn task(run: &Path) -> Result<Task, Failure> {
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap_or_default();
    let known: Option<Known> = toml::from_str(&config).ok();
    known.and_then(|known| known.task).ok_or_else(|| {
        Failure::Input(format!(
            "{} is no folder of a run with a --task: leave out --apply-task",
            run.display()
        ))
    })
}

/// The truth of each picture, by its name; none where none is named.
fn truths(
    path: Option<&Path>,
    inputs: &[Picture],
    tell: &mut dyn FnMut(&str),
) -> Result<Vec<Picture>, Failure> {
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let all = Picture::all(path, tell)?;
    if let ([_], [_]) = (inputs, &all[..]) {
        return Ok(all);
    }
    let mut by_name: BTreeMap<String, Picture> = all
        .into_iter()
        .map(|picture| (picture.name.clone(), picture))
        .collect();
    let truths = inputs.iter().map(|input| {
        by_name.remove(&input.name).ok_or_else(|| {
            Failure::Input(format!(
                "{} has no picture of the name {}",
                path.display(),
                input.name
            ))
        })
    });
    truths.collect()
}

fn check_truth(truth: &Picture, shape: Shape, output: Shape) -> Result<(), Failure> {
    if shape == output {
        return Ok(());
    }
    Err(Failure::Input(format!(
        "{} is {shape}, and the image that should be like it is {output}",
        truth.path.display()
    )))
}

/// A picture as the network reads it, and what it was made of.
struct Given {
    picture: Vec<u8>,
    shape: Shape,
    truth: Option<Vec<u8>>,
}

impl Given {
    fn read(
        args: &TranslateArgs,
        translator: &Translator,
        input: &Picture,
        task: Option<Task>,
        number: u32,
    ) -> Result<Self, Failure> {
        let trained = translator.input();
        let side = args.resize.then_some(trained.height);
        let Some(task) = task else {
            let (picture, shape) = input.read(trained.channels, side)?;
            return Ok(Self {
                picture,
                shape,
                truth: None,
            });
        };
        let channels = translator.output(trained)?.channels;
        let side = side.map(|side| side * task.factor());
        let (whole, image) = input.read(channels, side)?;
        let shape = task.input(image).map_err(|reason| {
            let path = input.path.display();
            Failure::Input(format!(
                "{path}: the run's task {reason}, and this is {image}"
            ))
        })?;
        let draw = Draw {
            seed: 1,
            epoch: Draw::HELD_OUT,
            image: number,
        };
        let values: Vec<f32> = whole
            .iter()
            .map(|&p| (f32::from(p) - 128.0) / 128.0)
            .collect();
        let mut picture = Vec::new();
        task.apply(draw, image, &values, &mut picture);
        Ok(Self {
            picture: picture.iter().map(|v| (v * 128.0 + 128.0) as u8).collect(),
            shape,
            truth: Some(whole),
        })
    }
}

/// What the grid shows.
#[derive(Default)]
struct Seen {
    shapes: Option<[Shape; 2]>,
    pictures: Vec<f32>,
    made: Vec<u8>,
    images: Vec<u8>,
}

impl Seen {
    fn add(
        &mut self,
        picture: &[u8],
        from: Shape,
        made: &[u8],
        to: Shape,
        wanted: Option<&[u8]>,
    ) -> Result<(), Failure> {
        if *self.shapes.get_or_insert([from, to]) != [from, to] {
            return Err(Failure::Input(
                "--grid needs pictures of one size: leave it out, or add --resize".into(),
            ));
        }
        let values = picture.iter().map(|&p| (f32::from(p) - 128.0) / 128.0);
        self.pictures.extend(values);
        self.made.extend_from_slice(made);
        self.images.extend_from_slice(wanted.unwrap_or_default());
        Ok(())
    }

    fn grid(self) -> image::ImageResult<Vec<u8>> {
        let [picture, image] = self.shapes.unwrap_or([Shape::features(1); 2]);
        let shown = Shown {
            pictures: self.pictures,
            picture,
            images: self.images,
        };
        translations(&shown, &self.made, image)
    }
}

/// An image as a picture, pixel by pixel.
fn sheet_of_one(pixels: &[u8], shape: Shape) -> RgbImage {
    let plane = shape.height * shape.width;
    let (width, height) = (shape.width as u32, shape.height as u32);
    RgbImage::from_fn(width, height, |x, y| {
        let at = y as usize * shape.width + x as usize;
        let channel = |c: usize| pixels[c.min(shape.channels - 1) * plane + at];
        image::Rgb([channel(0), channel(1), channel(2)])
    })
}

/// Checks that a folder can be made or is there.
fn check_folder(path: &Path) -> Result<(), Failure> {
    if path.exists() && !path.is_dir() {
        return Err(Failure::Input(format!(
            "{} is no folder: the images of a folder go into a folder",
            path.display()
        )));
    }
    Ok(())
}

/// Writes a picture into a folder as PNG, under a name whose parts are folders.
fn write_below(folder: &Path, name: &str, picture: RgbImage) -> Result<PathBuf, Failure> {
    let path = folder.join(format!("{name}.png"));
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::Input(format!("cannot write {}: {error}", path.display()))
    };
    let parent = path.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).map_err(|error| cannot(&error))?;
    let mut bytes = Cursor::new(Vec::new());
    let encoded = picture.write_to(&mut bytes, ImageFormat::Png);
    encoded.map_err(|error| cannot(&error))?;
    write_whole(&path, bytes.get_ref()).map_err(|error| cannot(&error))?;
    Ok(path)
}

/// The mean of the scores; `None` where there are none.
fn mean(images: &[Translated]) -> Option<PairScore> {
    let scores: Vec<&PairScore> = images
        .iter()
        .filter_map(|image| image.score.as_ref())
        .collect();
    let count = scores.len() as f64;
    let mean =
        |of: fn(&PairScore) -> f64| scores.iter().map(|score| of(score)).sum::<f64>() / count;
    (!scores.is_empty()).then(|| PairScore {
        l1: mean(|score| score.l1),
        psnr: mean(|score| score.psnr),
    })
}
