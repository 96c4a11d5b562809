//! What can be wrong with a blob or a call.

use core::fmt;

/// Why a blob was refused, or why a call was.
///
/// Every variant's [`Display`](fmt::Display) is one sentence; [`message`](Error::message) gives it
/// in constant code. The section numbers are those of `docs/blob-format.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not start with the magic of a `.pgan` blob (1.1).
    NotABlob,
    /// The blob says that only newer readers can read it (1.1).
    TooNew,
    /// There are fewer or more bytes than the header says (1.1).
    WrongLength,
    /// The CRC-32 at the end does not match the bytes before it (1).
    Checksum,
    /// Bytes that must be zero are not (1.1, 1.2).
    Reserved,
    /// A header field is out of its range (1.1).
    BadHeader,
    /// A model with classes does not begin with a linear layer, or its class step is out of range
    /// (1.2, 6).
    BadClasses,
    /// The model computes with f32, and this build has no feature `f32` (1.1).
    NoFloat,
    /// The model has int4 weights, and this build has no feature `int4` (1.1).
    NoInt4,
    /// A layer is not linear, and this build has no feature `convolution` (1.2).
    NoConvolution,
    /// A layer is a concatenation or average pooling, and this build has no feature `graphs` (1.2).
    NoGraphs,
    /// The work the header promises is not the work of the layers (1.1).
    WrongWork,
    /// A layer has an operator this reader does not know (1.2).
    UnknownOperator,
    /// A layer has an activation this reader does not know, or one its operator forbids (1.2).
    BadActivation,
    /// The model reads pictures, or has a linear layer over images, and this build has no feature `images` (10).
    NoImages,
    /// The pictures that the model reads, or the table of its pixels, are not as they must be (10).
    BadPictures,
    /// The latent has another distribution than that of section 5, which no version has yet (11).
    UnknownDistribution,
    /// A linear layer's record does not say whether its input is a vector or an image, or both its input and its output
    /// are images (10).
    LinearOverImage,
    /// A layer's activation is a table or clips, which no version has yet (11).
    ActivationForm,
    /// A layer's kernel, stride, padding or shift is out of range (1.2).
    BadGeometry,
    /// A layer's extents are out of range, or the output is not what its operator makes (2).
    BadShape,
    /// An addition does not come behind the layer whose input it adds, has another shape than that, needs a row before
    /// it is made, or more or fewer rows than are kept for it (8).
    BadAddition,
    /// A layer reads a tensor that is not made before it (9.1).
    ReadsLater,
    /// A tensor is made, is not the image, and no layer reads it (9.1).
    Unread,
    /// The shape of a layer's input is not that of the tensor it reads, or the ends do not fit (2, 9.1).
    Disconnected,
    /// A concatenation's inputs and output are not worth the same, or not signed alike (9.2).
    UnlikeQuanta,
    /// The rows kept of a tensor, or its margins, are not what the layers that read it need (9.3, 9.4).
    BadRows,
    /// A tensor is said to lie in the rows of another, which does not concatenate it in place (9.3).
    BadHome,
    /// A vector that a linear layer reads has margins (9.4).
    PaddedVector,
    /// The last layer's activation does not give the output range of the header (2).
    WrongRange,
    /// A layer's parameters are not where, or not as long as, they must be (3).
    BadParameters,
    /// A scale, a slope or a float parameter is not finite or is out of range (1.2, 3).
    BadNumber,
    /// A requantization multiplier is not above zero (4.2).
    BadMultiplier,
    /// An accumulator could overflow 32 bits (4.2).
    Overflow,
    /// The blob does not lie at a multiple of four bytes, where this target's kernels need it; one that
    /// [`include_model!`](crate::include_model) includes does.
    Unaligned,
    /// The buffer is smaller than the model's working memory.
    BufferTooSmall,
    /// A latent, a tensor or an image slice does not have the model's length.
    SliceLength,
    /// The rows asked for are not rows of the image, or end before they start.
    NoSuchRows,
    /// The model reads pictures, where one is asked for that reads latents.
    ReadsPictures,
    /// The model reads latents, where one is asked for that reads pictures.
    ReadsLatents,
    /// The model's images are not of the size of its pictures.
    OtherSize,
    /// The model makes a row of the image before it reads that row of the picture, so they cannot be compared.
    RowNotRead,
    /// A row of a picture was given, and none was asked for.
    NoRowWanted,
    /// The model has classes, and none was chosen.
    ClassMissing,
    /// The model has no class of the number asked for; one without classes has none at all.
    NoSuchClass,
    /// The layer or model has the other kind of numbers (f32 or int8) than the call asks for.
    WrongNumbers,
}

impl Error {
    /// The sentence that says what is wrong.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NotABlob => "this is not a .pgan blob",
            Self::TooNew => "the blob needs a newer version of pocketgan",
            Self::WrongLength => "the blob is cut short or has bytes after its end",
            Self::Checksum => "the blob is damaged: its checksum does not match",
            Self::Reserved => "the blob uses bytes that are reserved in this format version",
            Self::BadHeader => "a field of the blob's header is out of range",
            Self::BadClasses => "the classes of the blob's model do not fit its first layer",
            Self::NoFloat => {
                "the model computes with f32, which this build leaves out (feature f32)"
            }
            Self::NoInt4 => {
                "the model has int4 weights, which this build leaves out (feature int4)"
            }
            Self::NoConvolution => {
                "the model has layers that are not linear, which this build leaves out (feature convolution)"
            }
            Self::NoGraphs => {
                "the model has a concatenation or average pooling, which this build leaves out (feature graphs)"
            }
            Self::WrongWork => "the work in the blob's header is not that of its layers",
            Self::UnknownOperator => "a layer of the blob has an unknown operator",
            Self::BadActivation => "a layer of the blob has an activation it cannot have",
            Self::NoImages => {
                "the model reads pictures or has a linear layer over images, which this build leaves out (feature images)"
            }
            Self::BadPictures => {
                "the pictures that the blob's model reads, or their table, are not as they must be"
            }
            Self::UnknownDistribution => {
                "the model's latent has a distribution that this version does not draw"
            }
            Self::LinearOverImage => {
                "a linear layer of the blob reads an image that it says is a vector, or the reverse, or makes one of one"
            }
            Self::ActivationForm => {
                "a layer's activation is a table or clips, which this version cannot run"
            }
            Self::BadGeometry => "a layer's kernel, stride, padding or shift is out of range",
            Self::BadShape => "a layer's shape is out of range or not what its operator makes",
            Self::BadAddition => "an addition does not fit the layers that it skips",
            Self::ReadsLater => "a layer reads a tensor that is not made before it",
            Self::Unread => "a tensor of the blob's model is made, but no layer reads it",
            Self::Disconnected => "a layer's input does not have the shape of what it reads",
            Self::UnlikeQuanta => {
                "the inputs and the output of a concatenation do not have the same quanta"
            }
            Self::BadRows => "the rows or margins kept of a tensor are not what its layers need",
            Self::BadHome => {
                "a tensor of the blob cannot lie in the rows of the tensor that its record names"
            }
            Self::PaddedVector => {
                "a vector that a linear layer reads is read by a convolution with padding too"
            }
            Self::WrongRange => "the last layer's activation does not give the output's range",
            Self::BadParameters => "a layer's parameters are misplaced or of the wrong length",
            Self::BadNumber => "a scale, slope or parameter of the blob is not a usable number",
            Self::BadMultiplier => "a requantization multiplier of the blob is not above zero",
            Self::Overflow => "an accumulator of the blob's model could overflow",
            Self::Unaligned => "the blob does not lie at a multiple of four bytes in memory",
            Self::BufferTooSmall => "the buffer is smaller than the model's working memory",
            Self::SliceLength => "a slice does not have the length the model asks for",
            Self::NoSuchRows => "the rows asked for are not rows of the model's image",
            Self::ReadsPictures => "the model reads pictures, not latents",
            Self::ReadsLatents => "the model reads latents, not pictures",
            Self::OtherSize => "the model's images are not of the size of its pictures",
            Self::RowNotRead => {
                "the model makes a row of the image before it reads that row of the picture"
            }
            Self::NoRowWanted => "a row of a picture was given where none was asked for",
            Self::ClassMissing => "the model has classes: choose one",
            Self::NoSuchClass => "the model has no class of this number",
            Self::WrongNumbers => "the model does not have the kind of numbers the call asks for",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for Error {}
