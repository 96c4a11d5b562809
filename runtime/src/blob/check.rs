//! What is checked of the records of a blob, once.

use super::field::{
    ADD_VERSION, CRC_LEN, GRAPH_VERSION, HEADER_LEN, IMAGES_VERSION, MAX_CHAIN, MAX_ELEMENTS,
    MAX_EXTENT, RECORD_LEN, header, record as field,
};
use super::model::Model;
use super::needs::Needs;
use super::record::{
    activation, addends, class_step, column_len, decode, home, kept_of_graph, kept_rows, length,
    links, operator, record, scale_of, shape_of, shapes, source, split, start, version,
};
use crate::bytes::{f32_at, i32_at, part, u8_at, u16_at, zeros};
use crate::error::Error;
use crate::invariant::divisor;
use crate::layer::Layer;
use crate::shape::{self, Activation, Numbers, Operator, PixelRange, Shape, Window};
use crate::weights;

/// `?` for constant code.
macro_rules! check {
    ($result:expr) => {
        if let Err(error) = $result {
            return Err(error);
        }
    };
}

/// Checks every record and its parameters, how the layers connect, and the sum of their work.
pub(super) const fn check_all(model: &Model<'_>) -> Result<(), Error> {
    // A bit for each tensor that is read.
    let mut read = 0u64;
    let mut next_start = match check_pictures(model) {
        Ok(next_start) => next_start,
        Err(error) => return Err(error),
    };
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
        if !zeros(model.blob, gap, next_start) {
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
    if next_start + CRC_LEN != model.blob.len() {
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

/// Checks the pictures that are read and the table of their pixels, if any are (section 10); says where what follows
/// starts.
const fn check_pictures(model: &Model<'_>) -> Result<usize, Error> {
    let start = HEADER_LEN + RECORD_LEN * model.layers;
    if model.picture().is_none() {
        return Ok(start);
    }
    let scale = f32_at(model.blob, header::INPUT_SCALE);
    let scale_ok = match model.numbers {
        Numbers::Float => scale.to_bits() == 0,
        Numbers::Int8 | Numbers::Int4 => scale.is_finite() && scale > 0.0,
    };
    let Some(table) = part(model.blob, start, model.table_len()) else {
        return Err(Error::BadPictures);
    };
    if !in_range(model.input()) || !scale_ok || model.classes > 0 {
        return Err(Error::BadPictures);
    }
    match model.numbers {
        Numbers::Float => check!(check_finite(table)),
        Numbers::Int8 | Numbers::Int4 => {}
    }
    Ok(start + table.len())
}

/// The first layer that is wrong by itself.
#[cfg(feature = "writer")]
pub(super) fn first_refused(model: &Model<'_>) -> Option<usize> {
    (0..model.layers).find(|&index| check(model, record(model.blob, index), index).is_err())
}

/// Whether the last layer is linear, and its shape is that of the output with each row's elements as channels (section
/// 2.5).
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
    let needs = Needs::of(model);
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
    let needs = Needs::of(model);
    let needs_version = match version(model.blob) {
        IMAGES_VERSION.. => needs_images(model),
        _ => needs_graph(model, &needs),
    };
    if !needs_version {
        return Err(Error::BadHeader);
    }
    let mut tensor = 0;
    while tensor <= model.layers {
        let (rows, [left, right]) = kept_of_graph(model.blob, tensor);
        let needed = needs.margins(tensor);
        if rows != needs.rows(tensor) || left != needed[0] || right != needed[1] {
            return Err(Error::BadRows);
        }
        let home = home(model.blob, tensor);
        if home > 0 && !can_lie_in(model, tensor, home) {
            return Err(Error::BadHome);
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

/// Whether a tensor can lie in the rows of another (section 9.3).
pub(super) const fn can_lie_in(model: &Model<'_>, tensor: usize, home: usize) -> bool {
    if model.numbers.is_float() || home <= tensor || home > model.layers {
        return false;
    }
    // How often the tensor is read, and whether by the other one as its second input.
    let (mut reads, mut is_second) = (0, false);
    let mut index = 0;
    while index < model.layers {
        let links = links(model, index);
        if links.source == tensor {
            reads += 1;
        }
        if matches!(links.other, Some(other) if other == tensor) {
            reads += 1;
            is_second = index + 1 == home;
        }
        index += 1;
    }
    let links = links(model, home - 1);
    let is_in_place = if is_second {
        links.input.channels.is_multiple_of(4)
    } else {
        links.source == tensor
    };
    matches!(links.operator, Operator::Concat { .. }) && reads == 1 && is_in_place
}

/// Whether a model of version 6 has what no older version has (section 10).
pub(super) const fn needs_images(model: &Model<'_>) -> bool {
    let mut index = 0;
    while index < model.layers {
        if links(model, index).reads_image {
            return true;
        }
        index += 1;
    }
    model.picture().is_some()
}

/// Whether a model of version 5 has what no older version has (section 9.1, item 4).
pub(super) const fn needs_graph(model: &Model<'_>, needs: &Needs) -> bool {
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
    if !operator.is_in_this_build() {
        return Err(Error::NoGraphs);
    }
    let Some(activation) = activation(record) else {
        return Err(Error::BadActivation);
    };
    check!(check_reserved(model, record, operator));
    check!(check_order(model, index, operator));
    check!(check_classes(model, record, index, operator));
    let (input, output) = shapes(record);
    check!(check_geometry(operator, model.numbers, record));
    let reads_image = u8_at(record, field::INPUT_ORDER) == 1;
    check!(check_shapes(operator, input, output, reads_image));
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
    if !zeros(record, unused, RECORD_LEN)
        || !(other || zeros(record, field::OTHER, field::ADDENDS))
        || !(addends || zeros(record, field::ADDENDS, field::SOURCE))
    {
        return Err(Error::Reserved);
    }
    match (u8_at(record, field::INPUT_ORDER), operator) {
        (0, _) => {}
        (1, Operator::Linear) if version(model.blob) < IMAGES_VERSION => {
            return Err(Error::Reserved);
        }
        (1, Operator::Linear) if cfg!(feature = "images") => {}
        (1, Operator::Linear) => return Err(Error::NoImages),
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

const fn check_shapes(
    operator: Operator,
    input: Shape,
    output: Shape,
    reads_image: bool,
) -> Result<(), Error> {
    if !in_range(input) || !in_range(output) {
        return Err(Error::BadShape);
    }
    let ok = match operator {
        Operator::Linear if is_vector(input) == reads_image => {
            return Err(Error::LinearOverImage);
        }
        Operator::Linear if reads_image && !is_vector(output) => {
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
        Some(room) => room / divisor(w.stride) + 1,
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
    let biases = shape::outputs(operator, output);
    let outputs = shape::multipliers(operator, output);
    let vectors = match activation {
        Activation::LeakyRelu { .. } => 2,
        _ => 1,
    };
    let multipliers = vectors * model.numbers.multiplier_bytes(outputs) as u64;
    let weights = weights::weights(operator, model.numbers, input, output);
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
    match operator {
        Operator::Conv2d(w) | Operator::ConvTranspose2d(w) => {
            w.kernel as u64 * w.kernel as u64 * input.channels as u64
        }
        Operator::Linear => input.len() as u64,
        _ => input.channels as u64,
    }
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

/// Whether a tensor is a vector.
pub(super) const fn is_vector(shape: Shape) -> bool {
    shape.height == 1 && shape.width == 1
}

const fn same(a: Shape, b: Shape) -> bool {
    a.height == b.height && a.width == b.width && a.channels == b.channels
}
