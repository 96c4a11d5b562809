//! Writes the pictures that the firmware examples read, `cargo run -p pocketgan-tests --example pictures`: the first
//! test image of each class of MNIST and of Fashion-MNIST, 28x28, and the latter at half the size, as `--task
//! upscale-2x` makes them.

use anyhow::{Context, Result};
use pocketgan_trainer::data::{self, Dataset, Draw, Images, Options, Split, Task};
use pocketgan_trainer::spec::Shape;
use std::fs;
use std::path::Path;

fn main() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware-examples/shared/pictures");
    let [digits, clothes] = ["mnist", "fashion"].map(of_each_class);
    let (digits, clothes) = (digits?, clothes?);
    let image = Shape::new(1, 28, 28);
    let small = clothes.chunks_exact(image.len()).enumerate();
    let small = small.flat_map(|(number, picture)| {
        Task::Upscale2x.of_pixels(Draw::held_out(1, number as u32), image, picture)
    });
    let small: Vec<u8> = small.collect();
    for (name, pixels) in [
        ("digits.bin", digits),
        ("clothes.bin", clothes),
        ("small.bin", small),
    ] {
        let path = folder.join(name);
        fs::write(&path, pixels).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The pixels of the first test image of each class.
fn of_each_class(name: &str) -> Result<Vec<u8>> {
    let dataset: Dataset = name.parse()?;
    let images: Images = data::load(&dataset, Split::Test, &Options::default())?;
    let mut pixels = Vec::new();
    for class in 0..10 {
        let first = images.labels.iter().position(|&label| label == class);
        let image = first.and_then(|number| images.image(number));
        pixels.extend(image.with_context(|| format!("{name} has no class {class}"))?);
    }
    Ok(pixels)
}
