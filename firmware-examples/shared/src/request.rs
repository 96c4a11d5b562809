//! What the user asks for: a class and a seed, by the words behind QEMU's `-append`.

use core::fmt;
use core::str::{FromStr, Utf8Error};

use semihosting::experimental::env;

/// The class and the seed asked for, if they were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// The class.
    pub class: Option<usize>,
    /// The seed.
    pub seed: Option<u64>,
}

/// Why a request cannot be met.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// The words are too many bytes.
    TooLong,
    /// There are other words than a class and a seed.
    NotNumbers,
    /// The model has no classes.
    NoClasses,
    /// The model has fewer classes.
    NoSuchClass {
        /// The class asked for.
        class: usize,
        /// How many the model has.
        classes: usize,
    },
}

impl Request {
    /// Reads the words that the program was started with, for a model of `classes` classes.
    pub fn read(classes: usize) -> Result<Self, Refusal> {
        let words = env::args::<1024>().map_err(|_| Refusal::TooLong)?;
        // The first is the program itself.
        let mut words = (&words).skip(1);
        let request = Self {
            class: number(words.next())?,
            seed: number(words.next())?,
        };
        if words.next().is_some() {
            return Err(Refusal::NotNumbers);
        }
        match request.class {
            Some(_) if classes == 0 => Err(Refusal::NoClasses),
            Some(class) if class >= classes => Err(Refusal::NoSuchClass { class, classes }),
            _ => Ok(request),
        }
    }
}

fn number<T: FromStr>(word: Option<Result<&str, Utf8Error>>) -> Result<Option<T>, Refusal> {
    let Some(word) = word else {
        return Ok(None);
    };
    let number = word.ok().and_then(|word| word.parse().ok());
    number.map(Some).ok_or(Refusal::NotNumbers)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the words behind -append are too long"),
            Self::NotNumbers => f.write_str("ask for a class and a seed: -append \"7 1\""),
            Self::NoClasses => f.write_str("this model has no classes to ask for"),
            Self::NoSuchClass { class, classes } => {
                write!(f, "there is no class {class}, only 0 to {}", classes - 1)
            }
        }
    }
}
