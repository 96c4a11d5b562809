//! What the tests share: networks with random numbers, and an ONNX writer of their own.

pub mod networks;
pub mod unfolded;
