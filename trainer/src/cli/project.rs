//! `trainer project`: the latent of a picture.

use super::Failure;
use super::latent_search::{self, SearchFlags};
use super::output::Output;
use super::sample::{Latents, only};
use crate::data::Picture;
use crate::files::write_whole;
use crate::projection::Target;
use crate::report::sheet;
use serde::Serialize;
use std::path::PathBuf;

/// Find the latent whose image comes closest to a picture.
///
/// Latents go down the gradient from several starts; the best are moved on the grid of the device's own latents, as
/// long as the image of model.pgan comes closer. So the firmware draws the very picture that is shown, and its distance
/// is the one that is told. The latents are written for `trainer sample --latents`.
#[derive(Debug, clap::Args)]
pub struct ProjectArgs {
    /// The folder of a run or a model that makes images of latents.
    model: PathBuf,
    /// A picture, or a folder of pictures.
    #[arg(long, value_name = "PATH")]
    input: PathBuf,
    /// The grid to write: each picture, the image that comes closest, and their difference.
    #[arg(short, long, value_name = "FILE", default_value = "projection.png")]
    output: PathBuf,
    /// The file to write the latents into, as JSON.
    #[arg(long, value_name = "FILE", default_value = "latents.json")]
    latents: PathBuf,
    /// Look among the images of this class only, counted from 0.
    #[arg(long, value_name = "CLASS")]
    class: Option<u32>,
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
    #[serde(serialize_with = "super::lossy")]
    latents: PathBuf,
    images: Vec<Projected>,
    /// The mean of the distances.
    distance: f64,
}

#[derive(Serialize)]
struct Projected {
    name: String,
    class: Option<u32>,
    /// Root of the mean square of the pixels' difference, grey levels.
    distance: f64,
}

pub fn run(args: ProjectArgs) -> Result<(), Failure> {
    let output = Output::check(args.output.clone(), args.json)?;
    let settings = args.search.settings()?;
    let (path, mut search) = latent_search::open(&args.model)?;
    if let Some(class) = args.class {
        only(class, &path, search.classes(), 1)?;
    }
    let inputs = Picture::all(&args.input, &mut |line| tell!("{line}"))?;
    let shape = search.shape();
    // All that can be wrong with a picture is found before the work.
    let pictures = inputs.iter().map(|input| args.search.read(input, shape));
    let pictures: Vec<Vec<u8>> = pictures.collect::<Result<_, _>>()?;
    let mut shown = Vec::new();
    let (mut images, mut latents) = (Vec::new(), Latents::default());
    let pool = super::thread_pool(args.search.threads)?;
    for (input, picture) in inputs.iter().zip(&pictures) {
        let target = Target {
            pixels: picture,
            known: &[],
            class: args.class,
        };
        let found = pool.install(|| search.find(target, settings))?;
        let Some(best) = found.into_iter().next() else {
            continue;
        };
        tell!("{}: {:.2} grey levels", input.name, best.distance);
        shown.extend_from_slice(picture);
        shown.extend_from_slice(&best.pixels);
        let difference = picture
            .iter()
            .zip(&best.pixels)
            .map(|(a, b)| a.abs_diff(*b));
        shown.extend(difference);
        images.push(Projected {
            name: input.name.clone(),
            class: best.class,
            distance: best.distance,
        });
        latents.push(best.latent, best.class);
    }
    let json = serde_json::to_vec(&latents).map_err(anyhow::Error::from)?;
    write_whole(&args.latents, &json).map_err(|error| {
        Failure::Input(format!("cannot write {}: {error}", args.latents.display()))
    })?;
    /// Pictures side by side, three images each.
    const ACROSS: usize = 4;
    output.save(sheet(&shown, shape, 3 * ACROSS))?;
    let distance = images.iter().map(|image| image.distance).sum::<f64>() / images.len() as f64;
    if !args.json {
        output.say(&format!(
            "{} pictures, {distance:.2} grey levels from their images: {}; latents: {}",
            images.len(),
            args.output.display(),
            args.latents.display()
        ));
        return Ok(());
    }
    super::print_json(&Report {
        model: path,
        latents: args.latents,
        images,
        distance,
    })
}
