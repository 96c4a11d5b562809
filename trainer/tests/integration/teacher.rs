//! Runs that learn from another run, as a user sees them.

use crate::common::Place;
use crate::runs_and_data::pictures;
use serde_json::Value;
use std::fs;

const COMMON: &str = "--dataset folder:own --image-size 8 --batch 8 --device cpu --threads 2";

/// Pictures, and the run of a GAN on them that may be a teacher.
fn place() -> Place {
    let place = Place::new();
    pictures(&place.path("own").join("train"), 40, 30);
    pictures(&place.path("own").join("test"), 4, 70);
    place.ends_with(
        0,
        &format!("fit {COMMON} --recipe dcgan --size small --latent-size 12 --epochs 1 --out gan"),
    );
    place
}

/// The losses of each line of a run's log.
fn losses(place: &Place, run: &str) -> Vec<Value> {
    let stats = fs::read_to_string(place.path(run).join("stats.jsonl")).unwrap();
    let lines = stats
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

#[test]
fn a_student_is_resumed_without_its_teachers_folder() {
    let place = place();
    let student = format!(
        "fit {COMMON} --recipe relativistic --size nano --teacher gan --teacher-epochs 33 --seed 3"
    );
    place.ends_with(0, &format!("{student} --epochs 40 --out whole"));
    place.ends_with(0, &format!("{student} --epochs 34 --out parts"));
    fs::rename(place.path("gan"), place.path("gone")).unwrap();
    place.ends_with(0, "fit --resume parts --epochs 40");
    let read = |run: &str, name: &str| fs::read(place.path(run).join(name)).unwrap();
    for name in ["model.pgan", "model-f32.pgan", "model.onnx"] {
        assert_eq!(read("whole", name), read("parts", name), "{name}");
    }
    let config = fs::read_to_string(place.path("whole/config.toml")).unwrap();
    assert!(config.contains("teacher = \"gan\""), "{config}");
    // A run anew needs the teacher.
    let said = place.refusal(&format!("{student} --epochs 40 --out anew"));
    assert!(said.contains("gan has no checkpoint"), "{said}");
    assert!(!place.path("anew").exists());
}

#[test]
fn a_log_has_the_losses_of_both_parts() {
    let place = place();
    let student = format!("fit {COMMON} --recipe dcgan --size nano --teacher gan");
    place.ends_with(
        0,
        &format!("{student} --epochs 32 --teacher-epochs 12 --out student"),
    );
    let lines = losses(&place, "student");
    let has = |key: &str| lines.iter().filter(|line| line[key].is_number()).count();
    // Steps 1 to 60 imitate; a line is of 50.
    let counts = ["pixels_loss", "features_loss", "discriminator_loss"].map(has);
    assert_eq!(counts, [2, 2, 2], "{lines:?}");
    let summary = fs::read(place.path("student/summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert!(summary["pixels_loss"].is_null(), "{summary}");
    assert_eq!(
        summary["discriminator_loss"],
        lines.last().unwrap()["discriminator_loss"]
    );
    let config = fs::read_to_string(place.path("student/config.toml")).unwrap();
    assert!(!config.contains("latent-size"), "{config}");
    let inspected = place.output("inspect student --json");
    let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(inspected["latent_size"], 12);
}

#[test]
fn a_finetuned_run_has_a_blob_of_its_numbers() {
    let place = place();
    place.ends_with(
        0,
        &format!("fit {COMMON} --recipe dcgan --teacher gan --finetune int4 --epochs 2 --out fine"),
    );
    let read = |name: &str| fs::read(place.path("fine").join(name)).unwrap();
    let blob = read("model.pgan");
    place.ends_with(0, "export gan --weights int4 --out coarse");
    let coarse = fs::read(place.path("coarse/model.pgan")).unwrap();
    assert_eq!(blob.len(), coarse.len());
    assert_ne!(blob, coarse);
    // An export of the run has the numbers that it was finetuned for.
    place.ends_with(0, "export fine --out again");
    assert_eq!(fs::read(place.path("again/model.pgan")).unwrap(), blob);
    place.ends_with(0, "export fine --weights int8 --out int8");
    assert!(fs::metadata(place.path("int8/model.pgan")).unwrap().len() > blob.len() as u64);
    place.ends_with(0, "fit --resume fine --epochs 3");
}

#[test]
fn what_cannot_be_learned_from_is_refused() {
    let place = place();
    place.ends_with(
        0,
        &format!("fit {COMMON} --recipe vae --size nano --epochs 1 --out vae"),
    );
    let student = format!("fit {COMMON} --recipe dcgan --out student");
    let larger = student.replace("--image-size 8", "--image-size 12");
    for (line, part) in [
        (
            format!("{student} --teacher vae"),
            "no generator and discriminator",
        ),
        (
            format!("{student} --teacher nowhere"),
            "nowhere has no checkpoint",
        ),
        (
            format!("{larger} --teacher gan"),
            "makes images of 3x8x8 and 0 classes",
        ),
        (
            format!("{student} --finetune int8"),
            "--finetune needs --teacher",
        ),
        (
            format!("{student} --feature-weight 2"),
            "--feature-weight needs --teacher",
        ),
        (
            format!("{student} --teacher gan --latent-size 4"),
            "leave out --latent-size",
        ),
        (
            format!("{student} --teacher gan --discriminator-size full"),
            "leave out --discriminator-size",
        ),
        (
            format!("{student} --teacher gan --finetune int8 --size nano"),
            "leave out --size",
        ),
        (
            format!("{student} --teacher gan --teacher-epochs 30"),
            "at most --epochs",
        ),
        (
            format!("{student} --teacher gan --minutes 1"),
            "--teacher-epochs",
        ),
        (
            format!("{student} --teacher gan --feature-weight=-1"),
            "from 0 to",
        ),
        (
            student.replace("dcgan", "vae") + " --teacher gan",
            "has no --teacher",
        ),
    ] {
        let said = place.refusal(&line);
        assert!(said.contains(part), "{line}: {said}");
        assert!(!place.path("student").exists());
    }
}
