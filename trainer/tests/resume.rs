//! Runs that nothing can spoil: the real binary, killed, stopped, starved and lied to.

mod common;

use common::{Place, contents, signal, wait};
use std::time::Duration;

/// A run of 234 steps on real images.
const FIT: &str =
    "fit --dataset fashion --size nano --batch 256 --epochs 1 --device cpu --checkpoint-every 5";

/// Kills a run at 24 moments of its life and resumes it with other numbers of threads.
#[test]
fn a_killed_run_ends_with_the_bytes_of_one_left_alone() {
    let place = Place::new();
    let alone = std::thread::scope(|scope| {
        let alone = scope.spawn(|| place.ends_with(0, &format!("{FIT} --threads 1 --out alone")));
        kill_and_resume(&place, "killed");
        alone.join().unwrap()
    });
    assert_eq!(place.outcome("killed"), place.outcome("alone"), "{alone}");
    assert_eq!(place.logged("killed"), place.logged("alone"));
    let every_50: Vec<u64> = (1..=4).map(|i| 50 * i).collect();
    assert_eq!(place.logged("killed"), every_50);
}

/// Kills run `run` at 24 random moments, the first before there is a checkpoint, and lets it come to its end.
fn kill_and_resume(place: &Place, run: &str) {
    const KILLS: u32 = 24;
    const STEPS: u32 = 234;
    // Marsaglia's xorshift: the moments are the same each time as far as the machine is.
    let mut random = 0x9e37_79b9u32;
    let mut below = |n: u32| {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        random % n
    };
    for kill in 0..KILLS {
        let threads = 1 + kill % 3;
        let line = match kill {
            0 => format!("{FIT} --threads {threads} --out {run}"),
            _ => format!("fit --resume {run} --threads {threads}"),
        };
        let mut child = place.start(&line);
        match kill {
            // Before the data is there; before the first step; before the first checkpoint.
            0..3 => {
                let sign = ["config.toml", "checkpoints", "stats.jsonl"][kill as usize];
                let sign = place.path(run).join(sign);
                wait(&mut child, || sign.exists());
            }
            _ => place.wait_for_step(run, STEPS * kill / (KILLS + 2), &mut child),
        }
        std::thread::sleep(Duration::from_micros(below(100_000).into()));
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "it ended before kill {kill}"
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.ends_with(0, &format!("fit --resume {run} --threads 3"));
}
