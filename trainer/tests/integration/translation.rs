//! Runs whose generators read pictures, as a user sees them.

use crate::common::Place;
use image::{ImageBuffer, Rgb, RgbImage};
use serde_json::Value;
use std::fs;
use std::path::Path;

const COMMON: &str = "--image-size 16 --size nano --batch 8 --device cpu --threads 2";

/// Waves of another phase for each number, in one colour or, of the other style, in another.
fn waves(folder: &Path, numbers: std::ops::Range<u32>, other_style: bool) {
    fs::create_dir_all(folder).unwrap();
    for number in numbers {
        let picture: RgbImage = ImageBuffer::from_fn(16, 16, |x, y| {
            let phase = f64::from(x * 3 + y * 2 + 5 * number) / 7.0;
            let level = (127.0 + 100.0 * phase.sin()) as u8;
            if other_style {
                Rgb([255 - level, 60, level])
            } else {
                Rgb([level, level / 2, 30])
            }
        });
        picture
            .save(folder.join(format!("{number:03}.png")))
            .unwrap();
    }
}

/// Pictures in two styles, `a` and `b`, of the same names.
fn place() -> Place {
    let place = Place::new();
    for (style, other) in [("a", false), ("b", true)] {
        waves(&place.path(style).join("train"), 0..40, other);
        waves(&place.path(style).join("test"), 40..52, other);
    }
    place
}

fn json(place: &Place, line: &str) -> Value {
    let output = place.output(line);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{line}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn size_of(path: &Path) -> (u32, u32) {
    image::open(path).unwrap().to_rgb8().dimensions()
}

#[test]
fn pairs_are_learned_scored_verified_and_translated() {
    let place = place();
    let fit = format!("fit {COMMON} --recipe pix2pix --dataset folder:a --target-dataset folder:b");
    place.ends_with(0, &format!("{fit} --epochs 60 --lr 2e-3 --out run"));
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    assert!(config.contains("[fingerprint.inputs]"), "{config}");
    for name in [
        "model.onnx",
        "model.pgan",
        "model-f32.pgan",
        "model-int8.onnx",
        "samples.png",
        "summary.json",
        "checkpoints/best.safetensors",
    ] {
        assert!(place.path("run").join(name).exists(), "{name}");
    }
    for name in ["back.onnx", "encoder.onnx"] {
        assert!(!place.path("run").join(name).exists(), "{name}");
    }

    // What was learned is nearer than what was read.
    let scores = json(&place, "eval run --json");
    assert_eq!(scores["protocols"]["l1"], "l1-12-test");
    let of = |key: &str| scores[key].as_f64().unwrap();
    assert!(of("l1") < 0.5 * of("l1_identity"), "{scores}");
    assert!(of("psnr") > of("psnr_identity"), "{scores}");
    assert_eq!(of("retrieval"), 1.0, "{scores}");

    let found = json(&place, "verify run --json");
    assert_eq!(found["passes"], true, "{found}");
    assert_eq!(found["comparisons"][0]["what"], "trainer f32, tract");
    let what = found["comparisons"].to_string();
    for pair in [
        "runtime f32, tract",
        "fast and reference kernels",
        "whole network",
    ] {
        assert!(what.contains(pair), "{pair}: {what}");
    }
    place.ends_with(
        0,
        "translate run --input a/test -o run-float --engine tract",
    );
    // What a device makes is near to what the float network makes.
    place.ends_with(
        0,
        "translate run --input a/test -o on-device --engine runtime",
    );
    for number in 40..52 {
        let of = |folder: &str| image::open(place.path(&format!("{folder}/{number:03}.png")));
        let [device, float] = [of("on-device"), of("run-float")];
        let (device, float) = (device.unwrap().to_rgb8(), float.unwrap().to_rgb8());
        let pairs = device.iter().zip(float.iter());
        let sum: u32 = pairs.map(|(&a, &b)| u32::from(a.abs_diff(b))).sum();
        assert!(
            f64::from(sum) / (16.0 * 16.0 * 3.0) < 4.0,
            "{number}: {sum}"
        );
    }
    let seen = json(&place, "inspect run --json");
    assert_eq!(seen["picture"], "3x16x16");
    // What a skip costs is said of a run, and before one.
    let of_run = json(&place, "translate run --dry-run --json");
    assert_eq!(of_run["working_memory"], seen["working_memory"]);
    let before = json(&place, &format!("{fit} --out none --dry-run --json"));
    assert_eq!(
        before["generator"]["device"]["working_memory"],
        seen["working_memory"]
    );
    let skipped = of_run["tensors"].as_array().unwrap().iter();
    let skipped: Vec<_> = skipped
        .filter(|t| t["skips"] != serde_json::json!([]))
        .collect();
    assert!(
        !skipped.is_empty() && skipped.iter().all(|t| t["rows"].as_u64() >= Some(3)),
        "{of_run}"
    );

    // A folder, with what should come out.
    let translate = "translate run --input a/test -o made --truth b/test --grid grid.png --json";
    let made = json(&place, translate);
    let l1 = made["score"]["l1"].as_f64().unwrap();
    // By ONNX Runtime, or by tract, pixels that lie on the edge are rounded to either side.
    assert!((l1 - of("l1")).abs() < 0.01, "{l1} against {scores}");
    assert_eq!(made["images"][3]["output"], "made/043.png");
    assert_eq!(fs::read_dir(place.path("made")).unwrap().count(), 12);
    // Three of each, four pictures side by side, enlarged.
    let (width, height) = size_of(&place.path("grid.png"));
    assert_eq!(width / 12, height / 3);
    // A file of another size and other proportions.
    let wide: RgbImage = ImageBuffer::from_pixel(24, 10, Rgb([200, 100, 30]));
    wide.save(place.path("wide.png")).unwrap();
    place.ends_with(0, "translate run --input wide.png -o image.png");
    assert_eq!(size_of(&place.path("image.png")), (24, 10));
    place.ends_with(0, "translate run --input wide.png -o square.png --resize");
    assert_eq!(size_of(&place.path("square.png")), (16, 16));

    // A run that is longer goes on from where it was, on folders that were moved.
    place.ends_with(0, &format!("{fit} --epochs 3 --out whole"));
    place.ends_with(0, &format!("{fit} --epochs 2 --out parts"));
    for style in ["a", "b"] {
        fs::rename(place.path(style), place.path(&format!("{style}2"))).unwrap();
    }
    let moved = "--dataset folder:a2 --target-dataset folder:b2";
    place.ends_with(0, &format!("fit --resume parts --epochs 3 {moved}"));
    let read = |run: &str| fs::read(place.path(run).join("model.onnx")).unwrap();
    assert!(read("whole") == read("parts"));
    let said = place.refusal("fit --resume parts --epochs 4 --target-dataset folder:a2");
    assert!(said.contains("the images are not those"), "{said}");
}

#[test]
fn styles_are_translated_without_pairs_and_back() {
    let place = place();
    // Another order, and fewer of them.
    fs::remove_file(place.path("b/train/000.png")).unwrap();
    let fit =
        format!("fit {COMMON} --recipe cyclegan --dataset folder:a --target-dataset folder:b");
    place.ends_with(
        0,
        &format!("{fit} --epochs 2 --identity-weight 0.5 --out run"),
    );
    // No score is taken of pairs, so no checkpoint is the best.
    assert!(!place.path("run/checkpoints/best.safetensors").exists());
    let log = fs::read_to_string(place.path("run/checkpoints/log.jsonl")).unwrap();
    assert!(
        log.lines().all(|line| line.contains(r#""selection":null"#)),
        "{log}"
    );
    assert!(place.path("run/back.onnx").exists());
    let scores = json(&place, "eval run --json");
    for key in [
        "l1",
        "ssim",
        "retrieval",
        "cycle_l1",
        "l1_union",
        "l1_union_blurred",
    ] {
        assert!(scores[key].is_number(), "{key}: {scores}");
    }
    let found = json(&place, "verify run --json");
    assert_eq!(found["passes"], true, "{found}");
    assert!(
        found.to_string().contains("back: trainer f32, tract"),
        "{found}"
    );
    let back = "translate run/back.onnx --input b/test -o again --grid back.png";
    place.ends_with(0, back);
    assert_eq!(fs::read_dir(place.path("again")).unwrap().count(), 12);
    // The grids in training are of the same pictures, by the trainer's own networks.
    let pixels = |name: &str| image::open(place.path(name)).unwrap().to_rgb8();
    let (ours, theirs) = (
        pixels("back.png"),
        pixels("run/samples/back-epoch-0002.png"),
    );
    assert_eq!(ours.dimensions(), theirs.dimensions());
    let mut pairs = ours.iter().zip(theirs.iter());
    assert!(pairs.all(|(&ours, &theirs)| ours.abs_diff(theirs) <= 1));
    // From its newest checkpoint, where nothing was exported.
    fs::remove_file(place.path("run/model.onnx")).unwrap();
    place.ends_with(0, "translate run --input a/test/040.png -o one.png");
    assert_eq!(json(&place, "eval run --json")["l1"], scores["l1"]);
    place.ends_with(0, "export run --out exported");
    for name in ["model.onnx", "back.onnx"] {
        assert!(place.path("exported").join(name).exists(), "{name}");
    }
}

#[test]
fn tasks_are_undone() {
    let place = place();
    for (task, more) in [
        ("denoise", "--norm instance"),
        ("upscale-2x", "--norm none --adversarial-weight 0"),
        ("colorize", "--generator u-net"),
        ("inpaint", "--flip"),
    ] {
        let fit = format!("fit {COMMON} --recipe pix2pix --dataset folder:a --task {task} {more}");
        place.ends_with(0, &format!("{fit} --epochs 1 --out {task}"));
        let scores = json(&place, &format!("eval {task} --json"));
        assert!(scores["l1"].is_number(), "{task}: {scores}");
        assert_eq!(scores["psnr_bicubic"].is_number(), task == "upscale-2x");
        assert_eq!(
            scores["l1_identity"].is_number(),
            !["upscale-2x", "colorize"].contains(&task)
        );
        let undone = format!("translate {task} --input a/test -o {task}-made --apply-task --json");
        assert!(json(&place, &undone)["score"]["psnr"].is_number());
    }
    for recipe in ["autoencoder --latent-size 3", "encdec"] {
        let recipe = recipe.to_owned();
        let run = recipe.split(' ').next().unwrap();
        let size = if run == "encdec" {
            COMMON.replace("--size nano", "")
        } else {
            COMMON.into()
        };
        let fit = format!("fit {size} --recipe {recipe} --dataset folder:a --out {run}");
        place.ends_with(0, &format!("{fit} --epochs 1"));
        let scores = json(&place, &format!("eval {run} --json"));
        assert!(scores["mse"].is_number(), "{run}: {scores}");
        let components = scores["protocols"]["mse_components"].as_str();
        let expected = (run == "autoencoder").then_some("mse-3-components-12-test");
        assert_eq!(components, expected);
        assert_eq!(
            place.path(run).join("encoder.onnx").exists(),
            run == "autoencoder"
        );
    }
    place.ends_with(
        0,
        &format!("fit {COMMON} --recipe vae --dataset folder:a --epochs 1 --out vae"),
    );
    assert!(place.path("vae/encoder.onnx").exists());
}

#[test]
fn what_does_not_go_together_is_refused() {
    let place = place();
    let refusals = [
        (
            "pix2pix --dataset folder:a",
            "add --task, or --target-dataset",
        ),
        ("cyclegan --dataset folder:a", "add --target-dataset"),
        (
            "pix2pix --dataset folder:a --target-dataset folder:b --task denoise",
            "not both",
        ),
        (
            "cyclegan --dataset folder:a --target-dataset folder:empty",
            "no pictures to read",
        ),
        (
            "pix2pix --dataset folder:a --target-dataset folder:c",
            "000 has no partner: there is no picture of this name among the training pictures of folder:a",
        ),
        (
            "pix2pix --dataset folder:a --target-dataset npz:d.npz",
            "d.npz",
        ),
        (
            "pix2pix --dataset folder:a --task colorize --channels grey",
            "the task colorize needs images in colour",
        ),
        ("pix2pix --dataset folder:a --task colourise", "colourise"),
        (
            "cyclegan --dataset folder:a --target-dataset folder:b --loss relativistic",
            "choose another --loss",
        ),
        (
            "pix2pix --dataset folder:a --task denoise --pixel-weight 0 --adversarial-weight 0",
            "nothing to learn from",
        ),
        (
            "pix2pix --dataset folder:a --task denoise --generator detail",
            "no generator of the kind detail",
        ),
        (
            "autoencoder --dataset folder:a --generator u-net",
            "of the kind u-net",
        ),
        (
            "autoencoder --dataset folder:a --conditional",
            "no --conditional",
        ),
        ("autoencoder --dataset folder:a --loss hinge", "no --loss"),
        ("dcgan --dataset folder:a --task denoise", "no --task"),
        (
            "dcgan --dataset folder:a --generator u-net",
            "of the kind u-net",
        ),
        (
            "cyclegan --dataset folder:a --target-dataset folder:few",
            "a step takes 8 images of each kind (--batch)",
        ),
        (
            "autoencoder --dataset folder:a --task upscale-2x",
            "the task upscale-2x is for pix2pix",
        ),
        (
            "encdec --dataset folder:a --task colorize",
            "the task colorize is for pix2pix",
        ),
        (
            "cyclegan --dataset folder:a --target-dataset folder:grey --identity-weight 1",
            "add --channels rgb",
        ),
        (
            "pix2pix --dataset folder:a --task denoise --adversarial-weight 0 --loss hinge",
            "--loss is about the discriminator",
        ),
        (
            "pix2pix --dataset folder:a --target-dataset folder:twice",
            "two pictures of folder:twice are called 000",
        ),
        (
            "autoencoder --dataset folder:a --latent-size 1000",
            "--latent-size must be below the 768 numbers of an image",
        ),
    ];
    fs::create_dir(place.path("empty")).unwrap();
    for half in ["train", "test"] {
        for number in 0..12 {
            let grey = image::GrayImage::from_pixel(16, 16, image::Luma([20 * number]));
            let folder = place.path("grey").join(half);
            fs::create_dir_all(&folder).unwrap();
            grey.save(folder.join(format!("{number:03}.png"))).unwrap();
        }
        waves(&place.path("twice").join(half), 0..40, true);
        let folder = place.path("twice").join(half);
        let bitmap = image::open(folder.join("001.png")).unwrap();
        bitmap.save(folder.join("000.bmp")).unwrap();
    }
    waves(&place.path("few/train"), 0..3, true);
    waves(&place.path("few/test"), 3..5, true);
    // As many, but one has another name.
    waves(&place.path("c/train"), 0..40, true);
    waves(&place.path("c/test"), 40..52, true);
    let rename = |from: &str, to: &str| fs::rename(place.path(from), place.path(to)).unwrap();
    rename("a/train/000.png", "a/train/zero.png");
    for (words, expected) in refusals {
        let words = words.replacen(
            "folder:a --target-dataset folder:b",
            "folder:b --target-dataset folder:c",
            1,
        );
        let size = if words.starts_with("encdec") {
            COMMON.replace("--size nano", "")
        } else {
            COMMON.to_owned()
        };
        let said = place.refusal(&format!("fit --recipe {words} {size} --epochs 1 --out run"));
        assert!(said.contains(expected), "{words}: {said}");
        assert!(!place.path("run").exists(), "{words}");
        // A dry run says the same.
        let said = place.refusal(&format!("fit --dry-run --recipe {words} {size} --epochs 1"));
        assert!(said.contains(expected), "{words}: {said}");
    }
    rename("a/train/zero.png", "a/train/000.png");

    // A model that reads latents is given pictures, and the reverse.
    let nano = format!("{COMMON} --dataset folder:a --epochs 1");
    place.ends_with(0, &format!("fit {nano} --recipe dcgan --out latents"));
    place.ends_with(
        0,
        &format!("fit {nano} --recipe autoencoder --out pictures"),
    );
    place.ends_with(
        0,
        &format!("fit {nano} --recipe pix2pix --task upscale-4x --out larger"),
    );
    place.ends_with(
        0,
        &format!("fit {nano} --recipe pix2pix --task denoise --out wide"),
    );
    waves(&place.path("mixed"), 0..3, false);
    let wide: RgbImage = ImageBuffer::new(24, 16);
    wide.save(place.path("mixed/wide.png")).unwrap();
    for (line, expected) in [
        (
            "translate latents --input a/test -o made",
            "makes images of latents, not of pictures",
        ),
        (
            "sample pictures -o grid.png --engine tract",
            "makes images of pictures, not of latents",
        ),
        (
            "sample pictures -o grid.png",
            "makes images of pictures, not of latents",
        ),
        (
            "interpolate pictures -o strip.png",
            "makes images of pictures, not of latents",
        ),
        (
            "translate pictures --input wide.png -o image.png",
            "it reads pictures of 3x16x16 only",
        ),
        (
            "translate pictures --input nothing.png -o image.png",
            "nothing.png",
        ),
        ("translate pictures --input run.txt -o image.png", "run.txt"),
        (
            "translate pictures --input a/test -o run.txt",
            "run.txt is no folder",
        ),
        (
            "translate pictures --input empty -o made",
            "no pictures to read",
        ),
        (
            "translate pictures --input a/test -o made --truth few",
            "few has no picture of the name 040",
        ),
        (
            "translate larger --input a/test/040.png -o image.png --truth a/test/040.png",
            "should be like it is 3x64x64",
        ),
        (
            "translate latents --input a/test -o made --apply-task",
            "makes images of latents",
        ),
        ("eval pictures --floor", "leave out --floor"),
        ("eval pictures --image-size 8", "flags about data"),
        (
            "translate pictures --input a/test -o a/test",
            "would take the place of the pictures",
        ),
        (
            "translate pictures --input twice/test -o made",
            "are called 000",
        ),
        (
            "translate pictures --input mixed -o made",
            "it reads pictures of 3x16x16 only, or add --resize",
        ),
        (
            "translate wide --input mixed -o made --grid grid.png",
            "--grid needs pictures of one size",
        ),
        (
            "translate pictures --input a/test/040.png -o grid.png --grid grid.png",
            "--grid needs a file of its own",
        ),
        (
            "fit --recipe dcgan --dataset folder:a --image-size 16 --teacher wide --epochs 1 --out made",
            "has no generator and discriminator",
        ),
    ] {
        fs::write(place.path("run.txt"), "no picture").unwrap();
        let wide: RgbImage = ImageBuffer::new(24, 16);
        wide.save(place.path("wide.png")).unwrap();
        let said = place.refusal(line);
        assert!(said.contains(expected), "{line}: {said}");
        for name in ["made", "image.png", "grid.png", "strip.png"] {
            assert!(!place.path(name).exists(), "{line}: {name}");
        }
    }
}

/// Wherever it was killed, and with whatever number of threads it goes on.
#[test]
fn a_killed_run_ends_with_the_bytes_of_one_left_alone() {
    let place = place();
    let sized = "--size nano";
    for (recipe, size, more) in [
        (
            "pix2pix",
            sized,
            "--target-dataset folder:b --generator u-net",
        ),
        (
            "cyclegan",
            sized,
            "--target-dataset folder:b --norm instance",
        ),
        ("autoencoder", sized, ""),
        ("encdec", "", "--task inpaint"),
    ] {
        let fit = format!(
            "fit --recipe {recipe} {size} --dataset folder:a {more} --image-size 16 --batch 8 --epochs 30 --flip \
             --device cpu --checkpoint-every 2"
        );
        let (alone, killed) = (format!("{recipe}-alone"), format!("{recipe}-killed"));
        place.ends_with(0, &format!("{fit} --threads 1 --out {alone}"));
        let mut child = place.start(&format!("{fit} --threads 2 --out {killed}"));
        for (step, threads) in [(20, 1), (70, 3), (112, 2)] {
            place.wait_for_step(&killed, step, &mut child);
            child.kill().unwrap();
            child.wait().unwrap();
            child = place.start(&format!("fit --resume {killed} --threads {threads}"));
        }
        assert!(child.wait().unwrap().success(), "{recipe}");
        let bytes = |run: &str, name: &str| fs::read(place.path(run).join(name)).unwrap();
        for name in [
            "checkpoints/step-00000150.safetensors",
            "model.onnx",
            "samples.png",
        ] {
            assert!(
                bytes(&alone, name) == bytes(&killed, name),
                "{recipe}: {name}"
            );
        }
    }
}

/// A grid has the format that its ending says, and is for one picture as for many.
#[test]
fn one_held_out_picture_is_enough() {
    let place = Place::new();
    waves(&place.path("a/train"), 0..16, false);
    waves(&place.path("a/test"), 16..17, false);
    let fit =
        format!("fit {COMMON} --recipe pix2pix --dataset folder:a --task denoise --epochs 30");
    place.ends_with(0, &format!("{fit} --on-collapse stop --out run"));
    let log = fs::read_to_string(place.path("run/stats.jsonl")).unwrap();
    // One image is no nearer to others than to itself.
    assert!(
        log.contains("entropy") && !log.contains("nearest_generated"),
        "{log}"
    );
    place.ends_with(
        0,
        "translate run --input a/test -o made --apply-task --grid grid.gif",
    );
    let grid = fs::read(place.path("grid.gif")).unwrap();
    assert!(grid.starts_with(b"GIF8"));
}
