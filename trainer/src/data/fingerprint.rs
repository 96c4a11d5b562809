//! What training sees, in short, so that a run is only resumed on the data that it began with.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Images;
use crate::files::hex;

/// The images of a split, decoded and in their order, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// Of shape, class names, labels and pixels.
    pub sha256: String,
    /// How many there are.
    pub images: usize,
    /// (channels, height, width).
    pub shape: [usize; 3],
    /// Of each class in turn; none where there are no classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassPrint>,
}

/// The images of a class, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassPrint {
    /// Its name.
    pub name: String,
    /// How many there are.
    pub images: usize,
    /// Of their pixels.
    pub sha256: String,
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
        let names = images.classes.iter().enumerate();
        Self {
            sha256: hex(&whole.finalize()),
            images: images.count,
            shape,
            classes: names
                .map(|(class, name)| ClassPrint::of(images, class, name))
                .collect(),
        }
    }

    /// What has changed from `then` to this, as part of a sentence; `None` where nothing has.
    pub fn difference(&self, then: &Self) -> Option<String> {
        if self.sha256 == then.sha256 {
            return None;
        }
        let [now, before] = [self, then].map(|print| {
            let [channels, height, width] = print.shape;
            format!("{} images of {channels}x{height}x{width}", print.images)
        });
        let mut parts = Vec::new();
        if now != before {
            parts.push(format!("{before} then, {now} now"));
        }
        parts.extend(self.changed_classes(then));
        if parts.is_empty() {
            let what = if self.classes.is_empty() {
                "as many images, but others or in another order"
            } else {
                "the same images in another order"
            };
            parts.push(what.to_owned());
        }
        Some(parts.join("; "))
    }

    fn changed_classes(&self, then: &Self) -> Vec<String> {
        /// Classes that are named before the others are only counted.
        const NAMED: usize = 4;
        let before = |name: &str| then.classes.iter().find(|class| class.name == name);
        let now = |name: &str| self.classes.iter().find(|class| class.name == name);
        let mut changes = Vec::new();
        for class in &self.classes {
            match before(&class.name) {
                Some(old) if old.images != class.images => changes.push(format!(
                    "class {} has {} images, it had {}",
                    class.name, class.images, old.images
                )),
                Some(old) if old.sha256 != class.sha256 => {
                    let other = then.classes.iter().find(|c| c.sha256 == class.sha256);
                    changes.push(match other {
                        Some(other) => {
                            format!(
                                "class {} has the images that {} had",
                                class.name, other.name
                            )
                        }
                        None => format!("class {} has as many images, but others", class.name),
                    });
                }
                Some(_) => {}
                None => {
                    let gone = then.classes.iter().filter(|c| now(&c.name).is_none());
                    let old = { gone }.find(|c| c.sha256 == class.sha256);
                    changes.push(match old {
                        Some(old) => format!("class {} is now called {}", old.name, class.name),
                        None => format!("class {} is new", class.name),
                    });
                }
            }
        }
        for class in then.classes.iter().filter(|c| now(&c.name).is_none()) {
            if !self.classes.iter().any(|c| c.sha256 == class.sha256) {
                changes.push(format!("class {} is gone", class.name));
            }
        }
        let more = changes.len().saturating_sub(NAMED);
        if more > 0 {
            changes.truncate(NAMED);
            changes.push(format!("{more} more changes of classes"));
        }
        changes
    }
}

impl ClassPrint {
    fn of(images: &Images, class: usize, name: &str) -> Self {
        let mut sum = Sha256::new();
        let mut count = 0;
        for (i, _) in
            { images.labels.iter().enumerate() }.filter(|&(_, &label)| usize::from(label) == class)
        {
            sum.update(images.image(i).unwrap_or_default());
            count += 1;
        }
        Self {
            name: name.to_owned(),
            images: count,
            sha256: hex(&sum.finalize()),
        }
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
                "class cat has 1 images, it had 2; class dog has 3 images, it had 2",
            ),
            (
                fewer,
                "4 images of 1x1x1 then, 3 images of 1x1x1 now; class dog has 1 images, it had 2",
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
            Some("as many images, but others or in another order")
        );
    }
}
