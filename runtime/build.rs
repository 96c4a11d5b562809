//! Chooses the loops in assembly that the target has: `pocketgan_asm`, and of them one of `pocketgan_dsp` (Arm's
//! DSP extension: SMLAD and its kin), `pocketgan_thumb2` (ARMv7-M without it), `pocketgan_thumb1` (ARMv6-M) and
//! `pocketgan_riscv` (RV32 with multiplication); or `pocketgan_mve` (Arm's Helium); or `pocketgan_x86_64`.
//! `pocketgan_wide`: of the DSP extension's loops also those for three taps and for four at every other column, which
//! generators from latents hardly need.

const LOOPS: [&str; 4] = ["dsp", "thumb2", "thumb1", "riscv"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=POCKETGAN_KERNELS");
    println!(
        "cargo::rustc-check-cfg=cfg(pocketgan_asm, pocketgan_x86_64, pocketgan_wide, pocketgan_mve)"
    );
    println!("cargo::rustc-check-cfg=cfg(pocketgan_sse2, pocketgan_avx2)");
    for loops in LOOPS {
        println!("cargo::rustc-check-cfg=cfg(pocketgan_{loops})");
    }
    // So that those kernels can be tested that this machine has better ones for.
    match std::env::var("POCKETGAN_KERNELS").as_deref() {
        Ok("portable") => return,
        Ok("sse2") => println!("cargo::rustc-cfg=pocketgan_sse2"),
        Ok("avx2") => println!("cargo::rustc-cfg=pocketgan_avx2"),
        _ => {}
    }
    let mve = std::env::var_os("CARGO_FEATURE_MVE").is_some();
    let is = |name, value| std::env::var(name).is_ok_and(|it| it == value);
    if mve && is("TARGET", "thumbv8m.main-none-eabihf") {
        println!("cargo::rustc-cfg=pocketgan_mve");
    } else if let Some(loops) = loops() {
        println!("cargo::rustc-cfg=pocketgan_asm");
        println!("cargo::rustc-cfg=pocketgan_{loops}");
        if loops == "dsp" && std::env::var_os("CARGO_FEATURE_IMAGES").is_some() {
            println!("cargo::rustc-cfg=pocketgan_wide");
        }
    }
    if is("CARGO_CFG_TARGET_ARCH", "x86_64") && std::env::var_os("CARGO_CFG_MIRI").is_none() {
        println!("cargo::rustc-cfg=pocketgan_x86_64");
    }
}

fn loops() -> Option<&'static str> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let features = variable("CARGO_CFG_TARGET_FEATURE");
    let multiplies = features.split(',').any(|feature| feature == "m");
    // The compiler does not say whether there is the DSP extension.
    let dsp = std::env::var_os("CARGO_FEATURE_DSP").is_some();
    let target = variable("TARGET");
    match target.split('-').next().unwrap_or_default() {
        "thumbv7em" => Some("dsp"),
        "thumbv8m.main" if dsp => Some("dsp"),
        "thumbv6m" | "thumbv8m.base" => Some("thumb1"),
        "thumbv7m" | "thumbv8m.main" => Some("thumb2"),
        arch if arch.starts_with("riscv32") && multiplies => Some("riscv"),
        _ => None,
    }
}
