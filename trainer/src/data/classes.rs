//! Which classes of a data set are meant.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Some classes by their numbers, counted from 0: `0,3-5`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClassList(BTreeSet<u8>);

impl ClassList {
    /// Whether a class is among them.
    pub fn contains(&self, class: u8) -> bool {
        self.0.contains(&class)
    }

    /// The last of them.
    pub fn last(&self) -> u8 {
        self.0.last().copied().unwrap_or_default()
    }
}

impl FromStr for ClassList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<u8>().ok();
        let range = |part: &str| match part.split_once('-') {
            Some((first, last)) => Some(number(first)?..=number(last)?),
            None => number(part).map(|class| class..=class),
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        let ranges = ranges.filter(|ranges| ranges.iter().all(|range| !range.is_empty()));
        let ranges = ranges.ok_or("it must be numbers of classes from 0 to 255, as in 0,3-5")?;
        Ok(Self(ranges.into_iter().flatten().collect()))
    }
}

impl fmt::Display for ClassList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<[u8; 2]> = Vec::new();
        for &class in &self.0 {
            match ranges.last_mut() {
                Some([_, last]) if *last + 1 == class => *last = class,
                _ => ranges.push([class; 2]),
            }
        }
        let parts = ranges.iter().map(|&[first, last]| match last - first {
            0 => first.to_string(),
            _ => format!("{first}-{last}"),
        });
        f.write_str(&parts.collect::<Vec<_>>().join(","))
    }
}

impl TryFrom<String> for ClassList {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ClassList> for String {
    fn from(list: ClassList) -> Self {
        list.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written() {
        for (text, classes, written) in [
            ("3", vec![3], "3"),
            ("0, 3-5", vec![0, 3, 4, 5], "0,3-5"),
            ("9,0-2,1,255", vec![0, 1, 2, 9, 255], "0-2,9,255"),
        ] {
            let list: ClassList = text.parse().unwrap();
            let found = (0..=255).filter(|&class| list.contains(class));
            assert_eq!(found.collect::<Vec<u8>>(), classes);
            assert_eq!(list.to_string(), written);
        }
        for text in ["", "a", "5-3", "1-", "256", "-1", "1,,2"] {
            assert!(text.parse::<ClassList>().is_err(), "{text}");
        }
    }
}
