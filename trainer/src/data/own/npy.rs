//! The header of an array in NumPy's own format (`numpy.lib.format`, versions 1.0 to 3.0): a magic number, a version,
//! the length of a text, and that text, a Python dictionary of three entries.

use std::io::Read;

const MAGIC: &[u8] = b"\x93NUMPY";
/// The longest text that NumPy itself reads.
const LONGEST: usize = 10_000;

/// What an array's header says.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// Byte order, kind and bytes of an element, as `|u1` or `<i8`.
    pub descr: String,
    /// Whether the first axis runs fastest.
    pub is_fortran: bool,
    /// Sizes; none for a single number.
    pub shape: Vec<usize>,
}

/// Reads a header; the elements follow.
///
/// # Errors
/// What is wrong, in a phrase.
pub fn read(reader: &mut impl Read) -> Result<Header, String> {
    let mut take = |count: usize| {
        let mut bytes = vec![0; count];
        let read = reader.read_exact(&mut bytes);
        read.map_err(|error| error.to_string()).map(|()| bytes)
    };
    if take(MAGIC.len())? != MAGIC {
        return Err("it is not in NumPy's format".into());
    }
    let version = take(2)?[0];
    let length = match version {
        1 => take(2)?,
        2 | 3 => take(4)?,
        _ => return Err(format!("its format has the unknown version {version}")),
    };
    let push = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
    let length = length.iter().rev().fold(0, push);
    if length > LONGEST {
        return Err(format!("its header has {length} bytes"));
    }
    let text = String::from_utf8(take(length)?).unwrap_or_default();
    Cursor(&text)
        .header()
        .ok_or("its header is not that of a plain array".into())
}

/// The rest of a text.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn header(mut self) -> Option<Header> {
        let (mut descr, mut order, mut shape) = (None, None, None);
        self.must('{')?;
        while !self.eats('}') {
            let key = self.quoted()?;
            self.must(':')?;
            match key {
                "descr" => descr = Some(self.quoted()?.to_owned()),
                "fortran_order" => order = Some(self.boolean()?),
                "shape" => shape = Some(self.sizes()?),
                _ => return None,
            }
            if !self.eats(',') {
                self.must('}')?;
                break;
            }
        }
        self.0.trim().is_empty().then_some(())?;
        Some(Header {
            descr: descr?,
            is_fortran: order?,
            shape: shape?,
        })
    }

    /// Goes past this character if it comes next, spaces aside.
    fn eats(&mut self, c: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn must(&mut self, c: char) -> Option<()> {
        self.eats(c).then_some(())
    }

    fn quoted(&mut self) -> Option<&'a str> {
        let mark = ['\'', '"'].into_iter().find(|&mark| self.eats(mark))?;
        let (text, rest) = self.0.split_once(mark)?;
        self.0 = rest;
        Some(text)
    }

    /// The letters and digits that come next.
    fn word(&mut self) -> &'a str {
        let text = self.0.trim_start();
        let end = text.find(|c: char| !c.is_ascii_alphanumeric());
        let (word, rest) = text.split_at(end.unwrap_or(text.len()));
        self.0 = rest;
        word
    }

    fn boolean(&mut self) -> Option<bool> {
        match self.word() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        }
    }

    fn sizes(&mut self) -> Option<Vec<usize>> {
        let mut sizes = Vec::new();
        self.must('(')?;
        while !self.eats(')') {
            sizes.push(self.word().parse().ok()?);
            if !self.eats(',') {
                self.must(')')?;
                break;
            }
        }
        Some(sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(version: u8, text: &[u8]) -> Vec<u8> {
        let length = text.len() as u32;
        let length = length.to_le_bytes();
        let length = if version == 1 { &length[..2] } else { &length };
        [MAGIC, &[version, 0], length, text].concat()
    }

    fn parsed(text: &str) -> Result<Header, String> {
        read(&mut framed(1, text.as_bytes()).as_slice())
    }

    fn header(descr: &str, is_fortran: bool, shape: &[usize]) -> Header {
        Header {
            descr: descr.into(),
            is_fortran,
            shape: shape.to_vec(),
        }
    }

    /// Texts that NumPy 2 wrote.
    #[test]
    fn what_numpy_writes_is_read() {
        let text =
            "{'descr': '|u1', 'fortran_order': False, 'shape': (60000, 28, 28), }          \n";
        for version in [1, 2, 3] {
            let bytes = framed(version, text.as_bytes());
            let mut rest = bytes.as_slice();
            assert_eq!(
                read(&mut rest).unwrap(),
                header("|u1", false, &[60000, 28, 28])
            );
            assert!(rest.is_empty());
        }
        let labels = "{'descr': '<i8', 'fortran_order': True, 'shape': (7,), }\n";
        assert_eq!(parsed(labels).unwrap(), header("<i8", true, &[7]));
        let number = "{'descr': '>u2', 'fortran_order': False, 'shape': (), }\n";
        assert_eq!(parsed(number).unwrap(), header(">u2", false, &[]));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "{}",
            "{'descr': '|u1', 'fortran_order': False}",
            "{'descr': '|u1', 'fortran_order': 0, 'shape': (1,)}",
            "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1 1)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)} more",
            "{'descr': '|u1, 'fortran_order': False, 'shape': (1,)}",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
        let long = framed(2, &[b' '; LONGEST + 1]);
        assert!(read(&mut long.as_slice()).unwrap_err().contains("10001"));
        let boundless = [MAGIC, &[2, 0, 255, 255, 255, 255]].concat();
        assert!(read(&mut boundless.as_slice()).is_err());
        assert!(
            read(&mut framed(4, b"").as_slice())
                .unwrap_err()
                .contains("version 4")
        );
        assert!(read(&mut b"PK\x03\x04..".as_slice()).is_err());
    }

    proptest! {
        #[test]
        fn no_text_stops_the_reader(text in "[{}()'\":, a-zA-Z0-9_|<\\n]{0,80}") {
            let _ = parsed(&text);
        }
    }
}
