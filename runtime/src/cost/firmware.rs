//! What the smallest firmware of an int8 or int4 model takes beside the blob, before it is built.
//!
//! Hardly any of it depends on shapes. The features that the model needs and its classes decide which functions are
//! there, and how large their frames are; the number of layers, how far the compiler unrolls loops over them and how
//! long the table of decoded layers is. So a figure is a sum of a few terms, which were fitted for each core to
//! firmware that was built and run under QEMU (`cargo xtask cost`).

use std::vec::Vec;

use super::Core;
use crate::blob::Model;
use crate::layer::Layer;
use crate::shape::{Activation, Operator};

/// A term of a figure. Each build has terms of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum Term {
    /// The first of those for 1 to [`UNROLLED`] layers.
    Layers,
    /// Each layer more than that.
    FurtherLayer = UNROLLED,
    /// Whether there are additions.
    Additions,
    /// Of linear int8 layers: whether there is a ReLU layer of whole groups of four channels, for which the loop in
    /// assembly does all.
    WholeRelu,
    /// Of linear int8 layers: whether the loop over the pixels of a row is unrolled.
    ShortRows,
    /// Of linear int8 layers: whether the image has so few rows that the loop over them is shorter.
    FewRows,
}

/// As many layers have a term of their own: the compiler unrolls loops over fewer.
const UNROLLED: usize = 7;
/// The longest row of pixels that the compiler unrolls the loop over.
const SHORT_ROW: usize = 28;
/// The most rows of an image that are few.
const FEW_ROWS: usize = 4;

/// Terms of a build.
const OF_BUILD: usize = Term::FewRows as usize + 1;
/// Builds: with and without convolution, int4 and classes.
const BUILDS: usize = 8;
/// How many terms there are.
pub const TERMS: usize = BUILDS * OF_BUILD;

/// How often each term counts.
pub type Terms = [u64; TERMS];

/// Code of the smallest firmware, in bytes: a line a term, a column a core.
const CODE: &str = include_str!("code.txt");
/// Its deepest stack, in bytes.
const STACK: &str = include_str!("stack.txt");

/// The terms of a model's firmware. `None` for an f32 model, for one that reads pictures, and for one with
/// concatenations or average pooling, whose code depends on what the compiler can leave out of it.
pub fn terms(model: &Model<'_>) -> Option<Terms> {
    let layers: Vec<Layer<'_>> = model.layers().collect();
    let operators = || layers.iter().map(|layer| layer.operator);
    let reads_pictures = model.picture().is_some();
    if model.numbers().is_float() || reads_pictures || operators().any(Operator::is_of_graphs) {
        return None;
    }
    let traits = [
        operators().any(|operator| operator != Operator::Linear),
        model.numbers().is_int4(),
        model.classes() > 0,
    ];
    let build = traits.iter().fold(0, |n, &is| n * 2 + usize::from(is));
    let mut terms = [0; TERMS];
    let mut count = |term: Term, times: usize| {
        terms[build * OF_BUILD + term as usize] += times as u64;
    };
    count(Term::FurtherLayer, layers.len().saturating_sub(UNROLLED));
    // Elsewhere these functions are not inlined, and so the same for all models.
    if let [false, false, _] = traits {
        let whole = layers.iter().any(|layer| {
            layer.activation == Activation::Relu && layer.output.channels.is_multiple_of(4)
        });
        count(Term::WholeRelu, whole.into());
        let short = layers.len() < UNROLLED && model.output().row_len() <= SHORT_ROW;
        count(Term::ShortRows, short.into());
        count(Term::FewRows, (model.output().height <= FEW_ROWS).into());
    }
    let adds = operators().any(|operator| matches!(operator, Operator::Add { .. }));
    count(Term::Additions, adds.into());
    let unrolled = layers.len().min(UNROLLED).saturating_sub(1);
    terms[build * OF_BUILD + Term::Layers as usize + unrolled] = 1;
    Some(terms)
}

impl Core {
    /// Bytes of code of the smallest firmware (`firmware-examples/bare`, `opt-level = 3`, only the features that the
    /// model needs): all that it takes of the flash but the blob and the interrupt vectors. `None` for an f32 model,
    /// for one that reads pictures, and for one with concatenations or average pooling.
    pub fn code_bytes(self, model: &Model<'_>) -> Option<u64> {
        self.sum(CODE, &terms(model)?)
    }

    /// Bytes of stack of that firmware while it makes an image, at the deepest. The buffer and the image are not among
    /// them. `None` where [`code_bytes`](Self::code_bytes) is.
    ///
    /// A program that calls [`Generator::sample`](crate::Generator::sample) from several places, or parses its model at
    /// run time, needs more: the compiler knows less of the model there.
    pub fn stack_bytes(self, model: &Model<'_>) -> Option<u64> {
        self.sum(STACK, &terms(model)?)
    }

    fn sum(self, table: &str, terms: &Terms) -> Option<u64> {
        let lines = table.lines().map(|line| self.of_line(line));
        let sum: f64 = lines
            .zip(terms)
            .map(|(bytes, &times)| bytes * times as f64)
            .sum();
        Some(sum.round() as u64)
    }
}
