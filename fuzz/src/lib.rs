//! What the fuzz targets share: how inputs change, and what is claimed of every model.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

pub mod forge;
pub mod image;
pub mod mutate;

use pocketgan::Model;

/// Outputs of a layer for each multiply-accumulate of the model, at most (blob format, 2.4).
const OUTPUTS_PER_MAC: u64 = 64;

/// Claims about every model that was parsed, none of which takes an image to check.
///
/// # Panics
/// Where one does not hold.
pub fn check_facts(model: &Model<'_>) {
    assert!(model.working_memory() / 4 == model.buffer_len());
    assert_eq!(
        model.layers().map(|layer| layer.macs()).sum::<u64>(),
        model.macs()
    );
    for layer in model.layers() {
        let outputs = layer.output.len() as u64;
        assert!(outputs <= OUTPUTS_PER_MAC * model.macs(), "{layer:?}");
        assert!(layer.row_buffer_bytes() <= model.working_memory());
        // What is out of range is 0, not a panic.
        let beyond = [layer.outputs(), usize::MAX];
        for at in beyond {
            assert_eq!(
                (layer.bias_i32(at), layer.weight_i8(layer.weight_bytes())),
                (0, 0)
            );
            assert_eq!(layer.multipliers(at), [0; 2]);
        }
    }
    for class in [model.classes(), usize::MAX] {
        assert!(model.of_class(class).is_err());
    }
}
