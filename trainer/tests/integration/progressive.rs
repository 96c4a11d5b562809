//! Networks that grow, as a user sees them.

use crate::common::Place;
use crate::runs_and_data::pictures;
use serde_json::Value;
use std::fs;

/// Sizes 4 and 8, of three steps a phase; two phases before the last, so six steps of sixteen in two epochs.
const FIT: &str = "fit --dataset folder:own --image-size 8 --batch 5 --device cpu --threads 2 \
                   --recipe progressive --discriminator-size nano --phase-images 15 --schedule-epochs 2";

fn place() -> Place {
    let place = Place::new();
    pictures(&place.path("own").join("train"), 40, 30);
    pictures(&place.path("own").join("test"), 4, 70);
    place
}

#[test]
fn sizes_are_kept_and_exported() {
    let place = place();
    let every = "--checkpoint-every 1 --keep 2 --epochs 2";
    place.ends_with(0, &format!("{FIT} {every} --out grown"));
    // The end of 4x4, and the newest.
    assert_eq!(place.checkpoints("grown"), [3, 15, 16]);
    let bytes = [4, 8].map(|rows| {
        place.ends_with(
            0,
            &format!("export grown --image-size {rows} --out of-{rows}"),
        );
        inspected(&place, &format!("of-{rows}"))
    });
    assert_eq!(bytes, [48, 192]);
    assert_eq!(inspected(&place, "grown"), 192);
    let said = place.refusal("export grown --image-size 32 --out none");
    assert!(
        said.contains("no checkpoint at the end of images with 32 rows; it has 4, 8"),
        "{said}"
    );
}

/// Bytes of an image of the model in a folder.
fn inspected(place: &Place, folder: &str) -> u64 {
    let output = place.output(&format!("inspect {folder} --json"));
    let inspected: Value = serde_json::from_slice(&output.stdout).unwrap();
    inspected["image_bytes"].as_u64().unwrap()
}

#[test]
fn a_run_is_resumed_in_any_phase() {
    let whole = place();
    let every = "--checkpoint-every 1 --keep 100 --epochs 2";
    whole.ends_with(0, &format!("{FIT} {every} --out run"));
    for from in [3, 5] {
        let place = whole.copy();
        // As a run that was killed.
        for step in place.checkpoints("run") {
            if step > from {
                fs::remove_file(place.checkpoint("run", step)).unwrap();
            }
        }
        fs::remove_file(place.path("run/summary.json")).unwrap();
        if from == 5 {
            let said = place.refusal("export run --out none");
            assert!(
                said.contains("a larger size of images is being faded in"),
                "{said}"
            );
        }
        place.ends_with(0, "fit --resume run");
        assert_eq!(
            place.outcome("run"),
            whole.outcome("run"),
            "from step {from}"
        );
    }
}

#[test]
fn what_does_not_go_with_growing_is_refused() {
    let place = place();
    let dcgan = FIT.replace("progressive", "dcgan");
    for (line, reason) in [
        (
            format!("{FIT} --epochs 3 --generator detail"),
            "leave out --generator",
        ),
        (format!("{FIT} --minutes 1"), "give --epochs"),
        (
            FIT.replace("-images 15", "-images 20") + " --epochs 1",
            "give more --epochs or fewer --phase-images",
        ),
        (
            FIT.replace("-images 15", "-images 0"),
            "--phase-images must be at least 1",
        ),
        (format!("{dcgan} --epochs 3"), "has no --phase-images"),
    ] {
        let said = place.refusal(&format!("{line} --out none"));
        assert!(said.contains(reason), "{said}");
    }
    assert!(!place.path("none").exists());
    // Two fifths of the epochs for the two phases before the last.
    let usual = FIT.replace("--phase-images 15 ", "");
    let output = place.output(&format!("{usual} --epochs 3 --dry-run --json"));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["config"]["phase-images"], 2 * 120 / (5 * 2), "{said}");
}
