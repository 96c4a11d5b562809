//! Changes of the layers of a blob that is no graph, after which shapes, lengths, places and work agree again, as in
//! sections 1 to 3 of the blob format: what is still wrong then is one number out of its range, or nothing.

use pocketgan::Rng;

use crate::forge::between;

const HEADER_LEN: usize = 64;
const RECORD_LEN: usize = 64;
const CRC_LEN: usize = 4;
const MAX_LAYERS: usize = 33;
/// What parameters that there were none of are filled with: numbers that every field can hold.
const FILLING: u8 = 1;
/// The version of graphs, and where the header says the oldest reader's.
const GRAPH_VERSION: u16 = 5;
const READER: usize = 10;
/// Numbers at and behind the edges of their ranges.
const EDGES: [u16; 12] = [0, 1, 2, 3, 4, 7, 8, 9, 16, 17, 4096, 4097];

/// Offsets in a record.
const OPERATOR: usize = 0;
const ACTIVATION: usize = 1;
const KERNEL: usize = 2;
const STRIDE: usize = 3;
const PADDING: usize = 4;
const OUTPUT_PADDING: usize = 5;
const INPUT: usize = 8;
const OUTPUT: usize = 14;
const START: usize = 28;
const LENGTH: usize = 32;

struct Layer {
    record: [u8; RECORD_LEN],
    parameters: Vec<u8>,
}

/// The blob with one or two changes of its layers, not yet sealed; `None` if it is none, is a graph or would be too
/// long.
pub fn restructure(blob: &[u8], max_len: usize, rng: &mut Rng) -> Option<Vec<u8>> {
    let mut header: [u8; HEADER_LEN] = *blob.first_chunk()?;
    if get(&header, READER) >= GRAPH_VERSION {
        return None;
    }
    let mut layers = layers(blob)?;
    for _ in 0..between(rng, 1, 2) {
        change(&mut header, &mut layers, rng);
    }
    connect(&mut header, &mut layers, max_len)?;
    assemble(&header, &layers, max_len)
}

fn layers(blob: &[u8]) -> Option<Vec<Layer>> {
    let count = usize::from(get(blob, 16)).clamp(1, MAX_LAYERS);
    let records = blob.get(HEADER_LEN..)?.as_chunks().0.iter().take(count);
    let layer = |&record: &[u8; RECORD_LEN]| {
        let start = get_u32(&record, START) as usize;
        let rest = blob.get(start..).unwrap_or_default();
        let len = rest.len().min(get_u32(&record, LENGTH) as usize);
        let parameters = rest[..len].to_vec();
        Layer { record, parameters }
    };
    Some(records.map(layer).collect())
}

fn change(header: &mut [u8], layers: &mut Vec<Layer>, rng: &mut Rng) {
    if layers.is_empty() {
        return;
    }
    let index = between(rng, 0, layers.len() - 1);
    let record = &mut layers[index].record;
    match rng.below(10) {
        0 => record[OPERATOR] = between(rng, 1, 4) as u8,
        1 => record[ACTIVATION] = between(rng, 0, 4) as u8,
        2..=5 => {
            let field = [KERNEL, STRIDE, PADDING, OUTPUT_PADDING][between(rng, 0, 3)];
            record[field] = number(rng) as u8;
        }
        6 => put(record, OUTPUT + 2 * between(rng, 0, 2), number(rng)),
        7 => put(header, 18 + 2 * between(rng, 0, 1), number(rng)),
        8 => {
            layers.remove(index);
        }
        _ => {
            let (record, parameters) = (*record, layers[index].parameters.clone());
            layers.insert(index, Layer { record, parameters });
        }
    }
}

fn number(rng: &mut Rng) -> u16 {
    match rng.below(3) {
        0 => EDGES[between(rng, 0, EDGES.len() - 1)],
        _ => between(rng, 1, 9) as u16,
    }
}

/// Makes each layer read what the one before it gives, and its parameters as long as they must be.
fn connect(header: &mut [u8], layers: &mut [Layer], max_len: usize) -> Option<()> {
    let int8 = header[28] == 2;
    let mut classes = u64::from(get(header, 20));
    let mut input = [1, 1, u64::from(get(header, 18))];
    let mut work = 0u64;
    for layer in layers {
        let record = &mut layer.record;
        let output = output(record, input)?;
        for (axis, (from, to)) in input.into_iter().zip(output).enumerate() {
            put(record, INPUT + 2 * axis, from as u16);
            put(record, OUTPUT + 2 * axis, to as u16);
        }
        work = work.wrapping_add(macs(record, input, output));
        let len = usize::try_from(parameters_len(record, input, output, int8, classes)).ok()?;
        if len > max_len {
            return None;
        }
        layer.parameters.resize(len, FILLING);
        (input, classes) = (output, 0);
    }
    for (axis, extent) in input.into_iter().enumerate() {
        put(header, 22 + 2 * axis, extent as u16);
    }
    header[32..40].copy_from_slice(&work.to_le_bytes());
    Some(())
}

/// Height, width and channels of what a layer makes (2.3); those of a linear layer are its own. `None` if
/// there are none that the record could hold.
fn output(record: &[u8], [height, width, channels]: [u64; 3]) -> Option<[u64; 3]> {
    let byte = |at: usize| u64::from(record[at]);
    let (kernel, stride, padding) = (byte(KERNEL), byte(STRIDE), byte(PADDING));
    let own = [0, 2, 4].map(|at| u64::from(get(record, OUTPUT + at)));
    let along = |len: u64| match record[OPERATOR] {
        2 => Some(
            (len + 2 * padding)
                .checked_sub(kernel)?
                .checked_div(stride)?
                + 1,
        ),
        3 => {
            let whole = len.checked_sub(1)? * stride + kernel + byte(OUTPUT_PADDING);
            whole.checked_sub(2 * padding)
        }
        _ => Some(len * stride),
    };
    let output = match record[OPERATOR] {
        1 => own,
        4 => [along(height)?, along(width)?, channels],
        _ => [along(height)?, along(width)?, own[2]],
    };
    let written = |&extent: &u64| extent <= u16::MAX.into();
    output.iter().all(written).then_some(output)
}

/// The multiply-accumulates of a layer (2.3).
fn macs(record: &[u8], input: [u64; 3], output: [u64; 3]) -> u64 {
    let taps = u64::from(record[KERNEL]).pow(2);
    let (from, to) = (input[0] * input[1], output[0] * output[1]);
    let each = match record[OPERATOR] {
        1 => to,
        2 => to * taps,
        3 => from * taps,
        _ => 0,
    };
    each.wrapping_mul(input[2]).wrapping_mul(output[2])
}

/// The length of a layer's parameters in bytes (3, 6).
fn parameters_len(
    record: &[u8],
    input: [u64; 3],
    output: [u64; 3],
    int8: bool,
    classes: u64,
) -> u64 {
    let pixels = output[0].saturating_mul(output[1]);
    let taps = u64::from(record[KERNEL]).pow(2);
    let full = |channels: u64| {
        if int8 {
            channels.next_multiple_of(4)
        } else {
            channels
        }
    };
    let (outputs, weights) = match record[OPERATOR] {
        1 => (
            pixels.saturating_mul(output[2]),
            pixels.saturating_mul(full(output[2])),
        ),
        4 => return 0,
        _ => (output[2], taps * output[2]),
    };
    let weights = weights.saturating_mul(full(input[2]));
    let columns = outputs.saturating_mul(classes);
    let (vectors, size) = match (int8, record[ACTIVATION]) {
        (true, 2) => (3, 1),
        (true, _) => (2, 1),
        (false, _) => (1, 4),
    };
    let own = weights.saturating_add(columns).saturating_mul(size);
    own.saturating_add(outputs.saturating_mul(4 * vectors))
}

fn assemble(header: &[u8], layers: &[Layer], max_len: usize) -> Option<Vec<u8>> {
    let mut blob = header.to_vec();
    put(&mut blob, 16, layers.len() as u16);
    blob.resize(HEADER_LEN + RECORD_LEN * layers.len(), 0);
    for (index, layer) in layers.iter().enumerate() {
        blob.resize(blob.len().next_multiple_of(16), 0);
        let (start, len) = (blob.len() as u32, layer.parameters.len() as u32);
        blob.extend_from_slice(&layer.parameters);
        let record = &mut blob[HEADER_LEN + RECORD_LEN * index..][..RECORD_LEN];
        record.copy_from_slice(&layer.record);
        record[START..START + 4].copy_from_slice(&start.to_le_bytes());
        record[LENGTH..LENGTH + 4].copy_from_slice(&len.to_le_bytes());
    }
    blob.resize(blob.len() + CRC_LEN, 0);
    (blob.len() <= max_len).then_some(blob)
}

fn get(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |&bytes| u16::from_le_bytes(bytes))
}

fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from(get(bytes, at)) | u32::from(get(bytes, at + 2)) << 16
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}
