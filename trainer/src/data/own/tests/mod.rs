//! Data of the user's own, made byte by byte.

mod arrays;
mod folder;
mod picture;

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// What a PNG file's bytes mean (W3C PNG, section 11).
#[derive(Clone, Copy)]
enum Kind {
    Grey = 0,
    Rgb = 2,
    Palette = 3,
    GreyAlpha = 4,
    Rgba = 6,
}

/// A PNG file: bits a channel, chunks in front of the pixels, rows of bytes.
fn png(kind: Kind, bits: u8, size: [u32; 2], chunks: &[(&[u8; 4], &[u8])], rows: &[u8]) -> Vec<u8> {
    let [width, height] = size.map(u32::to_be_bytes);
    let header = [&width[..], &height, &[bits, kind as u8, 0, 0, 0]].concat();
    let mut deflated = ZlibEncoder::new(Vec::new(), Compression::fast());
    for row in rows.chunks_exact((rows.len() / size[1] as usize).max(1)) {
        // No filter.
        deflated.write_all(&[0]).unwrap();
        deflated.write_all(row).unwrap();
    }
    let deflated = deflated.finish().unwrap();
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let first = [(b"IHDR", header.as_slice())];
    let last: [(&[u8; 4], &[u8]); 2] = [(b"IDAT", &deflated), (b"IEND", b"")];
    for (name, data) in first.iter().chain(chunks).chain(&last) {
        file.extend((data.len() as u32).to_be_bytes());
        let mut crc = Crc::new();
        for part in [name.as_slice(), data] {
            crc.update(part);
            file.extend(part);
        }
        file.extend(crc.sum().to_be_bytes());
    }
    file
}

/// A picture of one colour.
fn plain(rgb: [u8; 3]) -> Vec<u8> {
    png(Kind::Rgb, 8, [4, 4], &[], &rgb.repeat(16))
}

/// Writes a file in a folder that is made if need be.
fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
