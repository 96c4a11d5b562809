//! Puts a `memory.x` with room for every model where the linker looks for it, at the addresses that QEMU's machine for
//! the target and the features have.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    let riscv = target.starts_with("riscv32");
    let [flash, ram] = if riscv {
        ["0x80000000", "0x80400000"]
    } else if env::var_os("CARGO_FEATURE_CORTEX_M55").is_some() {
        ["0x00000000", "0x31000000"]
    } else if target.starts_with("thumbv8m.main") {
        ["0x10000000", "0x38000000"]
    } else {
        ["0x00000000", "0x20000000"]
    };
    let mut memory = format!(
        "MEMORY {{ FLASH : ORIGIN = {flash}, LENGTH = 1M  RAM : ORIGIN = {ram}, LENGTH = 64K }}\n",
    );
    if riscv {
        for region in ["TEXT", "RODATA"] {
            memory += &format!("REGION_ALIAS(\"REGION_{region}\", FLASH);\n");
        }
        for region in ["DATA", "BSS", "HEAP", "STACK"] {
            memory += &format!("REGION_ALIAS(\"REGION_{region}\", RAM);\n");
        }
        println!("cargo::rustc-link-arg=-Tmemory.x");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("memory.x"), memory)?;
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg=-Tlink.x");
    Ok(())
}
