//! What damaged and hostile blobs can do: be refused, or make an image at a cost that is known before.

mod common;

use common::{Plan, linear, upsample, windowed};
use pocketgan::{Activation, Error, Model, Numbers, Operator, Rng, Shape};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// Bytes of the header and of each layer's record.
const RECORD: usize = 64;
/// Bytes of the checksum, which are the last.
const CRC: usize = 4;
/// Every how many bits or bytes a flip behind the records is tried by parsing, which sums the whole blob.
const SPREAD: usize = 49_999;
/// Blobs up to this many bytes have every flip in front of that tried, larger ones every seventh.
const SMALL: usize = 300_000;

/// Every blob of the repository that users and tests read.
fn shipped() -> Vec<(PathBuf, Vec<u8>)> {
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for folder in ["tests/data", "../models"] {
        find_blobs(&runtime.join(folder), &mut paths);
    }
    let read = |path: PathBuf| (path.clone(), fs::read(path).expect("a file"));
    paths.into_iter().map(read).collect()
}

fn find_blobs(folder: &Path, blobs: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            find_blobs(&path, blobs);
        } else if path.extension().is_some_and(|name| name == "pgan") {
            blobs.push(path);
        }
    }
}

fn flip(blob: &mut [u8], bit: usize) {
    blob[bit / 8] ^= 1 << (bit % 8);
}

/// A CRC-32 is linear: what a flipped bit changes in it depends only on the bit's distance from the end.
/// These are the changes for all bits, the last byte's first: each zero byte behind a bit takes its change
/// eight steps on, by the polynomial.
fn checksum_changes() -> impl Iterator<Item = [u32; 8]> {
    let step = |crc: u32| (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
    let byte = move |crc: u32| (0..8).fold(crc, |crc, _| step(crc));
    let last = [0, 1, 2, 3, 4, 5, 6, 7].map(|bit| byte(1 << bit));
    std::iter::successors(Some(last), move |changes| Some(changes.map(byte)))
}

/// The checksum changes with every single bit, so each flip in front of it is refused; and the flips of its
/// own bits are, since the bytes in front stay.
#[test]
fn every_flipped_bit_changes_the_checksum_of_every_shipped_blob() {
    let blobs = shipped();
    assert!(blobs.len() >= 10, "{}", blobs.len());
    let longest = blobs.iter().map(|(_, blob)| blob.len()).max();
    let longest = longest.expect("blobs") - CRC;
    for (distance, changes) in checksum_changes().take(longest).enumerate() {
        assert!(!changes.contains(&0), "{distance} bytes from the end");
    }
}

/// The changes are those of the checksum that the parser computes: a blob with a flipped bit and its
/// checksum changed accordingly is not refused for its checksum.
#[test]
fn the_change_of_the_checksum_is_the_parsers() {
    for (path, blob) in shipped() {
        let end = blob.len() - CRC;
        for (distance, changes) in checksum_changes().take(end).enumerate().step_by(SPREAD) {
            for (bit, change) in changes.into_iter().enumerate() {
                let mut forged = blob.clone();
                flip(&mut forged, (end - 1 - distance) * 8 + bit);
                for (byte, change) in forged[end..].iter_mut().zip(change.to_le_bytes()) {
                    *byte ^= change;
                }
                let refused = Model::parse(&forged).err();
                assert_ne!(refused, Some(Error::Checksum), "{}", path.display());
            }
        }
    }
}

/// By parsing: every bit of the header, the records and the checksum (every seventh of f32 models), and
/// some of the others.
#[test]
fn flipped_bits_of_every_shipped_blob_are_refused() {
    thread::scope(|scope| {
        for (path, mut blob) in shipped() {
            scope.spawn(move || {
                let layers = Model::parse(&blob).expect("a blob").layer_count();
                let records = RECORD * (1 + layers) * 8;
                let crc = (blob.len() - CRC) * 8;
                let spread = (records..crc).step_by(SPREAD);
                let step = if blob.len() <= SMALL { 1 } else { 7 };
                let ends = (0..records).chain(crc..crc + CRC * 8);
                for bit in ends.step_by(step).chain(spread) {
                    flip(&mut blob, bit);
                    let refused = Model::parse(&blob).is_err();
                    assert!(refused, "{}, bit {bit}", path.display());
                    flip(&mut blob, bit);
                }
            });
        }
    });
}

/// Multiply-accumulates for each input and output channel, section 2.3.
fn macs(input: Shape, &(operator, _, output): &Plan) -> usize {
    match operator {
        Operator::Linear => output.height * output.width,
        Operator::Conv2d(w) => output.height * output.width * w.kernel * w.kernel,
        Operator::ConvTranspose2d(w) => input.height * input.width * w.kernel * w.kernel,
        Operator::AvgPool2d(w) => output.height * output.width * w.kernel * w.kernel,
        Operator::Upsample { .. } | Operator::Add { .. } | Operator::Concat { .. } => 0,
    }
}

/// The taps of a row of outputs, those outside the picture included, section 3.1.
fn taps_of_a_row(&(operator, _, output): &Plan, padding: usize) -> usize {
    match operator {
        Operator::ConvTranspose2d(w) => (0..output.width)
            .map(|x| (w.kernel + w.stride - 1 - (x + padding) % w.stride) / w.stride)
            .sum(),
        Operator::Conv2d(w) => output.width * w.kernel,
        _ => 0,
    }
}

/// Every legal window, and whether it is a transposed convolution's.
fn windows() -> Vec<(bool, [usize; 4])> {
    let mut windows = Vec::new();
    for (kernel, stride) in (1..=16).flat_map(|kernel| (1..=8).map(move |stride| (kernel, stride)))
    {
        for padding in 0..kernel {
            windows.push((false, [kernel, stride, padding, 0]));
            windows.extend((0..stride).map(|rest| (true, [kernel, stride, padding, rest])));
        }
    }
    windows
}

/// Section 2.4, over every small length and some others.
#[test]
fn every_window_keeps_the_bounds_of_the_work() {
    let windows = windows();
    for len in (1..=20).chain([64, 257]) {
        let input = Shape::new(len, len, 1);
        let kernels = (2..=16).flat_map(|kernel| (1..=8).map(move |stride| (kernel, stride)));
        for plan in kernels.filter_map(|(kernel, stride)| common::pooled(input, kernel, stride)) {
            assert!(input.len() <= 21 * macs(input, &plan), "{len} {plan:?}");
        }
        for &(transposed, window) in &windows {
            let Some(plan) = windowed(input, transposed, window, Activation::None, 1) else {
                continue;
            };
            let [kernel, _, padding, _] = window;
            let (macs, elements) = (macs(input, &plan), input.len().max(plan.2.len()));
            assert!(elements <= 64 * macs, "{len} {plan:?}");
            // A row's share of the multiply-accumulates.
            let share = kernel * if transposed { len } else { plan.2.width };
            assert!(
                taps_of_a_row(&plan, padding) <= 16 * share,
                "{len} {plan:?}"
            );
        }
    }
}

/// The dearest model for its work: as many of the largest tensors as there can be, each a copy of the one
/// before, and then a convolution that looks at one in 64 of their elements.
#[test]
fn a_tensor_has_at_most_64_elements_for_each_multiply_accumulate() {
    let mut plans = vec![linear(Activation::Relu, 1, 1, 1)];
    for factor in [8, 8, 8, 4].into_iter().chain([1; 26]) {
        plans.push(upsample(plans[plans.len() - 1].2, factor));
    }
    let largest = plans[plans.len() - 1].2;
    plans.push(windowed(largest, false, [1, 8, 0, 0], Activation::Tanh, 1).expect("fits"));
    let blob = common::blob(1, &plans, Numbers::Int8, &mut Rng::new(1)).expect("a valid model");
    let model = Model::parse(&blob).expect("written blobs parse");
    assert_eq!((model.layer_count(), largest.len()), (32, 1 << 22));
    assert_eq!(model.macs(), 1 + (1 << 16));
    let elements: Vec<u64> = model
        .layers()
        .map(|layer| layer.output.len() as u64)
        .collect();
    assert!(
        elements
            .iter()
            .all(|&elements| elements <= 64 * model.macs())
    );
    assert!(elements.iter().sum::<u64>() <= 2048 * model.macs());
    // What the dearest model takes is still little, and known.
    assert!(model.working_memory() < 400_000);
}
