//! The trainer and the runtime against each other and against other engines. One program, so that it is linked once.

mod collapse;
mod evaluation;
mod export;
mod fid_cls;
mod graphs;
mod growth;
mod models;
mod mutants;
mod onnx_checker;
mod parity;
mod recipes;
mod torch_fidelity;
mod training;
mod translators;
mod variational;
