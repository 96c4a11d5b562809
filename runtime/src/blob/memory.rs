//! What the working memory of a model holds.
//!
//! The buffer holds, in words: two words of state for each tensor; then the tensors' rings, of which the image's has a
//! single row; for f32 also a row of pixels; for int4 the part of a layer that is unpacked; the sums of linear layers
//! over images.

use super::model::Model;
use crate::layer::Layer;
use crate::ring::Ring;
use crate::scratch;

/// The ring of a tensor, without rows if it lies in those of another.
// Inlined, so that a model whose layers are decoded needs no code to decode them.
#[inline(always)]
pub(crate) const fn ring(model: &Model<'_>, tensor: usize) -> Ring {
    // Of the first layers there is always one that reads the latent, since there is nothing else yet. In a chain each
    // layer reads the tensor of its own number.
    let is_input = if cfg!(feature = "convolution") {
        tensor == 0
    } else {
        tensor < model.layer_count()
    };
    let index = if is_input { tensor } else { tensor - 1 };
    let decoded;
    let layer = match model.decoded_layer(index) {
        Some(layer) => layer,
        None => {
            decoded = model.layer(index);
            &decoded
        }
    };
    if is_input {
        return Ring::of_input(layer);
    }
    let mut ring = Ring::of_output(layer);
    if layer.home.of(tensor) != tensor {
        ring.rows = 0;
    }
    ring
}

impl Model<'_> {
    /// Rows of a tensor that are in memory at once: 0 is the model's input, `i + 1` the output of layer `i`. 0 for one
    /// that lies in the rows of a concatenation's output, and for an unknown one.
    pub const fn rows_kept(&self, tensor: usize) -> usize {
        match self.kept(tensor) {
            Some(ring) => ring.rows,
            None => 0,
        }
    }

    /// Bytes of working memory that these rows take.
    pub const fn rows_bytes(&self, tensor: usize) -> usize {
        match self.kept(tensor) {
            Some(ring) => ring.words() * 4,
            None => 0,
        }
    }

    const fn kept(&self, tensor: usize) -> Option<Ring> {
        if tensor <= self.layer_count() {
            Some(ring(self, tensor))
        } else {
            None
        }
    }
}

/// Words of state for each tensor: the rows made so far with the layer that asked for the next one in the upper half,
/// and where the ring starts.
pub(crate) const fn state_len(model: &Model<'_>) -> usize {
    2 * (model.layer_count() + 1)
}

/// Words at the end of the working memory that an int4 model's layers are unpacked in, a part at a time.
pub(crate) const fn scratch_len(model: &Model<'_>) -> usize {
    let mut most = 0;
    let mut index = 0;
    while index < model.layer_count() && model.numbers().is_int4() {
        let len = scratch::scratch_len(&model.layer(index));
        most = if len > most { len } else { most };
        index += 1;
    }
    most
}

/// Words of the whole working memory.
pub(crate) const fn buffer_len(model: &Model<'_>) -> usize {
    let mut words = state_len(model);
    if model.numbers().is_float() {
        words += model.output().row_len().div_ceil(4);
    }
    let mut index = 0;
    while index <= model.layer_count() {
        words += ring(model, index).words();
        index += 1;
    }
    words + scratch_len(model) + sums_before(model, model.layer_count())
}

/// Words of the sums of linear layers over images before layer `index`, which lie at the end of the working memory: for
/// each such layer the number of rows that were added, and a word for each output, of int8 rounded up to whole groups
/// of four.
pub(crate) const fn sums_before(model: &Model<'_>, index: usize) -> usize {
    let mut words = 0;
    let mut before = 0;
    while before < index && cfg!(feature = "images") {
        words += match model.decoded_layer(before) {
            Some(layer) => sums_len(layer),
            None => sums_len(&model.layer(before)),
        };
        before += 1;
    }
    words
}

/// Where the sums of the first linear layer over an image start.
pub(crate) const fn sums_start(model: &Model<'_>) -> usize {
    let sums = sums_before(model, model.layer_count());
    model.buffer_len().saturating_sub(sums)
}

/// Words of the sums of a layer.
pub(crate) const fn sums_len(layer: &Layer<'_>) -> usize {
    if layer.reads_image {
        1 + layer.outputs().next_multiple_of(4)
    } else {
        0
    }
}
