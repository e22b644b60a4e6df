//! Vectors of numbers that start on a cache line, so that wide loads never straddle two.

use std::ops::{Deref, DerefMut};

const LINE_BYTES: usize = 64;

/// A fixed-size run of values whose first lies on a 64-byte boundary.
#[derive(Debug, Default)]
pub struct AlignedVec<T> {
    storage: Vec<T>,
    start: usize,
    length: usize,
}

impl<T: Copy + Default> AlignedVec<T> {
    /// Makes `length` zeros.
    #[must_use]
    pub fn zeros(length: usize) -> Self {
        let slack = LINE_BYTES / size_of::<T>();
        let storage = vec![T::default(); length + slack];
        // `align_offset` may decline in theory; values are then merely unaligned.
        let start = storage.as_ptr().align_offset(LINE_BYTES).min(slack);
        Self {
            storage,
            start,
            length,
        }
    }

    /// Makes room for at least `length` values; their contents are then unspecified.
    pub fn reserve(&mut self, length: usize) {
        if self.length < length {
            *self = Self::zeros(length);
        }
    }
}

impl<T> Deref for AlignedVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.storage[self.start..self.start + self.length]
    }
}

impl<T> DerefMut for AlignedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.storage[self.start..self.start + self.length]
    }
}
