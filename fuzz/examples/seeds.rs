//! Writes the seed corpus anew: `cargo run --example seeds`, in this folder.

use std::path::Path;
use std::{fs, io};

use pocketgan::Rng;
use pocketgan_fuzz::forge;

/// How many random chains there are; those at the edges of the format come after them, and then graphs.
const SEEDS: usize = 12;
const GRAPHS: usize = 6;
/// The largest of either, in bytes.
const LARGEST: usize = 2500;
const LARGEST_GRAPH: usize = 5000;

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    fs::create_dir_all(&folder)?;
    let blobs = (0..).filter_map(|seed| forge::model(&mut Rng::new(seed)));
    let small = blobs.filter(|blob| blob.len() <= LARGEST).take(SEEDS);
    let edges = forge::edges().into_iter().flatten();
    let graphs = (0..).filter_map(|seed| forge::graph(&mut Rng::new(seed)));
    let graphs = graphs.filter(|blob| blob.len() <= LARGEST_GRAPH);
    let all = small.chain(edges).chain(graphs.take(GRAPHS));
    for (index, blob) in all.enumerate() {
        fs::write(folder.join(format!("{index:02}.pgan")), blob)?;
    }
    Ok(())
}
