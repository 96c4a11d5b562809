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
