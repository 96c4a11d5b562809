//! What the steps of `cargo xtask test` may take: a table that is kept, and the figures of a run beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// The table: CPU seconds by step.
const TABLE: &str = include_str!("../budgets.toml");
/// A step may take this much more than its budget: that is what neighbours on a machine cost.
const NOISE: f64 = 1.3;

/// What a step took.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// From its start to its end.
    pub wall: Duration,
    /// Of all its processes, in seconds.
    pub cpu: f64,
}

/// A step that has been run.
#[derive(Debug)]
pub struct Outcome {
    pub step: String,
    pub spent: Spent,
    pub ok: bool,
}

/// The budgets by step, in CPU seconds.
///
/// # Errors
///
/// The table is not TOML.
pub fn budgets() -> Result<BTreeMap<String, f64>> {
    Ok(toml::from_str(TABLE)?)
}

/// Runs something and measures the processes that it starts and waits for.
///
/// # Errors
///
/// The system does not say what they took.
pub fn measure<T>(work: impl FnOnce() -> T) -> Result<(T, Spent)> {
    let (start, cpu) = (Instant::now(), cpu_of_children()?);
    let outcome = work();
    let spent = Spent {
        wall: start.elapsed(),
        cpu: cpu_of_children()? - cpu,
    };
    Ok((outcome, spent))
}

fn cpu_of_children() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let time = usage.user_time() + usage.system_time();
    Ok(time.num_milliseconds() as f64 / 1e3)
}

/// The table of a run, with a line below it for each step that grew.
pub fn report(outcomes: &[Outcome], budgets: &BTreeMap<String, f64>) -> String {
    let mut table = format!(
        "{:<10} {:>6} {:>6} {:>7}\n",
        "step", "wall", "CPU", "budget"
    );
    let mut grown = String::new();
    for Outcome { step, spent, ok } in outcomes {
        let budget = budgets.get(step);
        let shown = budget.map_or_else(|| "none".to_owned(), |budget| format!("{budget:.0}"));
        let (wall, cpu) = (spent.wall.as_secs_f64(), spent.cpu);
        let ok = if *ok { "ok" } else { "FAILED" };
        let _ = writeln!(table, "{step:<10} {wall:>6.0} {cpu:>6.0} {shown:>7}  {ok}");
        if let Some(budget) = budget.filter(|budget| cpu > *budget * NOISE) {
            let percent = (cpu / budget - 1.0) * 100.0;
            let _ = writeln!(
                grown,
                "{step} grew: {percent:.0} % more CPU than its budget of {budget:.0} s"
            );
        }
    }
    let wall: Duration = outcomes.iter().map(|outcome| outcome.spent.wall).sum();
    let cpu: f64 = outcomes.iter().map(|outcome| outcome.spent.cpu).sum();
    let (name, wall) = ("in all", wall.as_secs_f64());
    let _ = writeln!(table, "{name:<10} {wall:>6.0} {cpu:>6.0}");
    table + &grown
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn outcome(step: &str, cpu: f64) -> Outcome {
        Outcome {
            step: step.to_owned(),
            spent: Spent {
                wall: Duration::from_secs(7),
                cpu,
            },
            ok: true,
        }
    }

    #[test]
    fn the_step_that_grew_is_named() {
        let budgets = BTreeMap::from([("doc".to_owned(), 10.0), ("fmt".to_owned(), 10.0)]);
        let text = report(&[outcome("doc", 12.9), outcome("fmt", 5.0)], &budgets);
        assert!(!text.contains("grew"), "{text}");
        let text = report(&[outcome("doc", 15.0), outcome("fmt", 5.0)], &budgets);
        assert!(text.contains("doc grew: 50 % more CPU"), "{text}");
        assert!(!text.contains("fmt grew"), "{text}");
        assert!(text.contains("in all         14     20\n"), "{text}");
    }

    #[test]
    fn the_work_of_other_processes_is_counted() {
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let run = || Command::new("sh").args(["-c", busy]).status();
        let (status, spent) = measure(run).unwrap();
        assert!(status.unwrap().success());
        assert!(spent.cpu > 0.01, "{spent:?}");
    }
}
