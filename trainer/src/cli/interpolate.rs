//! `trainer interpolate`: the way from one image to the next.

use super::Failure;
use super::output::Output;
use crate::engines::{self, EngineKind};
use crate::files::sha256;
use crate::interpolation::between;
use crate::report::{Format, animation, sheet};
use serde::Serialize;
use std::path::PathBuf;

/// Show how the images of some seeds turn into each other: a montage or an animation.
///
/// The latents in between lie on the arc from one seed's to the next one's (spherical interpolation). As GIF, one image
/// goes from seed to seed, back to the first, and around again. In the other formats each row goes from one seed to the
/// next.
#[derive(Debug, clap::Args)]
pub struct InterpolateArgs {
    /// A run's folder (its newest checkpoint while it has no exported model), a model's folder in
    /// models/, or a file: .pgan for the runtime, .onnx for the others.
    model: PathBuf,
    /// What runs the model.
    #[arg(long, value_enum, default_value_t)]
    engine: EngineKind,
    /// The class of all images, counted from 0, of a model with classes [default: 0].
    #[arg(long, value_name = "CLASS")]
    class: Option<u32>,
    /// Seeds of the images to go between, at least two: 1,2,3.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["seed", "count"])]
    seeds: Vec<u64>,
    /// The first seed; the others follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=64))]
    count: u32,
    /// Images from one seed to the next, both counted.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=64))]
    steps: u32,
    /// The picture to write, by its ending .png, .jpg, .gif, .webp or .bmp; - is standard output, as PNG. A picture
    /// that is there is replaced; a file of another kind is not.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "interpolation.png",
        allow_hyphen_values = true
    )]
    output: PathBuf,
    /// Print one JSON object, with the SHA-256 of each image's pixels.
    #[arg(long)]
    json: bool,
}

/// How the images are put together.
#[derive(Clone, Copy)]
enum Form {
    Montage,
    Animation,
}

/// An image on the way.
#[derive(Clone, Copy)]
struct Station {
    from: u64,
    to: u64,
    /// From 0 to 1.
    at: f64,
}

#[derive(Serialize)]
struct Interpolated {
    #[serde(serialize_with = "super::lossy")]
    model: PathBuf,
    engine: EngineKind,
    output: Output,
    channels: usize,
    height: usize,
    width: usize,
    images: Vec<Passed>,
}

#[derive(Serialize)]
struct Passed {
    from: u64,
    to: u64,
    at: f64,
    /// Of the pixels in the device's order: row, column, channel.
    pixels_sha256: String,
}

pub fn run(args: InterpolateArgs) -> Result<(), Failure> {
    let output = Output::check(args.output.clone(), args.json)?;
    let form = Form::of(output.format());
    let seeds = args.seeds()?;
    let (path, mut engine) = super::sample::open(&args.model, args.engine)?;
    let stations = form.stations(&seeds, args.steps);
    let size = engine.latent_size();
    let latents = stations.iter().flat_map(|station| station.latent(size));
    let classes = match (args.class, engine.classes()) {
        (None, 0) => Vec::new(),
        (class, known) => super::sample::only(class.unwrap_or(0), &path, known, stations.len())?,
    };
    let images = engine.images(&latents.collect::<Vec<_>>(), &classes)?;
    let shape = images.shape;
    let pixels = images.to_pixels();
    match form {
        Form::Montage => output.save(sheet(&pixels, shape, args.steps as usize))?,
        Form::Animation => output.write(animation(&pixels, shape))?,
    }
    if !args.json {
        let (count, model) = (stations.len(), path.display());
        output.say(&format!("{count} images from {model}: {output}"));
        return Ok(());
    }
    let passed = stations.iter().zip(pixels.chunks_exact(shape.len()));
    super::print_json(&Interpolated {
        model: path,
        engine: args.engine,
        output,
        channels: shape.channels,
        height: shape.height,
        width: shape.width,
        images: passed
            .map(|(station, pixels)| Passed {
                from: station.from,
                to: station.to,
                at: station.at,
                pixels_sha256: sha256(&engines::channels_last(shape, pixels)),
            })
            .collect(),
    })
}

impl InterpolateArgs {
    fn seeds(&self) -> Result<Vec<u64>, Failure> {
        match self.seeds.len() {
            0 => Ok((0..u64::from(self.count))
                .map(|i| self.seed.wrapping_add(i))
                .collect()),
            2..=64 => Ok(self.seeds.clone()),
            n => Err(Failure::Input(format!(
                "--seeds takes from 2 to 64 seeds, not {n}"
            ))),
        }
    }
}

impl Form {
    fn of(format: Format) -> Self {
        match format {
            Format::Gif => Self::Animation,
            Format::Png | Format::Jpeg | Format::WebP | Format::Bmp => Self::Montage,
        }
    }

    /// The images in their order. An animation closes the circle, and shows each seed once.
    fn stations(self, seeds: &[u64], steps: u32) -> Vec<Station> {
        let next = seeds.iter().copied().cycle().skip(1);
        let legs = seeds.iter().copied().zip(next);
        let (legs, shown) = match self {
            Self::Montage => (legs.take(seeds.len() - 1), steps),
            Self::Animation => (legs.take(seeds.len()), steps - 1),
        };
        legs.flat_map(|(from, to)| {
            (0..shown).map(move |i| Station {
                from,
                to,
                at: f64::from(i) / f64::from(steps - 1),
            })
        })
        .collect()
    }
}

impl Station {
    fn latent(self, size: usize) -> Vec<i8> {
        let [from, to] = [self.from, self.to].map(|seed| engines::latents(seed, 1, size));
        between(&from, &to, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(form: Form) -> Vec<(u64, u64, f64)> {
        let stations = form.stations(&[4, 9, 7], 3);
        stations.iter().map(|s| (s.from, s.to, s.at)).collect()
    }

    #[test]
    fn rows_have_both_their_seeds_and_a_circle_each_once() {
        let rows = [
            (4, 9, 0.0),
            (4, 9, 0.5),
            (4, 9, 1.0),
            (9, 7, 0.0),
            (9, 7, 0.5),
            (9, 7, 1.0),
        ];
        assert_eq!(way(Form::Montage), rows);
        let circle = [
            (4, 9, 0.0),
            (4, 9, 0.5),
            (9, 7, 0.0),
            (9, 7, 0.5),
            (7, 4, 0.0),
            (7, 4, 0.5),
        ];
        assert_eq!(way(Form::Animation), circle);
    }
}
