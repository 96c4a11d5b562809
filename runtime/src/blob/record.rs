//! Layer records: decoding one, and checking them all.

use super::bytes::{f32_at, i32_at, part, u8_at, u16_at, u32_at};
use super::{
    ADD_VERSION, Activation, HEADER_LEN, Layer, MAX_ELEMENTS, MAX_EXTENT, Model, Numbers, Operator,
    Parameters, PixelRange, RECORD_LEN, Shape, Window, order,
};
use crate::blob::layer;
use crate::{Error, plan};

/// `?` for constant code.
macro_rules! check {
    ($result:expr) => {
        if let Err(error) = $result {
            return Err(error);
        }
    };
}

/// Decodes record `index` of a checked model.
#[inline(always)]
pub(super) const fn decode<'a>(model: &Model<'a>, index: usize) -> Layer<'a> {
    let record = record(model.blob, index);
    let operator = match operator(record) {
        Some(operator) => operator.in_this_build(),
        None => Operator::Linear,
    };
    let activation = match activation(record) {
        Some(activation) => activation,
        None => Activation::None,
    };
    let (input, output) = shapes(record);
    let numbers = model.numbers;
    Layer {
        operator,
        activation,
        input,
        output,
        numbers,
        signed_input: signed_input(model.blob, index),
        shift: u8_at(record, 6) as u32,
        multiplier_shift: u8_at(record, 7) as u32,
        scale: f32_at(record, 24),
        class_step: class_step(record) as i32,
        addends: addends(record),
        kept_rows: kept_rows(record),
        parameters: with_columns(
            split(
                parameters(model, record),
                numbers,
                activation,
                operator,
                output,
            ),
            column_len(model, index, operator, output) as usize,
            model,
        ),
    }
}

/// The bytes of a checked record's parameters.
#[inline(always)]
const fn parameters<'a>(model: &Model<'a>, record: &[u8]) -> &'a [u8] {
    match part(model.blob, start(record), length(record)) {
        Some(bytes) => bytes,
        None => &[],
    }
}

/// Whether the tensor that layer `index` reads is signed: what leaves ReLU or sigmoid is not.
const fn signed_input(blob: &[u8], mut index: usize) -> bool {
    while index > 0 {
        index -= 1;
        let before = record(blob, index);
        if cfg!(feature = "convolution")
            && matches!(operator(before), Some(Operator::Upsample { .. }))
        {
            continue;
        }
        return !matches!(
            activation(before),
            Some(Activation::Relu | Activation::Sigmoid)
        );
    }
    true
}

/// Bytes of a class's column of layer `index`; 0 if it has none.
const fn column_len(model: &Model<'_>, index: usize, operator: Operator, output: Shape) -> u64 {
    if index > 0 || model.classes == 0 {
        return 0;
    }
    layer::outputs(operator, output) as u64 * model.numbers.column_bytes()
}

/// The parameters with the last bytes of the weights taken for what they are: the columns of `len` bytes, among
/// which is that of the model's class.
const fn with_columns<'a>(
    mut parameters: Parameters<'a>,
    len: usize,
    model: &Model<'a>,
) -> Parameters<'a> {
    if len == 0 {
        return parameters;
    }
    let columns = model.classes.wrapping_mul(len);
    let weights = parameters.weights.len().saturating_sub(columns);
    (parameters.weights, parameters.columns) = split_at(parameters.weights, weights);
    if let Some(class) = model.class {
        parameters.column = match part(parameters.columns, class * len, len) {
            Some(column) => column,
            None => &[],
        };
    }
    parameters
}

/// Checks every record and its parameters, how the layers connect, and the sum of their work.
pub(super) const fn check_all(model: &Model<'_>) -> Result<(), Error> {
    let mut input = Shape::new(1, 1, model.latent_size);
    let mut next_start = HEADER_LEN + RECORD_LEN * model.layers;
    let mut macs = 0;
    let mut activation = Activation::None;
    let mut scale = crate::latent::SCALE;
    let mut index = 0;
    while index < model.layers {
        let record = record(model.blob, index);
        check!(check(model, record, index));
        let layer = decode(model, index);
        if !same(layer.input, input) {
            return Err(Error::Disconnected);
        }
        if let (Operator::Upsample { .. }, Numbers::Int8 | Numbers::Int4) =
            (layer.operator, layer.numbers)
            && layer.scale != scale
        {
            return Err(Error::BadNumber);
        }
        scale = layer.scale;
        let gap = next_start;
        next_start = next_start.next_multiple_of(16);
        if start(record) != next_start {
            return Err(Error::BadParameters);
        }
        if !super::zeros(model.blob, gap, next_start) {
            return Err(Error::Reserved);
        }
        next_start += length(record);
        macs += layer.macs();
        input = layer.output;
        activation = layer.activation;
        index += 1;
    }
    if !same(input, model.output) && !is_rows_of(model, input) {
        return Err(Error::Disconnected);
    }
    if next_start + super::CRC_LEN != model.blob.len() {
        return Err(Error::BadParameters);
    }
    if is_of_version_4(model) {
        check!(check_additions(model));
    }
    match (activation, model.range) {
        (Activation::Tanh, PixelRange::Signed) | (Activation::Sigmoid, PixelRange::Unsigned) => {}
        _ => return Err(Error::WrongRange),
    }
    if macs == model.macs {
        Ok(())
    } else {
        Err(Error::WrongWork)
    }
}

/// The first layer that is wrong by itself.
#[cfg(feature = "writer")]
pub(super) fn first_refused(model: &Model<'_>) -> Option<usize> {
    (0..model.layers).find(|&index| check(model, record(model.blob, index), index).is_err())
}

/// Whether the last layer is linear, and its shape is that of the output with each row's elements as channels (section 2.5).
const fn is_rows_of(model: &Model<'_>, shape: Shape) -> bool {
    let operator = operator(record(model.blob, model.layers - 1));
    is_of_version_4(model)
        && matches!(operator, Some(Operator::Linear))
        && same(shape, model.output.rows_as_channels())
}

/// Section 8, items 1 and 4.
const fn check_additions(model: &Model<'_>) -> Result<(), Error> {
    let mut from = 0;
    while from < model.layers {
        match plan::rows_kept(model, from) {
            Some(rows) if rows == kept_rows(record(model.blob, from)) => {}
            _ => return Err(Error::BadAddition),
        }
        from += 1;
    }
    Ok(())
}

const fn is_of_version_4(model: &Model<'_>) -> bool {
    u16_at(model.blob, 10) >= ADD_VERSION
}

const fn check(model: &Model<'_>, record: &[u8], index: usize) -> Result<(), Error> {
    let operator = match operator(record) {
        None => return Err(Error::UnknownOperator),
        Some(Operator::Add { .. }) if !is_of_version_4(model) => {
            return Err(Error::UnknownOperator);
        }
        Some(operator) => operator,
    };
    if !cfg!(feature = "convolution") && !matches!(operator, Operator::Linear) {
        return Err(Error::NoConvolution);
    }
    let Some(activation) = activation(record) else {
        return Err(Error::BadActivation);
    };
    let used = match (operator, model.numbers) {
        (Operator::Add { .. }, Numbers::Int8 | Numbers::Int4) => 46,
        (Operator::Add { .. }, Numbers::Float) => 42,
        _ if is_of_version_4(model) => 40,
        _ => KEPT_ROWS,
    };
    if !super::zeros(record, used, RECORD_LEN) {
        return Err(Error::Reserved);
    }
    if let Operator::Add { from } = operator
        && from >= index
    {
        return Err(Error::BadAddition);
    }
    check!(check_classes(model, record, index, operator));
    let (input, output) = shapes(record);
    check!(check_geometry(operator, model.numbers, record));
    check!(check_shapes(operator, input, output));
    check!(check_numbers(operator, activation, model.numbers, record));
    check_parameters(model, record, index, operator, activation, input, output)
}

/// Section 6, items 1 and 3.
const fn check_classes(
    model: &Model<'_>,
    record: &[u8],
    index: usize,
    operator: Operator,
) -> Result<(), Error> {
    let step = class_step(record);
    if index > 0 || model.classes == 0 {
        return if step == 0 {
            Ok(())
        } else {
            Err(Error::Reserved)
        };
    }
    match (operator, model.numbers) {
        (Operator::Linear, Numbers::Int8 | Numbers::Int4) if step > 0 => Ok(()),
        (Operator::Linear, Numbers::Float) if step == 0 => Ok(()),
        _ => Err(Error::BadClasses),
    }
}

const fn check_geometry(operator: Operator, numbers: Numbers, record: &[u8]) -> Result<(), Error> {
    let (kernel, stride) = (u8_at(record, 2), u8_at(record, 3));
    let (padding, output_padding) = (u8_at(record, 4), u8_at(record, 5));
    let window = kernel >= 1 && kernel <= 16 && stride >= 1 && stride <= 8 && padding < kernel;
    let no_window = kernel == 0 && padding == 0 && output_padding == 0;
    let ok = match operator {
        Operator::Linear | Operator::Add { .. } => no_window && stride == 0,
        Operator::Conv2d(_) => window && output_padding == 0,
        Operator::ConvTranspose2d(_) => window && output_padding < stride,
        Operator::Upsample { factor } => no_window && factor >= 1 && factor <= 8,
    };
    let shift = u8_at(record, 6);
    let shift_ok = match (operator, numbers) {
        (Operator::Upsample { .. }, _) | (_, Numbers::Float) => shift == 0,
        (_, Numbers::Int8 | Numbers::Int4) => shift <= 15,
    };
    let multiplier_shift = u8_at(record, 7);
    let multiplier_shift_ok = match (operator, numbers) {
        (Operator::Upsample { .. }, _) | (_, Numbers::Float | Numbers::Int8) => {
            multiplier_shift == 0
        }
        (_, Numbers::Int4) => multiplier_shift <= 15,
    };
    if !multiplier_shift_ok && !matches!(numbers, Numbers::Int4) {
        return Err(Error::Reserved);
    }
    if ok && shift_ok && multiplier_shift_ok {
        Ok(())
    } else {
        Err(Error::BadGeometry)
    }
}

const fn check_shapes(operator: Operator, input: Shape, output: Shape) -> Result<(), Error> {
    if !in_range(input) || !in_range(output) {
        return Err(Error::BadShape);
    }
    let ok = match operator {
        Operator::Linear => input.height == 1 && input.width == 1,
        Operator::Conv2d(w) => {
            convolved(input.height, w) == output.height && convolved(input.width, w) == output.width
        }
        Operator::ConvTranspose2d(w) => {
            transposed(input.height, w) == output.height
                && transposed(input.width, w) == output.width
        }
        Operator::Upsample { factor } => {
            output.height == input.height * factor
                && output.width == input.width * factor
                && output.channels == input.channels
        }
        Operator::Add { .. } => same(input, output),
    };
    if ok { Ok(()) } else { Err(Error::BadShape) }
}

/// Whether the extents and the elements of a shape are within the format's limits.
pub(super) const fn in_range(shape: Shape) -> bool {
    let Shape {
        height,
        width,
        channels,
    } = shape;
    height >= 1
        && width >= 1
        && channels >= 1
        && height <= MAX_EXTENT
        && width <= MAX_EXTENT
        && channels <= MAX_EXTENT
        && shape.len() <= MAX_ELEMENTS
}

/// The output length of a convolution; 0 if the kernel does not fit.
const fn convolved(len: usize, w: Window) -> usize {
    match (len + 2 * w.padding).checked_sub(w.kernel) {
        Some(room) => room / order::divisor(w.stride) + 1,
        None => 0,
    }
}

/// The output length of a transposed convolution; 0 if the padding takes it all away.
const fn transposed(len: usize, w: Window) -> usize {
    ((len - 1) * w.stride + w.kernel + w.output_padding).saturating_sub(2 * w.padding)
}

const fn check_numbers(
    operator: Operator,
    activation: Activation,
    numbers: Numbers,
    record: &[u8],
) -> Result<(), Error> {
    match (operator, activation) {
        (Operator::Upsample { .. }, Activation::None) => {}
        (Operator::Upsample { .. }, _) => return Err(Error::BadActivation),
        _ => {}
    }
    let slope = f32_at(record, 20);
    let slope_ok = match activation {
        Activation::LeakyRelu { .. } => slope >= 0.0 && slope < 1.0,
        _ => slope.to_bits() == 0,
    };
    let scale = f32_at(record, 24);
    let scale_ok = match numbers {
        Numbers::Float => scale.to_bits() == 0,
        Numbers::Int8 | Numbers::Int4 => match activation {
            Activation::Tanh => scale == 1.0 / 128.0,
            Activation::Sigmoid => scale == 1.0 / 256.0,
            _ => scale.is_finite() && scale > 0.0,
        },
    };
    if slope_ok && scale_ok {
        Ok(())
    } else {
        Err(Error::BadNumber)
    }
}

const fn check_parameters(
    model: &Model<'_>,
    record: &[u8],
    index: usize,
    operator: Operator,
    activation: Activation,
    input: Shape,
    output: Shape,
) -> Result<(), Error> {
    let biases = layer::outputs(operator, output);
    let outputs = layer::multipliers(operator, output);
    let vectors = match activation {
        Activation::LeakyRelu { .. } => 2,
        _ => 1,
    };
    let multipliers = vectors * model.numbers.multiplier_bytes(outputs) as u64;
    let weights = order::weights(operator, model.numbers, input, output);
    let columns = model.classes as u64 * column_len(model, index, operator, output);
    let rest = multipliers + model.numbers.weight_bytes(weights) + columns;
    if length(record) as u64 != biases as u64 * 4 + rest {
        return Err(Error::BadParameters);
    }
    let Some(bytes) = part(model.blob, start(record), length(record)) else {
        return Err(Error::BadParameters);
    };
    match model.numbers {
        Numbers::Float => check_finite(bytes),
        Numbers::Int8 | Numbers::Int4 => {
            // What all the products and the class's column can add up to.
            let reach = products(operator, input) * (255 * 128) + class_step(record) as u64 * 128;
            let parameters = split(bytes, model.numbers, activation, operator, output);
            let shift = u8_at(record, 6);
            check!(check_bias(parameters.bias, reach, shift));
            let [own, added] = addends(record);
            if ((own + added) as u64 * 255) << shift > i32::MAX as u64 {
                return Err(Error::Overflow);
            }
            check!(check_multipliers(
                parameters.multipliers,
                model.numbers,
                outputs
            ));
            check!(check_multipliers(
                parameters.negative_multipliers,
                model.numbers,
                outputs
            ));
            check_filling(parameters.weights, model.numbers, weights)
        }
    }
}

/// The most products that one output sums.
const fn products(operator: Operator, input: Shape) -> u64 {
    let kernel = match operator {
        Operator::Linear | Operator::Upsample { .. } | Operator::Add { .. } => 1,
        Operator::Conv2d(w) | Operator::ConvTranspose2d(w) => w.kernel as u64,
    };
    kernel * kernel * input.channels as u64
}

const fn check_finite(bytes: &[u8]) -> Result<(), Error> {
    let mut at = 0;
    while at < bytes.len() {
        if !f32_at(bytes, at).is_finite() {
            return Err(Error::BadNumber);
        }
        at += 4;
    }
    Ok(())
}

/// Section 4.2, item 1.
const fn check_bias(bias: &[u8], rest: u64, shift: u8) -> Result<(), Error> {
    let mut at = 0;
    while at < bias.len() {
        let reach = rest + i32_at(bias, at).unsigned_abs() as u64;
        if reach << shift > i32::MAX as u64 {
            return Err(Error::Overflow);
        }
        at += 4;
    }
    Ok(())
}

/// Checks a vector of multipliers, of which an int4 model's may be followed by a place that fills up its last word.
const fn check_multipliers(
    multipliers: &[u8],
    numbers: Numbers,
    outputs: usize,
) -> Result<(), Error> {
    let bytes = if numbers.is_int4() { 2 } else { 4 };
    let mut at = 0;
    while at < multipliers.len() {
        let is_positive = match bytes {
            2 => u16_at(multipliers, at) > 0,
            _ => i32_at(multipliers, at) > 0,
        };
        if is_positive != (at < outputs * bytes) {
            return Err(Error::BadMultiplier);
        }
        at += bytes;
    }
    Ok(())
}

/// Checks that the places which fill up an int4 layer's last eight weights hold 0.
const fn check_filling(bytes: &[u8], numbers: Numbers, weights: u64) -> Result<(), Error> {
    if !numbers.is_int4() || weights.is_multiple_of(8) {
        return Ok(());
    }
    let mut at = (weights / 8 * 4) as usize;
    let end = at + 4;
    while at < end {
        if u8_at(bytes, at) & 0xf0 != 0 {
            return Err(Error::Reserved);
        }
        at += 1;
    }
    Ok(())
}

/// Splits a layer's parameters into their parts (section 3); columns stay with the weights.
const fn split(
    bytes: &[u8],
    numbers: Numbers,
    activation: Activation,
    operator: Operator,
    output: Shape,
) -> Parameters<'_> {
    let (bias, rest) = split_at(bytes, layer::outputs(operator, output) * 4);
    let len = numbers.multiplier_bytes(layer::multipliers(operator, output));
    let (multipliers, rest) = split_at(rest, len);
    let (negative_multipliers, weights) = match activation {
        Activation::LeakyRelu { .. } => split_at(rest, len),
        _ => split_at(rest, 0),
    };
    Parameters {
        bias,
        multipliers,
        negative_multipliers,
        weights,
        columns: &[],
        column: &[],
    }
}

/// `split_at` that takes what there is.
const fn split_at(bytes: &[u8], at: usize) -> (&[u8], &[u8]) {
    match bytes.split_at_checked(at) {
        Some(parts) => parts,
        None => (bytes, &[]),
    }
}

const fn record(blob: &[u8], index: usize) -> &[u8; RECORD_LEN] {
    if let Some((_, records)) = blob.split_at_checked(HEADER_LEN + index * RECORD_LEN)
        && let Some(record) = records.first_chunk()
    {
        return record;
    }
    &[0; RECORD_LEN]
}

#[inline(always)]
const fn start(record: &[u8]) -> usize {
    u32_at(record, 28) as usize
}

#[inline(always)]
const fn length(record: &[u8]) -> usize {
    u32_at(record, 32) as usize
}

#[inline(always)]
const fn class_step(record: &[u8]) -> u16 {
    u16_at(record, 36)
}

/// Where a record says how many rows are kept.
pub(super) const KEPT_ROWS: usize = 38;

const fn kept_rows(record: &[u8]) -> usize {
    u16_at(record, KEPT_ROWS) as usize
}

const fn addends(record: &[u8]) -> [i32; 2] {
    [u16_at(record, 42) as i32, u16_at(record, 44) as i32]
}

// Inlined where the length of the record is known, so that nothing is checked again.
#[inline(always)]
const fn operator(record: &[u8]) -> Option<Operator> {
    let stride = u8_at(record, 3) as usize;
    let window = Window {
        kernel: u8_at(record, 2) as usize,
        stride,
        padding: u8_at(record, 4) as usize,
        output_padding: u8_at(record, 5) as usize,
    };
    match u8_at(record, 0) {
        1 => Some(Operator::Linear),
        2 => Some(Operator::Conv2d(window)),
        3 => Some(Operator::ConvTranspose2d(window)),
        4 => Some(Operator::Upsample { factor: stride }),
        5 => Some(Operator::Add {
            from: u16_at(record, 40) as usize,
        }),
        _ => None,
    }
}

#[inline(always)]
const fn activation(record: &[u8]) -> Option<Activation> {
    match u8_at(record, 1) {
        0 => Some(Activation::None),
        1 => Some(Activation::Relu),
        2 => Some(Activation::LeakyRelu {
            slope: f32_at(record, 20),
        }),
        3 => Some(Activation::Tanh),
        4 => Some(Activation::Sigmoid),
        _ => None,
    }
}

#[inline(always)]
const fn shapes(record: &[u8]) -> (Shape, Shape) {
    (shape_at(record, 8), shape_at(record, 14))
}

#[inline(always)]
pub(super) const fn shape_at(bytes: &[u8], at: usize) -> Shape {
    Shape::new(
        u16_at(bytes, at) as usize,
        u16_at(bytes, at + 2) as usize,
        u16_at(bytes, at + 4) as usize,
    )
}

pub(crate) const fn same(a: Shape, b: Shape) -> bool {
    a.height == b.height && a.width == b.width && a.channels == b.channels
}
