//! pgvector's `halfvec`, as its binary protocol has it: vectors of 16-bit floats.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{Encode, Postgres, Type};

/// A vector of length one, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HalfVec(Vec<u16>);

impl HalfVec {
    /// Rounds a vector, after bringing it to length one: only its direction is compared, and 16 bits
    /// are finest there. `None` for one without a direction.
    pub fn new(vector: &[f32]) -> Option<Self> {
        let squares: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let length = squares.sqrt();
        if !length.is_normal() {
            return None;
        }
        let unit = |&x: &f32| half((f64::from(x) / length) as f32);
        Some(Self(vector.iter().map(unit).collect()))
    }

    /// Appends the vector to a message: two bytes for the number of components, two for nothing, and
    /// the components, all with the high byte first.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let dimensions = u16::try_from(self.0.len()).expect("models have fewer dimensions");
        bytes.extend(dimensions.to_be_bytes());
        bytes.extend([0, 0]);
        for component in &self.0 {
            bytes.extend(component.to_be_bytes());
        }
    }
}

impl Type<Postgres> for HalfVec {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("halfvec")
    }
}

impl Encode<'_, Postgres> for HalfVec {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        self.write(buffer);
        Ok(IsNull::No)
    }
}

/// Rounds a float of at most one to IEEE 754's 16 bits, ties to even.
fn half(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let magnitude = x.abs();
    // Below 2^-14 the 16-bit floats are evenly spaced by 2^-24.
    if magnitude < 6.103_515_6e-5 {
        return sign | (magnitude * 16_777_216.0).round_ties_even() as u16;
    }
    let rest = bits & 0x7fff_ffff;
    // Thirteen bits go, and the exponent's offset changes from 127 to 15.
    let rounded = rest + 0x0fff + ((rest >> 13) & 1);
    sign | ((rounded - (112 << 23)) >> 13) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_those_of_the_standard() {
        for (x, expected) in [
            (0.0, 0x0000),
            (1.0, 0x3c00),
            (-1.0, 0xbc00),
            (0.5, 0x3800),
            (0.333_251_95, 0x3555),
            (0.1, 0x2e66),
            (6.103_515_6e-5, 0x0400),
            (6.097_555e-5, 0x03ff),
            (5.960_464_5e-8, 0x0001),
            (1e-9, 0x0000),
            // Halfway between two: the even one.
            (1.0 - 1.0 / 4096.0, 0x3c00),
        ] {
            assert_eq!(half(x), expected, "{x}");
        }
    }

    #[test]
    fn vectors_without_a_direction_are_refused() {
        assert_eq!(HalfVec::new(&[0.0, 0.0]), None);
        assert_eq!(HalfVec::new(&[f32::NAN, 1.0]), None);
        assert_eq!(HalfVec::new(&[]), None);
        assert_eq!(
            HalfVec::new(&[3.0, 4.0]),
            Some(HalfVec(vec![half(0.6), half(0.8)]))
        );
    }
}
