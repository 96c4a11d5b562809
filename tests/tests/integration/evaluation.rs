//! Every score on images of which it is known what they are: real ones, copies, planted collapses.

use pocketgan_trainer::data::{self, Dataset, Images, Options, Split, spread};
use pocketgan_trainer::evaluation::{Figures, Judge, Samples, Scored};
use pocketgan_trainer::spec::Shape;

const COUNT: usize = 1000;
const SHAPE: Shape = Shape::new(1, 28, 28);

fn fashion(split: Split) -> Images {
    data::load(&"fashion".parse().unwrap(), split, &Options::default()).unwrap()
}

fn figure(figures: &Figures, key: &str) -> f64 {
    figures
        .get(key)
        .unwrap_or_else(|| panic!("no {key} in {figures:?}"))
}

#[test]
fn scores_tell_what_images_are() {
    let (train, test) = (fashion(Split::Train), fashion(Split::Test));
    let samples = Samples::new(Some(COUNT));
    let dataset: Dataset = "fashion".parse().unwrap();
    let mut judge = Judge::new(&dataset, [&train, &test], samples, None, &mut |_| {}).unwrap();
    let mut score = |pixels: &[u8]| judge.score(pixels, SHAPE, &mut |_| {}).unwrap();
    // Of each thousand the same share: neither is a copy of the other.
    let copies = score(&spread(&train.pixels, SHAPE.len(), COUNT));
    let unseen = score(&spread(&test.pixels, SHAPE.len(), COUNT));
    let collapsed = score(&train.pixels[..SHAPE.len()].repeat(COUNT));
    let one_class = score(&of_class(&train, 1));
    let dark = score(&vec![0; COUNT * SHAPE.len()]);
    let data = judge.data();
    let of = |scored: &Scored, key: &str| figure(&scored.figures, key);

    for real in [&copies, &unseen] {
        assert!(of(real, "fid_cls") < 1.0, "{real:?}");
        assert!(
            of(real, "kid").abs() < 5.0 * of(real, "kid_deviation") + 1e-9,
            "{real:?}"
        );
        for key in ["precision", "recall", "coverage"] {
            assert!(of(real, key) > 0.85, "{key}: {real:?}");
        }
        assert_eq!(of(real, "class_coverage"), 1.0);
        assert!(of(real, "js_classes") < 0.005 && of(real, "js_pixels") < 0.005);
        assert!((of(real, "entropy") - figure(data, "entropy")).abs() < 0.01);
    }
    let density = of(&copies, "density");
    assert!((density - 1.0).abs() < 0.15, "{density}");
    // The test images that are drawn are those that precision and its kin hold them against: each lies in its own
    // ball and, on average, in five others.
    for (key, expected) in [
        ("precision", 1.0),
        ("recall", 1.0),
        ("coverage", 1.0),
        ("density", 1.2),
    ] {
        assert!(
            (of(&unseen, key) - expected).abs() < 1e-9,
            "{key}: {unseen:?}"
        );
    }

    // Copies of training images are at no distance from them, and others are not.
    assert_eq!(of(&copies, "nearest_train"), 0.0);
    assert_eq!(of(&copies, "copying"), 1.0);
    assert_eq!(of(&unseen, "nearest_train"), figure(data, "nearest_train"));
    assert_eq!(of(&unseen, "copying"), 0.5);
    assert!(figure(data, "nearest_train") > 20.0);

    // One image over and over.
    assert_eq!(of(&collapsed, "nearest_generated"), 0.0);
    assert!(of(&collapsed, "recall") < 0.05 && of(&collapsed, "coverage") < 0.2);
    // One class of ten: ln 10 from equal shares.
    for one in [&collapsed, &one_class] {
        assert!(of(one, "fid_cls") > 20.0, "{one:?}");
    }
    assert_eq!(of(&collapsed, "class_coverage"), 0.1);
    assert_eq!(of(&collapsed, "class_entropy"), 0.0);
    let apart = of(&collapsed, "kl_classes_uniform");
    assert!((apart - 10f64.ln()).abs() < 1e-9, "{apart}");
    assert!(of(&one_class, "class_coverage") < 0.35, "{one_class:?}");
    assert!(of(&one_class, "nearest_generated") > 10.0);

    assert_eq!(of(&dark, "entropy"), 0.0);
    assert!(of(&dark, "js_pixels") > 0.1 && of(&dark, "kl_pixels").is_finite());
    let names: Vec<&str> = dark.figures.0.iter().map(|f| &*f.protocol).collect();
    assert!(names.contains(&"fid-cls-1k-test"), "{names:?}");
    assert!(names.contains(&"kid-cls-1k-test-100x1000"), "{names:?}");
    assert!(names.contains(&"precision-k5-cls-1k-test"), "{names:?}");
}

/// The first images of a class.
fn of_class(images: &Images, class: u8) -> Vec<u8> {
    let labelled = images.pixels.chunks(SHAPE.len()).zip(&images.labels);
    let wanted = labelled.filter(|(_, label)| **label == class);
    wanted
        .take(COUNT)
        .flat_map(|(image, _)| image)
        .copied()
        .collect()
}

#[test]
fn images_of_another_shape_are_refused() {
    let test = fashion(Split::Test);
    let few = |images: &Images, count: usize| Images {
        count,
        pixels: images.pixels[..count * SHAPE.len()].to_vec(),
        labels: images.labels[..count].to_vec(),
        ..images.clone()
    };
    let dataset: Dataset = "fashion".parse().unwrap();
    let samples = Samples::new(Some(10));
    let (some, five) = (few(&test, 20), few(&test, 5));
    let refused = Judge::new(&dataset, [&some, &five], samples, None, &mut |_| {});
    assert!(
        refused
            .err()
            .unwrap()
            .to_string()
            .contains("too few images")
    );
    let mut judge = Judge::new(&dataset, [&some, &some], samples, None, &mut |_| {}).unwrap();
    let refused = judge.score(&[0; 320], Shape::new(1, 4, 8), &mut |_| {});
    let sentence = refused.unwrap_err().to_string();
    assert_eq!(
        sentence,
        "the model makes images of 1x4x8, and the data set's are 1x28x28"
    );
}
