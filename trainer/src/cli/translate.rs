//! `trainer translate`: images of pictures, by an exported model.

use super::fit::OnDevice;
use super::output::Output;
use super::pixels::PixelModel;
use super::{Failure, export};
use crate::data::{Draw, Picture, Task};
use crate::engines::{EngineError, EngineKind, Translator};
use crate::export::FLOAT_ONNX;
use crate::export::quantize::Calibration;
use crate::files::write_whole;
use crate::gan::fit::{Shown, translations};
use crate::metrics::PairScore;
use crate::samples::from_pixels;
use crate::spec::Shape;
use image::{ImageFormat, RgbImage};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Make images of pictures by a model that reads pictures.
///
/// Of a file one image is made, of a folder one of each picture below it, as PNG files of the same names. A network of
/// convolutions takes pictures of any size, square or not, whose sides fit its strides; others take the size that they
/// were trained with, to which --resize brings pictures.
#[derive(Debug, clap::Args)]
pub struct TranslateArgs {
    /// A run's folder (its newest checkpoint while it has no exported model), or a file: model.pgan for the runtime,
    /// model.onnx for the others.
    model: PathBuf,
    /// A picture, or a folder of pictures.
    #[arg(long, value_name = "PATH", required_unless_present = "dry_run")]
    input: Option<PathBuf>,
    /// The picture to write, by its ending .png, .jpg, .gif, .webp or .bmp; of a folder, the folder to write into, made
    /// if it is not there.
    #[arg(short, long, value_name = "PATH", required_unless_present = "dry_run")]
    output: Option<PathBuf>,
    /// Say what the run's network takes of a device, with the rows that each skip keeps in memory, and translate
    /// nothing.
    /// `trainer fit --dry-run` says it before the training.
    #[arg(long, conflicts_with_all = ["input", "output", "grid", "truth", "apply_task", "resize"])]
    dry_run: bool,
    /// What runs the model; the runtime runs the int8 blob, for pictures of the size in training.
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

impl TranslateArgs {
    /// What is read: the command line has it, but with --dry-run.
    fn input(&self) -> &Path {
        self.input.as_deref().unwrap_or(Path::new(""))
    }

    /// What is written: likewise.
    fn output(&self) -> &Path {
        self.output.as_deref().unwrap_or(Path::new(""))
    }
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
    PixelModel::refuse(&args.model, "makes no images of pictures")?;
    if args.dry_run {
        return on_device(&args);
    }
    let outputs = Outputs::check(&args)?;
    let (path, mut translator) = open(&args.model, args.engine)?;
    let work = Work::new(&args, &translator)?;
    // All that can be wrong with a picture is found before anything is written.
    let mut shapes = BTreeSet::new();
    for number in 0..work.inputs.len() {
        let given = work.read(number, &translator)?;
        shapes.insert(format!("{} to {}", given.shape, given.output));
    }
    if outputs.grid.is_some() && shapes.len() > 1 {
        return Err(Failure::Input(
            "--grid needs pictures of one size: leave it out, or add --resize".into(),
        ));
    }
    let mut report = Report {
        model: path,
        engine: args.engine,
        images: Vec::new(),
        score: None,
    };
    let mut seen = Seen::default();
    for (number, input) in work.inputs.iter().enumerate() {
        let given = work.read(number, &translator)?;
        let images = translator.images(&given.picture, given.shape)?;
        let (made, shape) = (images.to_pixels(), images.shape);
        let score = given
            .wanted
            .as_ref()
            .map(|wanted| PairScore::new(&made, wanted, shape.len()));
        report.images.push(Translated {
            name: input.name.clone(),
            output: outputs.write(input, as_picture(&made, shape))?,
            channels: shape.channels,
            height: shape.height,
            width: shape.width,
            score,
        });
        if outputs.grid.is_some() {
            seen.add(&given, &made);
        }
    }
    report.score = mean(&report.images);
    if let Some(grid) = &outputs.grid {
        grid.save(seen.grid())?;
    }
    if args.json {
        return super::print_json(&report);
    }
    let count = report.images.len();
    let plural = if count == 1 { "" } else { "s" };
    let score = report.score.as_ref().map_or_else(String::new, |score| {
        format!(
            "; L1 {:.2} grey levels, PSNR {:.2} dB from what should come out",
            score.l1, score.psnr
        )
    });
    let (model, place) = (report.model.display(), args.output().display());
    outputs.say(&format!(
        "{count} image{plural} from {model}: {place}{score}"
    ));
    Ok(())
}

/// Says what a run's network takes of a device.
fn on_device(args: &TranslateArgs) -> Result<(), Failure> {
    let found = export::checkpoint(&args.model, false)?;
    let (network, _) = export::generator(&found)?;
    if !network.reads_pictures() {
        return Err(EngineError::ReadsLatents(found.path).into());
    }
    let device = OnDevice::of(network)?;
    if args.json {
        return super::print_json(&device);
    }
    say!("{}:", found.path.display());
    device.print();
    Ok(())
}

/// Where images go.
struct Outputs {
    /// The picture that is written, where a file is read.
    single: Option<Output>,
    /// The folder that pictures are written into, where one is read.
    folder: PathBuf,
    grid: Option<Output>,
}

impl Outputs {
    /// Checks what is named, as far as that can be told without writing.
    fn check(args: &TranslateArgs) -> Result<Self, Failure> {
        let refuse = |sentence: String| Err(Failure::Input(sentence));
        let folder = args.output().to_owned();
        let grid = args.grid.clone();
        if grid
            .as_deref()
            .is_some_and(|grid| grid == Path::new("-") || grid == folder)
        {
            return refuse("--grid needs a file of its own".into());
        }
        let grid = grid
            .map(|grid| Output::check(grid, args.json))
            .transpose()?;
        if !args.input().is_dir() {
            let single = Output::check(folder.clone(), args.json)?;
            return Ok(Self {
                single: Some(single),
                folder,
                grid,
            });
        }
        if folder.exists() && !folder.is_dir() {
            return refuse(format!(
                "{} is no folder: the images of a folder go into a folder",
                folder.display()
            ));
        }
        let real = |path: &Path| path.canonicalize().ok();
        if real(&folder).is_some() && real(&folder) == real(args.input()) {
            return refuse(format!(
                "the images would take the place of the pictures in {}: name another folder with -o",
                folder.display()
            ));
        }
        Ok(Self {
            single: None,
            folder,
            grid,
        })
    }

    /// Writes the image of a picture; gives its path.
    fn write(&self, input: &Picture, image: RgbImage) -> Result<PathBuf, Failure> {
        match &self.single {
            Some(output) => {
                output.save(image)?;
                Ok(self.folder.clone())
            }
            None => write_below(&self.folder, &input.name, image),
        }
    }

    /// Prints a line, on standard error if the picture is on standard output.
    fn say(&self, line: &str) {
        match &self.single {
            Some(output) => output.say(line),
            None => say!("{line}"),
        }
    }
}

/// The model on a file, in a folder, or of the newest checkpoint of a run that has not been exported yet.
fn open(model: &Path, kind: EngineKind) -> Result<(PathBuf, Translator), Failure> {
    let onnx = model.join(FLOAT_ONNX);
    let blob = model.join(kind.file_name());
    if kind == EngineKind::Runtime && onnx.exists() && !blob.exists() {
        return Err(Failure::Input(format!(
            "{} has no blob for the runtime: `trainer export` says why; add --engine tract",
            model.display()
        )));
    }
    let found = match export::Source::find(model, kind.file_name())? {
        export::Source::File(file) => {
            let translator = Translator::open(kind, &file)?;
            return Ok((file, translator));
        }
        export::Source::Checkpoint(found) => found,
    };
    if !export::reads_pictures(&found)? {
        return Err(EngineError::ReadsLatents(found.path).into());
    }
    let calibration = match kind {
        EngineKind::Runtime => export::calibration(model, &found)?,
        _ => Calibration::default(),
    };
    let folder = export::temporary_folder()?;
    let exported = export::export_to(&found, None, calibration, folder.path())?;
    if let (EngineKind::Runtime, Err(error)) = (kind, exported.device) {
        return Err(Failure::Input(format!("{error}: add --engine tract")));
    }
    let translator = Translator::open(kind, &folder.path().join(kind.file_name()))?;
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

/// The pictures that are read, and what should come out of each.
struct Work<'a> {
    args: &'a TranslateArgs,
    task: Option<Task>,
    inputs: Vec<Picture>,
    /// None where none are named.
    truths: Vec<Picture>,
}

/// A picture as the network reads it, and what should come out.
struct Given {
    picture: Vec<u8>,
    shape: Shape,
    output: Shape,
    wanted: Option<Vec<u8>>,
}

impl<'a> Work<'a> {
    fn new(args: &'a TranslateArgs, translator: &Translator) -> Result<Self, Failure> {
        let task = if args.apply_task {
            Some(task(&args.model)?)
        } else {
            None
        };
        if let Some(task) = task
            && let Err(reason) = task.input(translator.output(translator.input())?)
        {
            return Err(Failure::Input(format!("the run's task {reason}")));
        }
        let tell = &mut |line: &str| tell!("{line}");
        let inputs = Picture::all(args.input(), tell)?;
        let mut names = BTreeSet::new();
        if let Some(twice) = inputs.iter().find(|input| !names.insert(&input.name)) {
            return Err(Failure::Input(format!(
                "two pictures of {} are called {}: their images would have one name",
                args.input().display(),
                twice.name
            )));
        }
        Ok(Self {
            args,
            task,
            truths: truths(args.truth.as_deref(), &inputs, tell)?,
            inputs,
        })
    }

    fn read(&self, number: usize, translator: &Translator) -> Result<Given, Failure> {
        let input = &self.inputs[number];
        let trained = translator.input();
        let resize = self.args.resize;
        let (picture, shape, mut wanted) = match self.task {
            None => {
                let side = resize.then_some(trained.height);
                let (picture, shape) = input.read(trained.channels, side)?;
                (picture, shape, None)
            }
            Some(task) => {
                let image = translator.output(trained)?;
                let side = resize.then_some(image.height);
                let (whole, image) = input.read(image.channels, side)?;
                let shape = task.input(image).map_err(|reason| {
                    let path = input.path.display();
                    Failure::Input(format!("{path} is {image}, and the run's task {reason}"))
                })?;
                let draw = Draw::held_out(1, number as u32);
                (task.of_pixels(draw, image, &whole), shape, Some(whole))
            }
        };
        let output = translator.output(shape).map_err(|error| {
            let advice = if resize { "" } else { ", or add --resize" };
            Failure::Input(format!("{}: {error}{advice}", input.path.display()))
        })?;
        if let Some(truth) = self.truths.get(number) {
            let side = resize.then_some(output.height);
            let (pixels, shape) = truth.read(output.channels, side)?;
            if shape != output {
                return Err(Failure::Input(format!(
                    "{} is {shape}, and the image that should be like it is {output}",
                    truth.path.display()
                )));
            }
            wanted = Some(pixels);
        }
        Ok(Given {
            picture,
            shape,
            output,
            wanted,
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
    fn add(&mut self, given: &Given, made: &[u8]) {
        self.shapes = Some([given.shape, given.output]);
        self.pictures.extend(from_pixels(&given.picture));
        self.made.extend_from_slice(made);
        self.images.extend(given.wanted.iter().flatten());
    }

    fn grid(self) -> RgbImage {
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
fn as_picture(pixels: &[u8], shape: Shape) -> RgbImage {
    let plane = shape.height * shape.width;
    let (width, height) = (shape.width as u32, shape.height as u32);
    RgbImage::from_fn(width, height, |x, y| {
        let at = y as usize * shape.width + x as usize;
        let channel = |c: usize| pixels[c.min(shape.channels - 1) * plane + at];
        image::Rgb([channel(0), channel(1), channel(2)])
    })
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
