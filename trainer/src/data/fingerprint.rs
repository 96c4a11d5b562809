//! What training sees, in short, so that a run is only resumed on the data that it began with.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Images;
use super::counted;
use crate::files::hex;

/// The images of a split, decoded and in their order, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// Of shape, class names, labels and pixels.
    pub sha256: String,
    /// The sum of each image's SHA-256, modulo 2^256: the same in any order.
    pub sum: String,
    /// How many there are.
    pub images: usize,
    /// (channels, height, width).
    pub shape: [usize; 3],
    /// Of each class in turn; none where there are no classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassPrint>,
    /// Of the pictures that generators read, where they come from a data set of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Box<Self>>,
}

/// The images of a class, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassPrint {
    /// Its name.
    pub name: String,
    /// How many there are.
    pub images: usize,
    /// The sum of each image's SHA-256, modulo 2^256: the same in any order.
    pub sum: String,
}

impl Fingerprint {
    /// The fingerprint of images.
    pub fn of(images: &Images) -> Self {
        let shape = [images.channels, images.height, images.width];
        let mut whole = Sha256::new();
        for number in shape.into_iter().chain([images.count]) {
            whole.update((number as u64).to_le_bytes());
        }
        for name in &images.classes {
            whole.update((name.len() as u64).to_le_bytes());
            whole.update(name);
        }
        whole.update(&images.labels);
        whole.update(&images.pixels);
        let pixels = images.pixels.par_chunks_exact(images.image_len().max(1));
        let each: Vec<[u8; 32]> = pixels.map(|image| Sha256::digest(image).into()).collect();
        let mut sum = Sum::default();
        let mut classes = vec![Sum::default(); images.classes.len()];
        for (i, image) in each.iter().enumerate() {
            sum.add(image);
            let class = images.labels.get(i).map(|&label| usize::from(label));
            if let Some(class) = class.and_then(|class| classes.get_mut(class)) {
                class.add(image);
            }
        }
        let classes = images.classes.iter().zip(classes);
        Self {
            sha256: hex(&whole.finalize()),
            sum: hex(&sum.total),
            images: images.count,
            shape,
            classes: classes
                .map(|(name, sum)| ClassPrint {
                    name: name.clone(),
                    images: sum.count,
                    sum: hex(&sum.total),
                })
                .collect(),
            inputs: None,
        }
    }

    /// With that of the pictures that generators read.
    pub fn reading(self, inputs: Option<Self>) -> Self {
        Self {
            inputs: inputs.map(Box::new),
            ..self
        }
    }

    /// What has changed from `then` to this, as part of a sentence; `None` where nothing has.
    pub fn difference(&self, then: &Self) -> Option<String> {
        if self == then {
            return None;
        }
        if let (Some(now), Some(then)) = (&self.inputs, &then.inputs)
            && let Some(difference) = now.difference(then)
        {
            return Some(format!("of the pictures that are read, {difference}"));
        }
        let of = |print: &Self| {
            let [channels, height, width] = print.shape;
            format!(
                "{} of {channels}x{height}x{width}",
                counted(print.images, "image")
            )
        };
        let mut parts = Vec::new();
        if of(self) != of(then) {
            parts.push(format!("{} then, {} now", of(then), of(self)));
        }
        // Scaled otherwise, every image is another.
        if self.shape == then.shape {
            parts.extend(self.changed_classes(then));
        }
        if parts.is_empty() {
            let what = if self.sum == then.sum {
                "the same images in another order"
            } else {
                "as many images, but others"
            };
            parts.push(what.to_owned());
        }
        Some(parts.join("; "))
    }

    /// A sentence for each class that has changed, of the first few.
    fn changed_classes(&self, then: &Self) -> Vec<String> {
        /// Classes that are named before the others are only counted.
        const NAMED: usize = 4;
        let mut changes: Vec<String> = (self.seen())
            .filter_map(|(number, class)| self.change(then, number, class))
            .collect();
        let gone = then
            .seen()
            .filter(|(_, class)| self.named(&class.name).is_none());
        let renamed = |class: &ClassPrint| self.seen().any(|(_, other)| other.sum == class.sum);
        let gone = gone.filter(|(_, class)| !renamed(class));
        changes.extend(gone.map(|(_, class)| format!("class {} is gone", class.name)));
        let more = changes.len().saturating_sub(NAMED);
        if more > 0 {
            changes.truncate(NAMED);
            changes.push(format!("and {}", counted(more, "more change")));
        }
        changes
    }

    /// What has changed of a class that there is now.
    fn change(&self, then: &Self, number: usize, class: &ClassPrint) -> Option<String> {
        let name = &class.name;
        let Some((was, old)) = then.named(name) else {
            let same = |(_, old): &(usize, &ClassPrint)| {
                old.sum == class.sum && self.named(&old.name).is_none()
            };
            return Some(match then.seen().find(same) {
                Some((_, old)) => format!("class {} is now called {name}", old.name),
                None => format!("class {name} is new"),
            });
        };
        if old.images != class.images {
            let now = counted(class.images, "image");
            return Some(format!("class {name} has {now}, it had {}", old.images));
        }
        if old.sum != class.sum {
            let other = then.seen().find(|(_, other)| other.sum == class.sum);
            return Some(match other {
                Some((_, other)) => format!("class {name} has the images that {} had", other.name),
                None => format!("class {name} has as many images, but others"),
            });
        }
        (was != number).then(|| format!("class {name} has the number {number}, it had {was}"))
    }

    /// The classes that have images, with their numbers.
    fn seen(&self) -> impl Iterator<Item = (usize, &ClassPrint)> {
        let classes = self.classes.iter().enumerate();
        classes.filter(|(_, class)| class.images > 0)
    }

    fn named(&self, name: &str) -> Option<(usize, &ClassPrint)> {
        self.seen().find(|(_, class)| class.name == name)
    }
}

/// A sum of SHA-256s, modulo 2^256, little-endian.
#[derive(Clone, Copy, Default)]
struct Sum {
    total: [u8; 32],
    count: usize,
}

impl Sum {
    fn add(&mut self, sha256: &[u8; 32]) {
        let mut carry = 0;
        for (byte, added) in self.total.iter_mut().zip(sha256) {
            carry += u16::from(*byte) + u16::from(*added);
            *byte = carry as u8;
            carry >>= 8;
        }
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four images of one pixel.
    fn images(pixels: [u8; 4], labels: &[u8], classes: &[&str]) -> Images {
        Images {
            count: 4,
            channels: 1,
            height: 1,
            width: 1,
            pixels: pixels.to_vec(),
            labels: labels.to_vec(),
            classes: classes.iter().map(ToString::to_string).collect(),
            names: Vec::new(),
        }
    }

    #[test]
    fn a_difference_says_what_has_changed() {
        let then = images([1, 2, 3, 4], &[0, 0, 1, 1], &["cat", "dog"]);
        let mut fewer = images([1, 2, 3, 4], &[0, 0, 1, 1], &["cat", "dog"]);
        fewer.count = 3;
        fewer.pixels.pop();
        fewer.labels.pop();
        let then = Fingerprint::of(&then);
        let labels = [0, 0, 1, 1];
        for (now, said) in [
            (
                images([3, 4, 1, 2], &labels, &["cat", "dog"]),
                "class cat has the images that dog had; class dog has the images that cat had",
            ),
            (
                images([1, 2, 3, 4], &labels, &["cat", "fox"]),
                "class dog is now called fox",
            ),
            (
                images([1, 9, 3, 4], &labels, &["cat", "dog"]),
                "class cat has as many images, but others",
            ),
            (
                images([1, 2, 3, 9], &labels, &["cat", "fox"]),
                "class fox is new; class dog is gone",
            ),
            (
                images([1, 3, 2, 4], &[0, 1, 0, 1], &["cat", "dog"]),
                "the same images in another order",
            ),
            (
                images([1, 2, 3, 4], &[0, 1, 1, 1], &["cat", "dog"]),
                "class cat has 1 image, it had 2; class dog has 3 images, it had 2",
            ),
            (
                fewer,
                "4 images of 1x1x1 then, 3 images of 1x1x1 now; class dog has 1 image, it had 2",
            ),
        ] {
            assert_eq!(
                Fingerprint::of(&now).difference(&then).as_deref(),
                Some(said)
            );
        }
        let same = images([1, 2, 3, 4], &labels, &["cat", "dog"]);
        assert_eq!(Fingerprint::of(&same).difference(&then), None);
        let [one, other] =
            [[1, 2, 3, 4], [1, 2, 4, 3]].map(|p| Fingerprint::of(&images(p, &[], &[])));
        assert_eq!(
            one.difference(&other).as_deref(),
            Some("the same images in another order")
        );
    }
}
