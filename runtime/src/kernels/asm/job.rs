//! What stands between the safe code and the loops.

use crate::kernels::int8::TILE;

/// The sums of one or two taps, for some channels in turn.
#[repr(C)]
pub(super) struct Job {
    /// The first column of the first output, in the first run of rows and in the second.
    pub rows: *const u32,
    /// Bytes of the weights that the first run takes.
    pub len: usize,
    pub second_rows: *const u32,
    /// Bytes of the weights that the second run takes, 0 if there is none.
    pub second_len: usize,
    /// The weights of the channel at hand.
    pub weights: *const i8,
    /// Bytes behind them that are none of the next channel's.
    pub skip: usize,
    /// The accumulators of the channel at hand, if there is no bias or no multiplier.
    pub acc: *mut [i32; TILE],
    /// How many channels are still to come, this one included.
    pub channels: usize,
    /// Bytes from one group's plane to the next one's.
    pub plane_len: usize,
    /// Bytes from one group's weights to the next one's.
    pub group_len: usize,
    /// Bytes from one output's column to the next one's.
    pub step: usize,
    /// What the accumulators of the channel at hand start as; null to take those that are there.
    pub bias: *const i32,
    /// What the outputs are rescaled by; null to leave accumulators.
    pub multipliers: *const i32,
    /// Where the last output of the channel at hand goes.
    pub out: *mut u8,
    /// Bytes from one output to the next one.
    pub stride: usize,
    pub shift: u32,
    /// The loop, by its place in the table, and where a tile of its size is requantized, by that place in the other
    /// table.
    pub which: usize,
    pub size: usize,
}

impl Job {
    /// Goes on by so many columns and weights.
    #[inline(always)]
    pub fn go_on(&mut self, columns: usize, weights: usize) {
        self.rows = self.rows.wrapping_add(columns);
        self.second_rows = self.second_rows.wrapping_add(columns);
        self.weights = self.weights.wrapping_add(weights);
    }
}

/// Outputs of a linear layer, four at a time.
#[repr(C)]
pub(super) struct Linear {
    pub input: *const u32,
    /// The input's end.
    pub end: *const u32,
    pub weights: *const i8,
    /// What the sums start as.
    pub bias: *const i32,
    /// The class's column; null if there is none.
    pub column: *const u8,
    pub class_step: i32,
    /// What ReLU's outputs are rescaled by; null to leave the sums.
    pub multipliers: *const i32,
    /// Where the outputs go, or a tile's sums.
    pub out: *mut u8,
    /// Bytes from four outputs to the next four.
    pub group_step: usize,
    pub shift: u32,
    /// How many fours are still to come.
    pub tiles: usize,
    /// Whether the input is signed.
    pub signed: usize,
}

impl Linear {
    /// One tile, whose sums start nowhere and go nowhere yet.
    #[inline(always)]
    pub fn new(input: &[u32], weights: &[i8], signed: bool) -> Self {
        Self {
            input: input.as_ptr(),
            end: input.as_ptr_range().end,
            weights: weights.as_ptr(),
            bias: core::ptr::null(),
            column: core::ptr::null(),
            class_step: 0,
            multipliers: core::ptr::null(),
            out: core::ptr::null_mut(),
            group_step: 0,
            shift: 0,
            tiles: 1,
            signed: signed.into(),
        }
    }
}
