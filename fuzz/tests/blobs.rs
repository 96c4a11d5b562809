//! The seed corpus, and blobs that are taken apart and made to agree again, against the runtime's parser and writer.

use std::fs;
use std::path::{Path, PathBuf};

use pocketgan::{Error, Model, Rng};
use pocketgan_fuzz::forge;
use pocketgan_fuzz::restructure::restructure;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn blobs(folder: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(Path::new(ROOT).join(folder)).expect("a folder of blobs");
    let paths = files.map(|file| file.expect("an entry").path());
    let mut blobs: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "pgan"))
        .collect();
    blobs.sort();
    assert!(!blobs.is_empty(), "{folder}");
    blobs
}

/// `cargo run --example seeds` writes the files that are there.
#[test]
fn the_seeds_are_those_of_the_example() {
    let files = blobs("fuzz/seeds");
    let seeds = forge::seeds();
    assert_eq!(files.len(), seeds.len());
    for (index, (path, seed)) in files.iter().zip(seeds).enumerate() {
        assert!(
            path.ends_with(format!("{index:02}.pgan")),
            "{}",
            path.display()
        );
        assert!(
            fs::read(path).expect("a blob") == seed,
            "{}",
            path.display()
        );
    }
}

/// The writer's own bytes come out where nothing is changed.
#[test]
fn a_blob_without_changes_stays_as_it_is() {
    let folders = [
        "fuzz/seeds",
        "runtime/tests/data",
        "models/fashion-small",
        "models/mnist-nano",
    ];
    let files = folders.into_iter().flat_map(blobs);
    let mut all: Vec<(String, Vec<u8>)> = files
        .map(|path| (path.display().to_string(), fs::read(path).expect("a blob")))
        .collect();
    let forged = (0..2000).flat_map(|seed| {
        let blobs =
            [forge::model, forge::graph, forge::translator].map(|make| make(&mut Rng::new(seed)));
        blobs.map(|blob| Some((format!("seed {seed}"), blob?)))
    });
    all.extend(forged.flatten());
    for (name, blob) in all {
        let mut again = restructure(&blob, 0, usize::MAX, &mut Rng::new(0)).expect("connected");
        forge::seal(&mut again);
        assert!(again == blob, "{name}");
    }
}

/// What is refused after a change is a number out of its range, and nothing that layers say of each other.
#[test]
fn changed_blobs_agree() {
    let (mut tried, mut with_homes, mut versions) = (0, 0, [0; 7]);
    for path in ["fuzz/seeds", "runtime/tests/data"]
        .into_iter()
        .flat_map(blobs)
    {
        let blob = fs::read(&path).expect("a blob");
        for seed in 0..500 {
            let mut rng = Rng::new(seed);
            let Some(mut changed) = restructure(&blob, 1 + seed as usize % 2, 8192, &mut rng)
            else {
                continue;
            };
            forge::seal(&mut changed);
            tried += 1;
            let outcome = Model::parse(&changed).err();
            if outcome.is_none() {
                versions[usize::from(changed[10])] += 1;
                let records = changed[64..].chunks(64).take(changed[16].into());
                let mut homes = records.map(|record| record[52]);
                with_homes += usize::from(homes.any(|home| home > 0));
            }
            let is_range = matches!(
                outcome,
                None | Some(
                    Error::BadHeader
                        | Error::BadClasses
                        | Error::BadGeometry
                        | Error::BadShape
                        | Error::BadActivation
                        | Error::BadNumber
                        | Error::BadMultiplier
                        | Error::Overflow
                        | Error::LinearOverImage
                        | Error::PaddedVector
                        | Error::WrongRange
                )
            );
            assert!(is_range, "{} by {seed}: {outcome:?}", path.display());
        }
    }
    assert!(
        2 * versions.iter().sum::<usize>() > tried,
        "{versions:?} of {tried}"
    );
    assert!(
        versions[1..].iter().all(|&count| count > 100),
        "{versions:?}"
    );
    assert!(with_homes > 100, "{with_homes}");
}
