//! The program of every emulated board: samples the model and shows what comes out and what it cost. A
//! model with classes shows each class in turn, or the one that is asked for.

use core::fmt::{self, Write};

use pocketgan::{Buffer, Error, Generator};
use semihosting::{eprintln, process};

use crate::counter::{Counter, Wrong};
use crate::model::{MODEL, NAME};
use crate::picture::{Checksum, Text};
use crate::request::{Refusal, Request};

/// How many pictures to make where none is asked for: 16 for figures, else one of each class, or three.
const PICTURES: usize = match MODEL.classes() {
    _ if cfg!(feature = "bench") => 16,
    0 => 3,
    classes => classes,
};

/// An image's pixels.
type Image = [u8; MODEL.image_len()];

/// Where the program runs.
pub struct Board<'a> {
    /// The processor core's name in the figures.
    pub core: &'a str,
    /// What counts instructions.
    pub counter: Counter,
    /// Where pictures and figures go.
    pub output: &'a mut dyn Write,
}

/// What a picture is made from, and what it cost.
struct Picture {
    class: Option<usize>,
    seed: u64,
    instructions: u64,
}

/// Why the program ends early.
enum Failure {
    Refused(Refusal),
    Model(Error),
    Counter(Wrong),
    Unsteady { seed: u64 },
    Output,
}

/// Runs the program and ends it, with status 0 or with 1 and a sentence.
pub fn main(board: Board<'_>) -> ! {
    if let Err(failure) = run(board) {
        eprintln!("{failure}");
        process::exit(1)
    }
    process::exit(0)
}

fn run(mut board: Board<'_>) -> Result<(), Failure> {
    let request = Request::read(MODEL.classes())?;
    let counter = board.counter.check();
    if cfg!(feature = "bench") {
        counter?;
    }
    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut generator = Generator::new(&MODEL, &mut buffer)?;
    let mut image: Image = [0; MODEL.image_len()];
    let pictures = request.class.map_or(PICTURES, |_| 1);
    for index in 0..pictures {
        let (class, seed) = what(request, index);
        if let Some(class) = class {
            generator.set_class(class)?;
        }
        let mut result = Ok(());
        let sample = || result = generator.sample(seed, &mut image);
        let instructions = board.counter.instructions(sample);
        result?;
        let picture = Picture {
            class,
            seed,
            instructions,
        };
        if cfg!(feature = "bench") {
            figures(&mut board, &mut generator, &picture, &image)?;
        } else {
            show(&mut board, &picture, counter.is_ok(), &image)?;
        }
    }
    Ok(())
}

/// Class and seed of picture `index` of those that meet a request: each class in turn. The seed is the
/// same for all classes, but figures and models without classes take one seed after another.
fn what(request: Request, index: usize) -> (Option<usize>, u64) {
    let class = request.class.or(index.checked_rem(MODEL.classes()));
    let usual = match class {
        Some(_) if cfg!(not(feature = "bench")) => 1,
        _ => index as u64 + 1,
    };
    (class, request.seed.unwrap_or(usual))
}

/// Prints a picture's figures, after it was made a second time to see that it is the same.
fn figures(
    board: &mut Board<'_>,
    generator: &mut Generator<'_, '_>,
    picture: &Picture,
    image: &Image,
) -> Result<(), Failure> {
    let seed = picture.seed;
    let mut again: Image = [0; MODEL.image_len()];
    generator.sample(seed, &mut again)?;
    if again != *image {
        return Err(Failure::Unsteady { seed });
    }
    writeln!(
        board.output,
        "{{\"target\":\"{}\",\"model\":\"{NAME}\",{}\"seed\":{seed},\"instructions\":{},\
         \"ram_bytes\":{},\"pixels_sha256\":\"{}\"}}",
        board.core,
        Class("\"class\":", picture.class, ","),
        picture.instructions,
        MODEL.working_memory(),
        Checksum(image)
    )?;
    Ok(())
}

/// Prints a picture, its checksum and, if the clock counts instructions, what it cost.
fn show(
    board: &mut Board<'_>,
    picture: &Picture,
    counted: bool,
    image: &Image,
) -> Result<(), Failure> {
    let text = Text {
        shape: MODEL.output(),
        pixels: image,
    };
    let class = Class("class ", picture.class, ", ");
    write!(
        board.output,
        "{text}\nmodel {NAME}, {class}seed {}",
        picture.seed
    )?;
    if counted {
        write!(board.output, ": {} instructions", picture.instructions)?;
    }
    writeln!(
        board.output,
        "\nSHA-256 of the pixels: {}\n",
        Checksum(image)
    )?;
    Ok(())
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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Model(error) => error.fmt(f),
            Self::Counter(wrong) => wrong.fmt(f),
            Self::Unsteady { seed } => {
                write!(f, "seed {seed} gave another image the second time")
            }
            Self::Output => f.write_str("the output cannot be written"),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Model(error)
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::Counter(wrong)
    }
}

impl From<fmt::Error> for Failure {
    fn from(_: fmt::Error) -> Self {
        Self::Output
    }
}
