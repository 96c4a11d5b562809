//! Samples a generator on an emulated Cortex-M4 and shows what comes out and what it cost: a model
//! with classes each class in turn, or the one that is asked for.
#![no_std]
#![no_main]

use core::fmt;

use cortex_m_rt::entry;
use pocketgan::{Buffer, Error, Generator, Model, include_model};
use qemu_mps2::counter::instructions;
use qemu_mps2::picture::Checksum;
use qemu_mps2::request::Request;
use semihosting::{eprintln, println, process};

#[cfg(feature = "nano")]
mod model {
    pub const NAME: &str = "nano";
    pub const MODEL: super::Model =
        super::include_model!("../../../models/fashion-nano/model.pgan");
}
#[cfg(all(feature = "small", not(feature = "nano")))]
mod model {
    pub const NAME: &str = "small";
    pub const MODEL: super::Model =
        super::include_model!("../../../models/fashion-small/model.pgan");
}
#[cfg(not(any(feature = "small", feature = "nano")))]
mod model {
    pub const NAME: &str = "digits";
    pub const MODEL: super::Model =
        super::include_model!("../../../models/mnist-nano/model.pgan");
}
use model::{MODEL, NAME};

/// How many pictures to make where none is asked for: 16 for figures, else one of each class, or three.
const PICTURES: usize = match MODEL.classes() {
    _ if cfg!(feature = "bench") => 16,
    0 => 3,
    classes => classes,
};

/// An image's pixels.
type Image = [u8; MODEL.image_len()];

/// What a picture is made from.
#[derive(Clone, Copy)]
struct Picture {
    class: Option<usize>,
    seed: u64,
}

impl Picture {
    /// Picture `index` of those that meet a request: each class in turn. The seed is the same for all
    /// classes, but figures and models without classes take one seed after another.
    fn new(request: Request, index: usize) -> Self {
        let class = request.class.or(index.checked_rem(MODEL.classes()));
        let usual = match class {
            Some(_) if cfg!(not(feature = "bench")) => 1,
            _ => index as u64 + 1,
        };
        let seed = request.seed.unwrap_or(usual);
        Self { class, seed }
    }
}

#[entry]
fn main() -> ! {
    let request = Request::read(MODEL.classes()).unwrap_or_else(|refusal| fail(&refusal));
    run(request).unwrap_or_else(|error| fail(&error));
    process::exit(0)
}

fn fail(why: &dyn fmt::Display) -> ! {
    eprintln!("{why}");
    process::exit(1)
}

fn run(request: Request) -> Result<(), Error> {
    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut generator = Generator::new(&MODEL, &mut buffer)?;
    let mut image: Image = [0; MODEL.image_len()];
    let pictures = request.class.map_or(PICTURES, |_| 1);
    for picture in (0..pictures).map(|index| Picture::new(request, index)) {
        if let Some(class) = picture.class {
            generator.set_class(class)?;
        }
        let mut result = Ok(());
        let count = instructions(|| result = generator.sample(picture.seed, &mut image));
        result?;
        report(&mut generator, picture, count, &image);
    }
    Ok(())
}

#[cfg(feature = "bench")]
fn report(
    generator: &mut Generator<'_, '_>,
    Picture { class, seed }: Picture,
    instructions: u64,
    image: &Image,
) {
    let mut again: Image = [0; MODEL.image_len()];
    let mut result = Ok(());
    let stack_bytes = qemu_mps2::stack::bytes(|| result = generator.sample(seed, &mut again));
    if result.is_err() || again != *image {
        fail(&format_args!(
            "seed {seed} gave another image the second time"
        ));
    }
    println!(
        "{{\"target\":\"cortex-m4\",\"model\":\"{NAME}\",{}\"seed\":{seed},\
         \"instructions\":{instructions},\"ram_bytes\":{},\"stack_bytes\":{stack_bytes},\
         \"pixels_sha256\":\"{}\"}}",
        Class("\"class\":", class, ","),
        MODEL.working_memory(),
        Checksum(image)
    );
}

#[cfg(not(feature = "bench"))]
fn report(
    _: &mut Generator<'_, '_>,
    Picture { class, seed }: Picture,
    instructions: u64,
    image: &Image,
) {
    let text = qemu_mps2::picture::Text {
        shape: MODEL.output(),
        pixels: image,
    };
    let class = Class("class ", class, ", ");
    println!("{text}");
    println!("model {NAME}, {class}seed {seed}: {instructions} instructions");
    println!("SHA-256 of the pixels: {}\n", Checksum(image));
}

/// The class between two words, or nothing.
struct Class(&'static str, Option<usize>, &'static str);

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(class) => write!(f, "{}{class}{}", self.0, self.2),
            None => Ok(()),
        }
    }
}
