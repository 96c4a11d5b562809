//! What the header and the records of a blob say of each other and of the parameters, made to agree: sections 2, 8, 9
//! and 10 of the blob format, written apart from the runtime.

use pocketgan::Rng;

use crate::forge::between;
use crate::layers::{
    Blob, Extents, GRAPH_VERSION, IMAGES_VERSION, INT4, Layer, activation, field, get, header,
    operator, put, put_extents,
};

/// How often layers may have to read other tensors.
const MAX_PASSES: usize = 16;
/// The largest extent of a tensor.
const MAX_EXTENT: u64 = 4096;
/// The most layers of a model that is no graph.
const MAX_CHAIN: usize = 32;
const ADD_VERSION: u16 = 4;
/// What one quantum of the latent is worth.
const LATENT_SCALE: f32 = 1.0 / 32.0;

/// What a layer must know of a tensor that it reads.
#[derive(Clone, Copy, PartialEq)]
struct Tensor {
    extents: Extents,
    /// What a quantum is worth, and whether it has a sign.
    scale: [u8; 4],
    is_signed: bool,
}

impl Blob {
    /// Makes all agree: what layers read, shapes, lengths, work, rows, margins, homes and version. What a record says
    /// of its own layer alone stays. Layers that cannot read what they name read another tensor, drawn at random.
    /// `None` if that does not come to an end, an extent is more than its field holds, or parameters are longer than
    /// `max_len`.
    pub fn connect(&mut self, max_len: usize, rng: &mut Rng) -> Option<()> {
        let mut passes = 0..MAX_PASSES;
        self.infer_shapes(rng)?;
        while self.read_unread() {
            passes.next()?;
            self.infer_shapes(rng)?;
        }
        let (numbers, is_float) = (self.header[header::NUMBERS], self.is_float());
        let mut classes = self.classes();
        let mut work = 0u64;
        for layer in &mut self.layers {
            let step = match classes {
                1.. if !is_float => layer.get(field::CLASS_STEP).max(1),
                _ => 0,
            };
            layer.put(field::CLASS_STEP, step);
            layer.resize(numbers, classes, max_len)?;
            work = work.wrapping_add(layer.work());
            classes = 0;
        }
        self.header[header::WORK..header::MARGINS].copy_from_slice(&work.to_le_bytes());
        let has_rows_as_channels = self.end();
        let extents = self
            .layers
            .iter()
            .flat_map(|layer| layer.extents(field::OUTPUT));
        if extents
            .into_iter()
            .all(|extent| (1..=MAX_EXTENT).contains(&extent))
        {
            self.put_needs(has_rows_as_channels);
        } else {
            // The blob is refused, and the rows are not worth making.
            self.put_version(if self.needs_images() {
                IMAGES_VERSION
            } else {
                GRAPH_VERSION
            });
        }
        Some(())
    }

    fn classes(&self) -> u64 {
        get(&self.header, header::CLASSES).into()
    }

    /// The model's input: a picture, which comes without classes, or a latent.
    fn input(&mut self) -> Tensor {
        if self.reads_pictures() {
            for at in [header::LATENT_SIZE, header::CLASSES] {
                put(&mut self.header, at, 0);
            }
            return Tensor {
                extents: [0, 2, 4].map(|axis| get(&self.header, header::INPUT + axis).into()),
                scale: [0, 1, 2, 3].map(|at| self.header[header::INPUT_SCALE + at]),
                is_signed: true,
            };
        }
        let latent = get(&self.header, header::LATENT_SIZE);
        Tensor {
            extents: [1, 1, latent.into()],
            scale: LATENT_SCALE.to_le_bytes(),
            is_signed: true,
        }
    }

    /// Whether the model needs the version that brought pictures (10).
    fn needs_images(&self) -> bool {
        self.reads_pictures() || self.layers.iter().any(Layer::reads_image)
    }

    /// Goes through the layers and makes what they read, and the shapes, fit each other.
    fn infer_shapes(&mut self, rng: &mut Rng) -> Option<()> {
        let is_float = self.is_float();
        let mut tensors = vec![self.input()];
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let source = layer.get(field::SOURCE).min(index);
            layer.put(field::SOURCE, source);
            let input = tensors[source];
            let mut other = None;
            if layer.joins() {
                let fits = |&at: &usize| layer.fits(&input, &tensors[at], is_float);
                let fitting: Vec<usize> = (0..=index).filter(fits).collect();
                let named = layer.get(field::OTHER);
                let at = if fitting.contains(&named) {
                    named
                } else {
                    fitting[between(rng, 0, fitting.len() - 1)]
                };
                layer.put(field::OTHER, at);
                other = Some(tensors[at]);
            } else {
                layer.put(field::OTHER, 0);
            }
            if layer.operator() != operator::ADDITION || is_float {
                layer.record[field::ADDENDS..field::SOURCE].fill(0);
            }
            let mut output = layer.output(input.extents, other.map(|other| other.extents))?;
            if layer.operator() == operator::LINEAR {
                let is_image = input.extents[..2] != [1, 1];
                layer.record[field::INPUT_ORDER] = is_image.into();
                if is_image {
                    output[..2].fill(1);
                }
            } else {
                layer.record[field::INPUT_ORDER] = 0;
            }
            layer.put_extents(field::INPUT, input.extents);
            layer.put_extents(field::OUTPUT, output);
            if layer.keeps_quanta() && !is_float {
                layer.record[field::SCALE..field::START].copy_from_slice(&input.scale);
            }
            let is_unsigned = matches!(
                layer.record[field::ACTIVATION],
                activation::RELU | activation::SIGMOID
            );
            tensors.push(Tensor {
                extents: output,
                scale: [0, 1, 2, 3].map(|at| layer.record[field::SCALE + at]),
                is_signed: if layer.keeps_quanta() {
                    input.is_signed
                } else {
                    !is_unsigned
                },
            });
        }
        Some(())
    }

    /// Has each tensor that nothing reads read by the next layer; says whether there was one.
    fn read_unread(&mut self) -> bool {
        let mut found = false;
        for tensor in (0..self.layers.len()).rev() {
            if !self
                .layers
                .iter()
                .any(|layer| layer.reads().any(|read| read == tensor))
            {
                self.layers[tensor].put(field::SOURCE, tensor);
                found = true;
            }
        }
        found
    }

    /// Puts the image's shape and range into the header; says whether the last layer has rows as channels (2.5), whose
    /// shape stays.
    fn end(&mut self) -> bool {
        let Some(last) = self.layers.last() else {
            return false;
        };
        let [height, width, channels] =
            [0, 2, 4].map(|axis| u64::from(get(&self.header, header::OUTPUT + axis)));
        let image = last.extents(field::OUTPUT);
        let has_rows_as_channels = last.operator() == operator::LINEAR
            && image == [height, 1, width * channels]
            && width > 1;
        self.header[header::RANGE] = match last.record[field::ACTIVATION] {
            activation::SIGMOID => 2,
            _ => 1,
        };
        if !has_rows_as_channels {
            put_extents(&mut self.header, header::OUTPUT, image);
        }
        has_rows_as_channels
    }

    fn put_version(&mut self, version: u16) {
        for at in [header::WRITTEN, header::READER] {
            put(&mut self.header, at, version);
        }
    }

    /// The version, and the rows, margins and homes that blobs of it say.
    fn put_needs(&mut self, has_rows_as_channels: bool) {
        let added = self.rows_of_additions();
        let version = match added {
            None if self.needs_images() => IMAGES_VERSION,
            None => GRAPH_VERSION,
            Some(_) if self.has_additions() || has_rows_as_channels => ADD_VERSION,
            Some(_) if self.header[header::NUMBERS] == INT4 => 3,
            Some(_) if self.classes() > 0 => 2,
            Some(_) => 1,
        };
        self.put_version(version);
        let margins = match added {
            None => self.margins(),
            Some(_) => vec![[0; 2]; self.layers.len() + 1],
        };
        let kept = self.kept_rows();
        if self.reads_pictures() {
            put(&mut self.header, header::INPUT_ROWS, kept[0] as u16);
        }
        let rows = added.clone().unwrap_or_else(|| kept[1..].to_vec());
        let homes = self.homes();
        self.header[header::MARGINS..header::MARGINS + 2].copy_from_slice(&margins[0]);
        for (index, layer) in self.layers.iter_mut().enumerate() {
            layer.put(field::ROWS, rows[index] as usize);
            layer.record[field::MARGINS..field::MARGINS + 2].copy_from_slice(&margins[index + 1]);
            if added.is_some() {
                layer.put(field::SOURCE, 0);
                layer.put(field::HOME, 0);
            } else {
                layer.put(field::HOME, homes[index]);
            }
        }
    }

    /// For each layer the rows of its input that additions need (8, item 4); `None` if the model is a graph (9.1, item
    /// 4).
    fn rows_of_additions(&self) -> Option<Vec<u64>> {
        if self.layers.len() > MAX_CHAIN || self.needs_images() {
            return None;
        }
        let mut kept = vec![0; self.layers.len()];
        for (index, layer) in self.layers.iter().enumerate() {
            match layer.operator() {
                _ if layer.get(field::SOURCE) != index => return None,
                operator::CONCATENATION | operator::POOLING => return None,
                operator::ADDITION => {}
                _ => continue,
            }
            let from = layer.get(field::OTHER);
            if from >= index {
                return None;
            }
            let height = layer.extents(field::OUTPUT)[0];
            // The rows of a tensor that the first y + 1 rows of the addition take, first of its own input.
            let mut made: Vec<u64> = (1..=height).collect();
            for between in self.layers[from..index].iter().rev() {
                let mut most = 0;
                let behind = (0..between.extents(field::OUTPUT)[0]).map(|y| {
                    most = most.max(between.rows(y).map_or(0, |rows| rows[1]));
                    most
                });
                let behind: Vec<u64> = std::iter::once(0).chain(behind).collect();
                made.iter_mut()
                    .for_each(|made| *made = behind[*made as usize]);
            }
            for (y, made) in (0..).zip(made) {
                // The latent is there from the start.
                let made = if from == 0 { 1 } else { made };
                if made <= y {
                    return None;
                }
                kept[from] = kept[from].max(made - y);
            }
        }
        Some(kept)
    }

    /// Of each tensor the most rows that are needed at once (9.3).
    fn kept_rows(&self) -> Vec<u64> {
        let count = self.layers.len();
        let (mut made, mut kept) = (vec![0; count + 1], vec![1; count + 1]);
        made[0] = u64::from(!self.reads_pictures());
        while made[count] < self.layers[count - 1].extents(field::OUTPUT)[0] {
            self.make_row(count - 1, &mut made, &mut kept);
        }
        kept
    }

    /// Makes the next row of a layer, and those of others that it asks for.
    fn make_row(&self, index: usize, made: &mut [u64], kept: &mut [u64]) {
        let layer = &self.layers[index];
        let y = made[index + 1];
        if layer.reads_image() {
            // A row at a time, of which each is needed but once.
            let tensor = layer.get(field::SOURCE);
            for row in 0..layer.extents(field::INPUT)[0] {
                self.make_rows(tensor, row + 1, made, kept);
                kept[tensor] = kept[tensor].max(made[tensor] - row);
            }
            made[index + 1] += 1;
            return;
        }
        let rows = [layer.rows(y), layer.joins().then_some([y, y + 1])];
        for (tensor, [_, behind]) in layer.reads().zip(rows).filter_map(both) {
            self.make_rows(tensor, behind, made, kept);
        }
        for (tensor, [first, _]) in layer.reads().zip(rows).filter_map(both) {
            kept[tensor] = kept[tensor].max(made[tensor] - first);
        }
        made[index + 1] += 1;
    }

    /// Makes rows of a tensor until there are so many; those of a picture are there at once.
    fn make_rows(&self, tensor: usize, count: u64, made: &mut [u64], kept: &mut [u64]) {
        while made[tensor] < count {
            match tensor.checked_sub(1) {
                Some(index) => self.make_row(index, made, kept),
                None => made[0] += 1,
            }
        }
    }

    /// The margins of each tensor (9.4).
    fn margins(&self) -> Vec<[u8; 2]> {
        let mut margins = vec![[0; 2]; self.layers.len() + 1];
        for layer in &self.layers {
            let margins = &mut margins[layer.get(field::SOURCE)];
            let (width, output) = (
                layer.extents(field::INPUT)[1],
                layer.extents(field::OUTPUT)[1],
            );
            for tap in (0..output).flat_map(|x| layer.taps(x)) {
                margins[0] = margins[0].max((-tap).clamp(0, 255) as u8);
                margins[1] = margins[1].max((tap + 1 - width as i64).clamp(0, 255) as u8);
            }
        }
        margins
    }

    /// For each layer that names a home, the concatenation in whose rows its output can lie (9.3); 0 if there is none.
    fn homes(&self) -> Vec<usize> {
        let home = |(index, layer): (usize, &Layer)| {
            let is_read =
                |&(_, reader): &(usize, &Layer)| reader.reads().any(|read| read == index + 1);
            let mut readers = self.layers.iter().enumerate().filter(is_read);
            let (Some((at, reader)), None) = (readers.next(), readers.next()) else {
                return 0;
            };
            let [first, second] =
                [field::SOURCE, field::OTHER].map(|at| reader.get(at) == index + 1);
            let is_in_place = first || reader.extents(field::INPUT)[2].is_multiple_of(4);
            if layer.get(field::HOME) > 0
                && !self.is_float()
                && reader.operator() == operator::CONCATENATION
                && first != second
                && is_in_place
            {
                at + 1
            } else {
                0
            }
        };
        self.layers.iter().enumerate().map(home).collect()
    }
}

fn both<T>((tensor, rows): (usize, Option<T>)) -> Option<(usize, T)> {
    rows.map(|rows| (tensor, rows))
}

impl Layer {
    /// Whether the layer can have that second input.
    fn fits(&self, input: &Tensor, other: &Tensor, is_float: bool) -> bool {
        if self.operator() == operator::ADDITION {
            input.extents == other.extents
        } else {
            input.extents[..2] == other.extents[..2]
                && (is_float || (input.scale, input.is_signed) == (other.scale, other.is_signed))
        }
    }

    /// Height, width and channels of what the layer makes (2.3); those of a linear layer are its own. `None` if there
    /// are none that the record could hold.
    fn output(&self, input: Extents, other: Option<Extents>) -> Option<Extents> {
        let [height, width, channels] = input;
        let own = self.extents(field::OUTPUT);
        let byte = |at| self.byte(at);
        let (kernel, stride, padding) = (
            byte(field::KERNEL),
            byte(field::STRIDE),
            byte(field::PADDING),
        );
        let along = |len: u64| match self.operator() {
            operator::CONVOLUTION | operator::POOLING => {
                let room = (len + 2 * padding).checked_sub(kernel)?;
                Some(room.checked_div(stride)? + 1)
            }
            operator::TRANSPOSED => {
                let whole = len.checked_sub(1)? * stride + kernel + byte(field::OUTPUT_PADDING);
                whole.checked_sub(2 * padding)
            }
            _ => Some(len * stride),
        };
        let output = match self.operator() {
            operator::LINEAR => own,
            operator::ADDITION => input,
            operator::CONCATENATION => {
                [height, width, channels + other.map_or(0, |other| other[2])]
            }
            operator::UPSAMPLE | operator::POOLING => [along(height)?, along(width)?, channels],
            _ => [along(height)?, along(width)?, own[2]],
        };
        let is_written = |&extent: &u64| extent <= u16::MAX.into();
        output.iter().all(is_written).then_some(output)
    }

    /// The places that an output reads along one axis, those outside of the picture too (3.1); none of a layer without
    /// a window.
    fn taps(&self, output: u64) -> impl Iterator<Item = i64> {
        let byte = |at| self.byte(at) as i64;
        let (kernel, stride, padding) = (
            byte(field::KERNEL),
            byte(field::STRIDE),
            byte(field::PADDING),
        );
        let operator = self.operator();
        (0..kernel).filter_map(move |tap| match operator {
            operator::CONVOLUTION | operator::POOLING => {
                Some(output as i64 * stride - padding + tap)
            }
            operator::TRANSPOSED => {
                let place = output as i64 + padding - tap;
                (place.checked_rem(stride) == Some(0)).then(|| place / stride)
            }
            _ => None,
        })
    }

    /// The rows of its first input that row `y` needs: the first, and one after the last.
    fn rows(&self, y: u64) -> Option<[u64; 2]> {
        match self.operator() {
            operator::LINEAR => Some([0, 1]),
            operator::ADDITION | operator::CONCATENATION => Some([y, y + 1]),
            operator::UPSAMPLE => {
                let row = y / self.byte(field::STRIDE).max(1);
                Some([row, row + 1])
            }
            _ => {
                let height = self.extents(field::INPUT)[0] as i64;
                let inside = || self.taps(y).filter(|row| (0..height).contains(row));
                let (first, last) = (inside().min()?, inside().max()?);
                Some([first as u64, last as u64 + 1])
            }
        }
    }
}
