//! Layer records: decoding one, and checking them all.

use super::bytes::{f32_at, i32_at, part, u8_at, u16_at, u32_at};
use super::field::{header, record as field};
use super::{
    ADD_VERSION, Activation, GRAPH_VERSION, HEADER_LEN, Layer, MAX_CHAIN, MAX_ELEMENTS, MAX_EXTENT,
    Model, Numbers, Operator, Parameters, PixelRange, RECORD_LEN, RingSize, Shape, Window, order,
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
    let source = source(model.blob, index);
    let other = match operator.other() {
        Some(other) => other,
        None => source,
    };
    Layer {
        operator,
        activation,
        source,
        input,
        output,
        numbers,
        signed_input: is_signed(model.blob, source),
        signed_other: is_signed(model.blob, other),
        is_last: index + 1 == model.layers,
        shift: u8_at(record, field::SHIFT) as u32,
        multiplier_shift: u8_at(record, field::MULTIPLIER_SHIFT) as u32,
        scale: f32_at(record, field::SCALE),
        class_step: class_step(record) as i32,
        addends: addends(record),
        input_ring: ring_size(model, source),
        other_ring: ring_size(model, other),
        output_ring: ring_size(model, index + 1),
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

/// The tensor that layer `index` reads, the first one if it reads two.
#[inline(always)]
const fn source(blob: &[u8], index: usize) -> usize {
    if version(blob) < GRAPH_VERSION {
        return index;
    }
    u16_at(record(blob, index), field::SOURCE) as usize
}

/// The layer that makes a tensor; `None` for the latent.
const fn maker(blob: &[u8], tensor: usize) -> Option<&[u8; RECORD_LEN]> {
    match tensor.checked_sub(1) {
        Some(index) => Some(record(blob, index)),
        None => None,
    }
}

/// The shape of a tensor.
const fn shape_of(model: &Model<'_>, tensor: usize) -> Shape {
    match maker(model.blob, tensor) {
        Some(record) => shapes(record).1,
        None => Shape::new(1, 1, model.latent_size),
    }
}

/// What a quantum of a tensor is worth.
const fn scale_of(blob: &[u8], tensor: usize) -> f32 {
    match maker(blob, tensor) {
        Some(record) => f32_at(record, field::SCALE),
        None => crate::latent::SCALE,
    }
}

/// What is kept of a tensor: before version 5 by the one layer that reads it and by the rows that additions need.
const fn ring_size(model: &Model<'_>, tensor: usize) -> RingSize {
    if version(model.blob) >= GRAPH_VERSION {
        let (rows, margins) = kept_of_graph(model.blob, tensor);
        return RingSize::new(rows, margins);
    }
    let record = record(model.blob, tensor);
    let (input, output) = shapes(record);
    match operator(record) {
        Some(operator) if tensor < model.layers => {
            let own = plan::most_rows(operator, input.height);
            let kept = kept_rows(record);
            let rows = if kept > own { kept } else { own };
            RingSize::new(rows, plan::margins(operator, input.width, output.width))
        }
        _ => RingSize::new(1, [0; 2]),
    }
}

/// The rows and margins that a blob of version 5 says of a tensor.
const fn kept_of_graph(blob: &[u8], tensor: usize) -> (usize, [u8; 2]) {
    let (rows, bytes, at) = match maker(blob, tensor) {
        Some(record) => (u16_at(record, field::ROWS), record, field::MARGINS),
        None => (1, record_of_header(blob), header::MARGINS),
    };
    (rows as usize, [u8_at(bytes, at), u8_at(bytes, at + 1)])
}

/// Which tensors a layer reads, and how rows of its output follow from theirs.
#[derive(Clone, Copy)]
pub(crate) struct Links {
    pub operator: Operator,
    pub source: usize,
    pub other: Option<usize>,
    pub input: Shape,
    pub output: Shape,
}

/// The links of layer `index`.
pub(crate) const fn links(model: &Model<'_>, index: usize) -> Links {
    let record = record(model.blob, index);
    let operator = match operator(record) {
        Some(operator) => operator.in_this_build(),
        None => Operator::Linear,
    };
    let (input, output) = shapes(record);
    Links {
        operator,
        source: source(model.blob, index),
        other: operator.other(),
        input,
        output,
    }
}

/// Whether a tensor is signed: what leaves ReLU or sigmoid is not.
const fn is_signed(blob: &[u8], mut tensor: usize) -> bool {
    while let Some(index) = tensor.checked_sub(1) {
        let before = record(blob, index);
        if cfg!(feature = "convolution")
            && matches!(operator(before), Some(operator) if operator.keeps_quanta())
        {
            tensor = source(blob, index);
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
    // A bit for each tensor that is read.
    let mut read = 0u64;
    let mut next_start = HEADER_LEN + RECORD_LEN * model.layers;
    let mut macs = 0;
    let mut activation = Activation::None;
    let mut index = 0;
    while index < model.layers {
        let record = record(model.blob, index);
        check!(check(model, record, index));
        let layer = decode(model, index);
        check!(check_inputs(model, &layer));
        read |= 1u64.wrapping_shl(layer.source as u32);
        if let Some(other) = layer.operator.other() {
            read |= 1u64.wrapping_shl(other as u32);
        }
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
        activation = layer.activation;
        index += 1;
    }
    if read.count_ones() as usize != model.layers {
        return Err(Error::Unread);
    }
    let image = shape_of(model, model.layers);
    if !same(image, model.output) && !is_rows_of(model, image) {
        return Err(Error::Disconnected);
    }
    if next_start + super::CRC_LEN != model.blob.len() {
        return Err(Error::BadParameters);
    }
    match version(model.blob) {
        GRAPH_VERSION.. => check!(check_graph(model)),
        ADD_VERSION => check!(check_additions(model)),
        _ => {}
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
    version(model.blob) >= ADD_VERSION
        && matches!(operator, Some(Operator::Linear))
        && same(shape, model.output.rows_as_channels())
}

/// Whether what a layer reads has the shape and the quanta that the layer takes.
const fn check_inputs(model: &Model<'_>, layer: &Layer<'_>) -> Result<(), Error> {
    if !same(layer.input, shape_of(model, layer.source)) {
        return Err(Error::Disconnected);
    }
    let (scale, is_int8) = (
        scale_of(model.blob, layer.source),
        !layer.numbers.is_float(),
    );
    if let Some(other) = layer.operator.other() {
        if !same(layer.other_input(), shape_of(model, other)) {
            return Err(match version(model.blob) {
                GRAPH_VERSION.. => Error::Disconnected,
                _ => Error::BadAddition,
            });
        }
        let unlike = layer.scale != scale
            || layer.scale != scale_of(model.blob, other)
            || layer.signed_input != layer.signed_other;
        if is_int8 && matches!(layer.operator, Operator::Concat { .. }) && unlike {
            return Err(Error::UnlikeQuanta);
        }
    }
    if is_int8 && layer.operator.keeps_quanta() && layer.scale != scale {
        return Err(Error::BadNumber);
    }
    Ok(())
}

/// Section 8, item 4.
const fn check_additions(model: &Model<'_>) -> Result<(), Error> {
    let needs = plan::Needs::of(model);
    let mut from = 0;
    while from < model.layers {
        if needs.rows_of_additions(from) != kept_rows(record(model.blob, from)) {
            return Err(Error::BadAddition);
        }
        from += 1;
    }
    if needs.is_late() {
        return Err(Error::BadAddition);
    }
    Ok(())
}

/// Sections 9.1, item 4, 9.3 and 9.4.
const fn check_graph(model: &Model<'_>) -> Result<(), Error> {
    let needs = plan::Needs::of(model);
    if !needs_graph(model, &needs) {
        return Err(Error::BadHeader);
    }
    let mut tensor = 0;
    while tensor <= model.layers {
        let (rows, [left, right]) = kept_of_graph(model.blob, tensor);
        let needed = needs.margins(tensor);
        if rows != needs.rows(tensor) || left != needed[0] || right != needed[1] {
            return Err(Error::BadRows);
        }
        tensor += 1;
    }
    let mut index = 0;
    while index < model.layers {
        let links = links(model, index);
        let [left, right] = needs.margins(links.source);
        if matches!(links.operator, Operator::Linear) && (left > 0 || right > 0) {
            return Err(Error::PaddedVector);
        }
        index += 1;
    }
    Ok(())
}

/// Whether a model of version 5 has what no older version has (section 9.1, item 4).
pub(super) const fn needs_graph(model: &Model<'_>, needs: &plan::Needs) -> bool {
    let mut index = 0;
    while index < model.layers {
        let links = links(model, index);
        let is_new = match links.operator {
            Operator::Concat { .. } | Operator::AvgPool2d(_) => true,
            Operator::Add { from } => from >= index,
            _ => false,
        };
        if is_new || links.source != index {
            return true;
        }
        index += 1;
    }
    model.layers > MAX_CHAIN || needs.is_late()
}

/// The version of the oldest reader.
#[inline(always)]
const fn version(blob: &[u8]) -> u16 {
    u16_at(blob, header::READER)
}

const fn check(model: &Model<'_>, record: &[u8], index: usize) -> Result<(), Error> {
    let operator = match operator(record) {
        None => return Err(Error::UnknownOperator),
        Some(Operator::Add { .. }) if version(model.blob) < ADD_VERSION => {
            return Err(Error::UnknownOperator);
        }
        Some(Operator::Concat { .. } | Operator::AvgPool2d(_))
            if version(model.blob) < GRAPH_VERSION =>
        {
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
    check!(check_reserved(model, record, operator));
    check!(check_order(model, index, operator));
    check!(check_classes(model, record, index, operator));
    let (input, output) = shapes(record);
    check!(check_geometry(operator, model.numbers, record));
    check!(check_shapes(operator, input, output));
    check!(check_numbers(operator, activation, model.numbers, record));
    check_parameters(model, record, index, operator, activation, input, output)
}

/// Checks what no field of the record's version and operator holds.
const fn check_reserved(model: &Model<'_>, record: &[u8], operator: Operator) -> Result<(), Error> {
    let unused = match version(model.blob) {
        GRAPH_VERSION.. => field::UNUSED,
        ADD_VERSION => field::SOURCE,
        _ => field::ROWS,
    };
    let (other, addends) = match (operator, model.numbers) {
        (Operator::Add { .. }, Numbers::Int8 | Numbers::Int4) => (true, true),
        (Operator::Add { .. } | Operator::Concat { .. }, _) => (true, false),
        _ => (false, false),
    };
    if !super::zeros(record, unused, RECORD_LEN)
        || !(other || super::zeros(record, field::OTHER, field::ADDENDS))
        || !(addends || super::zeros(record, field::ADDENDS, field::SOURCE))
    {
        return Err(Error::Reserved);
    }
    match (u8_at(record, field::INPUT_ORDER), operator) {
        (0, _) => {}
        (_, Operator::Linear) => return Err(Error::LinearOverImage),
        _ => return Err(Error::Reserved),
    }
    match u8_at(record, field::ACTIVATION_FORM) {
        0 => Ok(()),
        _ => Err(Error::ActivationForm),
    }
}

/// Checks that what a layer reads is made before it.
const fn check_order(model: &Model<'_>, index: usize, operator: Operator) -> Result<(), Error> {
    let other = match operator.other() {
        Some(other) => other,
        None => 0,
    };
    match version(model.blob) {
        GRAPH_VERSION.. if source(model.blob, index) > index || other > index => {
            Err(Error::ReadsLater)
        }
        ADD_VERSION if operator.other().is_some() && other >= index => Err(Error::BadAddition),
        _ => Ok(()),
    }
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
    let (kernel, stride) = (u8_at(record, field::KERNEL), u8_at(record, field::STRIDE));
    let padding = u8_at(record, field::PADDING);
    let output_padding = u8_at(record, field::OUTPUT_PADDING);
    let window = kernel >= 1 && kernel <= 16 && stride >= 1 && stride <= 8 && padding < kernel;
    let no_window = kernel == 0 && padding == 0 && output_padding == 0;
    let ok = match operator {
        Operator::Linear | Operator::Add { .. } | Operator::Concat { .. } => {
            no_window && stride == 0
        }
        Operator::Conv2d(_) => window && output_padding == 0,
        Operator::ConvTranspose2d(_) => window && output_padding < stride,
        Operator::Upsample { factor } => no_window && factor >= 1 && factor <= 8,
        Operator::AvgPool2d(_) => window && kernel >= 2 && padding == 0 && output_padding == 0,
    };
    let shift = u8_at(record, field::SHIFT);
    let shift_ok = match numbers {
        Numbers::Int8 | Numbers::Int4 if !operator.keeps_quanta() => shift <= 15,
        _ => shift == 0,
    };
    let multiplier_shift = u8_at(record, field::MULTIPLIER_SHIFT);
    let multiplier_shift_ok = match numbers {
        Numbers::Int4 if !operator.keeps_quanta() => multiplier_shift <= 15,
        _ => multiplier_shift == 0,
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
        Operator::Linear if input.height != 1 || input.width != 1 => {
            return Err(Error::LinearOverImage);
        }
        Operator::Linear => true,
        Operator::AvgPool2d(_) if input.channels != output.channels => false,
        Operator::Conv2d(w) | Operator::AvgPool2d(w) => {
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
        Operator::Concat { .. } => {
            output.height == input.height
                && output.width == input.width
                && output.channels > input.channels
        }
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
    if operator.keeps_quanta() && !matches!(activation, Activation::None) {
        return Err(Error::BadActivation);
    }
    let slope = f32_at(record, field::SLOPE);
    let slope_ok = match activation {
        Activation::LeakyRelu { .. } => slope >= 0.0 && slope < 1.0,
        _ => slope.to_bits() == 0,
    };
    let scale = f32_at(record, field::SCALE);
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
            let shift = u8_at(record, field::SHIFT);
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
        Operator::Conv2d(w) | Operator::ConvTranspose2d(w) => w.kernel as u64,
        _ => 1,
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

/// The header, which is as long as a record.
const fn record_of_header(blob: &[u8]) -> &[u8; RECORD_LEN] {
    match blob.first_chunk() {
        Some(header) => header,
        None => &[0; RECORD_LEN],
    }
}

#[inline(always)]
const fn start(record: &[u8]) -> usize {
    u32_at(record, field::START) as usize
}

#[inline(always)]
const fn length(record: &[u8]) -> usize {
    u32_at(record, field::LENGTH) as usize
}

#[inline(always)]
const fn class_step(record: &[u8]) -> u16 {
    u16_at(record, field::CLASS_STEP)
}

/// The rows of the input that additions need, in version 4.
const fn kept_rows(record: &[u8]) -> usize {
    u16_at(record, field::ROWS) as usize
}

const fn addends(record: &[u8]) -> [i32; 2] {
    [
        u16_at(record, field::ADDENDS) as i32,
        u16_at(record, field::ADDENDS + 2) as i32,
    ]
}

// Inlined where the length of the record is known, so that nothing is checked again.
#[inline(always)]
const fn operator(record: &[u8]) -> Option<Operator> {
    let stride = u8_at(record, field::STRIDE) as usize;
    let window = Window {
        kernel: u8_at(record, field::KERNEL) as usize,
        stride,
        padding: u8_at(record, field::PADDING) as usize,
        output_padding: u8_at(record, field::OUTPUT_PADDING) as usize,
    };
    let from = u16_at(record, field::OTHER) as usize;
    match u8_at(record, field::OPERATOR) {
        1 => Some(Operator::Linear),
        2 => Some(Operator::Conv2d(window)),
        3 => Some(Operator::ConvTranspose2d(window)),
        4 => Some(Operator::Upsample { factor: stride }),
        5 => Some(Operator::Add { from }),
        6 => Some(Operator::Concat { from }),
        7 => Some(Operator::AvgPool2d(window)),
        _ => None,
    }
}

#[inline(always)]
const fn activation(record: &[u8]) -> Option<Activation> {
    match u8_at(record, field::ACTIVATION) {
        0 => Some(Activation::None),
        1 => Some(Activation::Relu),
        2 => Some(Activation::LeakyRelu {
            slope: f32_at(record, field::SLOPE),
        }),
        3 => Some(Activation::Tanh),
        4 => Some(Activation::Sigmoid),
        _ => None,
    }
}

#[inline(always)]
const fn shapes(record: &[u8]) -> (Shape, Shape) {
    (
        shape_at(record, field::INPUT),
        shape_at(record, field::OUTPUT),
    )
}

#[inline(always)]
pub(super) const fn shape_at(bytes: &[u8], at: usize) -> Shape {
    Shape::new(
        u16_at(bytes, at) as usize,
        u16_at(bytes, at + 2) as usize,
        u16_at(bytes, at + 4) as usize,
    )
}

const fn same(a: Shape, b: Shape) -> bool {
    a.height == b.height && a.width == b.width && a.channels == b.channels
}
