//! The mark on pictures that this program makes, by which it knows them when they lie among training data.
//!
//! It is a comment where the format has comments, else bytes after the picture, which readers pass over.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::Crc;
use image::ImageFormat;

/// What the mark says.
const MARK: &[u8] = b"Made by pocketgan";
/// The mark lies within so many bytes of a file's beginning or of its end.
const REACH: u64 = 128;

/// A picture's file with the mark.
pub fn marked(mut file: Vec<u8>, format: ImageFormat) -> Vec<u8> {
    match format {
        // After the signature and the header (W3C PNG, 11.3.3.2): a text of the keyword Software.
        ImageFormat::Png if file.len() > 33 => insert(&mut file, 33, &png_text()),
        // After the start-of-image marker (ITU-T T.81, B.2.4.5).
        ImageFormat::Jpeg if file.len() > 2 => {
            let length = (MARK.len() as u16 + 2).to_be_bytes();
            insert(&mut file, 2, &[&[0xff, 0xfe], &length[..], MARK].concat());
        }
        // Before the trailer (GIF89a, 24).
        ImageFormat::Gif if file.ends_with(&[0x3b]) => {
            let comment = [&[0x21, 0xfe, MARK.len() as u8], MARK, &[0]].concat();
            let end = file.len() - 1;
            insert(&mut file, end, &comment);
        }
        // A chunk of its own (WebP container, unknown chunks), of an even number of bytes.
        ImageFormat::WebP if file.len() >= 12 => {
            file.extend(b"pgan");
            file.extend((MARK.len() as u32).to_le_bytes());
            file.extend(MARK);
            file.resize(file.len().next_multiple_of(2), 0);
            let riff = (file.len() as u32 - 8).to_le_bytes();
            file[4..8].copy_from_slice(&riff);
        }
        _ => file.extend(MARK),
    }
    file
}

fn insert(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    file.splice(at..at, bytes.iter().copied());
}

fn png_text() -> Vec<u8> {
    let text = [b"tEXtSoftware\0", MARK].concat();
    let mut crc = Crc::new();
    crc.update(&text);
    let length = (text.len() as u32 - 4).to_be_bytes();
    [&length[..], &text, &crc.sum().to_be_bytes()].concat()
}

/// Whether the file at `path` has the mark.
///
/// # Errors
/// A file that cannot be read.
pub fn is_marked(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut ends = Vec::new();
    file.by_ref().take(REACH).read_to_end(&mut ends)?;
    if len > REACH {
        file.seek(SeekFrom::Start(len.saturating_sub(REACH).max(REACH)))?;
        file.take(REACH).read_to_end(&mut ends)?;
    }
    Ok(ends.windows(MARK.len()).any(|window| window == MARK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, RgbImage};
    use std::io::Cursor;

    /// A marked file decodes to the pixels of the file without the mark, whoever reads it by the crate `image`.
    #[test]
    fn the_mark_is_found_and_changes_no_pixel() {
        let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, 7]));
        let folder = tempfile::tempdir().unwrap();
        for format in [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::Gif,
            ImageFormat::WebP,
            ImageFormat::Bmp,
        ] {
            let mut plain = Cursor::new(Vec::new());
            let picture = DynamicImage::from(picture.clone());
            picture.write_to(&mut plain, format).unwrap();
            let plain = plain.into_inner();
            let marked = marked(plain.clone(), format);
            let [before, after] = [&plain, &marked]
                .map(|file| image::load_from_memory_with_format(file, format).unwrap());
            assert_eq!(before, after, "{format:?}");
            let path = folder.path().join("picture");
            for (file, expected) in [(plain, false), (marked, true)] {
                std::fs::write(&path, file).unwrap();
                assert_eq!(is_marked(&path).unwrap(), expected, "{format:?}");
            }
        }
        std::fs::write(folder.path().join("short"), b"P5").unwrap();
        assert!(!is_marked(&folder.path().join("short")).unwrap());
    }
}
