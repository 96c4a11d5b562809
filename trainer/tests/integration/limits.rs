//! What cannot be exported: refused before the training, or, where the weights are to blame, exported as far as it can
//! be.

use crate::common::Place;
use pocketgan_trainer::files::sha256;
use pocketgan_trainer::gan::checkpoint::Checkpoint;

/// A folder `own` of idx files: `count` images of one size.
fn idx(place: &Place, count: u32, height: u32, width: u32) {
    let sizes = [count, height, width].map(u32::to_be_bytes);
    let pixels = (0..count * height * width).map(|i| (i % 251) as u8);
    let bytes: Vec<u8> = [0, 0, 8, 3]
        .into_iter()
        .chain(sizes.concat())
        .chain(pixels)
        .collect();
    std::fs::create_dir_all(place.path("own")).unwrap();
    std::fs::write(place.path("own/train-images-idx3-ubyte"), bytes).unwrap();
}

const FIT: &str = "fit --dataset idx:own --device cpu --threads 1 --epochs 1 --batch 4 --out run";

/// The limit is named, once, by the run and by its dry run, and nothing is left.
#[test]
fn what_the_format_has_no_room_for_is_refused_before_the_training() {
    let place = Place::new();
    for (height, width, recipe, part) in [
        (4, 4100, "mlp", "at most 4096 rows, columns and channels"),
        (
            4100,
            4,
            "dcgan --size nano",
            "at most 4096 rows, columns and channels",
        ),
        (1024, 1032, "mlp", "each extent may be from 1 to 1048576"),
        (30, 30, "dcgan", "their sides must be multiples of 4"),
    ] {
        idx(&place, 9, height, width);
        for dry in ["", "--dry-run"] {
            let said = place.refusal(&format!("{FIT} --recipe {recipe} {dry}"));
            assert_eq!(said.matches(part).count(), 1, "{said}");
            assert!(said.contains(&format!("1x{height}x{width}")), "{said}");
            assert_eq!(place.contents(".").len(), 1);
        }
    }
    // The largest that fits.
    idx(&place, 9, 4, 4096);
    place.ends_with(0, &format!("{FIT} --recipe mlp --dry-run"));
}

/// Weights so large that no multiplier takes them to quanta: the float files are exported, the layer is named.
#[test]
fn a_layer_that_cannot_be_quantized_does_not_cost_the_float_files() {
    let place = Place::new();
    idx(&place, 80, 8, 8);
    place.ends_with(0, &format!("{FIT} --recipe mlp"));
    let run = place.path("run");
    let step = *place.checkpoints("run").last().unwrap();
    place.change(&place.checkpoint("run", step), |bytes| {
        let mut checkpoint = Checkpoint::decode(bytes).unwrap();
        let generator = checkpoint.gan.networks.get_mut("generator").unwrap();
        let average = generator.average.as_mut().unwrap();
        let last = average.tensors.get_mut("4.weight").unwrap();
        last.data.iter_mut().for_each(|weight| *weight *= 1e12);
        *bytes = checkpoint.encode().unwrap();
    });
    let bytes = |name: &str| std::fs::read(run.join(name)).unwrap();
    let before = ["model.onnx", "model.pgan"].map(|name| sha256(&bytes(name)));
    let said = place.ends_with(1, "export run");
    let sentence = said.lines().last().unwrap();
    for part in [
        "layer 2",
        "linear, output 1x8x8",
        "model-f32.pgan were written",
        "of an earlier export",
    ] {
        assert!(sentence.contains(part), "{sentence}");
    }
    let after = ["model.onnx", "model.pgan"].map(|name| sha256(&bytes(name)));
    assert_ne!(after[0], before[0]);
    assert_eq!(after[1], before[1]);
    let said = place.ends_with(1, "export run --out new");
    assert!(!said.contains("earlier"), "{said}");
    let left: Vec<_> = place
        .contents("new")
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
    // The runtime draws from what there is.
    place.ends_with(0, "sample new/model-f32.pgan -o grid.png");
    // The end of a run likewise: it is finished, and its exit code tells.
    for name in [
        "summary.json",
        "model.pgan",
        "model-int8.onnx",
        "model.onnx",
        "model-f32.pgan",
    ] {
        std::fs::remove_file(run.join(name)).unwrap();
    }
    let said = place.ends_with(1, "fit --resume run");
    assert!(said.contains("layer 2"), "{said}");
    let summary: serde_json::Value = serde_json::from_slice(&bytes("summary.json")).unwrap();
    assert!(summary["blob_bytes"].is_null() && summary["macs"].is_u64());
    assert!(run.join("model.onnx").is_file() && !run.join("model.pgan").exists());
    let said = place.ends_with(0, "eval run --samples 10");
    assert!(said.contains("int8 is left out"), "{said}");
    assert!(
        place
            .refusal("eval run --samples 10 --engine int8")
            .contains("layer 2")
    );
    assert!(
        place
            .refusal("sample run -o grid.png")
            .contains("--engine tract")
    );
    place.ends_with(0, "sample run --engine tract -o grid.png");
}
