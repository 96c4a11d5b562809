//! Puts the board's `memory.x` where the linker looks for it, and tells the program what the board has.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=memory");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(armv6m, mps3, trustzone)");
    let target = env::var("TARGET").unwrap_or_default();
    if target.starts_with("thumbv6m") {
        println!("cargo::rustc-cfg=armv6m");
    }
    let cortex_m55 = env::var_os("CARGO_FEATURE_CORTEX_M55").is_some();
    let memory = if cortex_m55 {
        println!("cargo::rustc-cfg=mps3");
        "memory/mps3.x"
    } else if target.starts_with("thumbv8m") {
        println!("cargo::rustc-cfg=trustzone");
        "memory/mps2-trustzone.x"
    } else {
        "memory/mps2.x"
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::copy(memory, out.join("memory.x"))?;
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg=-Tlink.x");
    Ok(())
}
