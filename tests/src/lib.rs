//! What the tests share: networks with random numbers, mutants of exported models, and an ONNX writer of their own.

pub mod graphs;
pub mod mutants;
pub mod networks;
pub mod unfolded;
