//! Writes the seed corpus anew: `cargo run --example seeds`, in this folder.

use std::path::Path;
use std::{fs, io};

use pocketgan::Rng;
use pocketgan_fuzz::forge;

/// How many random blobs there are; those at the edges of the format come after them.
const SEEDS: usize = 12;
/// The largest of them, in bytes.
const LARGEST: usize = 2500;

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    fs::create_dir_all(&folder)?;
    let blobs = (0..).filter_map(|seed| forge::model(&mut Rng::new(seed)));
    let small = blobs.filter(|blob| blob.len() <= LARGEST).take(SEEDS);
    let edges = forge::edges().into_iter().flatten();
    for (index, blob) in small.chain(edges).enumerate() {
        fs::write(folder.join(format!("{index:02}.pgan")), blob)?;
    }
    Ok(())
}
