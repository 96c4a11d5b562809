//! Rings: the rows of a tensor that are in memory, and where each element lies.
//!
//! A ring holds only the rows of its tensor that are needed at once. Row `y` lies in slot `y % rows`.
//! f32 rows are ordered column, channel. int8 rows hold a byte for each quantum: for each group of four
//! channels a plane of words, a word for each column. So neighbouring columns of a group lie side by
//! side, as the weights of neighbouring taps do. The columns include the zeros of the padding; channels
//! that fill up the last group are 0. The row of the output is ordered column, channel, as pixels are.
//! So an input of an int8 concatenation can lie in the concatenation's rows, as some of their planes.

use crate::invariant::divisor;
use crate::shape::{Numbers, Shape};

/// How much of a tensor is in memory while an image is made (sections 9.3 and 9.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingSize {
    // Where all layers are linear, each reads a vector, which is one row.
    #[cfg(feature = "convolution")]
    rows: u16,
    #[cfg(feature = "convolution")]
    margins: [u8; 2],
}

#[cfg(feature = "convolution")]
impl RingSize {
    pub const fn new(rows: usize, margins: [u8; 2]) -> Self {
        let rows = rows as u16;
        Self { rows, margins }
    }

    /// Rows at once; 0 of a tensor that lies in the rows of another.
    pub const fn rows(self) -> usize {
        self.rows as usize
    }

    /// Columns of zeros in front of the first column, and behind the last one.
    pub const fn margins(self) -> [u8; 2] {
        self.margins
    }
}

#[cfg(not(feature = "convolution"))]
impl RingSize {
    pub const fn new(_: usize, _: [u8; 2]) -> Self {
        Self {}
    }

    pub const fn rows(self) -> usize {
        1
    }

    pub const fn margins(self) -> [u8; 2] {
        [0; 2]
    }
}

/// In whose rows a tensor lies: its own, or those of an int8 concatenation (section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    // Where all layers are linear, each tensor has its own.
    #[cfg(feature = "convolution")]
    tensor: u8,
    #[cfg(feature = "convolution")]
    channels: u16,
    #[cfg(feature = "convolution")]
    first: u16,
}

#[cfg(feature = "convolution")]
impl Home {
    /// The rows of a tensor of that many channels, from that group of four on.
    pub const fn new(tensor: usize, channels: usize, first: usize) -> Self {
        Self {
            tensor: tensor as u8,
            channels: channels as u16,
            first: first as u16,
        }
    }

    /// The tensor that has the rows in which `tensor` lies: `tensor` itself if they are its own.
    pub const fn of(self, _tensor: usize) -> usize {
        self.tensor as usize
    }

    /// The shape of the tensor that has the rows, from that of the one that lies there.
    pub const fn shape(self, shape: Shape) -> Shape {
        Shape::new(shape.height, shape.width, self.channels as usize)
    }

    /// Where the tensor begins in a row of the ring, in elements.
    pub const fn offset(self, ring: &Ring) -> usize {
        self.first as usize * ring.plane_len()
    }
}

#[cfg(not(feature = "convolution"))]
impl Home {
    pub const fn new(_: usize, _: usize, _: usize) -> Self {
        Self {}
    }

    pub const fn of(self, tensor: usize) -> usize {
        tensor
    }

    pub const fn shape(self, shape: Shape) -> Shape {
        shape
    }

    pub const fn offset(self, _: &Ring) -> usize {
        0
    }
}

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
    pub const fn new(numbers: Numbers, shape: Shape, size: RingSize, is_image: bool) -> Self {
        let plain = is_image || numbers.is_float();
        let [left, right] = if plain { [0; 2] } else { size.margins() };
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
        if cfg!(feature = "convolution") {
            y % divisor(self.rows) * self.row_len()
        } else {
            0
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
