//! What an int8 or int4 image takes, before it is made: the executed instructions of each layer on a core, from how
//! often each part of the code runs and what it takes there. Needs feature `writer`, and with it the standard library.
//!
//! How often follows from the model alone, by the same geometry that the kernels use. What each part takes was fitted,
//! for each core, to the counts of some 2,000 small and large models under QEMU (`cargo xtask cost`); `docs/device.md`
//! says how far the figures are off. What code and stack take is [`firmware`]'s.

pub mod firmware;

use std::str::FromStr;
use std::vec;
use std::vec::Vec;

use crate::blob::Model;
use crate::kernels::int8::{self, TILE};
use crate::layer::Layer;
use crate::ring::Ring;
use crate::scratch::{self, BLOCK};
use crate::shape::{Activation, Operator};
use crate::window::{self, Axis};

/// A part of the code, whose runs are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum Part {
    Image,
    LatentComponent,
    ImageRow,
    ImagePixel,
    LinearRow,
    LinearPixel,
    LinearFour,
    LinearTurn,
    LinearSignedTurn,
    SlowLinearPixel,
    SlowLinearFour,
    SlowLinearOutput,
    ConvolutionRow,
    Phase,
    Tile,
    /// The next block of a tile whose channels are all done at once.
    NextBlock,
    /// What strides of two and of more take besides: some cores divide in loops.
    Stride2Row,
    Stride2Phase,
    Stride2Tile,
    Stride3Row,
    Stride3Phase,
    Stride3Tile,
    Block,
    Channel,
    ChannelOutput,
    ReluChannel,
    ReluOutput,
    SecondRun,
    EmptyBlock,
    Sums,
    NoneOutput,
    SlowReluOutput,
    LeakyOutput,
    TanhOutput,
    SigmoidOutput,
    UpsampleRow,
    UpsampleElement,
    AddRow,
    AddElement,
    /// Of an addition that brings its outputs in range itself.
    AddGroup,
    AddOutput,
    /// What a row of a layer of a graph takes besides.
    GraphRow,
    ConcatRow,
    /// Of what is copied.
    ConcatElement,
    PoolRow,
    /// Under a window, those that fill up groups of four channels too.
    PoolElement,
    PoolOutput,
    Unpacking,
    UnpackedWord,
    UnpackedMultiplier,
    LeftTurn,
    RightTurn,
    /// What a translator takes besides, and for each row of each tensor.
    Translation,
    TranslationRow,
    /// Of the picture.
    PictureRow,
    PictureElement,
    /// Of an image that a linear layer reads: a row that is added to the sums, four of these, an output.
    AddedRow,
    AddedFour,
    AddedUnpacking,
    AddedOutput,
    /// The first of the loops for 7, 4, 2 and 1 outputs: two taps, two signed ones, one, one signed; three and four as
    /// two, of three for 5 instead of 7.
    Turns,
}

/// How many loops there are for outputs of either sign.
const LOOPS: usize = 4;
/// How many parts there are.
pub const PARTS: usize = Part::Turns as usize + LOOPS * 8;

/// How often each part runs.
pub type Counts = [u64; PARTS];

/// How often each part runs for an image of the model on a core, in firmware with or without feature `images`: outside
/// of the layers, and for each of them. `None` for an f32 model.
pub fn counts(model: &Model<'_>, core: Core, images: bool) -> Option<Vec<Counts>> {
    if model.numbers().is_float() {
        return None;
    }
    let mut image = [0; PARTS];
    let output = model.output();
    image[Part::Image as usize] = 1;
    image[Part::LatentComponent as usize] = model.latent_size() as u64;
    let reads_pictures = model.picture().is_some();
    image[Part::ImageRow as usize] = output.height as u64;
    image[Part::ImagePixel as usize] = output.len() as u64;
    // Of each tensor. What no row of the image needs is never made.
    let mut rows = vec![0; model.layer_count() + 1];
    rows[model.layer_count()] = output.height;
    let mut all = Vec::new();
    for index in (0..model.layer_count()).rev() {
        let layer = model.layer(index);
        let made = rows[index + 1];
        let build = Build {
            images,
            wide: images && core.has_dsp(),
        };
        let mut layer_counts = of_layer(&layer, made, build);
        if reads_pictures {
            layer_counts[Part::TranslationRow as usize] = made as u64;
        } else if model.is_graph() {
            layer_counts[Part::GraphRow as usize] = made as u64;
        }
        all.push(layer_counts);
        let needed = |y| window::rows_needed(layer.operator, layer.input.height, y);
        let needed = (0..made).map(needed).max().unwrap_or_default();
        rows[layer.source] = rows[layer.source].max(needed);
        if let Some(other) = layer.operator.other() {
            rows[other] = rows[other].max(made);
        }
    }
    if let Some(picture) = model.picture() {
        image[Part::Translation as usize] = 1;
        image[Part::PictureRow as usize] = rows[0] as u64;
        image[Part::PictureElement as usize] = (rows[0] * picture.row_len()) as u64;
    }
    all.push(image);
    all.reverse();
    Some(all)
}

/// What there is for images.
#[derive(Clone, Copy)]
struct Build {
    /// Additions that bring their outputs in range.
    images: bool,
    /// Loops for three taps and for four, and without ReLU.
    wide: bool,
}

/// For the first rows of a layer's output.
fn of_layer(layer: &Layer<'_>, rows: usize, build: Build) -> Counts {
    let mut counts = Counter {
        layer,
        rows,
        build,
        counts: [0; PARTS],
    };
    match (layer.operator, Axis::of(layer.operator)) {
        (Operator::Upsample { .. }, _) => {
            counts.add(Part::UpsampleRow, rows);
            counts.add(Part::UpsampleElement, rows * layer.output.row_len());
        }
        (Operator::Concat { .. }, _) => {
            counts.add(Part::ConcatRow, rows);
            let inputs = [Ring::of_input(layer), Ring::of_other(layer)];
            for input in inputs.iter().filter(|input| input.rows > 0) {
                counts.add(Part::ConcatElement, rows * input.shape.row_len());
            }
        }
        (Operator::AvgPool2d(window), _) => {
            let columns = rows * layer.output.width;
            let channels = layer.output.channels;
            let filled = columns * channels.next_multiple_of(4);
            counts.add(Part::PoolRow, rows);
            counts.add(Part::PoolElement, filled * window.kernel * window.kernel);
            counts.add(Part::PoolOutput, columns * channels);
        }
        (Operator::Add { .. }, _) => {
            let elements = rows * layer.output.row_len();
            counts.add(Part::AddRow, rows);
            match layer.activation {
                Activation::None | Activation::Relu if build.images => {
                    counts.add(Part::AddGroup, rows * layer.output.channels.div_ceil(4));
                    counts.add(Part::AddOutput, elements);
                }
                _ => {
                    counts.add(Part::AddElement, elements);
                    counts.outputs(elements);
                }
            }
        }
        (_, Some(axis)) => counts.convolution(axis),
        (_, None) if layer.reads_image => counts.linear_over_image(),
        (_, None) => counts.linear(),
    }
    counts.counts
}

struct Counter<'a> {
    layer: &'a Layer<'a>,
    rows: usize,
    build: Build,
    counts: Counts,
}

impl Counter<'_> {
    fn add(&mut self, part: Part, times: usize) {
        self.counts[part as usize] += times as u64;
    }

    fn strided(&mut self, axis: Axis, [two, more]: [Part; 2]) {
        match axis.step() * axis.phases() {
            1 => {}
            2 => self.add(two, 1),
            _ => self.add(more, 1),
        }
    }

    fn linear(&mut self) {
        let Layer { input, output, .. } = *self.layer;
        let pixels = self.rows * output.width;
        let at_once = if self.layer.numbers.is_int4() {
            scratch::OUTPUTS
        } else {
            output.channels
        };
        self.add(Part::LinearRow, self.rows);
        for first in (0..output.channels).step_by(at_once) {
            let channels = (output.channels - first).min(at_once);
            let fours = pixels * channels.div_ceil(4);
            let turns = fours * input.channels.div_ceil(4);
            let turn = if self.layer.signed_input {
                Part::LinearSignedTurn
            } else {
                Part::LinearTurn
            };
            self.add(turn, turns);
            if channels % 4 == 0 && self.layer.activation == Activation::Relu {
                self.add(Part::LinearPixel, pixels);
                self.add(Part::LinearFour, fours);
            } else {
                self.add(Part::SlowLinearPixel, pixels);
                self.add(Part::SlowLinearFour, fours);
                self.add(Part::SlowLinearOutput, pixels * channels);
                self.outputs(pixels * channels);
            }
            if self.layer.numbers.is_int4() {
                self.unpacked(pixels, channels, turns * 4 / pixels);
            }
        }
    }

    fn linear_over_image(&mut self) {
        let (rows, outputs) = (self.layer.input.height, self.layer.outputs());
        let fours = rows * outputs.div_ceil(4);
        let turns = fours * Ring::of_input(self.layer).row_len() / 4;
        let turn = if self.layer.signed_input {
            Part::LinearSignedTurn
        } else {
            Part::LinearTurn
        };
        self.add(turn, turns);
        self.add(Part::AddedRow, rows);
        self.add(Part::AddedFour, fours);
        self.add(Part::AddedOutput, outputs);
        self.outputs(outputs);
        if self.layer.numbers.is_int4() {
            let parts = outputs.next_multiple_of(4).div_ceil(scratch::OUTPUTS);
            self.add(Part::AddedUnpacking, rows * parts);
            self.add(Part::UnpackedWord, turns * 2);
        }
    }

    /// `times` parts of a layer unpacked: their channels and words of int8 weights.
    fn unpacked(&mut self, times: usize, channels: usize, words: usize) {
        self.add(Part::Unpacking, times);
        self.add(Part::UnpackedWord, times * words.div_ceil(2));
        let multipliers = channels * scratch::vectors(self.layer.activation);
        self.add(Part::UnpackedMultiplier, times * multipliers);
    }

    /// Outputs that are requantized in Rust.
    fn outputs(&mut self, outputs: usize) {
        let part = match self.layer.activation {
            Activation::None => Part::NoneOutput,
            Activation::Relu => Part::SlowReluOutput,
            Activation::LeakyRelu { .. } => Part::LeakyOutput,
            Activation::Tanh => Part::TanhOutput,
            Activation::Sigmoid => Part::SigmoidOutput,
        };
        self.add(part, outputs);
    }

    fn convolution(&mut self, axis: Axis) {
        let Layer { input, output, .. } = *self.layer;
        let ring = Ring::of_input(self.layer);
        for y in 0..self.rows {
            self.add(Part::ConvolutionRow, 1);
            self.strided(axis, [Part::Stride2Row, Part::Stride3Row]);
            let (start, end) = axis.inside(y, input.height);
            let first = (axis.first_input(y) + start as isize).max(0) as usize % ring.rows;
            let in_first_run = (ring.rows - first).min(end - start);
            let runs = [in_first_run, end - start - in_first_run];
            for phase in 0..axis.phases().min(output.width) {
                let taps_y = axis.taps(y % axis.phases());
                self.phase(axis, phase, taps_y, runs, ring.groups());
            }
        }
    }

    fn phase(&mut self, axis: Axis, phase: usize, taps_y: usize, runs: [usize; 2], groups: usize) {
        let Layer { input, output, .. } = *self.layer;
        let taps = axis.taps(phase);
        let outputs = (output.width - phase).div_ceil(axis.phases());
        let mut tiles = Vec::new();
        let mut done = 0;
        while done < outputs {
            let count = match (taps, axis.step()) {
                (3, 1) if self.build.wide => int8::neighbours_of_three(outputs - done),
                _ => int8::neighbours(outputs - done),
            };
            let first = axis.first_input(phase) + (done * axis.step()) as isize;
            let behind = first + ((count - 1) * axis.step() + taps) as isize;
            let left = done == 0 && first == -1;
            tiles.push((count, [left, behind == input.width as isize + 1]));
            done += count;
        }
        let at_once = if self.layer.numbers.is_int4() {
            BLOCK
        } else {
            output.channels
        };
        for first in (0..output.channels).step_by(at_once) {
            let channels = (output.channels - first).min(at_once);
            self.add(Part::Phase, 1);
            self.strided(axis, [Part::Stride2Phase, Part::Stride3Phase]);
            if self.layer.numbers.is_int4() {
                self.unpacked(1, channels, channels * taps_y * taps * groups);
            }
            for &(count, edges) in &tiles {
                self.add(Part::Tile, 1);
                self.strided(axis, [Part::Stride2Tile, Part::Stride3Tile]);
                self.tile(axis, taps, runs, groups, channels, (count, edges));
            }
        }
    }

    fn tile(
        &mut self,
        axis: Axis,
        taps: usize,
        runs: [usize; 2],
        groups: usize,
        channels: usize,
        (outputs, edges): (usize, [bool; 2]),
    ) {
        let Build { wide, .. } = self.build;
        // The kind of loop that does all taps.
        let together = match (taps, axis.step()) {
            (2, 1) => Some(0),
            (3, 1) if wide => Some(2),
            (4, 2) if wide => Some(3),
            _ => None,
        };
        let calls = match axis.step() {
            _ if together.is_some() => 1,
            1 => taps.div_ceil(2),
            _ => taps,
        };
        let blocks = channels.div_ceil(BLOCK);
        if taps == 0 || runs == [0; 2] {
            self.add(Part::Block, blocks);
            self.add(Part::EmptyBlock, blocks);
            return self.outputs(channels * outputs);
        }
        let requantizes = match self.layer.activation {
            Activation::Relu => together.is_some(),
            Activation::None => together.is_some() && wide,
            _ => false,
        };
        if requantizes && wide {
            self.add(Part::Block, 1);
            self.add(Part::NextBlock, blocks - 1);
        } else {
            self.add(Part::Block, blocks);
        }
        if requantizes {
            self.add(Part::ReluChannel, channels);
            self.add(Part::ReluOutput, channels * outputs);
        } else {
            self.add(Part::Channel, channels * calls);
            self.add(Part::ChannelOutput, channels * calls * outputs);
            self.add(Part::Sums, calls * blocks);
            self.outputs(channels * outputs);
        }
        if runs[1] > 0 {
            self.add(Part::SecondRun, channels * calls);
        }
        // The one that is left is the largest.
        let size = [TILE, 4, 2, 1].iter().position(|&size| size == outputs);
        let size = size.unwrap_or_default();
        let turns = channels * (runs[0] + runs[1]) * groups;
        let signed = usize::from(self.layer.signed_input);
        if let Some(kind @ 2..) = together {
            return self.turns((kind * 2 + signed) * 4 + size, turns);
        }
        let pairs = if axis.step() == 1 { taps / 2 } else { 0 };
        let one_edge = together.is_some() && size == 0 && signed == 0;
        match edges {
            [true, false] if one_edge => self.add(Part::LeftTurn, turns),
            [false, true] if one_edge => self.add(Part::RightTurn, turns),
            _ => self.turns(signed * 4 + size, turns * pairs),
        }
        self.turns((2 + signed) * 4 + size, turns * (taps - 2 * pairs));
    }

    /// Turns of a loop, by its place behind [`Part::Turns`].
    fn turns(&mut self, place: usize, times: usize) {
        self.counts[Part::Turns as usize + place] += times as u64;
    }
}

/// A core that figures are predicted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core(usize);

/// The cores' names, in the order of the table.
const CORES: [&str; 6] = [
    "cortex-m0",
    "cortex-m3",
    "cortex-m4",
    "cortex-m7",
    "cortex-m33",
    "riscv32imc",
];

/// What a run of each part takes on each core: a line a part.
const TABLE: &str = include_str!("cost/instructions.txt");

impl Core {
    /// All cores.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CORES.len()).map(Self)
    }

    /// Its name: `cortex-m0`, `cortex-m3`, `cortex-m4`, `cortex-m7`, `cortex-m33` or `riscv32imc`.
    pub fn name(self) -> &'static str {
        CORES.get(self.0).copied().unwrap_or_default()
    }

    /// Whether it has Arm's DSP extension.
    fn has_dsp(self) -> bool {
        matches!(self.name(), "cortex-m4" | "cortex-m7" | "cortex-m33")
    }

    /// The instructions of an image: those outside of the layers, and those of each layer, in firmware that has feature
    /// `images` if the model reads pictures. `None` for an f32 model.
    pub fn instructions(self, model: &Model<'_>) -> Option<Vec<u64>> {
        let costs: Vec<f64> = TABLE.lines().map(|line| self.of_line(line)).collect();
        let sum = |counts: Counts| {
            let each = counts.iter().zip(&costs);
            each.map(|(&count, cost)| count as f64 * cost).sum::<f64>() as u64
        };
        let counts = counts(model, self, model.picture().is_some())?;
        Some(counts.into_iter().map(sum).collect())
    }

    fn of_line(self, line: &str) -> f64 {
        let number = line.split_whitespace().nth(self.0);
        number
            .and_then(|number| number.parse().ok())
            .unwrap_or_default()
    }
}

impl FromStr for Core {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::all().find(|core| core.name() == name).ok_or(())
    }
}
