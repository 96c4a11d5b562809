//! The `.pgan` blob: a constant, total parser. `docs/blob-format.md` is its specification.

mod bytes;
mod field;
mod layer;
pub(crate) mod order;
mod record;
#[cfg(feature = "writer")]
pub mod writer;

use crate::Error;
use bytes::{u8_at, u16_at, u32_at, u64_at};
use core::fmt;
use field::header;

pub use layer::{Activation, Layer, Numbers, Operator, Shape, Window};
pub(crate) use layer::{Parameters, RingSize};
pub(crate) use record::{Links, links};

/// The newest version of the format that this reader knows.
pub const FORMAT_VERSION: u16 = 5;
/// The version that brought classes.
const CLASSES_VERSION: u16 = 2;
/// The version that brought int4.
const INT4_VERSION: u16 = 3;
/// The version that brought additions, and rows as channels.
const ADD_VERSION: u16 = 4;
/// The version that brought graphs: layers that read any tensor made before, concatenation and average pooling.
const GRAPH_VERSION: u16 = 5;
/// The most layers a model can have.
pub const MAX_LAYERS: usize = 64;
/// The most layers of a model that is no graph.
const MAX_CHAIN: usize = 32;

const MAGIC: [u8; 8] = *b"\x89PGAN\r\n\x1a";
const HEADER_LEN: usize = header::LEN;
const RECORD_LEN: usize = field::record::LEN;
const CRC_LEN: usize = 4;
const MAX_EXTENT: usize = 4096;
const MAX_ELEMENTS: usize = 1 << 22;

/// What the pixels of an image stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelRange {
    /// A pixel `p` means `(p - 128) / 128`; the last activation is tanh.
    Signed,
    /// A pixel `p` means `p / 256`; the last activation is sigmoid.
    Unsigned,
}

impl PixelRange {
    /// The value that a pixel stands for.
    pub fn value(self, pixel: u8) -> f32 {
        match self {
            Self::Signed => (f32::from(pixel) - 128.0) / 128.0,
            Self::Unsigned => f32::from(pixel) / 256.0,
        }
    }
}

/// A generator, parsed from a blob that it borrows.
///
/// Parsing checks everything once: a `Model` in hand means that running it cannot fail, overflow
/// or panic, whatever the bytes were.
#[derive(Clone, Copy, PartialEq)]
pub struct Model<'a> {
    blob: &'a [u8],
    numbers: Numbers,
    layers: usize,
    latent_size: usize,
    classes: usize,
    /// The class that images are made of.
    class: Option<usize>,
    output: Shape,
    range: PixelRange,
    macs: u64,
    buffer_len: usize,
    decoded: Decoded<'a>,
}

/// The layers of an included model; none of others. They follow from the blob, so models do not differ by them.
#[derive(Clone, Copy)]
struct Decoded<'a>(&'a [Layer<'a>]);

impl PartialEq for Decoded<'_> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Model<'_> {
    /// The figures, without the bytes of the blob.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("numbers", &self.numbers)
            .field("layers", &self.layers)
            .field("latent_size", &self.latent_size)
            .field("classes", &self.classes)
            .field("class", &self.class)
            .field("output", &self.output)
            .field("range", &self.range)
            .field("macs", &self.macs)
            .field("blob_len", &self.blob.len())
            .field("buffer_len", &self.buffer_len)
            .finish()
    }
}

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
        match record::check_all(&model) {
            Ok(()) => {}
            Err(error) => return Err(error),
        }
        model.buffer_len = crate::plan::buffer_len(&model);
        Ok(model)
    }

    /// Components of the latent: `i8` each, worth 1/32 a unit.
    pub const fn latent_size(&self) -> usize {
        self.latent_size
    }

    /// How many classes there are, 0 to 4096: images of a model with classes are made of the class
    /// that is chosen. 0 is a model without classes.
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// The class that images are made of, if one was chosen.
    pub const fn class(&self) -> Option<usize> {
        self.class
    }

    /// This model as one that makes images of `class`.
    ///
    /// # Errors
    /// [`Error::NoSuchClass`] if `class` is not below [`classes`](Self::classes).
    pub const fn of_class(mut self, class: usize) -> Result<Self, Error> {
        if class >= self.classes {
            return Err(Error::NoSuchClass);
        }
        self.class = Some(class);
        Ok(self)
    }

    /// Size of the image.
    pub const fn output(&self) -> Shape {
        self.output
    }

    /// Bytes of the image, one a channel: height times width times channels.
    pub const fn image_len(&self) -> usize {
        self.output.len()
    }

    /// What the image's pixels stand for.
    pub const fn range(&self) -> PixelRange {
        self.range
    }

    /// The kind of numbers the model computes with.
    pub const fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Multiply-accumulates of one image. They bound its cost, whatever the blob: no tensor has more
    /// elements than 64 times as many (section 2.4), nor more than 2^22.
    pub const fn macs(&self) -> u64 {
        self.macs
    }

    /// Bytes of the blob.
    pub const fn blob_len(&self) -> usize {
        self.blob.len()
    }

    /// Whether the blob lies at a whole word of memory.
    pub(crate) fn is_aligned(&self) -> bool {
        self.blob.as_ptr().addr().is_multiple_of(4)
    }

    /// How many layers there are, 1 to [`MAX_LAYERS`].
    pub const fn layer_count(&self) -> usize {
        self.layers
    }

    /// Layer `index`, or the last one if there is none of that index.
    pub const fn layer(&self, index: usize) -> Layer<'a> {
        let last = self.layers - 1;
        record::decode(self, if index < last { index } else { last })
    }

    /// Layer `index`, or the last one, if it was decoded beforehand and does not depend on the class.
    #[inline(always)]
    pub(crate) const fn decoded_layer(&self, index: usize) -> Option<&'a Layer<'a>> {
        let Some(last) = self.decoded.0.len().checked_sub(1) else {
            return None;
        };
        if index == 0 && self.class.is_some() {
            return None;
        }
        Some(&self.decoded.0[if index < last { index } else { last }])
    }

    /// All layers, decoded.
    #[doc(hidden)]
    pub const fn decode_layers<const N: usize>(&self) -> [Layer<'a>; N] {
        let mut layers = [self.layer(0); N];
        let mut index = 0;
        while index < N {
            layers[index] = self.layer(index);
            index += 1;
        }
        layers
    }

    /// This model with its layers decoded, which are then not decoded again for each row.
    #[doc(hidden)]
    pub const fn with_layers(mut self, layers: &'a [Layer<'a>]) -> Self {
        self.decoded = Decoded(layers);
        self
    }

    /// The layers, first to last.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = Layer<'a>> + use<'a> {
        let model = *self;
        (0..self.layers).map(move |index| model.layer(index))
    }

    /// Bytes of working memory that making an image takes: [`buffer_len`](Self::buffer_len) words.
    pub const fn working_memory(&self) -> usize {
        self.buffer_len() * 4
    }

    /// Words of the [`Buffer`](crate::Buffer) that making an image takes.
    pub const fn buffer_len(&self) -> usize {
        self.buffer_len
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
    let latent_size = u16_at(blob, header::LATENT_SIZE) as usize;
    let most_layers = match version {
        GRAPH_VERSION.. => MAX_LAYERS,
        _ => MAX_CHAIN,
    };
    if layers == 0 || layers > most_layers || latent_size == 0 || latent_size > MAX_EXTENT {
        return Err(Error::BadHeader);
    }
    let classes = u16_at(blob, header::CLASSES) as usize;
    if classes > MAX_EXTENT || (classes > 0 && version < CLASSES_VERSION) {
        return Err(Error::BadHeader);
    }
    let unused = match version {
        GRAPH_VERSION.. => header::UNUSED,
        _ if !zeros(blob, header::INPUT_KIND, header::WORK) => return Err(Error::Reserved),
        _ => header::MARGINS,
    };
    if !zeros(blob, unused, HEADER_LEN) {
        return Err(Error::Reserved);
    }
    if u8_at(blob, header::INPUT_KIND) != 0 {
        return Err(Error::ImageInput);
    }
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

/// Whether `bytes[from..to]` is all zero.
const fn zeros(bytes: &[u8], from: usize, to: usize) -> bool {
    let mut at = from;
    while at < to {
        if u8_at(bytes, at) != 0 {
            return false;
        }
        at += 1;
    }
    true
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
