//! Conversions between integers and floating point, in one place because each must say what it
//! does at the edges.

/// The nearest floating point number; exact up to 2^53.
pub(crate) fn to_f64(n: u64) -> f64 {
    let [high, low] =
        [n >> 32, n & 0xffff_ffff].map(|half| u32::try_from(half).unwrap_or(u32::MAX));
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

/// So many in that time, per second.
pub(crate) fn rate(n: usize, seconds: f64) -> f64 {
    to_f64(u64::try_from(n).unwrap_or(u64::MAX)) / seconds.max(1e-9)
}

/// `floor(share x n)` as every language with IEEE doubles computes it: one rounded product, then
/// down to a whole number. `None` when that is not within `0..2^53`.
pub(crate) fn floor_share(share: f64, n: u64) -> Option<u64> {
    whole((share * to_f64(n)).floor())
}

/// A floating point number without a fraction as an integer; `None` outside `0..2^53`.
fn whole(x: f64) -> Option<u64> {
    // Every double in this range is its bits: a mantissa of 53 digits and a small exponent.
    if !(0.0..9_007_199_254_740_992.0).contains(&x) {
        return None;
    }
    let bits = x.to_bits();
    let exponent = (bits >> 52) & 0x7ff;
    if exponent < 1_023 {
        return Some(0);
    }
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    Some(mantissa >> (1_075 - exponent))
}

/// Bytes as lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_survive() {
        for n in [0_u32, 1, 2, 3, 1_000_003, u32::MAX] {
            assert_eq!(whole(f64::from(n)), Some(u64::from(n)));
        }
        assert_eq!(whole(9_007_199_254_740_991.0), Some(9_007_199_254_740_991));
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1e16] {
            assert_eq!(whole(bad), None, "{bad}");
        }
        assert_eq!(whole(-0.0), Some(0));
    }

    #[test]
    fn the_product_is_rounded_before_it_is_cut() {
        // 0.29 x 100 is 28.999999999999996 in doubles, 0.07 x 100 is 7.000000000000001.
        for (share, n, expected) in [
            (0.29, 100, 28),
            (0.07, 100, 7),
            (0.8, 5, 4),
            (0.5, 7, 3),
            (1.0, 9, 9),
            (0.0, 9, 0),
        ] {
            assert_eq!(floor_share(share, n), Some(expected), "{share} {n}");
        }
        assert_eq!(floor_share(f64::NAN, 1), None);
    }
}
