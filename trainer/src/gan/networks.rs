//! The networks of a run and their losses, by name.

use crate::spec::Network;
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::{BTreeMap, BTreeSet};

/// What a network of a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It turns latents into images. An average of its weights is kept, and samples are drawn from that.
    Generator,
    /// Only training needs it, as it needs a discriminator or an encoder.
    Auxiliary,
}

/// A network by name.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    pub name: String,
    pub role: Role,
    pub network: Network,
}

impl Named {
    /// A network that makes images.
    pub fn generator(name: &str, network: Network) -> Self {
        Self {
            name: name.to_owned(),
            role: Role::Generator,
            network,
        }
    }

    /// A network that only training needs.
    pub fn auxiliary(name: &str, network: Network) -> Self {
        Self {
            role: Role::Auxiliary,
            ..Self::generator(name, network)
        }
    }
}

/// The networks of a run. No two have the same name.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Networks {
    /// The network whose average is scored and exported.
    pub generator: Named,
    /// The others, in the order of the kind of training.
    pub others: Vec<Named>,
}

impl Networks {
    /// All of them, the generator first.
    pub fn iter(&self) -> impl Iterator<Item = &Named> {
        std::iter::once(&self.generator).chain(&self.others)
    }

    /// As [`Networks::iter`].
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Named> {
        std::iter::once(&mut self.generator).chain(&mut self.others)
    }
}

/// What a loss of a kind of training is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossName {
    /// In `stats.jsonl`, where `_loss` follows it.
    pub key: &'static str,
    /// Beside its curve.
    pub title: &'static str,
    /// On the screen.
    pub short: &'static str,
}

/// The losses of a step, or the means over several, by [`LossName::key`]. In JSON each is a number named `{key}_loss`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses(pub BTreeMap<String, f32>);

/// What follows a loss's key in JSON.
const SUFFIX: &str = "_loss";

impl Losses {
    pub fn new<const N: usize>(losses: [(LossName, f32); N]) -> Self {
        let named = losses.map(|(name, value)| (name.key.to_owned(), value));
        Self(named.into())
    }

    /// A loss by its key.
    pub fn get(&self, key: &str) -> Option<f32> {
        self.0.get(key).copied()
    }

    /// Whether all are finite.
    pub fn is_finite(&self) -> bool {
        self.0.values().all(|loss| loss.is_finite())
    }

    /// The mean of each loss over those of some steps that have it.
    pub fn mean(steps: &[Self]) -> Self {
        let mean = |key: String| {
            let losses = steps.iter().filter_map(|step| step.get(&key));
            let mean = losses.clone().sum::<f32>() / losses.count() as f32;
            (key, mean)
        };
        Self(Self::keys(steps).into_iter().map(mean).collect())
    }

    /// The keys of some steps, each once.
    pub fn keys(steps: &[Self]) -> BTreeSet<String> {
        let keys = steps.iter().flat_map(|step| step.0.keys());
        keys.cloned().collect()
    }
}

impl Serialize for Losses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, loss) in &self.0 {
            map.serialize_entry(&format!("{key}{SUFFIX}"), loss)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Losses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = BTreeMap::<String, serde_json::Value>::deserialize(deserializer)?;
        let loss = |(name, value): (String, serde_json::Value)| {
            let key = name.strip_suffix(SUFFIX)?;
            Some((key.to_owned(), value.as_f64()? as f32))
        };
        Ok(Self(all.into_iter().filter_map(loss).collect()))
    }
}
