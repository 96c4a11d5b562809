//! Puts a `memory.x` with room for every model where the linker looks for it: the addresses are any.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let riscv = env::var("TARGET").is_ok_and(|target| target.starts_with("riscv32"));
    let mut memory = String::from(
        "MEMORY { FLASH : ORIGIN = 0x00000000, LENGTH = 1M  RAM : ORIGIN = 0x20000000, LENGTH = 64K }\n",
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
