//! Data of the user's own, from files to a verified model, through the real `trainer`.

use crate::common::Place;
use image::{ImageFormat, Rgb, RgbImage};
use std::path::Path;

/// Pictures of a disc, of another colour, size and place each; those of odd numbers are JPEG files.
fn discs(folder: &Path, count: u32) {
    std::fs::create_dir_all(folder).unwrap();
    for i in 0..count {
        let (width, height) = (20 + i % 7, 18 + i % 5);
        let radius = 4 + i % 4;
        let colour = Rgb([200, 37 * i, 91 * i].map(|c| (c % 256) as u8));
        let picture = RgbImage::from_fn(width, height, |x, y| {
            let [dx, dy] = [x.abs_diff(5 + i % 6), y.abs_diff(9)];
            if dx * dx + dy * dy < radius * radius {
                colour
            } else {
                Rgb([255; 3])
            }
        });
        let (name, format) = match i % 2 {
            0 => (format!("{i}.png"), ImageFormat::Png),
            _ => (format!("{i}.jpg"), ImageFormat::Jpeg),
        };
        picture.save_with_format(folder.join(name), format).unwrap();
    }
}

const FIT: &str = "fit --dataset folder:discs --image-size 16 --size nano --batch 8 --device cpu \
                   --threads 1 --epochs 2";

#[test]
fn a_folder_of_colour_pictures_becomes_a_verified_model() {
    let place = Place::new();
    discs(&place.path("discs"), 48);
    let said = place.ends_with(0, &format!("{FIT} --flip --out run"));
    assert!(said.contains("images of 3x16x16"), "{said}");
    place.ends_with(0, "verify run");
    let config = std::fs::read_to_string(place.path("run/config.toml")).unwrap();
    for line in [
        "dataset = \"folder:discs\"",
        "image-size = 16",
        "flip = true",
    ] {
        assert!(config.contains(line), "{config}");
    }
    // The same again, from its own configuration; then one that mirrors nothing.
    place.ends_with(0, "fit --config run/config.toml --out again");
    assert_eq!(place.outcome("again"), place.outcome("run"));
    place.ends_with(0, &format!("{FIT} --out unflipped"));
    assert_ne!(place.outcome("unflipped"), place.outcome("run"));
    let said = place.refusal("fit --resume run --channels grey");
    assert!(said.contains("channels"), "{said}");
}

#[test]
fn a_preview_shows_images_and_classes() {
    let place = Place::new();
    discs(&place.path("discs/small"), 10);
    discs(&place.path("discs/large"), 10);
    place.ends_with(
        0,
        "data preview folder:discs --image-size 24 --count 9 -o sheet.png",
    );
    let sheet = image::open(place.path("sheet.png")).unwrap();
    // Eight and one; three pixels for one and a line of text each, two between them.
    assert_eq!((sheet.width(), sheet.height()), (8 * 74 + 2, 2 * 83 + 2));
    let output = place.output("data info folder:discs --json");
    let facts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let classes = facts["dataset"]["classes"].as_array().unwrap();
    let names: Vec<_> = classes.iter().map(|class| class["name"].as_str()).collect();
    assert_eq!(names, [Some("large"), Some("small")]);
    let counts = ["train", "test"].map(|split| facts["dataset"][split].as_u64().unwrap());
    assert_eq!(counts[0] + counts[1], 20);
}

#[test]
fn what_cannot_be_learned_from_is_a_sentence_and_leaves_nothing() {
    let place = Place::new();
    discs(&place.path("discs"), 12);
    std::fs::write(place.path("discs/broken.png"), b"no picture").unwrap();
    std::fs::write(place.path("own.npz"), b"no arrays").unwrap();
    for (words, part) in [
        ("--dataset folder:discs", "discs/broken.png (in /"),
        ("--dataset folder:nowhere", "nowhere (in /"),
        ("--dataset folder:", "folder:PATH"),
        ("--dataset npz:own.npz", "it is no .npz file"),
        ("--dataset idx:discs", "train-images-idx3-ubyte"),
        (
            "--dataset folder:discs --image-size 30",
            "--image-size must be",
        ),
        (
            "--dataset folder:discs --image-size 0",
            "--image-size must be",
        ),
        ("--dataset fashion --image-size 32", "folder:PATH only"),
        (
            "--dataset folder:discs --skip-broken",
            "a step takes 64 images",
        ),
        ("--dataset folder:discs --data-dir discs", "leave it out"),
    ] {
        let said = place.refusal(&format!("fit --device cpu --out run {words}"));
        assert!(said.contains(part), "{words}: {said}");
        assert!(!place.path("run").exists(), "{words}");
    }
    let said = place.refusal("data preview folder:discs -o no/such/folder.png --skip-broken");
    assert!(said.contains("cannot write"), "{said}");
    let said = place.refusal("classifier --dataset folder:discs --out mine");
    assert!(said.contains("broken.png"), "{said}");
    discs(&place.path("many/train"), 3);
    discs(&place.path("many/test"), 3);
    let said = place.refusal("classifier --dataset folder:many --out mine");
    assert!(said.contains("no classes"), "{said}");
    assert!(!place.path("mine").exists());
}

/// Pictures whose upper half is dark or bright, and whose lower half is dark, grey or bright, with a table that says
/// so.
fn halves(folder: &Path) {
    let mut table = "picture,upper,lower\n".to_owned();
    for (split, count) in [("train", 132), ("test", 24)] {
        std::fs::create_dir_all(folder.join(split)).unwrap();
        for i in 0..count {
            let (upper, lower) = (i % 2, i / 2 % 3);
            let picture = RgbImage::from_fn(16, 16, |_, y| {
                let level = if y < 8 {
                    30 + 180 * upper
                } else {
                    20 + 90 * lower
                };
                Rgb([level + i % 20; 3].map(|c| c as u8))
            });
            picture
                .save(folder.join(split).join(format!("{i}.png")))
                .unwrap();
            table += &format!("{split}/{i}.png,u{upper},l{lower}\n");
        }
    }
    std::fs::write(folder.join("labels.csv"), table).unwrap();
}

#[test]
fn what_a_table_says_of_pictures_is_counted_in_generated_ones() {
    let place = Place::new();
    halves(&place.path("halves"));
    let learn = "classifier --dataset folder:halves --image-size 8 --epochs 2 --json";
    let output = place.output(&format!("{learn} --attributes halves/labels.csv --out eye"));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = report["attributes"].as_array().unwrap();
    let names: Vec<_> = told.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["upper", "lower"]);
    for attribute in told {
        assert_eq!(attribute["accuracy"], 1.0, "{report}");
    }
    let fit = FIT.replace("discs --image-size 16", "halves --image-size 8");
    place.ends_with(0, &format!("{fit} --out run"));
    // As many training pictures as there are.
    let eval = "eval run --engine int8 --samples 132 --floor --json --attributes";
    let output = place.output(&format!("{eval} eye/classifier.safetensors"));
    let scores: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Each value has the same share of the training pictures and of the test pictures.
    assert_eq!(scores["engines"]["floor"]["js_attributes"], 0.0, "{scores}");
    assert!(scores["js_upper"].as_f64().unwrap() <= std::f64::consts::LN_2);
    assert_eq!(scores["data"]["sure_upper"], told[0]["sure"], "{scores}");
    assert_eq!(scores["protocols"]["sure_upper"], "sure-upper-132");

    std::fs::write(
        place.path("short.csv"),
        "picture,a\ntrain/0.png,1\ntrain/1.png,2\n",
    )
    .unwrap();
    for (words, part) in [
        ("--attributes none.csv --out mine", "none.csv"),
        ("--attributes halves/train/0.png --out mine", "0.png"),
        (
            "--attributes short.csv --out mine",
            "it has no line for train/",
        ),
    ] {
        let said = place.refusal(&format!("{learn} {words}"));
        assert!(said.contains(part), "{words}: {said}");
    }
    assert!(!place.path("mine").exists());
    let said = place.refusal(&format!("{eval} halves/labels.csv"));
    assert!(said.contains("labels.csv"), "{said}");
}
