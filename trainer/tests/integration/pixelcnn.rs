//! Networks that draw pixel by pixel, through the real `trainer`.

use crate::common::Place;
use image::{GrayImage, Luma};
use serde_json::Value;
use std::path::Path;

/// Grey pictures of two kinds, in folders of their own: a dark and a bright half, one above or beside the other.
fn halves(folder: &Path) {
    for (split, count) in [("train", 48), ("test", 12)] {
        for (kind, lying) in [("lying", true), ("standing", false)] {
            let place = folder.join(split).join(kind);
            std::fs::create_dir_all(&place).unwrap();
            for i in 0..count {
                let at = 3 + i % 3;
                let picture = GrayImage::from_fn(8, 8, |x, y| {
                    let is_bright = (if lying { y } else { x }) >= at;
                    Luma([if is_bright {
                        200 + i as u8 % 40
                    } else {
                        i as u8
                    }])
                });
                picture.save(place.join(format!("{i}.png"))).unwrap();
            }
        }
    }
}

const FIT: &str = "fit --dataset folder:halves --image-size 8 --recipe pixelcnn --size nano --batch 16 --device cpu";

fn json(place: &Place, line: &str) -> Value {
    let output = place.output(line);
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{line}: {said}"))
}

#[test]
fn a_network_that_draws_pixel_by_pixel_is_trained_drawn_from_and_scored() {
    let place = Place::new();
    halves(&place.path("halves"));
    let fit = format!("{FIT} --levels 4 --conditional");
    place.ends_with(0, &format!("{fit} --epochs 2 --threads 1 --out run"));
    for name in [
        "model.onnx",
        "model.safetensors",
        "samples.png",
        "losses.png",
    ] {
        assert!(place.path("run").join(name).exists(), "{name}");
    }
    assert!(!place.path("run/model.pgan").exists());
    place.ends_with(0, "verify run");

    // The same run with more threads, stopped on the way.
    place.ends_with(
        0,
        &format!("{fit} --epochs 1 --threads 2 --out parts --schedule-epochs 2"),
    );
    place.ends_with(0, "fit --resume parts --epochs 2");
    for name in ["model.safetensors", "samples.png"] {
        let [whole, parts] =
            ["run", "parts"].map(|run| std::fs::read(place.path(run).join(name)).unwrap());
        assert!(whole == parts, "{name}");
    }

    let sums = |line: &str| -> Vec<Value> {
        let report = json(&place, line);
        let images = report["images"].as_array().unwrap().iter();
        images.map(|image| image["pixels_sha256"].clone()).collect()
    };
    let drawn = sums("sample run --count 6 --json -o grid.png");
    assert_eq!(sums("sample run --count 6 --json -o grid.png"), drawn);
    assert_eq!(
        sums("sample run --count 5 --seed 2 --json -o grid.png").len(),
        5
    );
    let of_class = json(&place, "sample run --count 2 --class 1 --json -o grid.png");
    assert_eq!(of_class["images"][1]["class"], 1);
    assert_eq!(of_class["engine"], Value::Null);

    let scores = json(&place, "eval run --samples 24 --json");
    let (nats, bits) = (
        scores["nats"].as_f64().unwrap(),
        scores["bits_per_dimension"].as_f64(),
    );
    assert!((bits.unwrap() - nats / 64.0 / std::f64::consts::LN_2).abs() < 1e-9);
    // Of four equal levels it would be 64 ln 4.
    assert!(nats > 0.0 && nats < 64.0 * 4f64.ln(), "{nats}");
    assert_eq!(scores["protocols"]["nats"], "nats-4-levels-24-test");

    for (words, part) in [
        ("sample run --psi 0.5 -o grid.png", "leave out --psi"),
        ("sample run --class 2 -o grid.png", "its classes are 0 to 1"),
        ("eval run --engine int8", "leave --engine out"),
        ("interpolate run -o way.png", "has no latents"),
        (
            "translate run --input halves/test/lying/0.png -o image.png",
            "draws pixel by pixel",
        ),
        ("inspect run", "draws pixel by pixel"),
        ("anomaly run", "does not reconstruct"),
        ("export run --weights int4", "pixel by pixel"),
    ] {
        let said = place.refusal(words);
        assert!(said.contains(part), "{words}: {said}");
    }
}

#[test]
fn what_such_a_recipe_does_not_have_is_refused() {
    let place = Place::new();
    halves(&place.path("halves"));
    for (words, part) in [
        ("--levels 3", "there are 2, 4, 16 or 256 levels, not 3"),
        ("--channels rgb", "add --channels grey"),
        ("--latent-size 8", "has no --latent-size"),
        ("--generator dcgan", "has no --generator"),
        ("--loss hinge", "has no --loss"),
        ("--beta 2", "has no --beta"),
    ] {
        let said = place.refusal(&format!("{FIT} --out run {words}"));
        assert!(said.contains(part), "{words}: {said}");
        assert!(!place.path("run").exists(), "{words}");
    }
    let said = place.refusal("fit --dataset folder:halves --levels 2 --out run");
    assert!(said.contains("has no --levels"), "{said}");
}
