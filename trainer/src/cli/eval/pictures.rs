//! Scores of a model that reads pictures.

use super::{EvalArgs, Eye};
use crate::cli::data_flags::DataFlags;
use crate::cli::fit::{self, Loaded};
use crate::cli::{Failure, export};
use crate::data::{Split, Task};
use crate::engines::{EngineKind, Translator, find_onnx_runtime, reads_pictures};
use crate::evaluation::{EvaluationError, Figures, Scored, label};
use crate::export::quantize::Calibration;
use crate::export::{BACK_ONNX, FLOAT_ONNX};
use crate::gaussian::Gaussian;
use crate::metrics::pairs::{
    PairScore, bicubic, blurred_planes, by_components, mean_squared, retrieval, ssim, union_l1,
};
use crate::metrics::{Inception, frechet, inception};
use crate::spec::Shape;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Pictures that are scored where no number is named.
const SAMPLES: usize = 1000;
/// Deviations that pictures are blurred with, in quarters of a pixel: the least distance counts.
const SIGMAS: std::ops::RangeInclusive<u8> = 1..=16;

/// The model of a run, its files exported for this alone where there are none.
pub(super) struct Model {
    folder: PathBuf,
    _exported: Option<TempDir>,
}

impl Model {
    /// The model of a run or in a folder if it reads pictures: what was exported, or else the newest checkpoint.
    ///
    /// # Errors
    /// Checkpoints of which none can be used; a folder that cannot be written.
    pub fn of(place: &Path) -> Result<Option<Self>, Failure> {
        let found = match export::Source::find(place, FLOAT_ONNX)? {
            export::Source::File(file) => {
                let reads = place.is_dir() && reads_pictures(&file);
                return Ok(reads.then(|| Self {
                    folder: place.to_owned(),
                    _exported: None,
                }));
            }
            export::Source::Checkpoint(found) => found,
        };
        if !export::reads_pictures(&found)? {
            return Ok(None);
        }
        let exported = export::temporary_folder()?;
        export::export_to(&found, None, Calibration::default(), exported.path())?;
        export::export_others(&found, exported.path())?;
        Ok(Some(Self {
            folder: exported.path().to_owned(),
            _exported: Some(exported),
        }))
    }
}

/// The held-out pictures of a run, and what belongs to them.
struct HeldOut {
    /// Pixels, `(N, C, H, W)`.
    pictures: Vec<u8>,
    picture: Shape,
    /// The images that should be made of them; none where nothing tells.
    wanted: Vec<u8>,
    image: Shape,
    loaded: Loaded,
}

/// Runs `trainer eval` for such a model.
///
/// # Errors
/// A folder of no run; a data set that cannot be had; engines that fail.
pub(super) fn run(args: &EvalArgs, model: &Model) -> Result<(), Failure> {
    let others = args.data != DataFlags::default() || args.dataset.is_some();
    if others || args.floor || !args.engines.is_empty() {
        return Err(Failure::Input(format!(
            "{} reads pictures: it is scored on those of its run, by its ONNX file; leave out --floor, --engine, and \
             flags about data",
            args.model.display()
        )));
    }
    let mut inception = match args.fid {
        Eye::Cls => None,
        Eye::Inception => {
            Some(Inception::open(args.threads.into()).map_err(EvaluationError::from)?)
        }
    };
    let plan = fit::plan_of(&args.model)?;
    let samples = args.samples.map_or(SAMPLES, |count| count as usize);
    let held_out = HeldOut::new(&plan, samples)?;
    let kind = match find_onnx_runtime() {
        Ok(()) => EngineKind::Ort,
        Err(_) => EngineKind::Tract,
    };
    let mut translator = Translator::open(kind, &model.folder.join(FLOAT_ONNX))?;
    let made = translator.images(&held_out.pictures, held_out.picture)?;
    let made = made.to_pixels();
    let mut figures = Figures::default();
    of_pairs(&mut figures, &plan, &held_out, &made)?;
    of_cycle(&mut figures, model, kind, &held_out, &made)?;
    of_kind(&mut figures, &held_out, &made, inception.as_mut())?;
    let scored = Scored {
        figures,
        class_counts: None,
    };
    let engine = match kind {
        EngineKind::Ort => "ort",
        _ => "tract",
    };
    let recipe = crate::cli::name(plan.options.recipe);
    super::report(
        args,
        Some(&recipe),
        &plan.dataset,
        &Figures::default(),
        &[(engine, scored)],
    )
}

impl HeldOut {
    /// So many of a run's held-out pictures, at even distances.
    fn new(plan: &fit::Plan, most: usize) -> Result<Self, Failure> {
        let loaded = Loaded::new(plan, Split::Test)?;
        let facts = loaded.facts(plan)?;
        let Some(picture) = facts.picture else {
            return Err(Failure::Input("the run's networks read no pictures".into()));
        };
        let (pictures, wanted) = loaded.held_out(plan, &facts, most);
        Ok(Self {
            pictures,
            picture,
            wanted,
            image: facts.image,
            loaded,
        })
    }

    fn count(&self) -> usize {
        self.pictures.len() / self.picture.len()
    }
}

/// How near the images come to those that they should be, and what other ways would come to.
fn of_pairs(
    figures: &mut Figures,
    plan: &fit::Plan,
    held_out: &HeldOut,
    made: &[u8],
) -> Result<(), Failure> {
    let HeldOut {
        pictures,
        picture,
        wanted,
        image,
        ..
    } = held_out;
    if wanted.is_empty() {
        return Ok(());
    }
    let n = label(held_out.count());
    let &Shape { height, width, .. } = image;
    let mut add = |key: &'static str, what: &str, value: Option<f64>| {
        figures.add(key, format!("{what}-{n}-test"), value);
    };
    let score = PairScore::new(made, wanted, image.len());
    add("l1", "l1", Some(score.l1));
    add("psnr", "psnr", Some(score.psnr));
    add("mse", "mse", Some(mean_squared(made, wanted)));
    add("ssim", "ssim", ssim(made, wanted, height, width));
    add(
        "retrieval",
        "retrieval",
        Some(retrieval(made, wanted, image.len())),
    );
    let factor = image.height / picture.height.max(1);
    if factor > 1 {
        let larger = bicubic(pictures, picture.height, picture.width, factor);
        let score = PairScore::new(&larger, wanted, image.len());
        add("psnr_bicubic", "psnr-bicubic", Some(score.psnr));
        add(
            "ssim_bicubic",
            "ssim-bicubic",
            ssim(&larger, wanted, height, width),
        );
    }
    if plan.options.task == Some(Task::Reconstruct) {
        if let (Some(components), Some(train)) = (plan.latent_size(), of_training(plan, image)?) {
            let squared = by_components(&train, wanted, image.len(), components);
            add(
                "mse_components",
                &format!("mse-{components}-components"),
                Some(squared),
            );
        }
        return Ok(());
    }
    if picture != image {
        return Ok(());
    }
    let identity = PairScore::new(pictures, wanted, image.len());
    add("l1_identity", "l1-identity", Some(identity.l1));
    add("psnr_identity", "psnr-identity", Some(identity.psnr));
    let found = retrieval(pictures, wanted, image.len());
    add("retrieval_identity", "retrieval-identity", Some(found));
    if plan.target.is_none() {
        return Ok(());
    }
    let union = |images: &[u8]| union_l1(pictures, images, wanted, *image);
    add("l1_union", "l1-union", union(made));
    add("l1_union_identity", "l1-union-identity", union(pictures));
    let blurred = SIGMAS.filter_map(|quarters| {
        let sigma = f32::from(quarters) / 4.0;
        union(&blurred_planes(pictures, height, width, sigma))
    });
    let least = blurred.fold(f64::INFINITY, f64::min);
    add(
        "l1_union_blurred",
        "l1-union-blurred",
        Some(least).filter(|l1| l1.is_finite()),
    );
    Ok(())
}

/// The training images, where they are small enough for their principal components.
fn of_training(plan: &fit::Plan, image: &Shape) -> Result<Option<Vec<u8>>, Failure> {
    /// Numbers of an image: the covariance has as many rows, and its axes take a minute beyond.
    const MOST: usize = 1024;
    if image.len() > MOST {
        return Ok(None);
    }
    Ok(Some(Loaded::new(plan, Split::Train)?.images.pixels))
}

/// How far a picture is from itself, there and back.
fn of_cycle(
    figures: &mut Figures,
    model: &Model,
    kind: EngineKind,
    held_out: &HeldOut,
    made: &[u8],
) -> Result<(), Failure> {
    let path = model.folder.join(BACK_ONNX);
    if !path.exists() {
        return Ok(());
    }
    let mut back = Translator::open(kind, &path)?;
    let again = back.images(made, held_out.image)?.to_pixels();
    let score = PairScore::new(&again, &held_out.pictures, held_out.picture.len());
    let n = label(held_out.count());
    figures.add("cycle_l1", format!("cycle-l1-{n}-test"), Some(score.l1));
    Ok(())
}

/// How like the images are, as a whole, to those of their kind.
fn of_kind(
    figures: &mut Figures,
    held_out: &HeldOut,
    made: &[u8],
    inception: Option<&mut Inception>,
) -> Result<(), Failure> {
    let Some(inception) = inception else {
        return Ok(());
    };
    let (_, targets) = held_out.loaded.both();
    let reals = label(targets.count);
    let [ours, targets] = [made, &targets.pixels].map(|pixels| {
        let seen = inception.features(pixels, held_out.image, &mut |_, _| {});
        seen.map(|seen| Gaussian::of(&seen, inception::FEATURES))
    });
    let [ours, targets] = [ours, targets].map(|seen| seen.map_err(EvaluationError::from));
    let n = label(held_out.count());
    figures.add(
        "fid_inception",
        format!("fid-inception-{n}-test-{reals}"),
        Some(frechet(&ours?, &targets?)),
    );
    Ok(())
}
