//! CIFAR's binary version: a tar archive of batches, each a file of records without a header. A record is one byte
//! of label and then the image, (C, H, W). Defined on the data set's page.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::error::FileProblem;

/// The batches that are wanted of an archive.
#[derive(Clone, Copy, Debug)]
pub struct Batches {
    /// Names of the files, without their folder, in the order of their records.
    pub members: &'static [&'static str],
    /// Records of each.
    pub records: usize,
    /// Bytes of an image.
    pub image_len: usize,
    /// Number of classes.
    pub classes: usize,
}

impl Batches {
    /// Records of all batches, and bytes of a record.
    pub fn shape(&self) -> [usize; 2] {
        [self.members.len() * self.records, 1 + self.image_len]
    }

    /// Bytes of all batches.
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Takes the batches out of a packed archive: their records, one after the other.
    ///
    /// # Errors
    ///
    /// An archive that does not decode, lacks a batch, or has one of another length or with an unknown label.
    pub fn unpack(&self, packed: &[u8]) -> Result<Vec<u8>, FileProblem> {
        let mut found: Vec<Option<Vec<u8>>> = vec![None; self.members.len()];
        let mut archive = tar::Archive::new(MultiGzDecoder::new(packed));
        for entry in archive.entries().map_err(FileProblem::Gzip)? {
            let entry = entry.map_err(FileProblem::Gzip)?;
            let path = entry.path().map_err(FileProblem::Gzip)?;
            let is_it = |name: &&str| path.file_name().is_some_and(|found| found == *name);
            if let Some(place) = self.members.iter().position(is_it) {
                found[place] = Some(self.batch(entry)?);
            }
        }
        let mut records = Vec::with_capacity(self.len());
        for (batch, &name) in found.into_iter().zip(self.members) {
            records.extend(batch.ok_or(FileProblem::NoMember(name))?);
        }
        Ok(records)
    }

    fn batch(&self, reader: impl Read) -> Result<Vec<u8>, FileProblem> {
        let expected = self.records * (1 + self.image_len);
        let mut bytes = Vec::with_capacity(expected);
        let mut reader = reader.take(expected as u64 + 1);
        reader.read_to_end(&mut bytes).map_err(FileProblem::Gzip)?;
        if bytes.len() != expected {
            return Err(FileProblem::BatchLength { expected });
        }
        let mut labels = bytes.iter().step_by(1 + self.image_len);
        match labels.find(|&&label| usize::from(label) >= self.classes) {
            Some(&label) => Err(FileProblem::Label {
                label,
                classes: self.classes,
            }),
            None => Ok(bytes),
        }
    }

    /// Tells records apart: the pixels, (N, C, H, W), and the labels, (N).
    pub fn separate(&self, records: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut pixels, mut labels) = (Vec::with_capacity(records.len()), Vec::new());
        for record in records.chunks_exact(1 + self.image_len) {
            labels.push(record[0]);
            pixels.extend(&record[1..]);
        }
        (pixels, labels)
    }
}
