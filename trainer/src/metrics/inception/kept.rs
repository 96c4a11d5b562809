//! Features of a data set's images, computed once and kept in the user's cache.

use super::{FEATURES, Inception, InceptionError, folder, network_sha256};
use crate::files::{sha256, write_whole};
use crate::spec::Shape;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The version of the file and of how images are enlarged.
const VERSION: &str = "1";
const TENSOR: &str = "features";
/// The metadata key of the features' own SHA-256.
const SUM: &str = "features-sha256";

/// Features that are kept under a hash of everything that they follow from: the images' pixels and shape, the network
/// and how images are prepared for it.
pub struct Kept {
    path: PathBuf,
}

/// Why features were not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    #[error("cannot write {}: {source}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the features cannot be encoded: {0}")]
    Encode(#[from] safetensors::SafeTensorError),
}

impl Kept {
    /// The place of the features of images, pixels `(N, C, H, W)`.
    ///
    /// # Errors
    /// [`InceptionError::NoCache`].
    pub fn of(pixels: &[u8], shape: Shape) -> Result<Self, InceptionError> {
        Ok(Self::inside(&folder()?, pixels, shape))
    }

    fn inside(folder: &Path, pixels: &[u8], shape: Shape) -> Self {
        let inputs = format!("{VERSION} {} {shape} {}", network_sha256(), sha256(pixels));
        let name = format!("features-{}.safetensors", sha256(inputs.as_bytes()));
        Self {
            path: folder.join(name),
        }
    }

    /// The features of `count` images, if they are there and whole.
    pub fn read(&self, count: usize) -> Option<Vec<f32>> {
        let bytes = std::fs::read(&self.path).ok()?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).ok()?;
        let sum = metadata.metadata().as_ref()?.get(SUM)?.clone();
        let tensors = SafeTensors::deserialize(&bytes).ok()?;
        let view = tensors.tensor(TENSOR).ok()?;
        let fits = view.dtype() == Dtype::F32 && view.shape() == [count, FEATURES];
        if !fits || sha256(view.data()) != sum {
            return None;
        }
        let (numbers, _) = view.data().as_chunks::<4>();
        Some(numbers.iter().map(|&b| f32::from_le_bytes(b)).collect())
    }

    /// Keeps features, `(N, 2048)`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, features: &[f32]) -> Result<(), KeptError> {
        let bytes: Vec<u8> = features.iter().flat_map(|x| x.to_le_bytes()).collect();
        let shape = vec![features.len() / FEATURES, FEATURES];
        let view = TensorView::new(Dtype::F32, shape, &bytes)?;
        let metadata = HashMap::from([(SUM.to_owned(), sha256(&bytes))]);
        let file = safetensors::serialize([(TENSOR, view)], Some(metadata))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let written = std::fs::create_dir_all(folder).and_then(|()| write_whole(&self.path, &file));
        written.map_err(|source| KeptError::Write {
            path: self.path.clone(),
            source,
        })
    }
}

impl Inception {
    /// As [`Inception::features`], taken from the cache where they were computed before, and kept there where not. A
    /// cache that cannot be written is told to `note` and is no error.
    ///
    /// # Errors
    /// As [`Inception::features`]; no place for a cache.
    pub fn features_once(
        &mut self,
        pixels: &[u8],
        shape: Shape,
        watch: &mut dyn FnMut(usize, usize),
        note: &mut dyn FnMut(&str),
    ) -> Result<Vec<f32>, InceptionError> {
        let kept = Kept::of(pixels, shape)?;
        if let Some(features) = kept.read(pixels.len() / shape.len().max(1)) {
            return Ok(features);
        }
        let features = self.features(pixels, shape, watch)?;
        if let Err(error) = kept.write(&features) {
            note(&format!("the features are not kept: {error}"));
        }
        Ok(features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_by_what_it_follows_from() {
        let folder = tempfile::tempdir().unwrap();
        let shape = Shape::new(1, 2, 2);
        let kept = |pixels: &[u8], shape| Kept::inside(&folder.path().join("new"), pixels, shape);
        let pixels = [1, 2, 3, 4, 5, 6, 7, 8];
        let place = kept(&pixels, shape);
        assert_eq!(place.read(2), None);
        let features: Vec<f32> = (0..2 * FEATURES).map(|i| i as f32 / 7.0).collect();
        place.write(&features).unwrap();
        assert_eq!(kept(&pixels, shape).read(2), Some(features));
        assert_eq!(place.read(3), None);
        assert_eq!(kept(&[1, 2, 3, 4, 5, 6, 7, 9], shape).read(2), None);
        assert_eq!(kept(&pixels, Shape::new(1, 1, 4)).read(2), None);
    }

    #[test]
    fn what_is_damaged_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let place = Kept::inside(folder.path(), &[0; 4], Shape::new(1, 2, 2));
        place.write(&vec![1.5; FEATURES]).unwrap();
        let whole = std::fs::read(&place.path).unwrap();
        for at in [10, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&place.path, bytes).unwrap();
            assert_eq!(place.read(1), None, "{at}");
        }
        std::fs::write(&place.path, &whole[..whole.len() - 8]).unwrap();
        assert_eq!(place.read(1), None);
        std::fs::write(&place.path, &whole).unwrap();
        assert_eq!(place.read(1), Some(vec![1.5; FEATURES]));
    }
}
