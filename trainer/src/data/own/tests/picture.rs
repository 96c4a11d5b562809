//! What becomes of one picture.

use super::super::PictureProblem;
use super::super::picture::{guarded, read};
use super::{Kind, plain, png};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use tempfile::TempDir;

fn reading(bytes: &[u8], side: usize) -> Result<Vec<u8>, PictureProblem> {
    let folder = TempDir::new().unwrap();
    // The contents tell, not the name.
    let path = folder.path().join("picture.png");
    std::fs::write(&path, bytes).unwrap();
    read(&path, side)
}

/// One pixel, as three bytes.
fn pixel(kind: Kind, bits: u8, chunks: &[(&[u8; 4], &[u8])], row: &[u8]) -> Vec<u8> {
    reading(&png(kind, bits, [1, 1], chunks, row), 1).unwrap()
}

#[test]
fn every_mode_becomes_eight_bits_over_white() {
    assert_eq!(pixel(Kind::Grey, 8, &[], &[77]), [77; 3]);
    // The highest of eight pixels a byte; of four.
    assert_eq!(pixel(Kind::Grey, 1, &[], &[0x80]), [255; 3]);
    assert_eq!(pixel(Kind::Grey, 2, &[], &[0x40]), [85; 3]);
    assert_eq!(pixel(Kind::Rgb, 8, &[], &[1, 2, 3]), [1, 2, 3]);
    // 16 bits: v / 257, rounded.
    let deep = [0x80, 0x00, 0x12, 0x34, 0xff, 0xff];
    assert_eq!(pixel(Kind::Rgb, 16, &[], &deep), [128, 18, 255]);
    assert_eq!(pixel(Kind::Grey, 16, &[], &[0x80, 0x80]), [128; 3]);
    // c a + 255 (1 - a) for opacities 128 / 255, 0 and 1.
    assert_eq!(
        pixel(Kind::Rgba, 8, &[], &[200, 100, 0, 128]),
        [227, 177, 127]
    );
    assert_eq!(pixel(Kind::Rgba, 8, &[], &[200, 100, 0, 0]), [255; 3]);
    assert_eq!(
        pixel(Kind::Rgba, 8, &[], &[200, 100, 0, 255]),
        [200, 100, 0]
    );
    assert_eq!(pixel(Kind::GreyAlpha, 8, &[], &[0, 51]), [204; 3]);
    // Half of 16 bits over white: 65535 - 0x7fff / 65535 of it, 127.5 of 255.
    let deep = [0, 0, 0, 0, 0xff, 0xff, 0x7f, 0xff];
    assert_eq!(pixel(Kind::Rgba, 16, &[], &deep), [128, 128, 255]);
    assert_eq!(pixel(Kind::GreyAlpha, 16, &[], &[0, 0, 0xff, 0xff]), [0; 3]);
    let palette: &[u8] = &[9, 8, 7, 10, 20, 30];
    assert_eq!(
        pixel(Kind::Palette, 8, &[(b"PLTE", palette)], &[1]),
        [10, 20, 30]
    );
    // Opacities of the palette's colours; those left out are opaque.
    let clear: &[(&[u8; 4], &[u8])] = &[(b"PLTE", palette), (b"tRNS", &[0])];
    assert_eq!(pixel(Kind::Palette, 8, clear, &[0]), [255; 3]);
    assert_eq!(pixel(Kind::Palette, 8, clear, &[1]), [10, 20, 30]);
}

/// A picture whose pixels hold `at(x, y)`.
fn drawn(width: u32, height: u32, at: impl Fn(u32, u32) -> u32) -> Vec<u8> {
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let rows: Vec<u8> = pixels.map(|(x, y)| at(x, y) as u8).collect();
    png(Kind::Grey, 8, [width, height], &[], &rows)
}

/// The first channel of row `y`.
fn row(pixels: &[u8], side: usize, y: usize) -> Vec<u8> {
    let row = &pixels[3 * side * y..3 * side * (y + 1)];
    row.iter().step_by(3).copied().collect()
}

#[test]
fn the_middle_is_cut_out() {
    let wide = reading(&drawn(8, 4, |x, y| 10 * x + y), 4).unwrap();
    assert_eq!(row(&wide, 4, 0), [20, 30, 40, 50]);
    assert_eq!(row(&wide, 4, 3), [23, 33, 43, 53]);
    let odd = reading(&drawn(7, 4, |x, _| 10 * x), 4).unwrap();
    assert_eq!(row(&odd, 4, 2), [10, 20, 30, 40]);
    let tall = reading(&drawn(4, 9, |_, y| 10 * y), 4).unwrap();
    let column: Vec<u8> = (0..4).map(|y| row(&tall, 4, y)[1]).collect();
    assert_eq!(column, [20, 30, 40, 50]);
}

/// A symmetric filter leaves a slope as it is where it does not meet the edge, at the places of the larger pixels.
#[test]
fn a_slope_stays_a_slope_when_scaled() {
    let across = reading(&drawn(16, 16, |x, _| 8 * x), 4).unwrap();
    // Pixel i has its centre at 4 i + 1.5.
    assert_eq!(row(&across, 4, 1)[1..3], [44, 76]);
    let down = reading(&drawn(16, 16, |_, y| 8 * y), 4).unwrap();
    assert_eq!([row(&down, 4, 1)[2], row(&down, 4, 2)[2]], [44, 76]);
    let flat = reading(&drawn(100, 60, |_, _| 93), 32).unwrap();
    assert!(flat.iter().all(|&p| p == 93));
    let larger = reading(&drawn(3, 3, |_, _| 7), 32).unwrap();
    assert!(larger.len() == 3 * 32 * 32 && larger.iter().all(|&p| p == 7));
}

/// A JPEG of 16 x 16, black on the left and white on the right, with chunks behind its first marker.
fn jpeg(chunks: &[u8]) -> Vec<u8> {
    let rows: Vec<u8> = (0..256).map(|i| if i % 16 < 8 { 0 } else { 255 }).collect();
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, 95);
    encoder
        .write_image(&rows, 16, 16, ExtendedColorType::L8)
        .unwrap();
    file.splice(2..2, chunks.iter().copied());
    file
}

#[test]
fn jpeg_files_are_turned_upright() {
    let dark = |pixels: &[u8], x: usize, y: usize| match row(pixels, 16, y)[x] {
        0..40 => true,
        216.. => false,
        value => panic!("{value}"),
    };
    let plain = reading(&jpeg(&[]), 16).unwrap();
    assert!(dark(&plain, 2, 8) && !dark(&plain, 13, 8));
    // EXIF's orientation, tag 0x0112 (a short): 6, to be turned clockwise by a quarter.
    let mut exif =
        b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    exif.splice(0..0, [0xff, 0xe1, length[0], length[1]]);
    let turned = reading(&jpeg(&exif), 16).unwrap();
    assert!(dark(&turned, 8, 2) && dark(&turned, 2, 2));
    assert!(!dark(&turned, 8, 13) && !dark(&turned, 2, 13));
}

#[test]
fn a_file_cut_anywhere_is_no_picture() {
    let whole = plain([1, 2, 3]);
    // What follows the pixels may be missing: the last chunk holds nothing.
    for length in 0..whole.len() - 16 {
        assert!(reading(&whole[..length], 4).is_err(), "PNG cut at {length}");
    }
    // A small picture in the EXIF data has an end of its own.
    let thumbnail = [&[0xff, 0xe1, 0, 8][..], b"Exif", &[0xff, 0xd9]].concat();
    for file in [jpeg(&[]), jpeg(&thumbnail)] {
        assert!(reading(&file, 16).is_ok());
        for length in 0..file.len() {
            assert!(
                reading(&file[..length], 16).is_err(),
                "JPEG cut at {length}"
            );
        }
        // What follows the end does no harm.
        assert!(reading(&[&file[..], b"camera's notes"].concat(), 16).is_ok());
    }
}

#[test]
fn what_is_no_picture_is_told_apart() {
    assert!(matches!(
        reading(b"%PDF-1.7", 4),
        Err(PictureProblem::Format)
    ));
    assert!(matches!(reading(b"", 4), Err(PictureProblem::Format)));
    let mut damaged = plain([1, 2, 3]);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    assert!(matches!(
        reading(&damaged, 4),
        Err(PictureProblem::Decode(_))
    ));
    // 3.6 gigapixels in a few bytes, and 1.6 in one row.
    for size in [[60_000, 60_000], [40_000, 1]] {
        let bomb = png(Kind::Rgb, 8, size, &[], &[0; 60_000]);
        let problem = reading(&bomb, 4).unwrap_err();
        assert!(matches!(problem, PictureProblem::Decode(_)), "{problem}");
    }
    let large = png(Kind::Rgba, 8, [10_000, 10_000], &[], &[0; 10_000]);
    assert!(reading(&large, 4).is_err());
}

/// A decoder that panics prints nothing and ends nothing. The file of grey is read as Pillow reads it
/// (`convert("RGB")`), and so is the one of CMYK, which the first decoder panics at.
#[test]
fn what_one_decoder_gives_up_on_is_read_by_another() {
    let grey = include_bytes!("pictures/progressive-grey-adobe-ycck.jpg");
    let cmyk = include_bytes!("pictures/progressive-cmyk-subsampled.jpg");
    let of_grey = [0, 63, 192, 32, 255].map(|grey| [grey; 3]);
    let of_cmyk = [[0, 128, 0], [2, 1, 2], [0, 128, 0], [64, 61, 64], [2, 1, 2]];
    for (file, expected) in [(&grey[..], of_grey), (&cmyk[..], of_cmyk)] {
        let pixels = reading(file, 64).unwrap();
        let places = [(0, 0), (63, 0), (0, 63), (32, 32), (63, 63)];
        for ((x, y), expected) in places.into_iter().zip(expected) {
            let at = 3 * (64 * y + x);
            let found = &pixels[at..at + 3];
            let near = found
                .iter()
                .zip(&expected)
                .all(|(a, b)| a.abs_diff(*b) <= 2);
            assert!(near, "{x}, {y}: {found:?}, by Pillow {expected:?}");
        }
    }
    let halved = &cmyk[..cmyk.len() / 2];
    assert!(reading(halved, 64).is_err());
}

#[test]
fn a_panic_in_a_decoder_is_an_error() {
    let outcome = guarded::<()>(|| panic!("as a decoder does"));
    assert!(matches!(outcome, Err(PictureProblem::Panic)));
    assert!(guarded(|| Ok(1)).is_ok());
}

/// A file of Pillow's with an Adobe segment put in: libjpeg takes no transform from it where there is a JFIF segment
/// too, and none that three components cannot have.
#[test]
fn adobes_segment_means_what_libjpeg_takes_it_for() {
    let mut plain = Vec::new();
    let encoder = JpegEncoder::new(&mut plain);
    let picture = [[200, 40, 90]; 256].concat();
    encoder
        .write_image(&picture, 16, 16, ExtendedColorType::Rgb8)
        .unwrap();
    let pixels = reading(&plain, 16).unwrap();
    let jfif = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00".as_slice();
    let adobe = |transform| {
        let segment = [
            b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00".as_slice(),
            &[transform],
        ];
        segment.concat()
    };
    // After the start of the image, and without its own JFIF segment.
    let body = plain.strip_prefix(b"\xff\xd8").unwrap();
    let body = match body.strip_prefix(b"\xff\xe0\x00\x10") {
        Some(rest) => &rest[14..],
        None => body,
    };
    let with = |segments: &[&[u8]]| [b"\xff\xd8", &segments.concat()[..], body].concat();
    for file in [
        with(&[jfif, &adobe(0)]),
        with(&[jfif, &adobe(1)]),
        with(&[&adobe(1)]),
        with(&[&adobe(2)]),
        with(&[&adobe(3)]),
    ] {
        assert!(reading(&file, 16).unwrap() == pixels);
    }
    // Alone, it says that the components are red, green and blue.
    assert!(reading(&with(&[&adobe(0)]), 16).unwrap() != pixels);
}

/// A file that is no picture is not read into memory first.
#[test]
fn a_file_of_gigabytes_is_refused_by_its_size() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("vast.png");
    std::fs::File::create(&path)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    assert!(matches!(read(&path, 4), Err(PictureProblem::TooLarge(bytes)) if bytes == 1 << 40));
}
