//! Folders of pictures.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Kind, plain, png, put};
use crate::data::{
    Channels, DataError, Dataset, Images, Options, Pictures, Split, SplitRule, load_with,
};

fn load(
    folder: &Path,
    split: Split,
    pictures: Pictures,
) -> (Result<Images, DataError>, Vec<String>) {
    let mut said = Vec::new();
    let options = Options {
        pictures,
        ..Options::default()
    };
    let dataset = Dataset::Folder(folder.to_owned());
    let images = load_with(&dataset, split, &options, &mut |line| {
        said.push(line.to_owned())
    });
    (images, said)
}

const SMALL: Pictures = Pictures {
    side: 4,
    channels: Channels::Auto,
    skip_broken: false,
};

fn train(folder: &Path) -> Images {
    load(folder, Split::Train, SMALL).0.unwrap()
}

fn complaint(folder: &Path) -> String {
    load(folder, Split::Train, SMALL).0.unwrap_err().to_string()
}

/// The first pixel of each image, which says what it is.
fn first_pixels(images: &Images) -> Vec<u8> {
    let images = images.pixels.chunks_exact(images.image_len());
    images.map(|image| image[0]).collect()
}

/// 120 pictures, of the colours 0 to 119.
fn many(folder: &Path) {
    for i in (0..120u8).rev() {
        put(folder, &format!("{i:03}.png"), &plain([i, i, 200]));
    }
}

#[test]
fn images_come_in_the_order_of_their_names() {
    let folder = TempDir::new().unwrap();
    many(folder.path());
    put(folder.path(), "notes.txt", b"no picture");
    put(folder.path(), ".hidden.png", b"no picture");
    put(folder.path(), ".cache/some.png", b"no picture");
    let images = train(folder.path());
    assert_eq!((images.channels, images.height, images.width), (3, 4, 4));
    let pixels = first_pixels(&images);
    assert!(pixels.is_sorted() && pixels.len() == images.count);
    // Planes of red, green and blue.
    let image = images.image(0).unwrap();
    assert_eq!(image[..32], [pixels[0]; 32]);
    assert_eq!(image[32..], [200; 16]);
    assert!(images.labels.is_empty() && images.classes.is_empty());
}

/// A picture's split hangs on its name alone.
#[test]
fn about_a_tenth_is_kept_for_testing() {
    let folder = TempDir::new().unwrap();
    many(folder.path());
    let of = |split| -> BTreeSet<u8> {
        let images = load(folder.path(), split, SMALL).0.unwrap();
        first_pixels(&images).into_iter().collect()
    };
    let (train, test) = (of(Split::Train), of(Split::Test));
    assert!(train.is_disjoint(&test) && train.len() + test.len() == 120);
    // By Python's hashlib.
    let expected = [1, 3, 4, 6, 31, 59, 68, 75, 78, 81, 82, 83, 95];
    assert_eq!(test, BTreeSet::from(expected));
    // By `printf 000.png | sha256sum`: the first 8 bytes are 0x…, of which the remainder by 10 tells.
    for i in 0..60 {
        fs::remove_file(folder.path().join(format!("{i:03}.png"))).unwrap();
    }
    let rest: BTreeSet<u8> = (60..120).collect();
    assert_eq!(of(Split::Train), &train & &rest);
    assert_eq!(of(Split::Test), &test & &rest);
}

#[test]
fn subfolders_are_classes() {
    let folder = TempDir::new().unwrap();
    for (name, grey) in [
        ("dog/1.png", 1),
        ("cat/a/deep.JPEG", 2),
        ("cat/9.png", 3),
        ("é/x.png", 4),
    ] {
        put(folder.path(), name, &plain([grey; 3]));
        put(&folder.path().join("train"), name, &plain([grey + 10; 3]));
        put(&folder.path().join("test"), name, &plain([grey + 20; 3]));
    }
    fs::create_dir(folder.path().join("test/empty")).unwrap();
    let test = load(folder.path(), Split::Test, SMALL).0.unwrap();
    let images = train(folder.path());
    assert_eq!(images.classes, ["cat", "dog", "é"]);
    assert_eq!(images.channels, 1);
    assert_eq!(first_pixels(&images), [13, 12, 11, 14]);
    assert_eq!(images.labels, [0, 0, 1, 2]);
    assert_eq!(first_pixels(&test), [23, 22, 21, 24]);
    assert_eq!((test.classes, test.labels), (images.classes, images.labels));
    put(&folder.path().join("test"), "fox/1.png", &plain([9; 3]));
    assert!(complaint(folder.path()).contains("class fox"));
    // Without `train` the folder is one, and `test` a class like others.
    fs::remove_dir_all(folder.path().join("train")).unwrap();
    assert_eq!(train(folder.path()).classes, ["cat", "dog", "test", "é"]);
    put(folder.path(), "stray.png", &plain([9; 3]));
    assert!(complaint(folder.path()).contains("stray.png lies beside subfolders"));
}

#[test]
fn images_are_grey_only_if_all_pictures_are() {
    let folder = TempDir::new().unwrap();
    let [learn, judge] = ["train/1.png", "test/1.png"].map(|name| (folder.path(), name));
    put(learn.0, learn.1, &png(Kind::Grey, 8, [1, 1], &[], &[40]));
    put(judge.0, judge.1, &plain([50; 3]));
    assert_eq!(train(folder.path()).pixels, [40; 16]);
    // One colour picture is enough, be it one for testing.
    put(judge.0, judge.1, &plain([255, 0, 0]));
    assert_eq!(train(folder.path()).pixels, [40; 48]);
    let channels = |channels| Pictures { channels, ..SMALL };
    let test = |pictures| load(folder.path(), Split::Test, pictures).0.unwrap().pixels;
    // Rec. 709: 0.2126 of 255.
    assert_eq!(test(channels(Channels::Grey)), [54; 16]);
    put(judge.0, judge.1, &plain([50; 3]));
    assert_eq!(test(channels(Channels::Rgb)), [50; 48]);
    assert_eq!(test(channels(Channels::Auto)), [50; 16]);
}

#[test]
fn a_broken_picture_is_named_or_passed_over() {
    let folder = TempDir::new().unwrap();
    for name in ["train/a.png", "train/c.png", "test/a.png"] {
        put(folder.path(), name, &plain([name.len() as u8; 3]));
    }
    put(folder.path(), "train/b.png", &plain([1; 3])[..50]);
    put(folder.path(), "train/d.jpg", b"no picture");
    let sentence = complaint(folder.path());
    for part in ["train/b.png: ", "(and one more file)", "--skip-broken"] {
        assert!(sentence.contains(part), "{sentence}");
    }
    assert_eq!(sentence.lines().count(), 1);
    let skip = Pictures {
        skip_broken: true,
        ..SMALL
    };
    let (images, said) = load(folder.path(), Split::Train, skip);
    assert_eq!(images.unwrap().pixels, [11; 32]);
    let named = |name: &str| said.iter().filter(|line| line.contains(name)).count();
    assert_eq!((named("b.png"), named("d.jpg"), named("a.png")), (1, 1, 0));
    for name in ["train/a.png", "train/c.png"] {
        put(folder.path(), name, b"no picture");
    }
    let error = load(folder.path(), Split::Train, skip).0.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("none of the training pictures can be read")
    );
}

#[test]
fn a_folder_that_holds_nothing_to_learn_is_refused() {
    let folder = TempDir::new().unwrap();
    put(folder.path(), "notes.txt", b"no picture");
    assert!(complaint(folder.path()).contains("no pictures to read"));
    assert!(complaint(&folder.path().join("nowhere")).contains("no such folder"));
    assert!(complaint(&folder.path().join("notes.txt")).contains("no such folder"));
    put(folder.path(), "train/a.png", &plain([1; 3]));
    fs::create_dir(folder.path().join("test")).unwrap();
    let error = load(folder.path(), Split::Test, SMALL).0.unwrap_err();
    assert!(error.to_string().contains("subfolder test"), "{error}");
    let options = Options {
        data_dir: Some("elsewhere".into()),
        ..Options::default()
    };
    let dataset = Dataset::Folder(folder.path().to_owned());
    let error = load_with(&dataset, Split::Train, &options, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("--data-dir"), "{error}");
    for class in 0..=256 {
        put(
            folder.path(),
            &format!("train/{class}/a.png"),
            &plain([1; 3]),
        );
    }
    fs::remove_file(folder.path().join("train/a.png")).unwrap();
    assert!(complaint(folder.path()).contains("257 classes"));
}

/// Links lead to pictures; what leads nowhere is named as what it is, and skipped where it may be.
#[cfg(unix)]
#[test]
fn links_are_followed() {
    use std::os::unix::fs::symlink;
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let folder = folder.path();
    put(elsewhere.path(), "a.png", &plain([1; 3]));
    put(folder, "b/b.png", &plain([2; 3]));
    symlink(elsewhere.path(), folder.join("a")).unwrap();
    assert_eq!(train(folder).classes, ["a", "b"]);
    let skip = Pictures {
        skip_broken: true,
        ..SMALL
    };
    for (target, link, part) in [
        (
            folder.to_owned(),
            "b/circle",
            "b/circle: it is a link back to",
        ),
        (
            folder.join("gone"),
            "b/c.png",
            "b/c.png: it is a link to something that is not there",
        ),
        (
            folder.join("b/d"),
            "b/d",
            "b/d: it cannot be read (Too many levels",
        ),
    ] {
        symlink(target, folder.join(link)).unwrap();
        let said = complaint(folder);
        assert!(
            said.contains(part) && said.contains("--skip-broken"),
            "{said}"
        );
        let (images, said) = load(folder, Split::Train, skip);
        assert_eq!(images.unwrap().count, 1);
        assert_eq!(
            said.iter().filter(|line| line.contains(part)).count(),
            1,
            "{said:?}"
        );
        fs::remove_file(folder.join(link)).unwrap();
    }
    // What is hidden is not looked at.
    symlink(folder.join("gone"), folder.join("b/.c.png")).unwrap();
    assert_eq!(train(folder).classes, ["a", "b"]);
}

/// Where there are two pictures there is one in each split, whatever their names.
#[test]
fn few_pictures_are_split_too() {
    let folder = TempDir::new().unwrap();
    let counts = |rule| {
        let of = |split| {
            let options = Options {
                pictures: SMALL,
                split_rule: rule,
                ..Options::default()
            };
            let dataset = Dataset::Folder(folder.path().to_owned());
            let images = load_with(&dataset, split, &options, &mut |_| {});
            images.map_or(0, |images| images.count)
        };
        [of(Split::Train), of(Split::Test)]
    };
    // By Python's hashlib, 001.png and 003.png are for testing.
    for (name, stratified, legacy) in [
        ("001.png", [1, 0], [0, 1]),
        ("003.png", [1, 1], [0, 2]),
        ("000.png", [1, 2], [1, 2]),
    ] {
        put(folder.path(), name, &plain([1; 3]));
        assert_eq!(counts(SplitRule::Stratified), stratified, "{name}");
        assert_eq!(counts(SplitRule::Legacy), legacy, "{name}");
    }
    for name in ["001.png", "003.png"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    for (name, stratified) in [("002.png", [1, 1]), ("005.png", [2, 1])] {
        put(folder.path(), name, &plain([1; 3]));
        assert_eq!(counts(SplitRule::Stratified), stratified, "{name}");
    }
    assert_eq!(counts(SplitRule::Legacy), [3, 0]);
}

/// What is broken is no picture of either split.
#[test]
fn a_split_has_a_picture_that_can_be_read() {
    let folder = TempDir::new().unwrap();
    let counts = || {
        let skip = Pictures {
            skip_broken: true,
            ..SMALL
        };
        let of = |split| {
            load(folder.path(), split, skip)
                .0
                .map_or(0, |images| images.count)
        };
        [of(Split::Train), of(Split::Test)]
    };
    // By the hash of its name 001.png is for testing, and is broken.
    put(folder.path(), "001.png", b"no picture");
    for (name, expected) in [
        ("000.png", [1, 0]),
        ("002.png", [1, 1]),
        ("005.png", [2, 1]),
    ] {
        put(folder.path(), name, &plain([1; 3]));
        assert_eq!(counts(), expected, "{name}");
    }
    // And where those for training are broken.
    for name in ["000.png", "002.png", "005.png"] {
        put(folder.path(), name, b"no picture");
    }
    for (name, expected) in [("001.png", [1, 0]), ("003.png", [1, 1])] {
        put(folder.path(), name, &plain([1; 3]));
        assert_eq!(counts(), expected, "{name}");
    }
}

/// Runs, models and pictures that this program made are no training data, nor are the system's folders.
#[test]
fn what_is_not_the_users_is_left_out() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let own = crate::report::montage(&[9; 16], crate::spec::Shape::new(1, 4, 4), 1).unwrap();
    put(folder, "mine.png", &plain([200; 3]));
    put(folder, "configured/config.toml", b"not of a run");
    put(folder, "configured/also-mine.png", &plain([100; 3]));
    put(folder, "grid.png", &own);
    put(folder, "runs/one/config.toml", b"dataset = 'folder:.'");
    put(folder, "runs/one/.lock", b"");
    put(folder, "runs/one/samples/0001.png", &plain([1; 3]));
    put(folder, "model/model.pgan", b"");
    put(folder, "model/samples.png", &plain([2; 3]));
    for system in [
        "@eaDir",
        "__MACOSX",
        ".AppleDouble",
        "$RECYCLE.BIN",
        "a/@eaDir/b",
    ] {
        put(folder, &format!("{system}/thumb.png"), &plain([3; 3]));
    }
    for (count, ending) in [(2, "avif"), (1, "HEIC"), (3, "txt")] {
        for i in 0..count {
            put(folder, &format!("{i}.{ending}"), b"");
        }
    }
    fs::rename(folder.join("mine.png"), folder.join("configured/mine.png")).unwrap();
    let pictures = Pictures {
        channels: Channels::Grey,
        ..SMALL
    };
    let (images, said) = load(folder, Split::Train, pictures);
    let test = load(folder, Split::Test, pictures).0.unwrap();
    let found = [first_pixels(&images.unwrap()), first_pixels(&test)].concat();
    assert_eq!(BTreeSet::from_iter(found), BTreeSet::from([100, 200]));
    for part in [
        "left out 2 folders of runs or models",
        "left out 1 picture that this program made",
        "pictures of these endings are not read: 2 .avif, 1 .heic",
    ] {
        assert_eq!(
            said.iter().filter(|line| line.contains(part)).count(),
            1,
            "{said:?}"
        );
    }
}

/// Every format that is named is read by its contents, whatever the ending's case.
#[test]
fn pictures_of_many_formats_are_read() {
    use image::ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, Tiff, WebP};
    let folder = TempDir::new().unwrap();
    let picture = image::DynamicImage::from(image::RgbImage::from_pixel(4, 4, image::Rgb([60; 3])));
    let files = [
        ("a.PNG", Png),
        ("b.jfif", Jpeg),
        ("c.jpe", Jpeg),
        ("d.webp", WebP),
        ("e.bmp", Bmp),
        ("f.gif", Gif),
        ("g.TIF", Tiff),
        ("h.ppm", Pnm),
    ];
    for (name, format) in files {
        fs::create_dir_all(folder.path().join("train")).unwrap();
        let path = folder.path().join("train").join(name);
        picture.save_with_format(path, format).unwrap();
    }
    fs::create_dir(folder.path().join("test")).unwrap();
    let images = train(folder.path());
    assert_eq!((images.count, images.channels), (files.len(), 1));
    assert!(
        images.pixels.iter().all(|&p| p == 60),
        "{:?}",
        images.pixels
    );
    // Earlier versions read three endings.
    let options = Options {
        pictures: SMALL,
        split_rule: SplitRule::Legacy,
        ..Options::default()
    };
    let dataset = Dataset::Folder(folder.path().to_owned());
    let images = load_with(&dataset, Split::Train, &options, &mut |_| {}).unwrap();
    assert_eq!(images.count, 1);
}
