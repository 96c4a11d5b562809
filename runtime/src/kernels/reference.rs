//! Section 4 of the blob format as plain loops over whole tensors: the definition that the fast
//! kernels are tested against.
//!
//! Tensors are slices ordered row, column, channel, of [`Shape::len`](crate::Shape::len) elements.
//! int8 tensors hold quanta as `i16`: -128 to 127 where signed, 0 to 255 where unsigned.

use super::arithmetic;
use crate::error::Error;
use crate::layer::Layer;
use crate::shape::{Numbers, Operator, Shape, Window};

/// Runs one int8 or int4 layer. An `input` beyond the quanta that the layer before it can give may wrap.
///
/// `other` is the second input of an addition or a concatenation, and empty for the other operators.
///
/// # Errors
/// [`Error::WrongNumbers`] for an f32 layer, [`Error::SliceLength`] for a slice of the wrong length,
/// [`Error::ClassMissing`] for the first layer of a model with classes before one is chosen.
pub fn run_int8(
    layer: &Layer<'_>,
    input: &[i16],
    other: &[i16],
    output: &mut [i16],
) -> Result<(), Error> {
    check(layer, false, input.len(), other.len(), output.len())?;
    for_each_output(layer, |at, y, x, c| {
        match layer.operator {
            Operator::Upsample { factor } => {
                output[at] = input[element(layer.input, y / factor, x / factor, c)];
                return;
            }
            Operator::Concat { .. } => {
                output[at] = joined(layer, input, other, y, x, c);
                return;
            }
            Operator::AvgPool2d(window) => {
                let mut sum = 0;
                for_each_of_window(layer, window, y, x, c, |place| {
                    sum += i32::from(input[place])
                });
                let elements = (window.kernel * window.kernel) as u64;
                let mean = ((1 << 32) + elements / 2) / elements;
                output[at] = arithmetic::rescale(sum, 0, mean as i32) as i16;
                return;
            }
            Operator::Add { .. } => {
                let [first, second] = layer.addends;
                let acc = first * i32::from(input[at]) + second * i32::from(other[at]);
                let multipliers = layer.multipliers(0);
                let q = arithmetic::finish(layer.activation, layer.shift, multipliers, acc);
                output[at] = q as i16;
                return;
            }
            _ => {}
        }
        let bias = bias_of(layer, y, x, c);
        let mut acc = layer.start_i32(bias);
        for_each_product(layer, y, x, c, |place, weight| {
            let product = i32::from(input[place]) * i32::from(layer.weight_i8(weight));
            acc = acc.wrapping_add(product);
        });
        let multipliers = layer.multipliers(bias);
        let q = arithmetic::finish(layer.activation, layer.shift, multipliers, acc);
        output[at] = q as i16;
    });
    Ok(())
}

/// Runs one f32 layer.
///
/// `other` is the second input of an addition or a concatenation, and empty for the other operators.
///
/// # Errors
/// [`Error::WrongNumbers`] for an int8 or int4 layer, [`Error::SliceLength`] for a slice of the wrong
/// length, [`Error::ClassMissing`] for the first layer of a model with classes before one is chosen.
pub fn run_float(
    layer: &Layer<'_>,
    input: &[f32],
    other: &[f32],
    output: &mut [f32],
) -> Result<(), Error> {
    check(layer, true, input.len(), other.len(), output.len())?;
    for_each_output(layer, |at, y, x, c| {
        match layer.operator {
            Operator::Upsample { factor } => {
                output[at] = input[element(layer.input, y / factor, x / factor, c)];
                return;
            }
            Operator::Concat { .. } => {
                output[at] = joined(layer, input, other, y, x, c);
                return;
            }
            Operator::AvgPool2d(window) => {
                let mut sum = 0.0;
                for_each_of_window(layer, window, y, x, c, |place| sum += input[place]);
                output[at] = sum * (1.0 / (window.kernel * window.kernel) as f32);
                return;
            }
            Operator::Add { .. } => {
                output[at] = arithmetic::activate(layer.activation, input[at] + other[at]);
                return;
            }
            _ => {}
        }
        let mut sum = layer.start_f32(bias_of(layer, y, x, c));
        for_each_product(layer, y, x, c, |place, weight| {
            sum += input[place] * layer.weight_f32(weight);
        });
        output[at] = arithmetic::activate(layer.activation, sum);
    });
    Ok(())
}

fn check(
    layer: &Layer<'_>,
    float: bool,
    input: usize,
    other: usize,
    output: usize,
) -> Result<(), Error> {
    let second = match layer.operator.other() {
        Some(_) => layer.other_input().len(),
        None => 0,
    };
    if float != (layer.numbers == Numbers::Float) {
        return Err(Error::WrongNumbers);
    }
    if input != layer.input.len() || other != second || output != layer.output.len() {
        return Err(Error::SliceLength);
    }
    if layer.needs_class() {
        return Err(Error::ClassMissing);
    }
    Ok(())
}

fn element(shape: Shape, y: usize, x: usize, c: usize) -> usize {
    (y * shape.width + x) * shape.channels + c
}

fn bias_of(layer: &Layer<'_>, y: usize, x: usize, c: usize) -> usize {
    match layer.operator {
        Operator::Linear => element(layer.output, y, x, c),
        _ => c,
    }
}

/// The element of two tensors whose channels are joined.
fn joined<T: Copy>(layer: &Layer<'_>, input: &[T], other: &[T], y: usize, x: usize, c: usize) -> T {
    match c.checked_sub(layer.input.channels) {
        None => input[element(layer.input, y, x, c)],
        Some(c) => other[element(layer.other_input(), y, x, c)],
    }
}

/// Calls `f` with the places in the input that average pooling looks at for an output: rows outermost, then columns.
fn for_each_of_window(
    layer: &Layer<'_>,
    window: Window,
    y: usize,
    x: usize,
    c: usize,
    mut f: impl FnMut(usize),
) {
    for ky in 0..window.kernel {
        for kx in 0..window.kernel {
            let (iy, ix) = (y * window.stride + ky, x * window.stride + kx);
            f(element(layer.input, iy, ix, c));
        }
    }
}

/// Calls `f` with the place, row, column and channel of every output.
fn for_each_output(layer: &Layer<'_>, mut f: impl FnMut(usize, usize, usize, usize)) {
    let Shape {
        height,
        width,
        channels,
    } = layer.output;
    for y in 0..height {
        for x in 0..width {
            for c in 0..channels {
                f(element(layer.output, y, x, c), y, x, c);
            }
        }
    }
}

/// Calls `f` with the place in the input and the weight's index for every product of an output, in
/// the order of section 4.1: ascending input rows, columns and channels.
fn for_each_product(
    layer: &Layer<'_>,
    y: usize,
    x: usize,
    c: usize,
    mut f: impl FnMut(usize, usize),
) {
    let mut over_channels = |iy: usize, ix: usize, oc: usize, ky: usize, kx: usize| {
        let (input, weights) = (
            element(layer.input, iy, ix, 0),
            layer.weight_places(oc, ky, kx),
        );
        for ic in 0..layer.input.channels {
            f(input + ic, weights.of_channel(ic));
        }
    };
    if let Operator::Linear = layer.operator {
        for iy in 0..layer.input.height {
            for ix in 0..layer.input.width {
                over_channels(iy, ix, element(layer.output, y, x, c), iy, ix);
            }
        }
        return;
    }
    for iy in 0..layer.input.height {
        let Some(ky) = kernel_place(layer.operator, y, iy) else {
            continue;
        };
        for ix in 0..layer.input.width {
            let Some(kx) = kernel_place(layer.operator, x, ix) else {
                continue;
            };
            over_channels(iy, ix, c, ky, kx);
        }
    }
}

/// The kernel coordinate through which output `o` reads input `i`, straight from the definitions in
/// section 2.3.
fn kernel_place(operator: Operator, o: usize, i: usize) -> Option<usize> {
    let (window, place) = match operator {
        Operator::Conv2d(w) => (w, (i + w.padding).checked_sub(o * w.stride)?),
        Operator::ConvTranspose2d(w) => (w, (o + w.padding).checked_sub(i * w.stride)?),
        _ => return None,
    };
    (place < window.kernel).then_some(place)
}
