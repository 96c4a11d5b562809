//! Tells the crate whether the target has Arm's DSP extension (SMLAD and its kin).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(pocketgan_dsp)");
    let variable = |name| std::env::var(name).unwrap_or_default();
    let features = variable("CARGO_CFG_TARGET_FEATURE");
    let has = |feature| features.split(',').any(|f| f == feature);
    let target = variable("TARGET");
    let armv7em = target.starts_with("thumbv7em");
    if armv7em || (target.starts_with("thumbv8m.main") && has("dsp")) {
        println!("cargo::rustc-cfg=pocketgan_dsp");
    }
}
