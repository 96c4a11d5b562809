//! Checks the kernels against images that the host's reference kernels made: the file that the runtime's example
//! `cases` writes, whose path is the first word that the program is given. With `count` for the second, it prints the
//! instructions of each image, of models whose layers were decoded beforehand.

use pocketgan::blob::{Aligned, MAX_LAYERS};
use pocketgan::{Error, Generator, Layer, Model};
use semihosting::experimental::env;
use semihosting::{eprintln, fs::File, println, process};

use crate::counter::Counter;
use crate::files;

/// Bytes of the largest blob and of the largest image.
const ROOM: usize = 1 << 17;

/// What went wrong, as a sentence.
struct Failure(&'static str);

impl From<&'static str> for Failure {
    fn from(message: &'static str) -> Self {
        Self(message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error.message())
    }
}

/// Checks all cases and ends the program: with status 0 if all is well.
pub fn main(counter: Counter) -> ! {
    match run(counter) {
        Ok((cases, 0)) => {
            println!("{cases} models give the reference's images");
            process::exit(0)
        }
        Ok((cases, wrong)) => eprintln!("{wrong} of {cases} models give other images"),
        Err(Failure(message)) => eprintln!("{message}"),
    }
    process::exit(1)
}

/// How many cases there are, and how many of them give another image.
fn run(counter: Counter) -> Result<(usize, usize), Failure> {
    let mut blob = Aligned([0; ROOM]);
    let (mut expected, mut image) = ([0; ROOM], [0; ROOM]);
    let mut buffer = [0; ROOM / 4];
    let (mut file, count) = open()?;
    let (mut cases, mut wrong) = (0, 0);
    loop {
        let mut lens = [0; 8];
        if files::read(&mut file, &mut lens)? == 0 {
            return Ok((cases, wrong));
        }
        let (blob_len, image_len) = (number(&lens[..4]), number(&lens[4..]));
        let (Some(padded), Some(expected), Some(image)) = (
            blob.0.get_mut(..blob_len.next_multiple_of(16)),
            expected.get_mut(..image_len),
            image.get_mut(..image_len),
        ) else {
            return Err(Failure("a case is larger than the room for it"));
        };
        let len = padded.len() + expected.len();
        if files::read(&mut file, padded)? + files::read(&mut file, expected)? < len {
            return Err(Failure("the file ends in the middle of a case"));
        }
        let parsed = Model::parse(&padded[..blob_len])?;
        let layers: [Layer<'_>; MAX_LAYERS] = parsed.decode_layers();
        // What is counted is an included model, whose layers the compiler decodes.
        let model = if count {
            parsed.with_layers(&layers[..parsed.layer_count()])
        } else {
            parsed
        };
        let instructions = make(&model, &mut buffer, image, counter)?;
        if count {
            println!("{instructions}");
        }
        if image != expected {
            eprintln!("case {cases} gives another image");
            wrong += 1;
        }
        if cases == 0 {
            check_unaligned(&mut blob, blob_len, &mut buffer)?;
        }
        cases += 1;
    }
}

/// Makes the image of seed 1, or of the case's picture; says how many instructions that took.
fn make(
    model: &Model<'_>,
    buffer: &mut [u32],
    image: &mut [u8],
    counter: Counter,
) -> Result<u64, Error> {
    let mut outcome = Ok(());
    #[cfg(feature = "images")]
    if model.picture().is_some() {
        let mut picture = [0; ROOM / 4];
        let picture = picture.get_mut(..model.picture_len()).unwrap_or_default();
        let mut rng = pocketgan::Rng::new(1);
        for pixel in picture.iter_mut() {
            *pixel = (rng.next_u32() >> 24) as u8;
        }
        let mut translator = pocketgan::Translator::new(model, buffer)?;
        let count = counter.instructions(|| outcome = translator.translate(picture, image));
        return outcome.map(|()| count);
    }
    let mut generator = Generator::new(model, buffer)?;
    let count = counter.instructions(|| outcome = generator.sample(1, image));
    outcome.map(|()| count)
}

/// Moves the blob by a byte, where the kernels cannot take it.
fn check_unaligned<const N: usize>(
    blob: &mut Aligned<N>,
    len: usize,
    buffer: &mut [u32],
) -> Result<(), Failure> {
    blob.0.copy_within(..len, 1);
    let model = Model::parse(&blob.0[1..=len])?;
    #[cfg(feature = "images")]
    if model.picture().is_some() {
        return match pocketgan::Translator::new(&model, buffer) {
            Err(Error::Unaligned) => Ok(()),
            _ => Err(Failure("an unaligned blob is taken")),
        };
    }
    match Generator::new(&model, buffer) {
        Err(Error::Unaligned) => Ok(()),
        _ => Err(Failure("an unaligned blob is taken")),
    }
}

/// A little-endian number.
fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rev()
        .fold(0, |number, &byte| number << 8 | usize::from(byte))
}

/// The file, and whether instructions are asked for.
fn open() -> Result<(File, bool), Failure> {
    let arguments = env::args::<1024>().map_err(|_| Failure("the arguments are too long"))?;
    // The first is the program itself.
    let mut words = (&arguments).skip(1);
    let Some(Ok(path)) = words.next() else {
        return Err(Failure("the file's path is missing"));
    };
    let count = matches!(words.next(), Some(Ok("count")));
    Ok((files::open(path)?, count))
}
