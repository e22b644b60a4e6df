//! Reads tensors out of a `.safetensors` file.
//!
//! The file is not mapped: tensors are read once into the form the kernels want, and single rows
//! of the word table on demand, so that the 47 MB table stays in the page cache only.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::Deserialize;

/// Longer headers are refused; the real one has 11 kB.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// An open file with its table of contents.
#[derive(Debug)]
pub struct Checkpoint {
    file: File,
    data_start: u64,
    tensors: HashMap<String, Entry>,
}

/// Says why a file of weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
    /// The header is not that of a safetensors file.
    #[error("not a safetensors file: {0}")]
    Header(String),
    /// A tensor is missing or has another type, shape or place than expected.
    #[error("tensor `{name}` {problem}")]
    Tensor {
        /// The name of the tensor.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum HeaderItem {
    Tensor(Entry),
    /// The optional `__metadata__` of strings.
    Other(serde::de::IgnoredAny),
}

impl Checkpoint {
    /// Opens a file and reads its header.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let mut file = File::open(path)?;
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER_BYTES {
            let problem = format!("its header claims {length} bytes");
            return Err(CheckpointError::Header(problem));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header)?;
        let header: HashMap<String, HeaderItem> =
            serde_json::from_slice(&header).map_err(|e| CheckpointError::Header(e.to_string()))?;
        let tensors = header
            .into_iter()
            .filter_map(|(name, item)| match item {
                HeaderItem::Tensor(entry) => Some((name, entry)),
                HeaderItem::Other(_) => None,
            })
            .collect();
        Ok(Self {
            file,
            data_start: 8 + length,
            tensors,
        })
    }

    /// Reads a whole tensor of this shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        let at = self.locate(name, shape)?;
        let mut values = vec![0.0; shape.iter().product()];
        self.read_values(at, &mut values)?;
        Ok(values)
    }

    /// Checks a tensor's type and shape and returns where its values start in the file.
    pub fn locate(&self, name: &str, shape: &[usize]) -> Result<u64, CheckpointError> {
        let fail = |problem| CheckpointError::Tensor {
            name: name.to_owned(),
            problem,
        };
        let entry = self
            .tensors
            .get(name)
            .ok_or_else(|| fail("is missing".to_owned()))?;
        if entry.dtype != "F32" || entry.shape != shape {
            let Entry {
                dtype,
                shape: found,
                ..
            } = entry;
            return Err(fail(format!(
                "is {dtype} {found:?}, expected F32 {shape:?}"
            )));
        }
        let (from, to) = entry.data_offsets;
        let bytes = (shape.iter().product::<usize>() * size_of::<f32>()) as u64;
        if to.checked_sub(from) != Some(bytes) {
            return Err(fail(format!(
                "occupies bytes {from}..{to}, expected {bytes} bytes"
            )));
        }
        Ok(self.data_start + from)
    }

    /// Reads consecutive values from a place in the file.
    pub fn read_values(&self, at: u64, values: &mut [f32]) -> io::Result<()> {
        const CHUNK_VALUES: usize = 16 << 10;
        let mut bytes = [0u8; 384 * size_of::<f32>()];
        let mut large;
        let buffer = if values.len() <= 384 {
            &mut bytes[..]
        } else {
            large = vec![0; CHUNK_VALUES * size_of::<f32>()];
            &mut large[..]
        };
        let mut at = at;
        for chunk in values.chunks_mut(buffer.len() / size_of::<f32>()) {
            let bytes = &mut buffer[..size_of_val(chunk)];
            read_exact_at(&self.file, bytes, at)?;
            at += bytes.len() as u64;
            for (value, bytes) in chunk.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                bytes = &mut bytes[read..];
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::NamedTempFile;

    use super::*;

    fn file(header: &str, data: &[f32]) -> NamedTempFile {
        let mut file = NamedTempFile::new().expect("a temporary file");
        let length = header.len() as u64;
        let data: Vec<u8> = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        for part in [&length.to_le_bytes()[..], header.as_bytes(), &data] {
            file.write_all(part).expect("written");
        }
        file
    }

    const HEADER: &str = r#"{"__metadata__":{"format":"pt"},
        "first":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
        "second":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]},
        "half":{"dtype":"F16","shape":[2],"data_offsets":[16,20]},
        "odd":{"dtype":"F32","shape":[3],"data_offsets":[16,20]}}"#;

    #[test]
    fn tensors_are_read_by_name() {
        let file = file(HEADER, &[1.0, 2.0, 3.0, 4.0]);
        let checkpoint = Checkpoint::open(file.path()).expect("a valid file");
        assert_eq!(
            checkpoint.tensor("first", &[2]).expect("it is there"),
            [1.0, 2.0]
        );
        assert_eq!(
            checkpoint.tensor("second", &[2, 1]).expect("it is there"),
            [3.0, 4.0]
        );
    }

    #[test]
    fn tensors_other_than_expected_are_refused_by_name() {
        let file = file(HEADER, &[0.0; 5]);
        let checkpoint = Checkpoint::open(file.path()).expect("a valid file");
        for (name, shape) in [
            ("third", &[2][..]),
            ("second", &[2]),
            ("half", &[2]),
            ("odd", &[3]),
        ] {
            let error = checkpoint.tensor(name, shape).expect_err("not as expected");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let file = file(HEADER, &[1.0, 2.0, 3.0]);
        let checkpoint = Checkpoint::open(file.path()).expect("a valid header");
        assert!(matches!(
            checkpoint.tensor("second", &[2, 1]),
            Err(CheckpointError::Io(_))
        ));
    }

    #[test]
    fn a_file_of_another_kind_is_an_error() {
        let mut other = NamedTempFile::new().expect("a temporary file");
        other
            .write_all(b"PK\x03\x04 something else")
            .expect("written");
        assert!(matches!(
            Checkpoint::open(other.path()),
            Err(CheckpointError::Header(_))
        ));
        let empty = NamedTempFile::new().expect("a temporary file");
        assert!(matches!(
            Checkpoint::open(empty.path()),
            Err(CheckpointError::Io(_))
        ));
        let list = file("[1]", &[]);
        assert!(matches!(
            Checkpoint::open(list.path()),
            Err(CheckpointError::Header(_))
        ));
    }
}
