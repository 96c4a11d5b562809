//! The Inception network of 2015, whose features published FIDs are told by.

mod kept;
mod resize;

pub use kept::{Kept, KeptError};
pub use resize::{SIDE, enlarge};

use crate::engines::{Arithmetic, EngineError, OrtGraph};
use crate::files::{cache_folder, sha256};
use crate::spec::Shape;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;

/// Features of an image.
pub const FEATURES: usize = 2048;
/// Images that the network sees at a time.
const BATCH: usize = 25;

/// The network's name, that of TensorFlow's file.
const NAME: &str = "inception-2015-12-05";
/// What makes it.
const MAKER: &str = "`cargo xtask fid-weights`";

/// The SHA-256 of the network's ONNX file.
pub fn network_sha256() -> &'static str {
    include_str!("network.sha256").trim_ascii_end()
}

/// The folder of the network and of features that were computed once, in the user's cache.
///
/// # Errors
/// [`InceptionError::NoCache`].
pub fn folder() -> Result<PathBuf, InceptionError> {
    let cache = cache_folder().ok_or(InceptionError::NoCache)?;
    Ok(cache.join("inception"))
}

/// Why images cannot be judged by Inception's features.
#[derive(Debug, thiserror::Error)]
pub enum InceptionError {
    /// The machine has no home folder to keep a cache in.
    #[error(
        "there is no home folder where the Inception network could be; set POCKETGAN_CACHE to a folder, then make it \
         with {MAKER}"
    )]
    NoCache,
    /// The network was not made yet.
    #[error("{} is not there: make the Inception network once with {MAKER}", .0.display())]
    Missing(PathBuf),
    /// The network's file cannot be read.
    #[error("cannot read {}: {source}; check its permissions", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The network's file is another one.
    #[error("{} is damaged or of another version: make it anew with {MAKER}", .0.display())]
    Foreign(PathBuf),
    /// The images are neither grey nor RGB.
    #[error("Inception judges images of 1 or 3 channels, and these have {0}")]
    Channels(usize),
    /// ONNX Runtime is not there, or fails.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// TensorFlow's `inception-2015-12-05` under ONNX Runtime, up to its 2,048 features in front of the logits.
///
/// What was seen once is not looked at again: engines that agree to the pixel cost no more than one of them.
pub struct Inception {
    graph: OrtGraph,
    /// Features by the SHA-256 of the image.
    seen: HashMap<String, Vec<f32>>,
}

impl Inception {
    /// Opens the network in the user's cache, its SHA-256 checked.
    ///
    /// # Errors
    /// A network that was not made or is damaged; ONNX Runtime that is not there.
    pub fn open(threads: usize) -> Result<Self, InceptionError> {
        let path = folder()?.join(format!("{NAME}.onnx"));
        let onnx = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(InceptionError::Missing(path));
            }
            Err(source) => return Err(InceptionError::Read { path, source }),
        };
        if sha256(&onnx) != network_sha256() {
            return Err(InceptionError::Foreign(path));
        }
        Ok(Self {
            graph: OrtGraph::with_threads(&onnx, Arithmetic::Optimized, threads)?,
            seen: HashMap::new(),
        })
    }

    /// The features of images, pixels `(N, C, H, W)` with 1 or 3 channels, as `(N, 2048)`. After each batch, `watch`
    /// is told how many new images are done, of how many.
    ///
    /// # Errors
    /// Other channels; ONNX Runtime's.
    pub fn features(
        &mut self,
        pixels: &[u8],
        shape: Shape,
        watch: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<f32>, InceptionError> {
        if ![1, 3].contains(&shape.channels) {
            return Err(InceptionError::Channels(shape.channels));
        }
        let images = pixels.chunks_exact(shape.len());
        let names: Vec<String> = images.clone().map(sha256).collect();
        let mut new: Vec<(&String, &[u8])> = names.iter().zip(images).collect();
        new.retain(|(name, _)| !self.seen.contains_key(*name));
        new.sort_by_key(|(name, _)| *name);
        new.dedup_by_key(|(name, _)| *name);
        let mut done = 0;
        for batch in new.chunks(BATCH) {
            let enlarged = batch.iter().flat_map(|(_, image)| enlarge(image, shape));
            let enlarged: Vec<f32> = enlarged.collect();
            let features = self.graph.run(&enlarged, &[3, SIDE, SIDE])?;
            for ((name, _), features) in batch.iter().zip(features.chunks_exact(FEATURES)) {
                self.seen.insert((*name).clone(), features.to_vec());
            }
            done += batch.len();
            watch(done, new.len());
        }
        let features = names.iter().filter_map(|name| self.seen.get(name));
        Ok(features.flatten().copied().collect())
    }
}
