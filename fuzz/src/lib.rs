//! What the fuzz targets share: how inputs change, and what is claimed of every model.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;
mod connect;
mod layers;

pub mod forge;
pub mod image;
pub mod mutate;
pub mod restructure;

use pocketgan::{Layer, Model, Shape};

/// Outputs of a layer for each multiply-accumulate of the model, at most (blob format, 2.4).
const OUTPUTS_PER_MAC: u64 = 64;
/// The largest extent and the most elements of a tensor (blob format, 2.2).
const MAX_EXTENT: usize = 4096;
const MAX_ELEMENTS: usize = 1 << 22;

/// Claims about every model that was parsed, none of which takes an image to check.
///
/// # Panics
/// Where one does not hold.
pub fn check_facts(model: &Model<'_>) {
    let latent = Shape::new(1, 1, model.latent_size());
    let mut tensors = vec![model.picture().unwrap_or(latent)];
    let mut macs = 0;
    for layer in model.layers() {
        assert_eq!(Some(&layer.input), tensors.get(layer.source));
        if let Some(other) = layer.operator.other() {
            assert_eq!(Some(&layer.other_input()), tensors.get(other));
        }
        check_layer(&layer);
        assert!(
            layer.output.len() as u64 <= OUTPUTS_PER_MAC * model.macs(),
            "{layer:?}"
        );
        assert!(layer.row_buffer_bytes() <= model.working_memory());
        macs += layer.macs();
        tensors.push(layer.output);
    }
    let input = tensors[model.layer_count()];
    // The last layer can have a row's elements for channels.
    let (output, rows) = (model.output(), Shape::new(input.height, 1, input.row_len()));
    let as_rows = Shape::new(output.height, 1, output.row_len());
    assert!(
        input == output || (input == rows && rows == as_rows),
        "{input:?}"
    );
    assert_eq!(macs, model.macs());
    assert_eq!(model.working_memory(), model.buffer_len() * 4);
    for class in [model.classes(), usize::MAX] {
        assert!(model.of_class(class).is_err());
    }
}

fn check_layer(layer: &Layer<'_>) {
    let Shape {
        height,
        width,
        channels,
    } = layer.output;
    for extent in [height, width, channels] {
        assert!((1..=MAX_EXTENT).contains(&extent), "{layer:?}");
    }
    assert!(layer.output.len() <= MAX_ELEMENTS, "{layer:?}");
    // What is out of range is 0.
    // An addition has no bias, but a multiplier.
    for beyond in [layer.outputs().max(1), usize::MAX] {
        assert_eq!((layer.bias_i32(beyond), layer.start_i32(beyond)), (0, 0));
        assert_eq!(layer.multipliers(beyond), [0; 2]);
    }
    // int4 has two weights a byte.
    for beyond in [layer.weight_bytes() * 2, usize::MAX] {
        assert_eq!(layer.weight_i8(beyond), 0);
    }
}
