//! The format's versions and limits, and where the fields of the header and of a record lie, in bytes (sections 1.1 and
//! 1.2).

/// The newest version of the format that this reader knows.
pub const FORMAT_VERSION: u16 = 6;
/// The version that brought classes.
pub(super) const CLASSES_VERSION: u16 = 2;
/// The version that brought int4.
pub(super) const INT4_VERSION: u16 = 3;
/// The version that brought additions, and rows as channels.
pub(super) const ADD_VERSION: u16 = 4;
/// The version that brought graphs: layers that read any tensor made before, concatenation and average pooling.
pub(super) const GRAPH_VERSION: u16 = 5;
/// The version that brought models that read pictures, and linear layers over images.
pub(super) const IMAGES_VERSION: u16 = 6;
/// The most layers a model can have.
pub const MAX_LAYERS: usize = 64;
/// The most layers of a model that is no graph.
pub(super) const MAX_CHAIN: usize = 32;

pub(super) const MAGIC: [u8; 8] = *b"\x89PGAN\r\n\x1a";
pub(super) const HEADER_LEN: usize = header::LEN;
pub(super) const RECORD_LEN: usize = record::LEN;
pub(super) const CRC_LEN: usize = 4;
pub(super) const MAX_EXTENT: usize = 4096;
/// Values of a pixel.
pub(super) const PIXELS: usize = 256;
pub(super) const MAX_ELEMENTS: usize = 1 << 22;

/// The header's fields.
pub(in crate::blob) mod header {
    pub const MAGIC: usize = 0;
    /// The version that the blob is written in.
    pub const WRITTEN: usize = 8;
    /// The version of the oldest reader.
    pub const READER: usize = 10;
    pub const BLOB_LEN: usize = 12;
    pub const LAYERS: usize = 16;
    pub const LATENT_SIZE: usize = 18;
    pub const CLASSES: usize = 20;
    pub const OUTPUT: usize = 22;
    pub const NUMBERS: usize = 28;
    pub const RANGE: usize = 29;
    pub const INPUT_KIND: usize = 30;
    pub const DISTRIBUTION: usize = 31;
    pub const WORK: usize = 32;
    /// The margins of tensor 0: left, and right behind it.
    pub const MARGINS: usize = 40;
    /// The shape of the pictures that are read.
    pub const INPUT: usize = 42;
    /// The rows kept of them.
    pub const INPUT_ROWS: usize = 48;
    /// What a quantum of them is worth.
    pub const INPUT_SCALE: usize = 50;
    /// What is always 0, up to the end.
    pub const UNUSED: usize = 54;
    pub const LEN: usize = 64;
}

/// A record's fields.
pub(in crate::blob) mod record {
    pub const OPERATOR: usize = 0;
    pub const ACTIVATION: usize = 1;
    pub const KERNEL: usize = 2;
    pub const STRIDE: usize = 3;
    pub const PADDING: usize = 4;
    pub const OUTPUT_PADDING: usize = 5;
    pub const SHIFT: usize = 6;
    pub const MULTIPLIER_SHIFT: usize = 7;
    pub const INPUT: usize = 8;
    pub const OUTPUT: usize = 14;
    pub const SLOPE: usize = 20;
    pub const SCALE: usize = 24;
    pub const START: usize = 28;
    pub const LENGTH: usize = 32;
    pub const CLASS_STEP: usize = 36;
    /// The rows kept: of the input in version 4, of the output in version 5.
    pub const ROWS: usize = 38;
    /// The tensor that is the second input.
    pub const OTHER: usize = 40;
    pub const ADDENDS: usize = 42;
    /// The tensor that is the first input.
    pub const SOURCE: usize = 46;
    /// The margins of the output: left, and right behind it.
    pub const MARGINS: usize = 48;
    pub const INPUT_ORDER: usize = 50;
    pub const ACTIVATION_FORM: usize = 51;
    /// The concatenation in whose rows the output lies; 0 if it has rows of its own.
    pub const HOME: usize = 52;
    /// What is always 0, up to the end.
    pub const UNUSED: usize = 54;
    pub const LEN: usize = 64;
}
