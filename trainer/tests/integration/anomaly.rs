//! Anomalies by autoencoders, as a user finds them.

use crate::common::Place;
use pocketgan::{Model, Pixels, Translator};
use serde_json::Value;
use std::fs;

/// Two classes of grey pictures, `a` with lines across and `b` with lines down.
fn place() -> Place {
    let place = Place::new();
    for (class, down) in [("a", false), ("b", true)] {
        for (split, numbers) in [("train", 0..64), ("test", 64..80)] {
            let folder = place.path("own").join(split).join(class);
            fs::create_dir_all(&folder).unwrap();
            for number in numbers {
                let picture = image::GrayImage::from_fn(16, 16, |x, y| {
                    let at = if down { x } else { y };
                    image::Luma([(127.0 + 100.0 * f64::from(at + number).sin()) as u8])
                });
                picture
                    .save(folder.join(format!("{number:03}.png")))
                    .unwrap();
            }
        }
    }
    place
}

fn json(place: &Place, line: &str) -> Value {
    let output = place.output(line);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{line}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

const FIT: &str =
    "fit --dataset folder:own --image-size 16 --size nano --batch 8 --device cpu --threads 2";

#[test]
fn what_was_not_learned_is_found() {
    let place = place();
    for (recipe, more) in [("autoencoder", "--epochs 40"), ("vae", "--epochs 60")] {
        place.ends_with(
            0,
            &format!("{FIT} --recipe {recipe} --latent-size 4 --only-classes 0 {more} --lr 3e-3 --out {recipe}"),
        );
        let found = json(&place, &format!("anomaly {recipe} --quantile 0.9 --json"));
        let of = |key: &str| found[key].as_f64().unwrap();
        assert!(of("auroc") > 0.9, "{recipe}: {found}");
        assert!(
            (of("auroc") - of("auroc_float")).abs() < 0.05,
            "{recipe}: {found}"
        );
        assert_eq!(
            (of("normal_pictures"), of("anomalous_pictures")),
            (16.0, 16.0)
        );
        // The blob gives the score that the threshold is for.
        let blob = fs::read(place.path(recipe).join("reconstruction.pgan")).unwrap();
        let model = Model::parse(&blob).unwrap();
        assert_eq!(of("working_memory"), model.working_memory() as f64);
        let mut buffer = vec![0; model.buffer_len()];
        let mut translator = Translator::new(&model, buffer.as_mut_slice()).unwrap();
        let mut above = |class: &str| {
            let scores = (64..80).map(|number| {
                let path = place.path(&format!("own/test/{class}/{number:03}.png"));
                let pixels = image::open(path).unwrap().to_luma8().into_raw();
                translator.score(&mut Pixels::new(&pixels, 16)).unwrap()
            });
            let threshold = found["threshold"].as_u64().unwrap();
            scores.filter(|&score| score > threshold).count() as f64 / 16.0
        };
        assert_eq!(
            [above("a"), above("b")],
            [of("false_alarms"), of("found")],
            "{recipe}"
        );
        let threshold = found["threshold"].to_string();
        for name in ["threshold.h", "threshold.rs", "anomaly.md"] {
            let text = fs::read_to_string(place.path(recipe).join(name)).unwrap();
            assert!(text.contains(&threshold), "{name}: {text}");
        }
        assert!(image::open(place.path(recipe).join("roc.png")).is_ok());
        let written: Value =
            serde_json::from_slice(&fs::read(place.path(recipe).join("anomaly.json")).unwrap())
                .unwrap();
        assert_eq!(written, found);
    }

    // Other data, and what is no such run.
    let others = json(&place, "anomaly autoencoder --anomalous folder:own --json");
    assert_eq!(others["anomalous"], "folder:own");
    let fit = format!("{FIT} --recipe autoencoder --latent-size 4 --epochs 1");
    place.ends_with(0, &format!("{fit} --out all"));
    place.ends_with(0, &format!("{FIT} --recipe dcgan --epochs 1 --out gan"));
    place.ends_with(
        0,
        &format!("{FIT} --recipe pix2pix --task denoise --epochs 1 --out denoise"),
    );
    place.ends_with(0, &format!("{fit} --only-classes 0-1 --out every"));
    let pairs = "--target-dataset folder:own --epochs 1 --out pairs";
    place.ends_with(0, &format!("{FIT} --recipe pix2pix {pairs}"));
    place.ends_with(
        0,
        &format!("{FIT} --recipe vae --conditional --epochs 1 --out told"),
    );
    for (line, expected) in [
        ("anomaly told", "train without --conditional"),
        ("anomaly all", "say what is anomalous with --anomalous"),
        ("anomaly every", "learned all classes of the test images"),
        ("anomaly gan", "does not reconstruct its own pictures"),
        ("anomaly denoise", "does not reconstruct its own pictures"),
        (
            "anomaly pairs --anomalous folder:own",
            "does not reconstruct its own pictures",
        ),
        ("anomaly nothing", "is not the folder of a run"),
        ("anomaly autoencoder --quantile 2", "from 0 to 1"),
        ("anomaly autoencoder --anomalous mnist-like", "mnist-like"),
        (
            &format!("{fit} --only-classes 2 --out none"),
            "the classes 0 to 1",
        ),
        (
            &format!("{fit} --only-classes 1-0 --out none"),
            "as in 0,3-5",
        ),
        (
            &format!("{FIT} --recipe dcgan --conditional --only-classes 1 --out none"),
            "leave out --only-classes",
        ),
    ] {
        let said = place.refusal(line);
        assert!(said.contains(expected), "{line}: {said}");
    }
    assert!(!place.path("none").exists());
}
