//! Which tensors of an int8 network have one scale and one signedness.
//!
//! An upsampling and average pooling keep those of their input, and a concatenation has one of each for both inputs and
//! its output (sections 2.3 and 9.2 of the blob format). An input that cannot have the other's is rounded to new quanta
//! by a layer of its own, a copy. Concatenations share a copy if they have one scale without that, too.

use super::fold::{Folded, FoldedLayer};
use crate::samples;
use crate::spec::Shape;
use pocketgan::{Activation, Operator, latent};
use std::collections::BTreeMap;

/// What tensors that are concatenated have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kind {
    /// Whether the quanta are 0 to 255 (else -128 to 127).
    pub unsigned: bool,
    /// What a quantum is worth where the format says it.
    pub fixed: Option<f32>,
}

impl Kind {
    /// The kind of what a network reads.
    fn of_input(folded: &Folded) -> Self {
        let scale = if folded.reads_pictures() {
            samples::PIXEL
        } else {
            latent::SCALE
        };
        Self {
            unsigned: false,
            fixed: Some(scale),
        }
    }

    /// The kind of what leaves an activation.
    fn after(activation: Activation) -> Self {
        Self {
            unsigned: matches!(activation, Activation::Relu | Activation::Sigmoid),
            fixed: match activation {
                Activation::Tanh => Some(1.0 / 128.0),
                Activation::Sigmoid => Some(1.0 / 256.0),
                Activation::None | Activation::Relu | Activation::LeakyRelu { .. } => None,
            },
        }
    }
}

/// A layer of an int8 network before it has numbers.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The folded layer, with the numbers of the int8 network's tensors.
    pub layer: FoldedLayer,
    /// Whether it is an addition that adds nothing, and rounds its input to new quanta.
    pub is_copy: bool,
    /// The tensor of the folded network that has the layer's values.
    values: usize,
}

/// The layers of an int8 network: those of a folded one, and copies.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The layers, first to last.
    pub layers: Vec<Planned>,
    /// Of each tensor, the network's input first, the place of its kind in `kinds`.
    kind_of: Vec<usize>,
    kinds: Vec<Kind>,
    /// The copies of a tensor, by its number and whether they are unsigned.
    copies: BTreeMap<(usize, bool), Vec<usize>>,
}

impl Plan {
    /// The layers of `folded`.
    pub fn new(folded: &Folded) -> Self {
        let mut plan = Self {
            layers: Vec::new(),
            kind_of: vec![0],
            kinds: vec![Kind::of_input(folded)],
            copies: BTreeMap::new(),
        };
        // Of each tensor of the folded network, the int8 network's.
        let mut made = vec![0];
        for (index, layer) in folded.layers.iter().enumerate() {
            let mut source = made[layer.source];
            let operator = match layer.operator {
                Operator::Add { from } => Operator::Add { from: made[from] },
                Operator::Concat { from } => {
                    let mut inputs = [(layer.source, source), (from, made[from])];
                    plan.unify(&mut inputs, folded);
                    source = inputs[0].1;
                    Operator::Concat { from: inputs[1].1 }
                }
                other => other,
            };
            let layer = FoldedLayer {
                operator,
                source,
                ..layer.clone()
            };
            made.push(plan.push(layer, index + 1, false));
        }
        plan
    }

    /// The kinds, each with the tensors of the folded network whose values are rounded to its quanta.
    pub fn kinds(&self) -> impl Iterator<Item = (Kind, Vec<usize>)> {
        self.kinds.iter().enumerate().map(|(place, &kind)| {
            let layers = self.layers.iter().zip(&self.kind_of[1..]);
            let rounded = layers
                .filter(|(planned, of)| **of == place && !planned.layer.operator.keeps_quanta());
            (kind, rounded.map(|(planned, _)| planned.values).collect())
        })
    }

    /// The place of a tensor's kind among the [`kinds`](Self::kinds), and the kind.
    pub fn kind(&self, tensor: usize) -> (usize, Kind) {
        let place = self.kind_of[tensor];
        (place, self.kinds[place])
    }

    /// Adds a layer; gives the number of its output.
    fn push(&mut self, layer: FoldedLayer, values: usize, is_copy: bool) -> usize {
        let kind = if layer.operator.keeps_quanta() {
            self.kind_of[layer.source]
        } else {
            self.kinds.push(Kind::after(layer.activation));
            self.kinds.len() - 1
        };
        self.kind_of.push(kind);
        self.layers.push(Planned {
            layer,
            is_copy,
            values,
        });
        self.layers.len()
    }

    /// Makes the two inputs of a concatenation, each a tensor of `folded` and the int8 network's, one kind.
    fn unify(&mut self, inputs: &mut [(usize, usize); 2], folded: &Folded) {
        let [a, b] = inputs.map(|(_, tensor)| self.kind(tensor).1);
        if a != b {
            let unsigned = a.unsigned && b.unsigned;
            let [first, second] = inputs.map(|(_, tensor)| self.copies_of(tensor, unsigned));
            let mut pairs = first
                .iter()
                .flat_map(|a| second.iter().map(move |b| [*a, *b]));
            if let Some(shared) = pairs.find(|&[a, b]| self.kind_of[a] == self.kind_of[b]) {
                for ((_, tensor), copy) in inputs.iter_mut().zip(shared) {
                    *tensor = copy;
                }
                return;
            }
            for (values, tensor) in inputs.iter_mut() {
                if self.needs_copy(*tensor, unsigned) {
                    *tensor = self.copy(*values, *tensor, unsigned, folded);
                }
            }
        }
        let [a, b] = inputs.map(|(_, tensor)| self.kind_of[tensor]);
        for kind in &mut self.kind_of {
            if *kind == b {
                *kind = a;
            }
        }
    }

    /// Whether a tensor cannot have a scale in common with others of that signedness.
    fn needs_copy(&self, tensor: usize, unsigned: bool) -> bool {
        let kind = self.kind(tensor).1;
        kind.fixed.is_some() || kind.unsigned != unsigned
    }

    /// The tensors that there are with the values of `tensor` and a scale in common with others: itself if it can.
    fn copies_of(&self, tensor: usize, unsigned: bool) -> Vec<usize> {
        if self.needs_copy(tensor, unsigned) {
            let copies = self.copies.get(&(tensor, unsigned));
            copies.cloned().unwrap_or_default()
        } else {
            vec![tensor]
        }
    }

    /// Adds a copy of `tensor`, which has the values of the tensor `values` of `folded`; gives its number.
    fn copy(&mut self, values: usize, tensor: usize, unsigned: bool, folded: &Folded) -> usize {
        let shape = folded.shape_of(values);
        let activation = if unsigned {
            Activation::Relu
        } else {
            Activation::None
        };
        let layer = FoldedLayer {
            activation,
            ..FoldedLayer::new(Operator::Add { from: tensor }, tensor, shape, shape)
        };
        let copy = self.push(layer, values, true);
        self.copies
            .entry((tensor, unsigned))
            .or_default()
            .push(copy);
        copy
    }
}

impl Folded {
    /// The shape of a tensor.
    fn shape_of(&self, tensor: usize) -> Shape {
        match tensor.checked_sub(1) {
            Some(layer) => self.layers[layer].output,
            None => self.input,
        }
    }
}
