//! Which rows of its tensors a model needs at once.

use super::field::MAX_LAYERS;
use super::model::Model;
use super::record::{Links, links};
use crate::shape::Operator;
use crate::window;

/// A number for each tensor.
struct PerTensor([u16; MAX_LAYERS + 1]);

impl PerTensor {
    const fn new(value: u16) -> Self {
        Self([value; MAX_LAYERS + 1])
    }

    const fn get(&self, tensor: usize) -> usize {
        if tensor < self.0.len() {
            self.0[tensor] as usize
        } else {
            0
        }
    }

    const fn set(&mut self, tensor: usize, value: usize) {
        if tensor < self.0.len() {
            self.0[tensor] = value as u16;
        }
    }

    const fn raise(&mut self, tensor: usize, value: usize) {
        if value > self.get(tensor) {
            self.set(tensor, value);
        }
    }

    const fn lower(&mut self, tensor: usize, value: usize) {
        if value < self.get(tensor) {
            self.set(tensor, value);
        }
    }
}

/// What the layers need of the tensors: found by making all rows in the order in which [`Generator`](crate::Generator)
/// makes them, without what is in them.
pub(crate) struct Needs {
    /// Rows made so far, and the layer that asked for the next one.
    made: PerTensor,
    asker: PerTensor,
    /// Of each layer, rows that were added to its sums, if it is linear over an image.
    summed: PerTensor,
    /// The most rows that an image needs at once.
    rows: PerTensor,
    /// The same of rows that additions need, of all rows that they have.
    added: PerTensor,
    margins: [[u8; 2]; MAX_LAYERS + 1],
    /// Whether an addition had to ask for a row of its second input.
    late: bool,
}

impl Needs {
    /// What the layers of a model need, whose layers read what is made before them. Takes a fixed number of steps for
    /// each row of each tensor.
    pub const fn of(model: &Model<'_>) -> Self {
        let mut needs = Self {
            made: PerTensor::new(0),
            asker: PerTensor::new(0),
            summed: PerTensor::new(0),
            rows: PerTensor::new(1),
            added: PerTensor::new(0),
            margins: [[0; 2]; MAX_LAYERS + 1],
            late: false,
        };
        if model.picture().is_none() {
            needs.made.set(0, 1);
        }
        let mut index = model.layer_count();
        while let Some(before) = index.checked_sub(1) {
            let links = links(model, before);
            needs.widen(&links);
            let is_image = index == model.layer_count();
            if is_image || matches!(links.operator, Operator::Add { .. }) {
                needs.make_rows(model, before, links.output.height, is_image);
            }
            index = before;
        }
        needs
    }

    /// The most rows of a tensor that an image needs at once (section 9.3).
    pub const fn rows(&self, tensor: usize) -> usize {
        self.rows.get(tensor)
    }

    /// The margins of a tensor (section 9.4).
    pub const fn margins(&self, tensor: usize) -> [u8; 2] {
        if tensor < self.margins.len() {
            self.margins[tensor]
        } else {
            [0; 2]
        }
    }

    /// The most rows of a tensor that additions need (section 8, item 4).
    pub const fn rows_of_additions(&self, tensor: usize) -> usize {
        self.added.get(tensor)
    }

    /// Whether a row of an addition's second input was not made yet when it was to be added, which version 4 does not
    /// have.
    pub const fn is_late(&self) -> bool {
        self.late
    }

    /// Counts in the margins that a layer needs.
    const fn widen(&mut self, links: &Links) {
        let [left, right] = window::margins(links.operator, links.input.width, links.output.width);
        if links.source < self.margins.len() {
            let [l, r] = self.margins[links.source];
            self.margins[links.source] = [
                if left > l { left } else { l },
                if right > r { right } else { r },
            ];
        }
    }

    /// Makes the rows of layer `top`'s output up to `height`, and counts what they need.
    const fn make_rows(&mut self, model: &Model<'_>, top: usize, height: usize, is_image: bool) {
        let mut index = top;
        while self.made.get(top + 1) < height {
            let links = links(model, index);
            let y = self.made.get(index + 1);
            let needed = window::rows_needed(links.operator, links.input.height, y);
            let made = self.made.get(links.source);
            let summed = self.summed.get(index);
            if links.reads_image && summed < needed {
                if made <= summed {
                    index = self.ask(links.source, index);
                } else {
                    self.count(links.source, made, summed, is_image);
                    self.summed.set(index, summed + 1);
                }
                continue;
            }
            if made < needed {
                index = self.ask(links.source, index);
                continue;
            }
            if let Some(other) = links.other {
                let made = self.made.get(other);
                if made <= y {
                    self.late = true;
                    index = self.ask(other, index);
                    continue;
                }
                self.count(other, made, y, is_image);
                self.added.raise(other, made.saturating_sub(y));
            }
            if needed > 0 && !links.reads_image {
                let first = window::first_row(links.operator, y);
                self.count(links.source, self.made.get(links.source), first, is_image);
            }
            self.made.set(index + 1, y + 1);
            if index != top {
                index = self.asker.get(index + 1);
            }
        }
    }

    /// Asks for the next row of a tensor on behalf of a layer; says which layer goes on. A row of the input is there at
    /// once.
    const fn ask(&mut self, tensor: usize, layer: usize) -> usize {
        match tensor.checked_sub(1) {
            Some(maker) => {
                self.asker.set(tensor, layer);
                maker
            }
            None => {
                self.made.set(0, self.made.get(0) + 1);
                layer
            }
        }
    }

    /// Counts the rows of a tensor from `first` on.
    const fn count(&mut self, tensor: usize, made: usize, first: usize, is_image: bool) {
        if is_image {
            self.rows.raise(tensor, made.saturating_sub(first));
        }
    }
}

/// The first row of each tensor that the rows of the image from some row on need.
pub(crate) struct FirstRows(PerTensor);

impl FirstRows {
    /// Those that the image needs from row `y` on.
    pub const fn of(model: &Model<'_>, y: usize) -> Self {
        let mut first = PerTensor::new(u16::MAX);
        first.set(model.layer_count(), y);
        // All layers that read a tensor come after the one that makes it.
        let mut index = model.layer_count();
        while let Some(before) = index.checked_sub(1) {
            let links = links(model, before);
            // What a layer reads first never goes back from one row to the next.
            let y = first.get(index);
            first.lower(links.source, window::first_row(links.operator, y));
            if let Some(other) = links.other {
                first.lower(other, y);
            }
            index = before;
        }
        Self(first)
    }

    /// Of a tensor.
    pub const fn get(&self, tensor: usize) -> usize {
        self.0.get(tensor)
    }
}
