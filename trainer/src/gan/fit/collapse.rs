//! The watch for mode collapse over the lines of the log.

use super::{Line, ScoreLine};
use crate::metrics::collapse::{Diversity, Limits, Sign};
use std::collections::VecDeque;

/// What the lines so far tell. It follows from them alone, so that a run that is taken up again sees what one left
/// alone sees.
pub(super) struct Monitor {
    limits: Limits,
    /// Entropy of the training images.
    own_entropy: f64,
    /// The step of the last line.
    last: u32,
    /// The last lines after the warm-up, up to a window, each with the step of the line before it.
    window: VecDeque<(u32, Diversity)>,
    in_images: Evidence,
    in_classes: Evidence,
}

/// What one kind of line tells.
#[derive(Default)]
struct Evidence {
    /// The last step up to which nothing was amiss. It stands still during a collapse.
    well: u32,
    signs: Vec<Sign>,
}

impl Evidence {
    /// Takes in what is seen now; `well` is where that was not seen yet.
    fn update(&mut self, signs: Vec<Sign>, well: u32) {
        if signs.is_empty() {
            self.well = well;
        }
        self.signs = signs;
    }
}

impl Monitor {
    /// Nothing seen yet.
    pub fn new(limits: Limits, own_entropy: f64) -> Self {
        Self {
            limits,
            own_entropy,
            last: 0,
            window: VecDeque::new(),
            in_images: Evidence::default(),
            in_classes: Evidence::default(),
        }
    }

    /// Takes in a line of images.
    pub fn line(&mut self, line: &Line) {
        let before = std::mem::replace(&mut self.last, line.step);
        if line.step <= self.limits.warm_up {
            self.in_images.well = line.step;
            return;
        }
        self.window.push_back((before, line.diversity()));
        if self.window.len() > self.limits.window {
            self.window.pop_front();
        }
        if let Some(&(start, _)) = self.window.front()
            && self.window.len() == self.limits.window
        {
            let signs = self.limits.judge(&self.mean(), self.own_entropy);
            self.in_images.update(signs, start);
        }
    }

    /// Takes in the score of an epoch's end.
    pub fn score(&mut self, line: &ScoreLine) {
        let judged = line.step > self.limits.warm_up;
        let sign = self.limits.judge_classes(&line.score.class_counts);
        let signs = sign.filter(|_| judged).into_iter().collect();
        self.in_classes.update(signs, line.step);
    }

    fn mean(&self) -> Diversity {
        let count = self.window.len().max(1) as f64;
        let mean = |figure: fn(&Diversity) -> Option<f64>| {
            let values = self.window.iter().map(|(_, figures)| figure(figures));
            Some(values.sum::<Option<f64>>()? / count)
        };
        Diversity {
            entropy: mean(|figures| Some(figures.entropy)).unwrap_or(0.0),
            nearest_generated: mean(|figures| figures.nearest_generated),
            nearest_training: mean(|figures| figures.nearest_training),
        }
    }

    /// What speaks of collapse now, `None` where nothing does.
    pub fn collapse(&self) -> Option<String> {
        let signs = self.in_images.signs.iter().chain(&self.in_classes.signs);
        let signs: Vec<String> = signs.map(Sign::to_string).collect();
        (!signs.is_empty()).then(|| signs.join("; "))
    }

    /// The last step up to which nothing was amiss of what is now.
    pub fn well(&self) -> u32 {
        let kinds = [&self.in_images, &self.in_classes];
        let amiss = kinds.into_iter().filter(|kind| !kind.signs.is_empty());
        amiss.map(|kind| kind.well).min().unwrap_or(self.last)
    }

    /// The steps that [`Monitor::well`] may say when a collapse is seen next, by images and by classes. The first may
    /// be any later one too; the second only the end of an epoch.
    pub fn horizons(&self) -> [u32; 2] {
        [self.in_images.well, self.in_classes.well]
    }
}
