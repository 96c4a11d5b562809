//! Every model in `models/`: in every engine, and as its card says.

use pocketgan::Model;
use pocketgan_trainer::classifier::{self, FEATURES};
use pocketgan_trainer::engines::{Engine, RuntimeEngine, classes_in_turn, latents};
use pocketgan_trainer::metrics::FidCls;
use pocketgan_trainer::metrics::fid_cls::{PROTOCOL, SAMPLES};
use pocketgan_trainer::verify::{Comparison, ExportedModel, verify};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The folders of `models/` that hold the file `holding`.
fn models(holding: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let entries = std::fs::read_dir(folder).expect("there is a folder models/");
    let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.join(holding).is_file());
    folders.sort();
    assert!(!folders.is_empty(), "models/ has no {holding}");
    folders
}

/// Whether a folder's model reads pictures.
fn reads_pictures(folder: &Path) -> bool {
    let blob = std::fs::read(folder.join("model-f32.pgan")).unwrap();
    Model::parse(&blob).unwrap().picture().is_some()
}

fn card(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("README.md")).unwrap()
}

/// The cells of a card's table rows, those with `first` in the first cell.
fn row<'a>(card: &'a str, first: &str) -> Vec<&'a str> {
    let rows = card.lines().map(|line| line.split('|').map(str::trim));
    let cells = rows.map(|cells| cells.filter(|cell| !cell.is_empty()).collect::<Vec<_>>());
    let mut found = cells.filter(|cells| cells.first() == Some(&first));
    found
        .next()
        .unwrap_or_else(|| panic!("no row {first}: {card}"))
}

#[test]
fn every_model_gives_the_same_in_every_engine() {
    for folder in models("model.pgan") {
        let model = ExportedModel::read(&folder).unwrap();
        let found = verify(&model, 1, 256, &mut |_, _| {}).unwrap();
        assert_eq!(
            found.failures(),
            Vec::<&Comparison>::new(),
            "{}",
            folder.display()
        );
        assert_eq!(found.without_onnx_runtime, None);
    }
}

/// Seeds of latents for which a rounding in an early layer moves pixels by more than two quanta.
#[test]
fn a_rounding_that_grows_does_not_fail_a_good_model() {
    for (name, seed) in [("fashion-nano", 700), ("mnist-nano", 3551)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let model = ExportedModel::read(&folder.join(name)).unwrap();
        let found = verify(&model, seed, 256, &mut |_, _| {}).unwrap();
        assert_eq!(found.failures(), Vec::<&Comparison>::new(), "{name}");
        let network = found.comparisons.last().unwrap();
        assert!(network.largest > 2.0, "{name}: {network:?}");
    }
}

/// The table of files in each card: every file but the card and its picture, its size and its sum.
#[test]
fn the_cards_name_the_files_that_are_there() {
    for folder in models("README.md") {
        let card = card(&folder);
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if ["README.md", "samples.png"].contains(&name) {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let sum = Sha256::digest(&bytes);
            let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
            let cells = row(&card, &format!("`{name}`"));
            let size = cells[1].replace(',', "");
            assert_eq!(size, bytes.len().to_string(), "{}", path.display());
            assert_eq!(cells[2], format!("`{sum}`"), "{}", path.display());
        }
    }
}

/// The score of the float blob, drawn by the runtime, is the card's but for the last digit.
#[test]
fn the_cards_scores_are_those_of_the_models() {
    let blobs = models("model-f32.pgan").into_iter();
    for folder in blobs.filter(|folder| !reads_pictures(folder)) {
        // The folder's name is the data set's and the size's.
        let name = folder.file_name().unwrap().to_str().unwrap();
        let (dataset, _) = name.split_once('-').unwrap();
        let judge = FidCls::new(&dataset.parse().unwrap()).unwrap().unwrap();
        let mut engine = RuntimeEngine::open(&folder.join("model-f32.pgan")).unwrap();
        let mut tally = judge.tally();
        let size = engine.latent_size();
        let classes = classes_in_turn(engine.classes(), SAMPLES);
        let classes = classes.chunks(500).chain(std::iter::repeat(&[][..]));
        for (latents, classes) in latents(1, SAMPLES, size).chunks(500 * size).zip(classes) {
            tally
                .add(&engine.images(latents, classes).unwrap().to_pixels())
                .unwrap();
        }
        let score = tally.score();
        println!("{}: {score:?}", folder.display());
        let card = card(&folder);
        let said: f64 = row(&card, &format!("`{PROTOCOL}`"))[1].parse().unwrap();
        assert!(
            (score.fid_cls - said).abs() < 0.02,
            "{}: {score:?}",
            folder.display()
        );
    }
}

#[test]
fn the_classifiers_are_what_their_cards_say() {
    for folder in models("classifier.safetensors") {
        let bytes = std::fs::read(folder.join("classifier.safetensors")).unwrap();
        let frozen = classifier::decode(&bytes).unwrap();
        let state = &frozen.state;
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert_eq!(name, format!("classifier-{}", state.dataset));
        assert_eq!(frozen.reference.mean.len(), FEATURES);
        let card = card(&folder);
        let accuracy = format!("{:.4}", state.test_accuracy);
        assert_eq!(row(&card, "test accuracy")[1], accuracy, "{name}");
        let command = format!("cargo trainer classifier --dataset {}", state.dataset);
        assert!(row(&card, "command")[1].contains(&command), "{name}");
    }
}
