//! The trainer from outside. One program, so that it is linked once.

mod anomaly;
mod cli;
mod common;
mod eval;
mod flags;
mod initial;
mod latents;
mod limits;
#[cfg(target_os = "linux")]
mod output;
mod own_data;
mod pixelcnn;
mod progressive;
mod resume;
mod runs_and_data;
mod teacher;
mod training_loop;
mod translation;
