//! Arrays of NumPy's and idx files.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::put;
use crate::data::fixture::{gzip, idx_file};
use crate::data::{DataError, Dataset, Images, Options, Split, SplitRule, load};

/// An array as NumPy saves it.
fn npy(descr: &str, fortran: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    // With the newline the elements start at a multiple of 64.
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let text = format!("{text:<width$}\n", width = length - 1);
    let length = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), elements].concat()
}

fn bytes(shape: &str, elements: &[u8]) -> Vec<u8> {
    npy("|u1", "False", shape, elements)
}

fn npz(path: &Path, method: CompressionMethod, arrays: &[(&str, Vec<u8>)]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, array) in arrays {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(array).unwrap();
    }
    zip.finish().unwrap();
}

/// Both splits of a file with these arrays.
fn splits(arrays: &[(&str, Vec<u8>)]) -> Result<[Images; 2], DataError> {
    splits_by(SplitRule::Stratified, arrays)
}

fn splits_by(rule: SplitRule, arrays: &[(&str, Vec<u8>)]) -> Result<[Images; 2], DataError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("own.npz");
    let both = |method| {
        npz(&path, method, arrays);
        both_by(rule, Dataset::Npz(path.clone()))
    };
    let packed = both(CompressionMethod::Deflated);
    let plain = both(CompressionMethod::Stored);
    assert_eq!(packed.as_ref().ok(), plain.as_ref().ok());
    plain
}

fn both(dataset: Dataset) -> Result<[Images; 2], DataError> {
    both_by(SplitRule::Stratified, dataset)
}

fn both_by(split_rule: SplitRule, dataset: Dataset) -> Result<[Images; 2], DataError> {
    let options = Options {
        split_rule,
        ..Options::default()
    };
    let of = |split| load(&dataset, split, &options);
    Ok([of(Split::Train)?, of(Split::Test)?])
}

fn refusal(arrays: &[(&str, Vec<u8>)]) -> String {
    let sentence = splits(arrays).unwrap_err().to_string();
    assert!(
        sentence.contains("own.npz: ") && sentence.lines().count() == 1,
        "{sentence}"
    );
    sentence
}

#[test]
fn the_axes_may_be_in_any_order() {
    // Two pictures of 1 x 2 pixels: red 1 and 2, green 3 and 4, blue 5 and 6; then ten more of each.
    let planes = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16];
    let pixels = [1, 3, 5, 2, 4, 6, 11, 13, 15, 12, 14, 16];
    for (shape, elements) in [("(2, 3, 1, 2)", planes), ("(2, 1, 2, 3)", pixels)] {
        let arrays = ["x_train", "x_test"].map(|name| (name, bytes(shape, &elements)));
        let [train, test] = splits(&arrays).unwrap();
        assert_eq!(
            (train.count, train.channels, train.height, train.width),
            (2, 3, 1, 2)
        );
        assert_eq!(train.pixels, planes);
        assert_eq!(train, test);
        assert!(train.classes.is_empty() && train.labels.is_empty());
    }
    for shape in ["(2, 2, 3)", "(2, 2, 3, 1)", "(2, 1, 2, 3)"] {
        let [train, _] = splits(&[
            ("train_images", bytes(shape, &planes)),
            ("test_images", bytes(shape, &planes)),
        ])
        .unwrap();
        let channels = if shape == "(2, 1, 2, 3)" { 3 } else { 1 };
        assert_eq!(train.channels, channels, "{shape}");
    }
}

#[test]
fn runs_of_earlier_versions_keep_every_tenth_image_for_testing() {
    let pixels: Vec<u8> = (0..25).collect();
    let labels: Vec<u8> = pixels
        .iter()
        .flat_map(|i| i64::from(i % 3).to_le_bytes())
        .collect();
    let arrays = [
        ("images", bytes("(25, 1, 1)", &pixels)),
        ("labels", npy("<i8", "False", "(25,)", &labels)),
    ];
    let [train, test] = splits_by(SplitRule::Legacy, &arrays).unwrap();
    assert_eq!(test.pixels, [9, 19]);
    assert_eq!(test.labels, [0, 1]);
    assert_eq!(train.count, 23);
    assert_eq!(train.pixels[8..10], [8, 10]);
    assert_eq!(train.labels[8..10], [2, 1]);
    assert_eq!(train.classes, ["0", "1", "2"]);
    assert_eq!(test.classes, train.classes);
}

/// The labels of Keras' and torchvision's examples often go 0 to 9 over and over: a tenth of each class is for testing,
/// one of a class of two, none of a class of one.
#[test]
fn without_test_images_a_tenth_of_each_class_is_for_testing() {
    let pixels: Vec<u8> = (0..243).collect();
    let label = |i: usize| match i {
        0..240 => (i % 10) as u8,
        240 | 241 => 10,
        _ => 11,
    };
    let labels: Vec<u8> = (0..243).map(label).collect();
    let arrays = [
        ("images", bytes("(243, 1, 1)", &pixels)),
        ("labels", npy("|u1", "False", "(243,)", &labels)),
    ];
    let [train, test] = splits(&arrays).unwrap();
    let counts = |images: &Images| -> Vec<usize> {
        let count = |class| {
            images
                .labels
                .iter()
                .filter(|&&label| label == class)
                .count()
        };
        (0..12).map(count).collect()
    };
    assert_eq!(counts(&test), [&[2; 10][..], &[1, 0]].concat());
    assert_eq!(counts(&train), [&[22; 10][..], &[1, 1]].concat());
    // Each image is in one split, with its label and in its order.
    let mut all = [train.pixels.clone(), test.pixels.clone()].concat();
    for images in [&train, &test] {
        assert!(images.pixels.is_sorted());
        let of_pixel: Vec<u8> = images.pixels.iter().map(|&p| label(p.into())).collect();
        assert_eq!(images.labels, of_pixel);
    }
    all.sort_unstable();
    assert_eq!(all, pixels);
    assert_eq!(splits(&arrays).unwrap(), [train, test.clone()]);
    // It is drawn: not the last of each ten.
    assert_ne!(test.pixels[..2], [9, 19]);
    // No test image is none.
    let empty = ("x_test", bytes("(0, 1, 1)", &[]));
    let [_, test] = splits(&[arrays[0].clone(), empty]).unwrap();
    assert_eq!(test.count, 24);
    // Without labels all are of one class.
    let [train, test] = splits(&arrays[..1]).unwrap();
    assert_eq!((train.count, test.count), (219, 24));
}

#[test]
fn labels_may_be_any_integers() {
    for (descr, elements) in [
        ("|u1", vec![0, 200]),
        ("<u2", vec![0, 0, 200, 0]),
        (">i4", vec![0, 0, 0, 0, 0, 0, 0, 200]),
        (
            "<u8",
            vec![0, 0, 0, 0, 0, 0, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0],
        ),
    ] {
        for (shape, order) in [("(2,)", "False"), ("(2, 1)", "True")] {
            let labels = npy(descr, order, shape, &elements);
            let [train, _] = splits(&[
                ("x_train", bytes("(2, 1, 1)", &[1, 2])),
                ("y_train", labels),
                ("x_test", bytes("(1, 1, 1)", &[3])),
                ("y_test", bytes("(1,)", &[255])),
            ])
            .unwrap();
            assert_eq!(train.labels, [0, 200]);
            assert_eq!(train.classes.len(), 256);
        }
    }
}

#[test]
fn a_file_that_says_something_else_is_refused() {
    let images = ("x_train", bytes("(2, 1, 1)", &[1, 2]));
    let labels = |descr, shape, elements: &[u8]| {
        let labels = npy(descr, "False", shape, elements);
        refusal(&[images.clone(), ("y_train", labels)])
    };
    let only = |array| refusal(&[("x_train", array)]);
    for (sentence, part) in [
        (refusal(&[]), "no array x_train"),
        (refusal(&[("pictures", images.1.clone())]), "[\"pictures\"]"),
        (only(npy("<f4", "False", "(1, 1, 1)", &[0; 4])), "\"<f4\""),
        (only(npy("|O", "False", "(1, 1, 1)", &[0; 4])), "\"|O\""),
        (only(npy("|u1", "True", "(2, 2, 2)", &[0; 8])), "Fortran"),
        (only(bytes("(2, 2)", &[0; 4])), "[2, 2]"),
        (only(bytes("(1, 2, 2, 2)", &[0; 8])), "[1, 2, 2, 2]"),
        (only(bytes("(0, 2, 2)", &[])), "[0, 2, 2]"),
        (
            only(bytes("(2, 2, 2)", &[0; 7])),
            "of its 8 bytes there are 7",
        ),
        (
            only(bytes("(2, 2, 2)", &[0; 9])),
            "of its 8 bytes there are more",
        ),
        (
            only(bytes("(4294967296, 4294967296, 4294967296)", &[0; 9])),
            "4 GiB",
        ),
        (only(bytes("(100000, 1000, 1000)", &[0; 9])), "4 GiB"),
        (only(b"\x93NUMPY".to_vec()), "broken"),
        (only(bytes("((2), 1)", &[])), "plain array"),
        (labels("<i2", "(2,)", &[0, 0, 0xff, 0xff]), "label -1"),
        (labels("<i2", "(2,)", &[0, 0, 0, 1]), "label 256"),
        (
            labels("|u1", "(3,)", &[0; 3]),
            "3 labels for 2 training images",
        ),
        (labels("|u1", "(1, 2)", &[0; 2]), "[1, 2]"),
        (labels("<f8", "(2,)", &[0; 16]), "integers"),
        (labels("|u1", "(2,)", &[0; 1]), "broken"),
        (only(bytes("(1, 1, 1)", &[1])), "test"),
        (
            refusal(&[images.clone(), ("x_test", bytes("(1, 1, 2)", &[1, 2]))]),
            "[1, 1, 2]",
        ),
        (
            refusal(&[
                images.clone(),
                ("y_train", bytes("(2,)", &[0; 2])),
                ("x_test", images.1.clone()),
            ]),
            "labels for one",
        ),
    ] {
        assert!(sentence.contains(part), "{part} in {sentence}");
    }
}

#[test]
fn what_is_no_zip_archive_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("own.npz");
    let refused = || both(Dataset::Npz(path.clone())).unwrap_err().to_string();
    assert!(refused().contains("cannot read"));
    npz(
        &path,
        CompressionMethod::Deflated,
        &[("x_train", bytes("(20, 1, 1)", &[7; 20]))],
    );
    let whole = std::fs::read(&path).unwrap();
    assert!(both(Dataset::Npz(path.clone())).is_ok());
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(refused().contains("own.npz: "), "cut at {length}");
    }
    // A flipped bit anywhere may go unseen where nothing is read; it never gives other pixels.
    for place in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[place] ^= 4;
        std::fs::write(&path, &flipped).unwrap();
        if let Ok([train, _]) = both(Dataset::Npz(path.clone())) {
            assert!(train.pixels == [7; 18], "flipped at {place}");
        }
    }
}

#[test]
fn idx_files_of_the_users_own_are_read() {
    let folder = TempDir::new().unwrap();
    let dataset = || Dataset::Idx(folder.path().to_owned());
    let refused = || both(dataset()).unwrap_err().to_string();
    assert!(refused().contains("neither train-images-idx3-ubyte nor"));
    let pixels: Vec<u8> = (0..20).collect();
    let images = idx_file(&[20, 1, 1], &pixels);
    put(folder.path(), "train-images-idx3-ubyte.gz", &gzip(&images));
    let [train, test] = both(dataset()).unwrap();
    assert_eq!((train.count, test.count), (18, 2));
    put(
        folder.path(),
        "train-labels-idx1-ubyte",
        &idx_file(&[20], &[3; 20]),
    );
    let [train, _] = both(dataset()).unwrap();
    assert_eq!((train.labels, train.classes.len()), (vec![3; 18], 4));
    put(
        folder.path(),
        "t10k-images-idx3-ubyte",
        &idx_file(&[1, 1, 1], &[77]),
    );
    assert!(refused().contains("labels for one"));
    put(
        folder.path(),
        "t10k-labels-idx1-ubyte",
        &idx_file(&[1], &[9]),
    );
    let [train, test] = both(dataset()).unwrap();
    assert_eq!(
        (train.count, test.pixels, test.labels),
        (20, vec![77], vec![9])
    );
    assert_eq!(test.classes.len(), 10);
    let file = "train-labels-idx1-ubyte";
    for (labels, part) in [
        (idx_file(&[19], &[3; 19]), "19 labels for 20"),
        (idx_file(&[20], &[3; 19]), "19 bytes follow"),
        (idx_file(&[20], &[3; 21]), "trailing"),
        (idx_file(&[4, 5], &[3; 20]), "magic"),
        (vec![0, 0, 8], "3 bytes"),
        (idx_file(&[u32::MAX], &[3; 20]), "20 bytes follow"),
    ] {
        put(folder.path(), file, &labels);
        assert!(refused().contains(part), "{}", refused());
    }
    let vast = idx_file(&[u32::MAX, u32::MAX, u32::MAX], &pixels);
    put(folder.path(), "train-images-idx3-ubyte.gz", &gzip(&vast));
    assert!(refused().contains("more than the"), "{}", refused());
}
