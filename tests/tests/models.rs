//! Every model in `models/`, in every engine.

use pocketgan_trainer::verify::{ExportedModel, verify};
use std::path::{Path, PathBuf};

/// The folders of `models/` that have a model in them.
fn models() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let entries = std::fs::read_dir(folder).expect("there is a folder models/");
    let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(!folders.is_empty(), "models/ is empty");
    folders
}

#[test]
fn every_model_gives_the_same_in_every_engine() {
    for folder in models() {
        let model = ExportedModel::read(&folder).unwrap();
        let comparisons = verify(&model, 1, 256).unwrap();
        let failed: Vec<_> = comparisons.iter().filter(|c| !c.passes()).collect();
        assert!(failed.is_empty(), "{}: {failed:?}", folder.display());
    }
}
