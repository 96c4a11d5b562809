//! Checks the kernels against images that the host's reference kernels made: `cases.bin`, the file that the
//! runtime's example `cases` writes.
//!
//! `qemu-system-arm ... -semihosting-config enable=on,target=native,arg=cases,arg=PATH`
#![no_std]
#![no_main]

use core::ffi::CStr;

use cortex_m_rt::entry;
use pocketgan::blob::Aligned;
use pocketgan::{Generator, Model};
use semihosting::experimental::env;
use semihosting::io::Read;
use semihosting::{eprintln, fs::File, println, process};

const ROOM: usize = 1 << 19;

/// What went wrong, as a sentence.
struct Failure(&'static str);

impl From<pocketgan::Error> for Failure {
    fn from(error: pocketgan::Error) -> Self {
        Self(error.message())
    }
}

/// Where everything lies.
struct Memory<'a> {
    blob: &'a mut [u8],
    expected: &'a mut [u8],
    image: &'a mut [u8],
    buffer: &'a mut [u32],
}

#[entry]
fn main() -> ! {
    static mut BLOB: Aligned<ROOM> = Aligned([0; ROOM]);
    static mut EXPECTED: [u8; ROOM] = [0; ROOM];
    static mut IMAGE: [u8; ROOM] = [0; ROOM];
    static mut BUFFER: [u32; ROOM / 4] = [0; ROOM / 4];
    let memory = Memory {
        blob: &mut BLOB.0,
        expected: EXPECTED,
        image: IMAGE,
        buffer: BUFFER,
    };
    match run(memory) {
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
fn run(memory: Memory<'_>) -> Result<(usize, usize), Failure> {
    let mut file = open()?;
    let (mut cases, mut wrong) = (0, 0);
    loop {
        let mut lens = [0; 8];
        if read(&mut file, &mut lens)? == 0 {
            return Ok((cases, wrong));
        }
        let [blob_len, image_len] = [0, 4].map(|at| {
            let bytes = [lens[at], lens[at + 1], lens[at + 2], lens[at + 3]];
            u32::from_le_bytes(bytes) as usize
        });
        let large = Failure("a case is too large for this board");
        let Some(blob) = memory.blob.get_mut(..blob_len.next_multiple_of(16)) else {
            return Err(large);
        };
        let (Some(expected), Some(image)) = (
            memory.expected.get_mut(..image_len),
            memory.image.get_mut(..image_len),
        ) else {
            return Err(large);
        };
        if read(&mut file, blob)? + read(&mut file, expected)? < blob.len() + image_len {
            return Err(Failure("the file ends in the middle of a case"));
        }
        let model = Model::parse(&blob[..blob_len])?;
        Generator::new(&model, memory.buffer)?.sample(1, image)?;
        if image != expected {
            println!("case {cases} differs");
            wrong += 1;
        }
        cases += 1;
    }
}

fn open() -> Result<File, Failure> {
    let arguments = env::args::<1024>().map_err(|_| Failure("the arguments are too long"))?;
    let Some(Ok(path)) = (&arguments).skip(1).next() else {
        return Err(Failure("the argument is the file's path"));
    };
    let mut name = [0; 1024];
    let room = name
        .get_mut(..path.len())
        .ok_or(Failure("the path is too long"))?;
    room.copy_from_slice(path.as_bytes());
    let name = CStr::from_bytes_until_nul(&name).map_err(|_| Failure("the path is too long"))?;
    File::open(name).map_err(|_| Failure("the file cannot be opened"))
}

/// Fills `bytes` from the file, or as far as it goes; returns how far that is.
fn read(file: &mut File, bytes: &mut [u8]) -> Result<usize, Failure> {
    let mut len = 0;
    while len < bytes.len() {
        match file.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(_) => return Err(Failure("the file cannot be read")),
        }
    }
    Ok(len)
}
