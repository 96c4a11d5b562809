//! `trainer inpaint`: the rest of a picture.

use super::Failure;
use super::latent_search::{self, SearchFlags};
use super::output::Output;
use super::pixels::PixelModel;
use super::sample::only;
use crate::data::Picture;
use crate::projection::Target;
use crate::report::sheet;
use crate::spec::Shape;
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Complete a picture of which a part is missing.
///
/// A generator or a decoder is asked for the latents whose images come closest to what is there, from different starts
/// (Yeh et al. 2017); what is missing is taken from their images. A model that draws pixel by pixel keeps what is there
/// and draws the rest, each pixel given those before it: exact where the missing part comes last, row by row.
#[derive(Debug, clap::Args)]
pub struct InpaintArgs {
    /// The folder of a run or a model.
    model: PathBuf,
    /// A picture, or a folder of pictures.
    #[arg(long, value_name = "PATH")]
    input: PathBuf,
    /// What is missing: left, right, top or bottom for that half, box:X,Y,WIDTH,HEIGHT in pixels, or a picture of the
    /// same size that is white there.
    #[arg(long, value_name = "MASK")]
    mask: String,
    /// Completions of each picture.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    count: u32,
    /// The class of the pictures, counted from 0 [default: any; a model that draws pixel by pixel needs it].
    #[arg(long, value_name = "CLASS")]
    class: Option<u32>,
    /// The grid to write: a row for each picture, which is there, what is known of it, and the completions.
    #[arg(short, long, value_name = "FILE", default_value = "completions.png")]
    output: PathBuf,
    #[command(flatten)]
    search: SearchFlags,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "super::lossy")]
    model: PathBuf,
    images: Vec<Completed>,
}

#[derive(Serialize)]
struct Completed {
    name: String,
    /// Of each completion, the root of the mean square difference of the missing pixels from those of the picture, grey
    /// levels.
    missing_distance: Vec<f64>,
    /// Of each latent's image, the same of the known pixels; none of a model that draws pixel by pixel.
    known_distance: Vec<f64>,
}

/// What is missing of a picture.
enum Mask {
    Left,
    Right,
    Top,
    Bottom,
    /// Left, top, width and height.
    Rectangle([usize; 4]),
    Picture(PathBuf),
}

impl FromStr for Mask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(numbers) = text.strip_prefix("box:") {
            let numbers: Option<Vec<usize>> = numbers.split(',').map(|n| n.parse().ok()).collect();
            let numbers = numbers.and_then(|numbers| <[usize; 4]>::try_from(numbers).ok());
            return numbers
                .map(Self::Rectangle)
                .ok_or_else(|| format!("--mask {text} is not of the form box:X,Y,WIDTH,HEIGHT"));
        }
        Ok(match text {
            "left" => Self::Left,
            "right" => Self::Right,
            "top" => Self::Top,
            "bottom" => Self::Bottom,
            path => Self::Picture(path.into()),
        })
    }
}

impl Mask {
    /// Which pixels of a picture are known, `(C, H, W)`.
    ///
    /// # Errors
    /// A mask of another size, that leaves nothing, or takes nothing away.
    fn known(&self, shape: Shape, search: &SearchFlags) -> Result<Vec<bool>, Failure> {
        let Shape {
            channels,
            height,
            width,
        } = shape;
        let missing: Vec<bool> = match self {
            Self::Picture(path) => {
                let grey = Shape::new(1, height, width);
                let mut masks = Picture::all(path, &mut |line| tell!("{line}"))?;
                if masks.len() != 1 || path.is_dir() {
                    let sentence = format!("--mask {} is no picture", path.display());
                    return Err(Failure::Input(sentence));
                }
                let pixels = search.read(&masks.remove(0), grey)?;
                pixels.into_iter().map(|pixel| pixel >= 128).collect()
            }
            _ => (0..height * width)
                .map(|at| self.takes(at / width, at % width, [height, width]))
                .collect(),
        };
        let count = missing.iter().filter(|missing| **missing).count();
        if count == 0 || count == missing.len() {
            let sentence = "--mask must take a part of the picture away, and leave a part";
            return Err(Failure::Input(sentence.into()));
        }
        let known: Vec<bool> = missing.into_iter().map(|missing| !missing).collect();
        Ok(known.repeat(channels))
    }

    fn takes(&self, y: usize, x: usize, [height, width]: [usize; 2]) -> bool {
        match *self {
            Self::Left => 2 * x < width,
            Self::Right => 2 * x >= width,
            Self::Top => 2 * y < height,
            Self::Bottom => 2 * y >= height,
            Self::Rectangle([left, top, across, down]) => {
                (left..left.saturating_add(across)).contains(&x)
                    && (top..top.saturating_add(down)).contains(&y)
            }
            Self::Picture(_) => false,
        }
    }
}

/// Completions of a picture, and how far the images that they come from are from what is known.
type Completions = (Vec<Vec<u8>>, Vec<f64>);

pub fn run(args: InpaintArgs) -> Result<(), Failure> {
    let output = Output::check(args.output.clone(), args.json)?;
    let mask: Mask = args.mask.parse().map_err(Failure::Input)?;
    let settings = args.search.settings()?;
    let pool = super::thread_pool(args.search.threads)?;
    if let Some(model) = PixelModel::find(&args.model)? {
        let classes = model.classes();
        match args.class {
            Some(class) => drop(only(class, &model.path, classes, 1)?),
            None if classes > 0 => {
                let sentence = format!("{} needs a --class to draw", model.path.display());
                return Err(Failure::Input(sentence));
            }
            None => {}
        }
        let shape = model.shape();
        return complete(
            &args,
            &output,
            &mask,
            &model.path,
            shape,
            |picture, known| {
                let levels = picture.iter().map(|&pixel| model.levels.of_pixel(pixel));
                let known = levels
                    .zip(known)
                    .map(|(level, known)| known.then_some(level));
                let known: Vec<Option<u8>> = known.collect();
                let seeds = (0..args.count).into_par_iter();
                let drawn =
                    |i: u32| model.complete(settings.seed + u64::from(i), args.class, &known);
                Ok((pool.install(|| seeds.map(drawn).collect()), Vec::new()))
            },
        );
    }
    let (path, mut search) = latent_search::open(&args.model)?;
    if let Some(class) = args.class {
        only(class, &path, search.classes(), 1)?;
    }
    let shape = search.shape();
    complete(&args, &output, &mask, &path, shape, |picture, known| {
        let target = Target {
            pixels: picture,
            known,
            class: args.class,
        };
        let found = pool.install(|| search.several(target, settings, args.count as usize))?;
        let distances = found.iter().map(|found| found.distance).collect();
        Ok((
            found.into_iter().map(|found| found.pixels).collect(),
            distances,
        ))
    })
}

/// Completes each picture, and shows them.
fn complete(
    args: &InpaintArgs,
    output: &Output,
    mask: &Mask,
    model: &Path,
    shape: Shape,
    mut completions: impl FnMut(&[u8], &[bool]) -> Result<Completions, Failure>,
) -> Result<(), Failure> {
    let known = mask.known(shape, &args.search)?;
    let inputs = Picture::all(&args.input, &mut |line| tell!("{line}"))?;
    let pictures = inputs.iter().map(|input| args.search.read(input, shape));
    let pictures: Vec<Vec<u8>> = pictures.collect::<Result<_, _>>()?;
    let (mut shown, mut images) = (Vec::new(), Vec::new());
    for (input, picture) in inputs.iter().zip(&pictures) {
        let (made, known_distance) = completions(picture, &known)?;
        let pairs = picture.iter().zip(&known);
        shown.extend_from_slice(picture);
        // What is missing is grey.
        shown.extend(pairs.map(|(&pixel, &known)| if known { pixel } else { 128 }));
        let mut missing_distance = Vec::new();
        for made in &made {
            let all = picture.iter().zip(made).zip(&known);
            let missing = all.clone().filter(|(_, known)| !**known);
            let count = missing.clone().count() as f64;
            let squares = missing.map(|((&a, &b), _)| f64::from(a.abs_diff(b)).powi(2));
            missing_distance.push((squares.sum::<f64>() / count).sqrt());
            shown.extend(all.map(|((&own, &made), &known)| if known { own } else { made }));
        }
        tell!("{}: {} completions", input.name, made.len());
        images.push(Completed {
            name: input.name.clone(),
            missing_distance,
            known_distance,
        });
    }
    output.save(sheet(&shown, shape, args.count as usize + 2))?;
    if args.json {
        let model = model.to_owned();
        return super::print_json(&Report { model, images });
    }
    let count = images.len();
    output.say(&format!(
        "{count} pictures completed: {}",
        args.output.display()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(mask: &str) -> Vec<usize> {
        let mask: Mask = mask.parse().unwrap();
        (0..12)
            .filter(|at| mask.takes(at / 4, at % 4, [3, 4]))
            .collect()
    }

    #[test]
    fn masks_take_what_they_say() {
        assert_eq!(taken("left"), [0, 1, 4, 5, 8, 9]);
        assert_eq!(taken("right"), [2, 3, 6, 7, 10, 11]);
        assert_eq!(taken("top"), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(taken("bottom"), [8, 9, 10, 11]);
        assert_eq!(taken("box:1,1,2,9"), [5, 6, 9, 10]);
        assert!("box:1,2,3".parse::<Mask>().is_err());
        assert!(matches!("mask.png".parse(), Ok(Mask::Picture(_))));
    }
}
