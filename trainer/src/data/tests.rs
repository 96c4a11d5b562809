//! The loader against files of the exact format.

use std::fs;
use std::io::Write;

use tempfile::TempDir;

use super::fixture::{
    PIXELS, Tiny, deb_of, gzip, idx_file, md5, published, serve_files, served, tar, tar_of,
};
use super::store::write_whole;
use super::table::{Entry, Layout, Pair, PublishedFile};
use super::{
    DataError, FileProblem, FileState, Images, Options, Published, Split, Sum, info, load, package,
};

fn assert_train_images(images: &Images) {
    assert_eq!(
        (images.count, images.channels, images.height, images.width),
        (3, 1, 2, 4)
    );
    assert_eq!(images.pixels, PIXELS);
    assert_eq!(images.labels, [1, 0, 1]);
    assert_eq!(images.image(1), Some(&PIXELS[8..16]));
    assert_eq!(images.image(3), None);
    assert_eq!(images.classes, ["even", "odd"]);
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
    assert!(matches!(error, DataError::Missing { .. }), "{error:?}");
    let sentence = error.to_string();
    assert!(
        sentence.contains("neither train-images nor train-images.gz"),
        "{sentence}"
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
    let files = info(tiny.published, &tiny.options()).unwrap();
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

/// The sum of images is that of the idx file that they came in.
#[test]
fn images_have_the_sum_of_their_file() {
    let tiny = Tiny::new();
    tiny.put(&tiny.cache());
    let images = tiny.load(&tiny.options()).0.unwrap();
    assert_eq!(
        images.sha256(),
        crate::files::sha256(&idx_file(&[3, 2, 4], &PIXELS))
    );
    let colour = Images {
        channels: 2,
        width: 2,
        ..images
    };
    assert_eq!(
        colour.sha256(),
        crate::files::sha256(&idx_file(&[3, 2, 2, 2], &PIXELS))
    );
}

/// Name and bytes of a file within an archive.
type Member<'a> = (&'a str, &'a [u8]);

/// A data set whose packed files' MD5 are known, as KMNIST; nothing of it is cached yet.
struct Packed {
    published: Published,
    files: Vec<(String, Vec<u8>)>,
    home: TempDir,
}

impl Packed {
    /// Idx files as KMNIST's.
    fn idx(labels: [u8; 3]) -> Self {
        let files = vec![
            (
                "train-images.gz".to_owned(),
                gzip(&idx_file(&[3, 2, 4], &PIXELS)),
            ),
            ("train-labels.gz".to_owned(), gzip(&idx_file(&[3], &labels))),
        ];
        Self::new(files, (1, 2, 4), |file| {
            let pair = Pair {
                images: file(0),
                labels: file(1),
            };
            Layout::Idx {
                train: pair,
                test: pair,
            }
        })
    }

    /// An archive as CIFAR's, its files named and filled by `members`.
    fn archive(members: &[Member]) -> Self {
        let members = members.iter();
        let members = members.map(|(name, bytes)| (format!("batches-bin/{name}"), bytes.to_vec()));
        let files = vec![("batches.tar.gz".to_owned(), gzip(&tar(members)))];
        Self::new(files, (3, 1, 2), |file| Layout::Cifar {
            archive: file(0),
            train: &["batch_1.bin", "batch_2.bin"],
            test: &["test.bin"],
        })
    }

    fn new(
        files: Vec<(String, Vec<u8>)>,
        shape: (usize, usize, usize),
        layout: impl Fn(&dyn Fn(usize) -> PublishedFile) -> Layout,
    ) -> Self {
        let layout = layout(&|place| PublishedFile {
            name: files[place].0.clone().leak(),
            sum: Sum::PackedMd5(md5(&files[place].1)),
        });
        let is_archive = matches!(layout, Layout::Cifar { .. });
        let published = published(Entry {
            name: "packed",
            title: "made by the tests",
            licence: "none",
            shape,
            classes: &["even", "odd"],
            train: if is_archive { 4 } else { 3 },
            test: if is_archive { 2 } else { 3 },
            layout,
            official: serve_files(files.clone()).leak(),
            package: None,
        });
        Self {
            published,
            files,
            home: TempDir::new().unwrap(),
        }
    }

    fn load(&self, split: Split) -> Result<Images, DataError> {
        let options = Options {
            cache_dir: Some(self.home.path().to_owned()),
            ..Options::default()
        };
        load(&self.published.into(), split, &options)
    }

    fn problem(&self) -> FileProblem {
        match self.load(Split::Train) {
            Err(DataError::Damaged { problem, .. }) => problem,
            other => panic!("expected a damaged file, got {other:?}"),
        }
    }
}

#[test]
fn packed_files_are_checked_and_kept_as_they_came() {
    let packed = Packed::idx([1, 0, 1]);
    // First from the download, then from the cache.
    for _ in 0..2 {
        assert_train_images(&packed.load(Split::Train).unwrap());
    }
    let cache = packed.home.path().join("datasets/packed");
    for (name, bytes) in &packed.files {
        assert_eq!(&fs::read(cache.join(name)).unwrap(), bytes);
    }
    // The same contents in another wrapper are other bytes.
    let folder = TempDir::new().unwrap();
    for (name, bytes) in &packed.files {
        fs::write(
            folder.path().join(name),
            [bytes.as_slice(), &gzip(b"")].concat(),
        )
        .unwrap();
    }
    let options = Options {
        data_dir: Some(folder.path().to_owned()),
        ..Options::default()
    };
    let error = load(&packed.published.into(), Split::Train, &options).unwrap_err();
    assert!(
        error.to_string().contains("MD5 of the packed file"),
        "{error}"
    );
    // Unpacked files cannot be checked, so they are none.
    let empty = TempDir::new().unwrap();
    fs::write(empty.path().join("train-images"), PIXELS).unwrap();
    let options = Options {
        data_dir: Some(empty.path().to_owned()),
        ..Options::default()
    };
    let error = load(&packed.published.into(), Split::Train, &options).unwrap_err();
    assert!(
        error.to_string().contains("has no train-images.gz;"),
        "{error}"
    );
    assert!(matches!(
        Packed::idx([1, 0, 2]).problem(),
        FileProblem::Label { label: 2, .. }
    ));
}

/// Two records a batch: a label, then two pixels of red, green and blue.
#[test]
fn batches_of_an_archive_come_in_order() {
    let first = [0, 1, 2, 3, 4, 5, 6, 1, 7, 8, 9, 10, 11, 12];
    let second = [1, 13, 14, 15, 16, 17, 18, 0, 19, 20, 21, 22, 23, 24];
    let test = [1, 0, 0, 0, 0, 0, 255, 0, 9, 9, 9, 9, 9, 9];
    let packed = Packed::archive(&[
        ("readme.html", b"<html>"),
        ("test.bin", &test),
        ("batch_2.bin", &second),
        ("batch_1.bin", &first),
    ]);
    let train = packed.load(Split::Train).unwrap();
    assert_eq!(
        (train.count, train.channels, train.height, train.width),
        (4, 3, 1, 2)
    );
    assert_eq!(train.pixels, (1..=24).collect::<Vec<u8>>());
    assert_eq!(train.labels, [0, 1, 1, 0]);
    let test = packed.load(Split::Test).unwrap();
    assert_eq!((test.count, test.pixels[5], test.labels[0]), (2, 255, 1));
}

#[test]
fn an_archive_that_is_not_as_it_should_be_is_refused() {
    let good = [0; 14];
    let cases: [(&[Member], &str); 4] = [
        (&[("batch_1.bin", &good)], "no batch_2.bin"),
        (
            &[("batch_1.bin", &good[1..]), ("batch_2.bin", &good)],
            "14 bytes",
        ),
        (
            &[("batch_1.bin", &[0; 15]), ("batch_2.bin", &good)],
            "14 bytes",
        ),
        (
            &[("batch_1.bin", &[2; 14]), ("batch_2.bin", &good)],
            "label 2",
        ),
    ];
    for (members, complaint) in cases {
        let problem = Packed::archive(members).problem().to_string();
        assert!(problem.contains(complaint), "{problem}");
    }
}

/// The counts and sizes that the data sets' pages give.
#[test]
fn the_table_has_the_data_sets_sizes() {
    for published in Published::all() {
        let (count, shape) = match published.name() {
            "cifar10" => (50_000, (3, 32, 32)),
            _ => (60_000, (1, 28, 28)),
        };
        assert_eq!(published.count(Split::Train), count);
        assert_eq!(published.count(Split::Test), 10_000);
        assert_eq!(published.image_shape(), shape);
        assert_eq!(published.classes().len(), 10);
        for split in [Split::Train, Split::Test] {
            for file in published.files(split) {
                let digits = match file.sum {
                    Sum::Sha256(sum) => (sum, 64),
                    Sum::PackedMd5(sum) => (sum, 32),
                };
                assert_eq!(digits.0.len(), digits.1);
                assert!(digits.0.bytes().all(|c| c.is_ascii_hexdigit()));
            }
        }
    }
}
