//! The watch for mode collapse over the lines of the log.

use super::{Line, ScoreLine};
use crate::metrics::collapse::{Diversity, Limits, Sign};
use std::collections::VecDeque;

/// What the lines so far tell. It follows from them alone, so that a resumed run sees what one left
/// alone sees.
pub(super) struct Monitor {
    limits: Limits,
    /// Entropy of the training images.
    own_entropy: f64,
    /// The step of the last line.
    last: u32,
    /// The last lines, up to a window, each with the step of the line before it.
    window: VecDeque<(u32, Diversity)>,
    in_images: Evidence,
    in_classes: Evidence,
}

/// What one kind of line tells.
#[derive(Default)]
struct Evidence {
    state: State,
    /// The last step up to which nothing was amiss, 0 if that was never so. It stands still during a collapse.
    well: u32,
}

#[derive(Default)]
enum State {
    /// There is nothing yet that could collapse.
    #[default]
    Unproven,
    Well,
    Collapsed(Vec<Sign>),
}

impl Evidence {
    /// Takes in what is `low` after step `now`, and whether all is clearly well; `start` is the step up to which it
    /// had not been seen.
    fn update(&mut self, limits: &Limits, now: u32, start: u32, low: Vec<Sign>, clear: bool) {
        let unproven = matches!(self.state, State::Unproven);
        if now <= limits.warm_up || (unproven && !clear && now <= limits.patience) {
            return;
        }
        if !low.is_empty() {
            self.state = State::Collapsed(low);
        } else if clear || matches!(self.state, State::Well) {
            self.state = State::Well;
            self.well = start;
        }
    }

    fn signs(&self) -> &[Sign] {
        match &self.state {
            State::Collapsed(signs) => signs,
            State::Unproven | State::Well => &[],
        }
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
        self.window.push_back((before, line.diversity()));
        if self.window.len() > self.limits.window {
            self.window.pop_front();
        }
        if self.window.len() == self.limits.window {
            let figures = self.mean();
            let low = |limits: &Limits| limits.judge(&figures, self.own_entropy);
            let clear = low(&self.limits.clear()).is_empty();
            let (low, start) = (low(&self.limits), self.start());
            (self.in_images).update(&self.limits, line.step, start, low, clear);
        }
    }

    /// Takes in the score of an epoch's end.
    pub fn score(&mut self, line: &ScoreLine) {
        let Some(counts) = line.score.class_counts() else {
            return;
        };
        let low = |limits: &Limits| limits.judge_classes(counts);
        let clear = low(&self.limits.clear()).is_none();
        let low = low(&self.limits).into_iter().collect();
        (self.in_classes).update(&self.limits, line.step, line.step, low, clear);
    }

    /// The step that the window begins after.
    fn start(&self) -> u32 {
        self.window.front().map_or(0, |&(before, _)| before)
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
        let signs = [self.in_images.signs(), self.in_classes.signs()].concat();
        let signs: Vec<String> = signs.iter().map(Sign::to_string).collect();
        (!signs.is_empty()).then(|| signs.join("; "))
    }

    /// The last step up to which nothing was amiss of what is now.
    pub fn well(&self) -> u32 {
        let kinds = [&self.in_images, &self.in_classes];
        let amiss = kinds.into_iter().filter(|kind| !kind.signs().is_empty());
        amiss.map(|kind| kind.well).min().unwrap_or(self.last)
    }

    /// What [`Monitor::well`] may say when a collapse is seen next, in the images and in the classes. The first may be
    /// any later step too, the second only a later epoch's end.
    pub fn horizons(&self) -> [u32; 2] {
        let images = match self.in_images.state {
            State::Unproven => self.start(),
            State::Well | State::Collapsed(_) => self.in_images.well,
        };
        [images, self.in_classes.well]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gan::Losses;
    use crate::gan::fit::EpochScore;
    use crate::metrics::fid_cls::Score;

    const LIMITS: Limits = Limits {
        warm_up: 200,
        patience: 1000,
        window: 2,
        entropy: 0.6,
        entropy_share: 0.5,
        nearest_generated: 0.1,
        nearest_training: 0.1,
        class_coverage: 0.3,
    };

    /// A line with a distance to the nearest generated image; the rest is well.
    fn line(step: u32, nearest_generated: f64) -> Line {
        Line {
            step,
            epoch: 0,
            losses: Losses::default(),
            learning_rate: 0.0,
            images_per_s: 0.0,
            entropy: 0.5,
            nearest_generated: Some(nearest_generated),
            nearest_training: Some(1.0),
            elapsed_s: 0.0,
        }
    }

    fn score(step: u32, classes: usize) -> ScoreLine {
        let counts = (0..10).map(|class| if class < classes { 100 } else { 0 });
        ScoreLine {
            step,
            epoch: 0,
            score: EpochScore::Images(Score {
                fid_cls: 1.0,
                fid_channels: None,
                class_counts: counts.collect(),
                class_entropy: 0.0,
            }),
            class_coverage: None,
            elapsed_s: 0.0,
        }
    }

    /// The steps after which there was a collapse, of lines every 50 steps; and the monitor after them.
    fn watched(distances: &[f64]) -> (Vec<u32>, Monitor) {
        let mut monitor = Monitor::new(LIMITS, 0.8);
        let mut collapsed = Vec::new();
        for (step, &distance) in (50..).step_by(50).zip(distances) {
            monitor.line(&line(step, distance));
            collapsed.extend(monitor.collapse().map(|_| step));
        }
        (collapsed, monitor)
    }

    #[test]
    fn a_collapse_begins_with_the_windows_mean_and_ends_when_all_is_clearly_well() {
        // The means of pairs from step 250 on: 1, 0.51, 0.02, 0.06, 0.11, 0.15, 0.5.
        let distances = [0.0, 0.0, 0.0, 1.0, 1.0, 0.02, 0.02, 0.10, 0.12, 0.18, 0.82];
        let (collapsed, monitor) = watched(&distances);
        assert_eq!(collapsed, [350, 400, 450]);
        assert_eq!(monitor.well(), 550);
        let (_, monitor) = watched(&distances[..9]);
        assert_eq!(monitor.well(), 200);
        let signs = monitor.collapse().unwrap();
        assert!(
            signs.contains("nearest generated image 0.060, below 0.100"),
            "{signs}"
        );
    }

    /// Noise at the beginning is no diversity.
    #[test]
    fn a_warm_up_is_not_judged() {
        assert_eq!(watched(&[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]).0, [0; 0]);
    }

    #[test]
    fn a_generator_that_never_was_well_is_given_time() {
        let (collapsed, monitor) = watched(&[0.01; 23]);
        assert_eq!(collapsed, [1050, 1100, 1150]);
        assert_eq!(monitor.well(), 0);
    }

    #[test]
    fn classes_are_judged_at_epochs_ends() {
        let mut monitor = Monitor::new(LIMITS, 0.8);
        let mut collapsed = Vec::new();
        for (step, classes) in [(150, 9), (300, 2), (450, 7), (600, 2), (750, 3), (900, 4)] {
            monitor.score(&score(step, classes));
            collapsed.extend(monitor.collapse().map(|_| (step, monitor.well())));
        }
        // Three are not clearly more than three tenths.
        assert_eq!(collapsed, [(600, 450), (750, 450)]);
        assert_eq!(monitor.horizons(), [0, 900]);
    }

    #[test]
    fn both_kinds_count_and_the_older_good_step_of_the_two() {
        let (_, mut monitor) = watched(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(monitor.well(), 250);
        monitor.score(&score(390, 5));
        assert_eq!(monitor.well(), 250);
        monitor.score(&score(400, 1));
        assert_eq!(monitor.well(), 250);
        for step in [450, 500] {
            monitor.line(&line(step, 1.0));
        }
        assert_eq!(monitor.well(), 390);
    }

    /// Lines of before these figures were kept.
    #[test]
    fn what_is_not_known_is_not_judged() {
        let mut monitor = Monitor::new(LIMITS, 0.8);
        for step in (50..2000).step_by(50) {
            let unknown = Line {
                nearest_generated: None,
                nearest_training: None,
                ..line(step, 0.0)
            };
            monitor.line(&unknown);
        }
        assert_eq!(monitor.collapse(), None);
    }
}
