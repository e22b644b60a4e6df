//! Files compressed with Zstandard.

use std::io::{self, BufRead, ErrorKind, Read};

use ruzstd::decoding::StreamingDecoder;

/// The most memory that a frame may ask for, in bytes; what agents write needs 8 MiB at most.
const LARGEST_WINDOW: u64 = 32 * 1024 * 1024;

/// Reads the frames of a file one after the other.
pub(crate) struct Frames<R: BufRead> {
    decoder: Option<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>,
}

impl<R: BufRead> Frames<R> {
    /// A reader of nothing, and why, if there is no frame at the start.
    pub(crate) fn new(source: R) -> (Self, Option<io::Error>) {
        match frame(source) {
            Ok(decoder) => (
                Self {
                    decoder: Some(decoder),
                },
                None,
            ),
            Err(error) => (Self { decoder: None }, Some(error)),
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let read = match decoder.read(buffer) {
                Ok(read) => read,
                Err(error) => {
                    self.decoder = None;
                    return Err(error);
                }
            };
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let mut source = match self.decoder.take() {
                Some(decoder) => decoder.into_inner(),
                None => break,
            };
            if !source.fill_buf()?.is_empty() {
                self.decoder = Some(frame(source)?);
            }
        }
        Ok(0)
    }
}

fn frame<R: BufRead>(source: R) -> io::Result<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>> {
    StreamingDecoder::new_with_max_window_size(source, LARGEST_WINDOW)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error.to_string()))
}
