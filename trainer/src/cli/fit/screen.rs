//! The progress of `trainer fit`, on a terminal or in a log.

use crate::gan::fit::{EpochScore, Line, Progress, ScoreLine, Watch};
use crate::gan::{Game, LossName};
use crate::metrics::fid_cls::PROTOCOL;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A progress bar on a terminal, plain lines otherwise.
pub(super) struct Screen {
    bar: Option<ProgressBar>,
    /// Names of the losses.
    losses: &'static [LossName],
    share: f64,
    /// Whether somebody asked to stop.
    asked: Arc<AtomicBool>,
}

impl Screen {
    pub fn new(game: Game, asked: Arc<AtomicBool>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(10_000);
            let template = "{bar:32} {percent:>3}%  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            losses: game.losses(),
            share: 0.0,
            asked,
        }
    }

    /// A line above the bar.
    fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => tell!("{line}"),
        }
    }

    /// Clears the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Screen {
    fn step(&mut self, progress: Progress) {
        self.share = progress.share;
        if let Some(bar) = &self.bar {
            bar.set_position((progress.share * 10_000.0) as u64);
        }
    }

    fn line(&mut self, line: &Line) {
        let left = line.elapsed_s / self.share.max(1e-9) * (1.0 - self.share).max(0.0);
        let text = format!(
            "step {}  {:.0} images/s{}  entropy {:.3}{}  {} left",
            line.step,
            line.images_per_s,
            losses(self.losses, line),
            line.entropy,
            distances(line),
            clock(left)
        );
        match &self.bar {
            Some(bar) => bar.set_message(text),
            // A line every so often is enough for a log.
            None if line.step.is_multiple_of(500) => tell!("{text}"),
            None => {}
        }
    }

    fn grid(&mut self, path: &Path) {
        self.print(&format!("samples: {}", path.display()));
    }

    fn score(&mut self, line: &ScoreLine) {
        let figures = match &line.score {
            EpochScore::Images(score) => format!(
                "{PROTOCOL} {:.2}, class entropy {:.3}, class coverage {:.2}",
                score.fid_cls,
                score.class_entropy,
                line.class_coverage.unwrap_or_default()
            ),
            EpochScore::Pairs(score) => format!(
                "held-out pictures: L1 {:.2} grey levels, PSNR {:.2} dB",
                score.l1, score.psnr
            ),
            EpochScore::Likelihood(score) => format!(
                "held-out images: {:.2} nats, {:.4} bits a pixel",
                score.nats, score.bits_per_dimension
            ),
        };
        self.print(&format!("step {}: {figures}", line.step));
    }

    fn note(&mut self, sentence: &str) {
        self.print(sentence);
    }

    fn stop(&mut self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// The losses, each after its name.
fn losses(names: &[LossName], line: &Line) -> String {
    let losses = names.iter().filter_map(|name| {
        let loss = line.losses.get(name.key)?;
        Some(format!("  {} {loss:.3}", name.short))
    });
    losses.collect()
}

/// How far images are from each other and from training images, as a share of the data's own distances.
fn distances(line: &Line) -> String {
    match (line.nearest_generated, line.nearest_training) {
        (Some(generated), Some(training)) => {
            format!("  nearest own {generated:.2} data {training:.2}")
        }
        _ => String::new(),
    }
}

/// Minutes and seconds.
fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
