//! Total little-endian reads and the CRC-32, in constant code.

/// The `N` bytes at `at`; zeros where the slice does not reach, which a checked blob never asks.
const fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    match bytes.split_at_checked(at) {
        Some((_, rest)) => match rest.first_chunk::<N>() {
            Some(chunk) => *chunk,
            None => [0; N],
        },
        None => [0; N],
    }
}

pub(crate) const fn u8_at(bytes: &[u8], at: usize) -> u8 {
    let [byte] = array(bytes, at);
    byte
}

pub(crate) const fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

pub(crate) const fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(crate) const fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

pub(crate) const fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(array(bytes, at))
}

pub(crate) const fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_le_bytes(array(bytes, at))
}

/// Word `index`; 0 where the slice does not reach.
pub(crate) const fn word(bytes: &[u8], index: usize) -> i32 {
    let (words, _) = bytes.as_chunks();
    if index < words.len() {
        i32::from_le_bytes(words[index])
    } else {
        0
    }
}

/// `bytes[start..start + length]`, or `None` where the slice does not reach.
pub(crate) const fn part(bytes: &[u8], start: usize, length: usize) -> Option<&[u8]> {
    match bytes.split_at_checked(start) {
        Some((_, rest)) => match rest.split_at_checked(length) {
            Some((part, _)) => Some(part),
            None => None,
        },
        None => None,
    }
}

/// Whether `bytes[from..to]` is all zero.
pub(crate) const fn zeros(bytes: &[u8], from: usize, to: usize) -> bool {
    let mut at = from;
    while at < to {
        if u8_at(bytes, at) != 0 {
            return false;
        }
        at += 1;
    }
    true
}

/// The CRC-32 of ISO-HDLC, zlib and PNG.
pub(crate) const fn crc32(mut bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    while let Some((&byte, rest)) = bytes.split_first() {
        crc = (crc >> 8) ^ CRC_TABLE[((crc ^ byte as u32) & 0xff) as usize];
        bytes = rest;
    }
    !crc
}

static CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_gives_the_catalogued_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
