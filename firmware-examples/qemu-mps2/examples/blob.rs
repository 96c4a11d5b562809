//! Samples any blob of the host's file system, for tests: one JSON object for each seed from 1, a model
//! with classes of each class in turn.
//!
//! `qemu-system-arm ... -semihosting-config enable=on,target=native,arg=blob,arg=PATH,arg=SEEDS`
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use firmware_shared::files;
use firmware_shared::picture::Checksum;
use pocketgan::blob::Aligned;
use pocketgan::{Generator, Model};
use qemu_mps2::timer::COUNTER;
use semihosting::experimental::env;
use semihosting::{eprintln, println, process};

const BLOB_LEN: usize = 1 << 20;
const BUFFER_LEN: usize = 1 << 18;
const IMAGE_LEN: usize = 1 << 18;

/// What went wrong, as a sentence.
struct Failure(&'static str);

impl From<pocketgan::Error> for Failure {
    fn from(error: pocketgan::Error) -> Self {
        Self(error.message())
    }
}

#[entry]
fn main() -> ! {
    static mut BLOB: Aligned<BLOB_LEN> = Aligned([0; BLOB_LEN]);
    static mut BUFFER: [u32; BUFFER_LEN] = [0; BUFFER_LEN];
    static mut IMAGE: [u8; IMAGE_LEN] = [0; IMAGE_LEN];
    match run(&mut BLOB.0, BUFFER, IMAGE) {
        Ok(()) => process::exit(0),
        Err(Failure(message)) => {
            eprintln!("{message}");
            process::exit(1)
        }
    }
}

fn run(blob: &mut [u8], buffer: &mut [u32], image: &mut [u8]) -> Result<(), Failure> {
    let arguments = env::args::<1024>().map_err(|_| Failure("the arguments are too long"))?;
    let mut arguments = (&arguments).skip(1);
    let (Some(Ok(path)), Some(Ok(seeds))) = (arguments.next(), arguments.next()) else {
        return Err(Failure(
            "the arguments are the blob's path and the number of seeds",
        ));
    };
    let seeds: u64 = seeds
        .parse()
        .map_err(|_| Failure("the number of seeds is not a number"))?;
    let len = read(path, blob)?;
    let model = Model::parse(&blob[..len])?;
    let mut generator = Generator::new(&model, buffer)?;
    let image = image
        .get_mut(..model.image_len())
        .ok_or(Failure("the image is too large for this board"))?;
    for seed in 1..=seeds {
        if let Some(class) = (seed as usize - 1).checked_rem(model.classes()) {
            generator.set_class(class)?;
        }
        let mut result = Ok(());
        let count = COUNTER.instructions(|| result = generator.sample(seed, image));
        result?;
        let checksum = Checksum(image);
        println!("{{\"seed\":{seed},\"instructions\":{count},\"pixels_sha256\":\"{checksum}\"}}");
    }
    Ok(())
}

/// Reads a file into the start of `bytes` and returns its length.
fn read(path: &str, bytes: &mut [u8]) -> Result<usize, Failure> {
    let len = files::open(path).and_then(|mut file| files::read(&mut file, bytes));
    match len.map_err(Failure)? {
        len if len == bytes.len() => Err(Failure("the blob is too large for this board")),
        len => Ok(len),
    }
}
