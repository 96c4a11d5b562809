//! Data of the user's own: folders of pictures, NumPy arrays, idx files.

mod arrays;
mod error;
mod folder;
mod idx;
mod jpeg;
mod listing;
mod npy;
mod npz;
mod picture;
mod single;
#[cfg(test)]
mod tests;

pub use error::{OwnProblem, PictureProblem};
pub(super) use folder::load as folder;
pub(super) use idx::load as idx;
pub(super) use npz::load as npz;
pub use single::Picture;
