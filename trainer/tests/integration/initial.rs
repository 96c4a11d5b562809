//! Runs that begin with another run's weights, as a user sees them.

use crate::common::Place;
use crate::runs_and_data::pictures;
use std::fs;

const COMMON: &str =
    "fit --dataset folder:own --image-size 8 --batch 8 --device cpu --threads 2 --recipe dcgan";

/// Pictures, and a run on them.
fn place() -> Place {
    let place = Place::new();
    pictures(&place.path("own").join("train"), 40, 30);
    pictures(&place.path("own").join("test"), 4, 70);
    place.ends_with(
        0,
        &format!("{COMMON} --size small --latent-size 12 --epochs 2 --out first"),
    );
    place
}

fn read(place: &Place, path: &str) -> Vec<u8> {
    fs::read(place.path(path)).unwrap()
}

#[test]
fn all_layers_that_fit_are_taken() {
    let place = place();
    // Nothing changes at this rate, so what is exported is what the run began with.
    let still = format!("{COMMON} --init-from first --lr 1e-12 --epochs 1");
    let out = place.ends_with(
        0,
        &format!("{still} --size small --latent-size 12 --out same"),
    );
    for network in ["generator", "discriminator"] {
        assert!(
            out.contains(&format!("{network}: all layers begin")),
            "{}",
            out
        );
    }
    let name = "model.pgan";
    let [first, same] = ["first", "same"].map(|run| read(&place, &format!("{run}/{name}")));
    assert!(first == same);
    // Another latent: only the dense layer is fresh.
    let other = format!("{still} --size small --latent-size 20 --dry-run");
    let said = place.ends_with(0, &other);
    let partly = "generator: 4 of 5 layers begin with its weights; fresh, because they are not there or have another \
                  shape: 0 (Linear)";
    assert!(said.contains(partly), "{said}");
    assert!(said.contains("discriminator: all layers begin"), "{said}");
}

#[test]
fn a_run_is_resumed_without_the_one_that_it_began_with() {
    let place = place();
    let begun = format!("{COMMON} --init-from first --size small --latent-size 12");
    place.ends_with(0, &format!("{begun} --epochs 3 --out whole"));
    place.ends_with(0, &format!("{begun} --epochs 1 --out parts"));
    fs::rename(place.path("first"), place.path("gone")).unwrap();
    place.ends_with(0, "fit --resume parts --epochs 3");
    for name in ["model.pgan", "model-f32.pgan", "model.onnx"] {
        let [whole, parts] = ["whole", "parts"].map(|run| read(&place, &format!("{run}/{name}")));
        assert!(whole == parts, "{name}");
    }
    let said = place.refusal(&format!("{begun} --epochs 1 --out anew"));
    assert!(said.contains("first has no checkpoint"), "{said}");
    assert!(!place.path("anew").exists());
}

#[test]
fn a_run_with_nothing_in_common_is_refused() {
    let place = place();
    for (flags, reason) in [
        (
            "--size nano --latent-size 12",
            "nothing can be taken from it",
        ),
        ("--size small --teacher first", "leave out --init-from"),
    ] {
        let said = place.refusal(&format!("{COMMON} {flags} --init-from first --out none"));
        assert!(said.contains(reason), "{said}");
        assert!(!place.path("none").exists());
    }
}
