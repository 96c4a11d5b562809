//! Where things lie in the working memory, and which rows a layer needs when.
//!
//! The buffer holds, in words: two words of state for each ring; then the rings, one for every
//! layer's input and one, of a single row, for the last layer's output; for f32 also a row of pixels; for int4
//! the part of a layer that is unpacked.
//!
//! A ring holds only the rows that the layer reads at once. Row `y` lies in slot `y % rows`.
//! f32 rows are ordered column, channel. int8 rows hold a byte for each quantum: for each group of four
//! channels a plane of words, a word for each column. So neighbouring columns of a group lie side by
//! side, as the weights of neighbouring taps do. The columns include the zeros of the padding; channels
//! that fill up the last group are 0. The row of the output is ordered column, channel, as pixels are.

use crate::blob::order::{Axis, divisor};
use crate::blob::{MAX_LAYERS, same};
use crate::kernels::int4;
use crate::{Layer, Model, Numbers, Operator, Shape};

/// The rows of one tensor that are in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    pub numbers: Numbers,
    pub shape: Shape,
    /// Rows held.
    pub rows: usize,
    /// Columns of zeros before the first.
    pub pad_left: usize,
    /// Columns, those of the padding included.
    pub columns: usize,
    /// Whether rows are ordered column, channel; else by groups.
    plain: bool,
}

impl Ring {
    /// The ring of a layer's input.
    pub const fn of_input(layer: &Layer<'_>) -> Self {
        let Layer {
            operator,
            numbers,
            input: shape,
            output,
            kept_rows,
            ..
        } = *layer;
        let plain = numbers.is_float();
        let (mut rows, mut pad_left, mut columns) = (1, 0, shape.width);
        if let Some(axis) = Axis::of(operator) {
            rows = axis.most_taps();
            if rows > shape.height {
                rows = shape.height;
            }
            // Inputs and taps never go back from one output to the next.
            let first = axis.first_input(0);
            let behind = axis.behind_inputs(output.width.saturating_sub(1));
            if first < 0 && !plain {
                pad_left = first.unsigned_abs();
            }
            if behind > columns as isize && !plain {
                columns = behind as usize;
            }
            columns += pad_left;
        }
        if kept_rows > rows {
            rows = kept_rows;
        }
        Self {
            numbers,
            shape,
            rows,
            pad_left,
            columns,
            plain,
        }
    }

    /// The single row of the model's output.
    pub const fn of_output(layer: &Layer<'_>) -> Self {
        let (numbers, shape) = (layer.numbers, layer.output);
        Self {
            numbers,
            shape,
            rows: 1,
            pad_left: 0,
            columns: shape.width,
            plain: true,
        }
    }

    /// Groups of four channels.
    pub const fn groups(&self) -> usize {
        self.shape.channels.div_ceil(4)
    }

    /// Elements (bytes or `f32`) of a row.
    pub const fn row_len(&self) -> usize {
        if self.plain {
            self.shape.row_len()
        } else {
            self.groups() * self.plane_len()
        }
    }

    /// Words of all the rows.
    pub const fn words(&self) -> usize {
        let elements = self.rows * self.row_len();
        if self.numbers.is_float() {
            elements
        } else {
            elements.div_ceil(4)
        }
    }

    /// Where row `y` starts, in elements.
    pub const fn row_start(&self, y: usize) -> usize {
        // Rows of linear layers' rings are alone.
        match cfg!(feature = "convolution") {
            true => y % divisor(self.rows) * self.row_len(),
            false => 0,
        }
    }

    /// Bytes of a plane of an int8 row: a word for each column.
    pub const fn plane_len(&self) -> usize {
        self.columns * 4
    }

    /// Elements from one column to the next.
    pub const fn column_step(&self) -> usize {
        if self.plain { self.shape.channels } else { 4 }
    }

    /// Where column `x` of channel `c` lies in a row, in elements.
    pub const fn place(&self, x: usize, c: usize) -> usize {
        if self.plain {
            x * self.shape.channels + c
        } else {
            c / 4 * self.plane_len() + (self.pad_left + x) * 4 + c % 4
        }
    }
}

/// The ring of layer `index`'s input, or of the output if `index` is one after the last layer.
// Inlined, so that a model whose layers are decoded needs no code to decode them.
#[inline(always)]
pub(crate) const fn ring(model: &Model<'_>, index: usize) -> Ring {
    let decoded;
    let layer = match model.decoded_layer(index) {
        Some(layer) => layer,
        None => {
            decoded = model.layer(index);
            &decoded
        }
    };
    if index < model.layer_count() {
        Ring::of_input(layer)
    } else {
        Ring::of_output(layer)
    }
}

/// Words of state: for each ring, the rows made so far and where the ring starts.
pub(crate) const fn state_len(model: &Model<'_>) -> usize {
    2 * (model.layer_count() + 1)
}

/// Words at the end of the working memory that an int4 model's layers are unpacked in, a part at a time.
pub(crate) const fn scratch_len(model: &Model<'_>) -> usize {
    let mut most = 0;
    let mut index = 0;
    while index < model.layer_count() && model.numbers().is_int4() {
        let len = int4::scratch_len(&model.layer(index));
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
    words + scratch_len(model)
}

/// How many rows of its input a layer must have seen before it can make output row `y`.
pub(crate) const fn rows_needed(layer: &Layer<'_>, y: usize) -> usize {
    match layer.operator.in_this_build() {
        Operator::Linear => 1,
        Operator::Upsample { factor } => y / divisor(factor) + 1,
        Operator::Add { .. } => y + 1,
        Operator::Conv2d(_) | Operator::ConvTranspose2d(_) => {
            let Some(axis) = Axis::of(layer.operator) else {
                return 0;
            };
            let (start, end) = axis.inside(y, layer.input.height);
            if start < end {
                axis.first_input(y).wrapping_add_unsigned(end) as usize
            } else {
                0
            }
        }
    }
}

/// The most rows of the input of layer `from` that an addition needs to be in memory; 0 if none does. `None` if one of
/// them is not made when it is to be added, or not of the addition's shape.
pub(crate) const fn rows_kept(model: &Model<'_>, from: usize) -> Option<usize> {
    let mut most = 0;
    let mut index = from + 1;
    while index < model.layer_count() {
        let layer = model.layer(index);
        if matches!(layer.operator, Operator::Add { from: it } if it == from) {
            if !same(layer.input, model.layer(from).input) {
                return None;
            }
            match rows_kept_for(model, from, index) {
                Some(rows) => most = if rows > most { rows } else { most },
                None => return None,
            }
        }
        index += 1;
    }
    Some(most)
}

/// The same for the addition `index` alone: rows are made as [`Generator`](crate::Generator) makes them.
const fn rows_kept_for(model: &Model<'_>, from: usize, index: usize) -> Option<usize> {
    let height = model.layer(index).output.height;
    // Of each layer's input; the remainder is what it was, but says that there is such an entry.
    let mut made = [0; MAX_LAYERS];
    let mut most = 0;
    let mut y = 0;
    while y < height {
        let mut first = y;
        made[index % MAX_LAYERS] = y + 1;
        let mut at = index;
        while at > from {
            let rows = made[at % MAX_LAYERS];
            at -= 1;
            let layer = model.layer(at);
            let before = made[at % MAX_LAYERS];
            let mut needed = before;
            while first < rows {
                let more = rows_needed(&layer, first);
                needed = if more > needed { more } else { needed };
                first += 1;
            }
            made[at % MAX_LAYERS] = needed;
            first = before;
        }
        let made = made[from % MAX_LAYERS];
        if made <= y {
            return None;
        }
        most = if made - y > most { made - y } else { most };
        y += 1;
    }
    Some(most)
}
