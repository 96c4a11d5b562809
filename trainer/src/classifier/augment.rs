//! Random changes to training images that leave their class as it is.

use crate::data::{Dataset, Published};
use crate::rng::Rng;

/// What may be done to a training image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Augmentation {
    /// Pixels that an image is moved by at most, each way; black comes in at the edge.
    pub shift: usize,
    /// Whether half the images are mirrored, left to right.
    pub mirror: bool,
}

impl Augmentation {
    /// Leaves images as they are.
    pub const NONE: Self = Self {
        shift: 0,
        mirror: false,
    };

    /// What suits a data set: a mirrored shoe is a shoe, a mirrored 2 is no digit.
    pub fn of(dataset: &Dataset) -> Self {
        let name = dataset.published().map(Published::name);
        Self {
            shift: 1,
            mirror: matches!(name, Some("fashion" | "cifar10")),
        }
    }

    /// Draws a change for one image, `(C, H, W)`, and appends the changed image to `out`.
    pub fn apply(
        &self,
        image: &[u8],
        height: usize,
        width: usize,
        rng: &mut Rng,
        out: &mut Vec<u8>,
    ) {
        let mut below = |n: usize| (rng.uniform() * n as f64) as usize;
        let (down, right) = (below(2 * self.shift + 1), below(2 * self.shift + 1));
        let mirrored = self.mirror && below(2) == 1;
        for plane in image.chunks_exact(height * width) {
            for y in 0..height {
                let row = (y + down).checked_sub(self.shift).filter(|&y| y < height);
                let row = row.map(|y| &plane[y * width..(y + 1) * width]);
                out.extend((0..width).map(|x| {
                    let x = if mirrored { width - 1 - x } else { x };
                    let x = (x + right).checked_sub(self.shift);
                    row.zip(x)
                        .and_then(|(row, x)| row.get(x))
                        .copied()
                        .unwrap_or(0)
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use std::collections::BTreeSet;

    const IMAGE: [u8; 6] = [1, 2, 3, 4, 5, 6];

    fn changed(augmentation: Augmentation) -> BTreeSet<Vec<u8>> {
        let mut rng = Rng::new(1, Stream::Augmentation(0));
        let images = (0..1000).map(|_| {
            let mut out = Vec::new();
            augmentation.apply(&IMAGE, 2, 3, &mut rng, &mut out);
            out
        });
        images.collect()
    }

    #[test]
    fn nothing_is_changed_where_nothing_is_allowed() {
        assert_eq!(changed(Augmentation::NONE), [IMAGE.to_vec()].into());
    }

    #[test]
    fn every_shift_and_both_sides_occur() {
        let mirror = Augmentation {
            shift: 0,
            mirror: true,
        };
        let both = [IMAGE.to_vec(), vec![3, 2, 1, 6, 5, 4]];
        assert_eq!(changed(mirror), both.into());
        let shift = Augmentation {
            shift: 1,
            mirror: false,
        };
        // Written out: up, middle and down, each to the left, in place and to the right.
        let shifted = [
            [5, 6, 0, 0, 0, 0],
            [4, 5, 6, 0, 0, 0],
            [0, 4, 5, 0, 0, 0],
            [2, 3, 0, 5, 6, 0],
            [1, 2, 3, 4, 5, 6],
            [0, 1, 2, 0, 4, 5],
            [0, 0, 0, 2, 3, 0],
            [0, 0, 0, 1, 2, 3],
            [0, 0, 0, 0, 1, 2],
        ];
        assert_eq!(changed(shift), shifted.map(|s| s.to_vec()).into());
    }
}
