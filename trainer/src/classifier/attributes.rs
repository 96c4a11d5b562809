//! Attributes of pictures: what a table says of each of them, and a classifier that tells it from the pixels.

use super::Classifier;
use crate::data::{Images, Split};
use crate::nn::ModelError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// From this probability on of an attribute's most likely value a classifier is sure of it.
pub const SURE: f64 = 0.9;
/// Values of all attributes together, at most.
const VALUES: usize = 256;

/// Something that a table says of every picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    pub name: String,
    /// What it can be: at least two values.
    pub values: Vec<String>,
}

/// A table of attributes: a line a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub attributes: Vec<Attribute>,
    /// By the picture's path without its ending: the place of each attribute's value.
    rows: HashMap<String, Vec<u8>>,
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("{0}")]
    Unreadable(#[from] csv::Error),
    #[error("no column behind the first one has two values")]
    NoAttributes,
    #[error("its columns have {0} values in all, and at most {VALUES} can be told")]
    Values(usize),
    #[error("it has two lines for {0}")]
    Twice(String),
    #[error("it has no line for {0}")]
    Missing(String),
    #[error("only the pictures of a folder have names that a table can have lines for")]
    NoNames,
}

impl Table {
    /// Reads a CSV file with a line of names first: the picture's path below the folder of the data set comes first,
    /// the attributes follow. Those of a single value are left out.
    ///
    /// # Errors
    /// A file that is no such table.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let mut reader = csv::Reader::from_path(path)?;
        let names = reader.headers()?.clone();
        let records: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>()?;
        let mut attributes = Vec::new();
        let mut columns = Vec::new();
        for (column, name) in names.iter().enumerate().skip(1) {
            let values: BTreeSet<&str> = records.iter().map(|record| &record[column]).collect();
            if values.len() > 1 {
                columns.push(column);
                attributes.push(Attribute {
                    name: name.to_owned(),
                    values: values.into_iter().map(str::to_owned).collect(),
                });
            }
        }
        if attributes.is_empty() {
            return Err(TableError::NoAttributes);
        }
        let values = attributes.iter().map(|it| it.values.len()).sum();
        if values > VALUES {
            return Err(TableError::Values(values));
        }
        let mut rows = HashMap::new();
        for record in &records {
            let places = columns.iter().zip(&attributes).map(|(&column, attribute)| {
                let place = |value: &String| value.as_str().cmp(&record[column]);
                attribute.values.binary_search_by(place)
            });
            let row = places.flatten().map(|place| place as u8).collect();
            let picture = &record[0];
            let name = picture.rsplit_once('.').map_or(picture, |(name, _)| name);
            if rows.insert(name.to_owned(), row).is_some() {
                return Err(TableError::Twice(picture.to_owned()));
            }
        }
        Ok(Self { attributes, rows })
    }

    /// The places of the values of each image's attributes, `(N, A)`.
    ///
    /// # Errors
    /// Images without names, or one that has no line.
    pub fn of(&self, images: &Images, split: Split) -> Result<Vec<u8>, TableError> {
        if images.names.is_empty() {
            return Err(TableError::NoNames);
        }
        let mut all = Vec::with_capacity(images.count * self.attributes.len());
        for name in &images.names {
            let below_split = match split {
                Split::Train => format!("train/{name}"),
                Split::Test => format!("test/{name}"),
            };
            let row = self.rows.get(&below_split).or_else(|| self.rows.get(name));
            all.extend(row.ok_or(TableError::Missing(below_split))?);
        }
        Ok(all)
    }
}

/// How many values each attribute has.
pub fn sizes(attributes: &[Attribute]) -> Vec<usize> {
    attributes.iter().map(|it| it.values.len()).collect()
}

/// What a classifier says of an attribute of many images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Images of which it is sure: the most likely value has at least the probability [`SURE`].
    pub sure: u32,
    /// Images by their most likely value.
    pub counts: Vec<u32>,
    /// The most likely value of each image, `(N,)`.
    pub values: Vec<u8>,
}

/// A trained classifier of attributes.
pub struct AttributeClassifier {
    classifier: Classifier,
    attributes: Vec<Attribute>,
}

impl AttributeClassifier {
    /// `None` where the classifier does not tell these attributes.
    pub fn new(classifier: Classifier, attributes: Vec<Attribute>) -> Option<Self> {
        let values: usize = sizes(&attributes).iter().sum();
        (values > 0 && values == classifier.classes()).then_some(Self {
            classifier,
            attributes,
        })
    }

    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// The images that it looks at.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// Looks at images, `(N, C, H, W)`; a tally for each attribute.
    ///
    /// # Errors
    /// The device's.
    pub fn tally(&self, pixels: &[u8]) -> Result<Vec<Tally>, ModelError> {
        const AT_ONCE: usize = 256;
        let of = |attribute: &Attribute| Tally {
            counts: vec![0; attribute.values.len()],
            ..Tally::default()
        };
        let mut tallies: Vec<Tally> = self.attributes.iter().map(of).collect();
        for pixels in pixels.chunks(AT_ONCE * self.classifier.image().len()) {
            let logits = self.classifier.logits(pixels)?;
            for mut logits in logits.chunks_exact(self.classifier.classes()) {
                for tally in &mut tallies {
                    let (own, rest) = logits.split_at(tally.counts.len());
                    let (value, probability) = most_likely(own);
                    tally.sure += u32::from(probability >= SURE);
                    tally.counts[value] += 1;
                    tally.values.push(value as u8);
                    logits = rest;
                }
            }
        }
        Ok(tallies)
    }
}

/// The place of the greatest logit, the first of several, and its probability.
fn most_likely(logits: &[f32]) -> (usize, f64) {
    let best = super::sight::most_likely(logits);
    let powers = logits
        .iter()
        .map(|&x| (f64::from(x) - f64::from(logits[best])).exp());
    (best, 1.0 / powers.sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::{Augmentation, State, decode, encode};
    use crate::classifier::{Settings, Targets, attribute_network, train};
    use crate::gaussian::Gaussian;
    use crate::ops::Cpu;
    use crate::optim::OptimizerConfig;
    use crate::spec::Shape;

    fn table(text: &str) -> Result<Table, TableError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        std::fs::write(&path, text).unwrap();
        Table::read(&path)
    }

    /// 64 pictures of 8x8: the upper half bright or dark, the lower one dark, grey or bright.
    fn halves() -> (Images, Table) {
        let mut text = "picture,upper,kind,lower\n".to_owned();
        let (mut pixels, mut names) = (Vec::new(), Vec::new());
        for i in 0..64 {
            let (upper, lower) = (i % 2, i / 2 % 3);
            pixels.extend([(40 + 180 * upper + i) as u8; 32]);
            pixels.extend([(20 + 80 * lower + i) as u8; 32]);
            let split = if i < 32 { "train/" } else { "" };
            text += &format!("{split}{i}.png,u{upper},same,l{lower}\n");
            names.push(i.to_string());
        }
        let images = Images {
            count: 64,
            channels: 1,
            height: 8,
            width: 8,
            pixels,
            labels: Vec::new(),
            classes: Vec::new(),
            names,
        };
        (images, table(&text).unwrap())
    }

    #[test]
    fn a_table_gives_each_picture_its_values() {
        let (mut images, table) = halves();
        let names: Vec<&str> = table.attributes.iter().map(|it| &*it.name).collect();
        assert_eq!(names, ["upper", "lower"]);
        assert_eq!(table.attributes[1].values, ["l0", "l1", "l2"]);
        let values = table.of(&images, Split::Train).unwrap();
        let expected: Vec<u8> = (0..64).flat_map(|i| [i % 2, i / 2 % 3]).collect();
        assert_eq!(values, expected);
        // Those of the other split have no lines.
        let missing = table.of(&images, Split::Test).unwrap_err();
        assert_eq!(missing.to_string(), "it has no line for test/0");
        images.names.clear();
        assert!(matches!(
            table.of(&images, Split::Train),
            Err(TableError::NoNames)
        ));
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert!(matches!(
            table("a,b\nx.png,1\n"),
            Err(TableError::NoAttributes)
        ));
        assert!(matches!(table(""), Err(TableError::NoAttributes)));
        assert!(matches!(
            table("a,b\nx.png,1,2\n"),
            Err(TableError::Unreadable(_))
        ));
        assert!(matches!(
            table("a,b\nx.png,1\nx.jpg,2\n"),
            Err(TableError::Twice(_))
        ));
        let many: String = (0..300).map(|i| format!("{i}.png,{i}\n")).collect();
        assert!(matches!(
            table(&format!("a,b\n{many}")),
            Err(TableError::Values(300))
        ));
    }

    /// Both attributes are learned, and a file of them is read again.
    #[test]
    fn attributes_are_told_from_pixels() {
        let (images, table) = halves();
        let labels = table.of(&images, Split::Train).unwrap();
        let sizes = sizes(&table.attributes);
        let settings = Settings {
            network: attribute_network(Shape::new(1, 8, 8), 5),
            augmentation: Augmentation::NONE,
            optimizer: OptimizerConfig::adam(2e-3, 0.9, 0.999),
            ema_decay: 0.9,
            batch: 16,
            epochs: 12,
            seed: 1,
        };
        let targets = Targets {
            labels: &labels,
            sizes: &sizes,
        };
        let model = train(Cpu::default(), &settings, &images, targets, &mut |_| {}).unwrap();
        let mut state = State::new(
            &"folder:faces".parse().unwrap(),
            &images,
            settings.network.clone(),
            1,
            12,
        );
        state.attributes = table.attributes.clone();
        let features = super::super::ATTRIBUTE_FEATURES;
        let reference = Gaussian {
            mean: vec![0.0; features],
            covariance: vec![0.0; features * features],
        };
        let file = encode(&state, &model.parameters().unwrap(), &reference).unwrap();
        let file = decode(&file).unwrap();
        let classifier = AttributeClassifier::new(file.classifier, file.state.attributes).unwrap();
        let tallies = classifier.tally(&images.pixels).unwrap();
        for (attribute, tally) in tallies.iter().enumerate() {
            let expected: Vec<u8> = labels.chunks(2).map(|row| row[attribute]).collect();
            assert_eq!(tally.values, expected);
            assert_eq!(tally.counts.iter().sum::<u32>(), 64);
        }
        assert_eq!(tallies[0].counts, [32, 32]);
    }

    /// Against the definition: 1, e and e^3 in shares.
    #[test]
    fn a_probability_is_the_softmax() {
        let (value, probability) = most_likely(&[0.0, 1.0, 3.0, 3.0]);
        assert_eq!(value, 2);
        let e = std::f64::consts::E;
        assert!((probability - e.powi(3) / (1.0 + e + 2.0 * e.powi(3))).abs() < 1e-12);
    }
}
