//! `cargo xtask profile`: where the time of a training step goes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

#[derive(clap::Args)]
pub struct Arguments {
    /// Profile only this net, as `trainer bench` names it; all of them otherwise.
    #[arg(long)]
    net: Option<String>,
    /// Threads to compute with.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// Images in a batch.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
}

/// What `trainer bench --profile --json` prints for a net.
#[derive(Deserialize)]
struct Profile {
    net: String,
    images_per_s: f64,
    shares: BTreeMap<String, f64>,
}

/// Prints a Markdown table: a column for each net, a line for each kind of work, shares of the threads'
/// time in percent.
///
/// # Errors
///
/// The benchmark fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut trainer = process::cargo();
    let (threads, batch) = (arguments.threads.to_string(), arguments.batch.to_string());
    trainer.args(["trainer", "bench", "--profile", "--json"]);
    trainer.args(["--threads", &threads, "--batch", &batch]);
    trainer.args(arguments.net.iter().flat_map(|net| ["--net", net]));
    let printed = process::output(&mut trainer)?;
    let profiles: Vec<Profile> = printed
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("not a profile: {line}")))
        .collect::<Result<_>>()?;
    let row = |name: &str, cell: &dyn Fn(&Profile) -> String| {
        let cells: Vec<String> = profiles.iter().map(|p| format!("{:>8}", cell(p))).collect();
        println!("| {name:<20} | {} |", cells.join(" | "));
    };
    row("% of the time", &|p| p.net.clone());
    println!(
        "|----------------------{}|",
        "|---------:".repeat(profiles.len())
    );
    let kinds: BTreeSet<&String> = profiles.iter().flat_map(|p| p.shares.keys()).collect();
    for kind in kinds {
        row(kind, &|p| {
            format!("{:.1}", p.shares.get(kind).unwrap_or(&0.0) * 100.0)
        });
    }
    row("images a second", &|p| format!("{:.0}", p.images_per_s));
    Ok(())
}
