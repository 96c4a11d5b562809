//! The program of every emulated board: samples the model and shows what comes out and what it cost. A
//! model with classes shows each class in turn, or the one that is asked for.

use core::fmt::{self, Write};

use pocketgan::{Buffer, Error, Generator};
use semihosting::{eprintln, process};

use crate::counter::{Counter, Wrong};
use crate::model::{MODEL, NAME};
use crate::picture::{Checksum, Picture, Text};
use crate::request::{Refusal, Request};

/// How many pictures to make where none is asked for: 16 for figures, else one of each class, or three.
pub const PICTURES: usize = match MODEL.classes() {
    _ if cfg!(feature = "bench") => 16,
    0 => 3,
    classes => classes,
};

/// An image's pixels.
pub type Image = [u8; MODEL.image_len()];

/// Where the program runs.
pub struct Board<'a> {
    /// The processor core's name in the figures.
    pub core: &'a str,
    /// What counts instructions.
    pub counter: Counter,
    /// Where pictures and figures go.
    pub output: &'a mut dyn Write,
}

/// A picture and what it cost.
#[derive(Clone, Copy)]
pub struct Counted {
    /// The picture.
    pub picture: Picture,
    /// By one core.
    pub instructions: u64,
    /// Of its upper and its lower half, of a picture by two cores.
    pub halves: Option<[u64; 2]>,
}

/// Why the program ends early.
pub enum Failure {
    /// What is asked for cannot be had.
    Refused(Refusal),
    /// The model's own.
    Model(Error),
    /// The counter does not count instructions.
    Counter(Wrong),
    /// What the board lacks, as a sentence.
    Board(&'static str),
    /// A picture differs from the same one made before.
    Unsteady {
        /// Its seed.
        seed: u64,
    },
    /// The output cannot be written.
    Output,
}

/// Runs the program and ends it, with status 0 or with 1 and a sentence.
pub fn main(board: Board<'_>) -> ! {
    end(run(board))
}

/// Ends a program, with status 0 or with 1 and a sentence.
pub fn end(result: Result<(), Failure>) -> ! {
    if let Err(failure) = result {
        eprintln!("{failure}");
        process::exit(1)
    }
    process::exit(0)
}

fn run(mut board: Board<'_>) -> Result<(), Failure> {
    let request = Request::read(MODEL.classes())?;
    let counted = board.counts()?;
    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut generator = Generator::new(&MODEL, &mut buffer)?;
    let mut image: Image = [0; MODEL.image_len()];
    for picture in pictures(request) {
        picture.choose_class(&mut generator)?;
        let mut result = Ok(());
        let sample = || result = generator.sample(picture.seed, &mut image);
        let instructions = board.counter.instructions(sample);
        result?;
        let made = Counted {
            picture,
            instructions,
            halves: None,
        };
        report(&mut board, &mut generator, &made, counted, &image)?;
    }
    Ok(())
}

impl Board<'_> {
    /// Whether the counter counts instructions.
    ///
    /// # Errors
    ///
    /// It does not, but figures are to be printed.
    pub fn counts(&self) -> Result<bool, Failure> {
        let counter = self.counter.check();
        if cfg!(feature = "bench") {
            counter?;
        }
        Ok(counter.is_ok())
    }
}

/// The pictures that meet a request: each class in turn. The seed is the same for all classes, but figures and models
/// without classes take one seed after another.
pub fn pictures(request: Request) -> impl Iterator<Item = Picture> {
    let pictures = request.class.map_or(PICTURES, |_| 1);
    (0..pictures).map(move |index| {
        let class = request.class.or(index.checked_rem(MODEL.classes()));
        let usual = match class {
            Some(_) if cfg!(not(feature = "bench")) => 1,
            _ => index as u64 + 1,
        };
        let seed = request.seed.unwrap_or(usual);
        Picture { seed, class }
    })
}

/// Prints a picture's figures, or the picture; what it cost only if that is `counted`.
///
/// # Errors
///
/// The output cannot be written, or the generator, whose class is the picture's, makes another picture.
pub fn report(
    board: &mut Board<'_>,
    generator: &mut Generator<'_, '_>,
    made: &Counted,
    counted: bool,
    image: &Image,
) -> Result<(), Failure> {
    if cfg!(feature = "bench") {
        figures(board, generator, made, image)
    } else {
        show(board, made, counted, image)
    }
}

/// Prints a picture's figures, after it was made a second time to see that it is the same.
fn figures(
    board: &mut Board<'_>,
    generator: &mut Generator<'_, '_>,
    made: &Counted,
    image: &Image,
) -> Result<(), Failure> {
    let Picture { seed, class } = made.picture;
    let mut again: Image = [0; MODEL.image_len()];
    generator.sample(seed, &mut again)?;
    if again != *image {
        return Err(Failure::Unsteady { seed });
    }
    writeln!(
        board.output,
        "{{\"target\":\"{}\",\"model\":\"{NAME}\",{}\"seed\":{seed},\"instructions\":{},{}\
         \"ram_bytes\":{},\"pixels_sha256\":\"{}\"}}",
        board.core,
        Class("\"class\":", class, ","),
        made.instructions,
        ByHalves("\"halves\":[", made.halves, ",", "],"),
        MODEL.working_memory(),
        Checksum(image)
    )?;
    Ok(())
}

/// Prints a picture, its checksum and, if the clock counts instructions, what it cost.
fn show(
    board: &mut Board<'_>,
    made: &Counted,
    counted: bool,
    image: &Image,
) -> Result<(), Failure> {
    let text = Text {
        shape: MODEL.output(),
        pixels: image,
    };
    let Picture { seed, class } = made.picture;
    let class = Class("class ", class, ", ");
    write!(board.output, "{text}\nmodel {NAME}, {class}seed {seed}")?;
    if counted {
        let halves = ByHalves(", by halves ", made.halves, " and ", "");
        write!(board.output, ": {} instructions{halves}", made.instructions)?;
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

/// What the halves cost, between three words, or nothing.
struct ByHalves(&'static str, Option<[u64; 2]>, &'static str, &'static str);

impl fmt::Display for ByHalves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some([upper, lower]) => write!(f, "{}{upper}{}{lower}{}", self.0, self.2, self.3),
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
            Self::Board(sentence) => f.write_str(sentence),
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
