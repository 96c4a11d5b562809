//! What the tests share: networks with random numbers, an ONNX writer of their own, the real binary.

pub mod networks;
pub mod tool;
pub mod unfolded;
