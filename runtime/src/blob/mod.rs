//! The `.pgan` blob: a constant, total parser. `docs/blob-format.md` is its specification.

mod check;
mod field;
pub(crate) mod memory;
mod model;
pub(crate) mod needs;
mod record;
#[cfg(feature = "writer")]
pub mod writer;

use crate::bytes::{self, u8_at, u16_at, u32_at, u64_at, zeros};
use crate::error::Error;
use field::{
    CLASSES_VERSION, CRC_LEN, GRAPH_VERSION, HEADER_LEN, IMAGES_VERSION, INT4_VERSION, MAGIC,
    MAX_CHAIN, MAX_EXTENT, RECORD_LEN, header,
};
use model::Decoded;

pub use crate::layer::Layer;
pub use crate::shape::{Activation, Numbers, Operator, PixelRange, Shape, Window};
pub use field::{FORMAT_VERSION, MAX_LAYERS};
pub use model::Model;

impl<'a> Model<'a> {
    /// Reads and checks a blob. Works in constants: see [`include_model!`](crate::include_model).
    ///
    /// # Errors
    /// Whatever is wrong with the blob, first of all that it is no blob of this format or needs a
    /// newer reader. It never panics, whatever the bytes.
    pub const fn parse(blob: &'a [u8]) -> Result<Self, Error> {
        let mut model = match parse_header(blob) {
            Ok(model) => model,
            Err(error) => return Err(error),
        };
        match check::check_all(&model) {
            Ok(()) => {}
            Err(error) => return Err(error),
        }
        model.buffer_len = memory::buffer_len(&model);
        Ok(model)
    }
}

const fn parse_header<'a>(blob: &'a [u8]) -> Result<Model<'a>, Error> {
    if let Err(error) = check_frame(blob) {
        return Err(error);
    }
    let version = u16_at(blob, header::READER);
    let numbers = match u8_at(blob, header::NUMBERS) {
        1 if cfg!(feature = "f32") => Numbers::Float,
        1 => return Err(Error::NoFloat),
        2 => Numbers::Int8,
        3 if version < INT4_VERSION => return Err(Error::BadHeader),
        3 if cfg!(feature = "int4") => Numbers::Int4,
        3 => return Err(Error::NoInt4),
        _ => return Err(Error::BadHeader),
    };
    let range = match u8_at(blob, header::RANGE) {
        1 => PixelRange::Signed,
        2 => PixelRange::Unsigned,
        _ => return Err(Error::BadHeader),
    };
    let layers = u16_at(blob, header::LAYERS) as usize;
    let most_layers = match version {
        GRAPH_VERSION.. => MAX_LAYERS,
        _ => MAX_CHAIN,
    };
    if layers == 0 || layers > most_layers {
        return Err(Error::BadHeader);
    }
    let classes = u16_at(blob, header::CLASSES) as usize;
    if classes > MAX_EXTENT || (classes > 0 && version < CLASSES_VERSION) {
        return Err(Error::BadHeader);
    }
    let unused = match version {
        IMAGES_VERSION.. => header::UNUSED,
        GRAPH_VERSION => header::INPUT,
        _ if !zeros(blob, header::INPUT_KIND, header::WORK) => return Err(Error::Reserved),
        _ => header::MARGINS,
    };
    if !zeros(blob, unused, HEADER_LEN) {
        return Err(Error::Reserved);
    }
    let latent_size = match latent_size(blob) {
        Ok(latent_size) => latent_size,
        Err(error) => return Err(error),
    };
    if u8_at(blob, header::DISTRIBUTION) != 0 {
        return Err(Error::UnknownDistribution);
    }
    let output = record::shape_at(blob, header::OUTPUT);
    let macs = u64_at(blob, header::WORK);
    Ok(Model {
        blob,
        numbers,
        layers,
        latent_size,
        classes,
        class: None,
        output,
        range,
        macs,
        buffer_len: 0,
        decoded: Decoded(&[]),
    })
}

/// Components of the latent; 0 of a model that reads pictures.
const fn latent_size(blob: &[u8]) -> Result<usize, Error> {
    let latent_size = u16_at(blob, header::LATENT_SIZE) as usize;
    match u8_at(blob, header::INPUT_KIND) {
        0 if !zeros(blob, header::INPUT, header::UNUSED) => Err(Error::Reserved),
        0 if latent_size == 0 || latent_size > MAX_EXTENT => Err(Error::BadHeader),
        0 => Ok(latent_size),
        1 if u16_at(blob, header::READER) < IMAGES_VERSION => Err(Error::Reserved),
        1 if !cfg!(feature = "images") => Err(Error::NoImages),
        1 if latent_size > 0 => Err(Error::Reserved),
        1 => Ok(0),
        _ => Err(Error::Reserved),
    }
}

/// Checks magic, version, length and checksum, in this order.
const fn check_frame(blob: &[u8]) -> Result<(), Error> {
    let mut i = 0;
    while i < MAGIC.len() {
        if i >= blob.len() || blob[header::MAGIC + i] != MAGIC[i] {
            return Err(Error::NotABlob);
        }
        i += 1;
    }
    if blob.len() < HEADER_LEN + RECORD_LEN + CRC_LEN {
        return Err(Error::WrongLength);
    }
    let (written, reader) = (u16_at(blob, header::WRITTEN), u16_at(blob, header::READER));
    if reader > FORMAT_VERSION {
        return Err(Error::TooNew);
    }
    if u32_at(blob, header::BLOB_LEN) as usize != blob.len() {
        return Err(Error::WrongLength);
    }
    let (checked, crc) = blob.split_at(blob.len() - CRC_LEN);
    if bytes::crc32(checked) != u32_at(crc, 0) {
        return Err(Error::Checksum);
    }
    if reader == 0 || (written != reader && written <= FORMAT_VERSION) {
        return Err(Error::BadHeader);
    }
    Ok(())
}

/// Bytes of constant data at an alignment that every kernel can use.
#[doc(hidden)]
#[repr(C, align(16))]
pub struct Aligned<const N: usize>(pub [u8; N]);

/// Includes a `.pgan` file (a path relative to this source file) as a constant
/// [`Model<'static>`](Model), aligned for the fast kernels. A file that is not a valid blob is a
/// compile error that says why.
///
/// ```
/// const MODEL: pocketgan::Model = pocketgan::include_model!("../../tests/data/v1-int8.pgan");
/// assert_eq!(MODEL.latent_size(), 4);
/// ```
///
/// ```compile_fail
/// const MODEL: pocketgan::Model = pocketgan::include_model!("mod.rs");
/// ```
#[macro_export]
macro_rules! include_model {
    ($path:expr $(,)?) => {{
        static BLOB: $crate::blob::Aligned<{ include_bytes!($path).len() }> =
            $crate::blob::Aligned(*include_bytes!($path));
        // Checking a big blob takes the compiler a while.
        #[allow(long_running_const_eval)]
        const MODEL: $crate::Model<'static> = match $crate::Model::parse(&BLOB.0) {
            Ok(model) => model,
            Err(error) => panic!("{}", error.message()),
        };
        static LAYERS: [$crate::Layer<'static>; MODEL.layer_count()] = MODEL.decode_layers();
        MODEL.with_layers(&LAYERS)
    }};
}
