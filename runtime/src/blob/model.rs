//! A parsed model: its figures and the bytes that it borrows.

use core::fmt;

use crate::error::Error;
use crate::layer::Layer;
use crate::shape::{Numbers, PixelRange, Shape};

/// A generator, parsed from a blob that it borrows.
///
/// Parsing checks everything once: a `Model` in hand means that running it cannot fail, overflow
/// or panic, whatever the bytes were.
#[derive(Clone, Copy, PartialEq)]
pub struct Model<'a> {
    pub(super) blob: &'a [u8],
    pub(super) numbers: Numbers,
    pub(super) layers: usize,
    /// 0 of a model that reads pictures, whose size the header has.
    pub(super) latent_size: usize,
    pub(super) classes: usize,
    /// The class that images are made of.
    pub(super) class: Option<usize>,
    pub(super) output: Shape,
    pub(super) range: PixelRange,
    pub(super) macs: u64,
    pub(super) buffer_len: usize,
    pub(super) decoded: Decoded<'a>,
}

/// The layers of an included model; none of others. They follow from the blob, so models do not differ by them.
#[derive(Clone, Copy)]
pub(super) struct Decoded<'a>(pub(super) &'a [Layer<'a>]);

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
            .field("input", &self.input())
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
    /// Components of the latent: `i8` each, worth 1/32 a unit. 0 of a model that reads pictures.
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

    /// How many layers there are, 1 to [`MAX_LAYERS`](super::MAX_LAYERS).
    pub const fn layer_count(&self) -> usize {
        self.layers
    }

    /// Layer `index`, or the last one, if it was decoded beforehand, without the column of a class. Without
    /// convolutions the first layer is decoded with its column instead: that is less code than to put the column into a
    /// copy.
    #[inline(always)]
    pub(crate) const fn decoded_layer(&self, index: usize) -> Option<&'a Layer<'a>> {
        let Some(last) = self.decoded.0.len().checked_sub(1) else {
            return None;
        };
        if cfg!(not(feature = "convolution")) && index == 0 && self.class.is_some() {
            return None;
        }
        Some(&self.decoded.0[if index < last { index } else { last }])
    }

    /// This model with its layers decoded, which are then not decoded again for each row.
    #[doc(hidden)]
    pub const fn with_layers(mut self, layers: &'a [Layer<'a>]) -> Self {
        self.decoded = Decoded(layers);
        self
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
