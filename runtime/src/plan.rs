//! Where things lie in the working memory, and which rows a layer needs when.
//!
//! The buffer holds, in words: two words of state for each tensor; then the tensors' rings, of which the image's has a
//! single row; for f32 also a row of pixels; for int4 the part of a layer that is unpacked.
//!
//! A ring holds only the rows of its tensor that are needed at once. Row `y` lies in slot `y % rows`.
//! f32 rows are ordered column, channel. int8 rows hold a byte for each quantum: for each group of four
//! channels a plane of words, a word for each column. So neighbouring columns of a group lie side by
//! side, as the weights of neighbouring taps do. The columns include the zeros of the padding; channels
//! that fill up the last group are 0. The row of the output is ordered column, channel, as pixels are.

use crate::blob::order::{Axis, divisor};
use crate::blob::{Links, MAX_LAYERS, RingSize, links};
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
    /// The ring of a layer's input, of the first one if there are two.
    pub const fn of_input(layer: &Layer<'_>) -> Self {
        Self::new(layer.numbers, layer.input, layer.input_ring, false)
    }

    /// The ring of a layer's second input.
    pub const fn of_other(layer: &Layer<'_>) -> Self {
        Self::new(layer.numbers, layer.other_input(), layer.other_ring, false)
    }

    /// The ring of a layer's output.
    pub const fn of_output(layer: &Layer<'_>) -> Self {
        Self::new(
            layer.numbers,
            layer.output,
            layer.output_ring,
            layer.is_last,
        )
    }

    const fn new(numbers: Numbers, shape: Shape, size: RingSize, is_image: bool) -> Self {
        let plain = is_image || numbers.is_float();
        let [left, right] = match plain {
            true => [0; 2],
            false => size.margins(),
        };
        Self {
            numbers,
            shape,
            rows: size.rows(),
            pad_left: left as usize,
            columns: shape.width + left as usize + right as usize,
            plain,
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

/// The ring of a tensor.
// Inlined, so that a model whose layers are decoded needs no code to decode them.
#[inline(always)]
pub(crate) const fn ring(model: &Model<'_>, tensor: usize) -> Ring {
    // Of the first layers there is always one that reads the latent, since there is nothing else yet. In a chain each layer reads
    // the tensor of its own number.
    let is_input = match cfg!(feature = "convolution") {
        true => tensor == 0,
        false => tensor < model.layer_count(),
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
    match is_input {
        true => Ring::of_input(layer),
        false => Ring::of_output(layer),
    }
}

/// Words of state for each tensor: the rows made so far with the layer that asked for the next one in the upper half, and
/// where the ring starts.
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

/// How many rows of an input of `height` rows a layer must have seen before it can make output row `y`.
pub(crate) const fn rows_needed(operator: Operator, height: usize, y: usize) -> usize {
    match operator.in_this_build() {
        Operator::Linear => 1,
        Operator::Upsample { factor } => y / divisor(factor) + 1,
        Operator::Add { .. } | Operator::Concat { .. } => y + 1,
        Operator::Conv2d(_) | Operator::ConvTranspose2d(_) | Operator::AvgPool2d(_) => {
            let Some(axis) = Axis::of(operator) else {
                return 0;
            };
            let (start, end) = axis.inside(y, height);
            if start < end {
                axis.first_input(y).wrapping_add_unsigned(end) as usize
            } else {
                0
            }
        }
    }
}

/// The first of these rows that output row `y` itself needs.
const fn first_row(operator: Operator, y: usize) -> usize {
    match (operator, Axis::of(operator)) {
        (_, Some(axis)) => match axis.first_input(y) {
            first @ 0.. => first as usize,
            _ => 0,
        },
        (Operator::Upsample { factor }, _) => y / divisor(factor),
        (Operator::Add { .. } | Operator::Concat { .. }, _) => y,
        _ => 0,
    }
}

/// The most rows of an input of `height` rows that a layer reads at once.
pub(crate) const fn most_rows(operator: Operator, height: usize) -> usize {
    match Axis::of(operator) {
        Some(axis) if axis.most_taps() < height => axis.most_taps(),
        Some(_) => height,
        None => 1,
    }
}

/// The columns in front of the first and behind the last that a layer reads (section 9.4).
pub(crate) const fn margins(operator: Operator, width: usize, output_width: usize) -> [u8; 2] {
    let Some(axis) = Axis::of(operator) else {
        return [0; 2];
    };
    // Inputs and taps never go back from one output to the next.
    let before = 0usize.saturating_add_signed(axis.first_input(0).saturating_neg());
    let behind = axis.behind_inputs(output_width.saturating_sub(1));
    let behind = 0usize.saturating_add_signed(behind.saturating_sub_unsigned(width));
    [before as u8, behind as u8]
}

/// A number for each tensor.
struct PerTensor([u16; MAX_LAYERS + 1]);

impl PerTensor {
    const fn new(value: u16) -> Self {
        Self([value; MAX_LAYERS + 1])
    }

    const fn get(&self, tensor: usize) -> usize {
        if tensor < self.0.len() {
            self.0[tensor] as usize
        } else {
            0
        }
    }

    const fn set(&mut self, tensor: usize, value: usize) {
        if tensor < self.0.len() {
            self.0[tensor] = value as u16;
        }
    }

    const fn raise(&mut self, tensor: usize, value: usize) {
        if value > self.get(tensor) {
            self.set(tensor, value);
        }
    }
}

/// What the layers need of the tensors: found by making all rows in the order in which [`Generator`](crate::Generator)
/// makes them, without what is in them.
pub(crate) struct Needs {
    /// Rows made so far, and the layer that asked for the next one.
    made: PerTensor,
    asker: PerTensor,
    /// The most rows that an image needs at once.
    rows: PerTensor,
    /// The same of rows that additions need, of all rows that they have.
    added: PerTensor,
    margins: [[u8; 2]; MAX_LAYERS + 1],
    /// Whether an addition had to ask for a row of its second input.
    late: bool,
}

impl Needs {
    /// What the layers of a model need, whose layers read what is made before them. Takes a fixed number of steps for each row
    /// of each tensor.
    pub const fn of(model: &Model<'_>) -> Self {
        let mut needs = Self {
            made: PerTensor::new(0),
            asker: PerTensor::new(0),
            rows: PerTensor::new(1),
            added: PerTensor::new(0),
            margins: [[0; 2]; MAX_LAYERS + 1],
            late: false,
        };
        needs.made.set(0, 1);
        let mut index = model.layer_count();
        while let Some(before) = index.checked_sub(1) {
            let links = links(model, before);
            needs.widen(&links);
            let is_image = index == model.layer_count();
            if is_image || matches!(links.operator, Operator::Add { .. }) {
                needs.make_rows(model, before, links.output.height, is_image);
            }
            index = before;
        }
        needs
    }

    /// The most rows of a tensor that an image needs at once (section 9.3).
    pub const fn rows(&self, tensor: usize) -> usize {
        self.rows.get(tensor)
    }

    /// The margins of a tensor (section 9.4).
    pub const fn margins(&self, tensor: usize) -> [u8; 2] {
        match tensor < self.margins.len() {
            true => self.margins[tensor],
            false => [0; 2],
        }
    }

    /// The most rows of a tensor that additions need (section 8, item 4).
    pub const fn rows_of_additions(&self, tensor: usize) -> usize {
        self.added.get(tensor)
    }

    /// Whether a row of an addition's second input was not made yet when it was to be added, which version 4 does not have.
    pub const fn is_late(&self) -> bool {
        self.late
    }

    /// Counts in the margins that a layer needs.
    const fn widen(&mut self, links: &Links) {
        let [left, right] = margins(links.operator, links.input.width, links.output.width);
        if links.source < self.margins.len() {
            let [l, r] = self.margins[links.source];
            self.margins[links.source] = [
                if left > l { left } else { l },
                if right > r { right } else { r },
            ];
        }
    }

    /// Makes the rows of layer `top`'s output up to `height`, and counts what they need.
    const fn make_rows(&mut self, model: &Model<'_>, top: usize, height: usize, is_image: bool) {
        let mut index = top;
        while self.made.get(top + 1) < height {
            let links = links(model, index);
            let y = self.made.get(index + 1);
            let needed = rows_needed(links.operator, links.input.height, y);
            let made = self.made.get(links.source);
            if made < needed && links.source > 0 {
                self.asker.set(links.source, index);
                index = links.source - 1;
                continue;
            }
            if let Some(other) = links.other {
                let made = self.made.get(other);
                if made <= y && other > 0 {
                    self.late = true;
                    self.asker.set(other, index);
                    index = other - 1;
                    continue;
                }
                self.count(other, made, y, is_image);
                self.added.raise(other, made.saturating_sub(y));
            }
            if needed > 0 {
                let first = first_row(links.operator, y);
                self.count(links.source, self.made.get(links.source), first, is_image);
            }
            self.made.set(index + 1, y + 1);
            if index != top {
                index = self.asker.get(index + 1);
            }
        }
    }

    /// Counts the rows of a tensor from `first` on.
    const fn count(&mut self, tensor: usize, made: usize, first: usize, is_image: bool) {
        if is_image {
            self.rows.raise(tensor, made.saturating_sub(first));
        }
    }
}
