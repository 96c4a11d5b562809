//! Latents of pictures, and what is made of them, through the real `trainer`.

use crate::common::Place;
use image::{Rgb, RgbImage};
use serde_json::Value;

fn json(place: &Place, line: &str) -> Value {
    let output = place.output(line);
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{line}: {said}"))
}

#[test]
fn pictures_are_projected_and_completed() {
    let place = Place::new();
    for i in 0..24 {
        let name = place.path("squares").join(format!("{i}.png"));
        std::fs::create_dir_all(place.path("squares")).unwrap();
        let bright = |at: u32| (2 + i % 3..6).contains(&at);
        let picture = RgbImage::from_fn(8, 8, |x, y| {
            Rgb([if bright(x) && bright(y) {
                220
            } else {
                20 + i as u8
            }; 3])
        });
        picture.save(name).unwrap();
    }
    let fit = "fit --dataset folder:squares --image-size 8 --size nano --batch 8 --device cpu --epochs 1 --out run";
    place.ends_with(0, fit);
    std::fs::create_dir(place.path("two")).unwrap();
    for i in 0..2 {
        let name = format!("{i}.png");
        std::fs::copy(
            place.path("squares").join(&name),
            place.path("two").join(&name),
        )
        .unwrap();
    }
    let search = "--starts 2 --steps 20 --json";
    let report = json(
        &place,
        &format!("project run --input two {search} -o grid.png"),
    );
    assert_eq!(report["images"].as_array().unwrap().len(), 2);
    assert!(place.path("grid.png").exists());
    let drawn = json(
        &place,
        "sample run --latents latents.json --json -o two.png",
    );
    assert_eq!(drawn["images"].as_array().unwrap().len(), 2);
    assert_eq!(drawn["images"][0]["seed"], Value::Null);

    let mask = "--mask bottom --count 2";
    let report = json(
        &place,
        &format!("inpaint run --input two {mask} {search} -o rest.png"),
    );
    for image in report["images"].as_array().unwrap() {
        let known = image["known_distance"].as_array().unwrap();
        assert_eq!(image["missing_distance"].as_array().unwrap().len(), 2);
        assert!(known[0].as_f64() <= known[1].as_f64());
    }

    std::fs::write(place.path("short.json"), r#"{"latents": [[1, 2]]}"#).unwrap();
    for (words, part) in [
        ("project run --input nowhere", "nowhere"),
        ("project run --input two --class 1", "has no classes"),
        ("project two --input two", "model.pgan"),
        (
            "inpaint run --input two --mask box:1,2",
            "box:X,Y,WIDTH,HEIGHT",
        ),
        ("inpaint run --input two --mask box:0,0,8,8", "leave a part"),
        ("inpaint run --input two --mask nowhere.png", "nowhere.png"),
        ("sample run --latents short.json", "takes 32"),
        ("sample run --latents two", "two"),
    ] {
        let said = place.refusal(words);
        assert!(said.contains(part), "{words}: {said}");
    }
}
