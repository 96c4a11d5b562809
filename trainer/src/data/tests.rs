//! The loader against files of the exact format.

use std::fs;
use std::io::Write;

use tempfile::TempDir;

use super::fixture::{PIXELS, Tiny, deb_of, gzip, idx_file, served, tar_of};
use super::store::write_whole;
use super::{DataError, Dataset, FileProblem, FileState, Images, Options, info, package};

fn assert_train_images(images: &Images) {
    assert_eq!(
        (images.count, images.channels, images.height, images.width),
        (3, 1, 2, 4)
    );
    assert_eq!(images.pixels, PIXELS);
    assert_eq!(images.labels, [1, 0, 1]);
    assert_eq!(images.image(1), Some(&PIXELS[8..16]));
    assert_eq!(images.image(3), None);
}

#[test]
fn reads_plain_and_packed_files_of_a_named_folder() {
    let tiny = Tiny::new();
    for packed in [false, true] {
        let folder = TempDir::new().unwrap();
        if packed {
            tiny.put_packed(folder.path());
        } else {
            tiny.put(folder.path());
        }
        let options = Options {
            data_dir: Some(folder.path().to_owned()),
            ..tiny.options()
        };
        assert_train_images(&tiny.load(&options).0.unwrap());
    }
}

#[test]
fn refuses_gzip_cut_anywhere() {
    let tiny = Tiny::new();
    let packed = gzip(&tiny.files[0].1);
    for length in 0..packed.len() {
        // Nothing at all is an empty gzip stream to some readers; it must not be one here.
        let problem = tiny.problem("train-images.gz", &packed[..length]);
        assert!(
            matches!(problem, FileProblem::Gzip(_) | FileProblem::NoHeader(0)),
            "{length}: {problem}"
        );
    }
}

#[test]
fn refuses_damaged_gzip_and_bytes_after_it() {
    let tiny = Tiny::new();
    let packed = gzip(&tiny.files[0].1);
    let mut flipped = packed.clone();
    let crc = packed.len() - 8;
    flipped[crc] ^= 1;
    assert!(matches!(
        tiny.problem("train-images.gz", &flipped),
        FileProblem::Gzip(_)
    ));
    let longer = [packed.as_slice(), b"more"].concat();
    assert!(matches!(
        tiny.problem("train-images.gz", &longer),
        FileProblem::Gzip(_)
    ));
}

#[test]
fn refuses_a_wrong_magic_number() {
    let tiny = Tiny::new();
    let mut bytes = tiny.files[0].1.clone();
    bytes[2] = 0x0d;
    let problem = tiny.problem("train-images", &bytes);
    assert!(
        matches!(
            problem,
            FileProblem::Magic {
                expected: 0x803,
                found: 0xd03
            }
        ),
        "{problem:?}"
    );
    let labels_for_images = tiny.problem("train-images", &tiny.files[1].1);
    assert!(
        matches!(labels_for_images, FileProblem::NoHeader(11)),
        "{labels_for_images:?}"
    );
}

#[test]
fn refuses_a_count_or_size_that_does_not_match() {
    let tiny = Tiny::new();
    for axes in [[4, 2, 4], [3, 4, 2], [u32::MAX, u32::MAX, u32::MAX]] {
        let problem = tiny.problem("train-images", &idx_file(&axes, &PIXELS));
        assert!(matches!(problem, FileProblem::Shape { .. }), "{problem:?}");
    }
    let two_labels = tiny.problem("train-labels", &idx_file(&[2], &[1, 0]));
    assert!(
        matches!(two_labels, FileProblem::Shape { .. }),
        "{two_labels:?}"
    );
}

#[test]
fn refuses_missing_and_trailing_bytes() {
    let tiny = Tiny::new();
    let whole = &tiny.files[0].1;
    let short = tiny.problem("train-images", &whole[..whole.len() - 1]);
    assert!(
        matches!(
            short,
            FileProblem::TooShort {
                expected: 24,
                found: 23
            }
        ),
        "{short:?}"
    );
    let longer = [whole.as_slice(), &[0]].concat();
    for (name, bytes) in [
        ("train-images", longer.clone()),
        ("train-images.gz", gzip(&longer)),
    ] {
        let problem = tiny.problem(name, &bytes);
        assert!(
            matches!(problem, FileProblem::TooLong { expected: 24 }),
            "{problem:?}"
        );
    }
}

#[test]
fn refuses_other_contents_of_the_right_form() {
    let tiny = Tiny::new();
    let mut bytes = tiny.files[0].1.clone();
    bytes[20] ^= 1;
    let problem = tiny.problem("train-images", &bytes);
    assert!(
        matches!(problem, FileProblem::Checksum { .. }),
        "{problem:?}"
    );
    let label = tiny.problem("train-labels", &idx_file(&[3], &[1, 0, 2]));
    assert!(
        matches!(
            label,
            FileProblem::Label {
                label: 2,
                classes: 2
            }
        ),
        "{label:?}"
    );
}

#[test]
fn a_named_folder_is_the_only_source() {
    let tiny = Tiny::new();
    tiny.put(&tiny.cache());
    let empty = TempDir::new().unwrap();
    let options = Options {
        data_dir: Some(empty.path().to_owned()),
        ..tiny.options()
    };
    let error = tiny.load(&options).0.unwrap_err();
    assert!(
        matches!(
            error,
            DataError::Missing {
                file: "train-images",
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn the_cache_comes_before_the_system_package() {
    let tiny = Tiny::new();
    tiny.put_packed(tiny.installed.path());
    let (images, said) = tiny.load(&tiny.options());
    assert_train_images(&images.unwrap());
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("tiny: cache: not in "), "{said:?}");
    assert!(
        said[1].starts_with("tiny: system package: found in "),
        "{said:?}"
    );

    tiny.put(&tiny.cache());
    let (images, said) = tiny.load(&tiny.options());
    assert_train_images(&images.unwrap());
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("tiny: cache: found in "), "{said:?}");
}

#[test]
fn a_damaged_cache_is_reported_and_passed_over() {
    let tiny = Tiny::new();
    tiny.put(&tiny.cache());
    fs::write(
        tiny.cache().join("train-labels"),
        idx_file(&[3], &[0, 0, 0]),
    )
    .unwrap();
    tiny.put_packed(tiny.installed.path());
    let (images, said) = tiny.load(&tiny.options());
    assert_train_images(&images.unwrap());
    assert!(
        said[0].contains("SHA-256") && said[0].ends_with("fetching it again"),
        "{said:?}"
    );
}

#[test]
fn an_official_download_is_kept_unpacked_in_the_cache() {
    let tiny = served(|_, bytes| bytes);
    assert_train_images(&tiny.load(&tiny.options()).0.unwrap());
    assert_eq!(
        fs::read(tiny.cache().join("train-images")).unwrap(),
        tiny.files[0].1
    );
    let (images, said) = tiny.load(&tiny.options());
    assert_train_images(&images.unwrap());
    assert!(said[0].starts_with("tiny: cache: found"), "{said:?}");
}

#[test]
fn a_bad_download_leaves_nothing_behind_and_every_source_is_named() {
    for cut in [true, false] {
        let tiny = served(|name, mut bytes| {
            match (name, cut) {
                ("train-images.gz", true) => bytes.truncate(20),
                ("train-images.gz", false) => bytes = gzip(&idx_file(&[3, 2, 4], &[7; 24])),
                _ => {}
            }
            bytes
        });
        let error = tiny.load(&tiny.options()).0.unwrap_err();
        let sentence = error.to_string();
        assert!(matches!(error, DataError::NoSource { .. }), "{error:?}");
        for part in [
            "cache: ",
            "system package: ",
            "official download: train-images.gz: ",
            "--data-dir",
        ] {
            assert!(sentence.contains(part), "{part} in {sentence}");
        }
        assert!(!tiny.cache().exists(), "a refused file was kept");
    }
}

#[test]
fn a_failed_write_leaves_no_file() {
    let folder = TempDir::new().unwrap();
    // A folder in the way of the file makes the final rename fail.
    let path = folder.path().join("taken");
    fs::create_dir_all(path.join("inside")).unwrap();
    let error = write_whole(&path, b"bytes").unwrap_err();
    assert!(matches!(error, DataError::Write { .. }), "{error:?}");
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "a temporary file was left"
    );
}

#[test]
fn takes_the_files_out_of_packages_of_every_compression() {
    let tiny = Tiny::new();
    let tar = tar_of(&tiny);
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(&tar).unwrap();
    let xz = xz.finish().unwrap();
    let zst = ruzstd::encoding::compress_to_vec(
        tar.as_slice(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    let packages = [
        ("a.tgz", gzip(&tar)),
        ("b.deb", deb_of("data.tar", &tar)),
        ("c.deb", deb_of("data.tar.gz", &gzip(&tar))),
        ("d.deb", deb_of("data.tar.xz", &xz)),
        ("e.deb", deb_of("data.tar.zst", &zst)),
    ];
    let folder = TempDir::new().unwrap();
    for (name, bytes) in &packages {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let found = package::unpack(&path, &tiny.wanted()).unwrap();
        assert!(
            found
                .iter()
                .zip(&tiny.files)
                .all(|(found, (_, bytes))| found == bytes),
            "{name}"
        );
    }
    let cut = folder.path().join("cut.deb");
    fs::write(&cut, &packages[3].1[..packages[3].1.len() / 2]).unwrap();
    assert!(package::unpack(&cut, &tiny.wanted()).is_err());
}

#[test]
fn info_tells_sound_damaged_and_absent_files_apart() {
    let tiny = Tiny::new();
    tiny.put(&tiny.cache());
    fs::write(tiny.cache().join("train-labels"), b"junk").unwrap();
    fs::remove_file(tiny.cache().join("test-images")).unwrap();
    let files = info(tiny.dataset, &tiny.options()).unwrap();
    let states: Vec<&FileState> = files.iter().map(|file| &file.state).collect();
    assert!(
        matches!(
            states[..],
            [
                FileState::Here(_),
                FileState::Bad(_),
                FileState::Absent,
                FileState::Here(_)
            ]
        ),
        "{states:?}"
    );
    assert_eq!(
        (files[0].shape.as_slice(), files[0].bytes),
        ([3, 2, 4].as_slice(), 16 + 24)
    );
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let error = "fashoin".parse::<Dataset>().unwrap_err().to_string();
    assert!(
        error.contains("fashoin") && error.contains("fashion, mnist"),
        "{error}"
    );
    assert_eq!("fashion".parse::<Dataset>().unwrap().name(), "fashion");
}
