//! Whole numbers of any size, because a YAML file may hold an account number of forty digits.

use std::fmt;

/// Python reads and writes no longer ones either; converting takes time that grows with the square.
const MAX_DIGITS: usize = 4300;

/// A whole number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Integer {
    negative: bool,
    /// Decimal, without leading zeros.
    digits: String,
}

impl Integer {
    /// The number that `digits` name in `radix` (2 to 16); None if one of them is no
    /// digit of it, or they are none or too many.
    pub(super) fn parse(negative: bool, digits: &str, radix: u32) -> Option<Self> {
        let has_length = (1..=MAX_DIGITS).contains(&digits.len());
        if !has_length || !digits.chars().all(|digit| digit.is_digit(radix)) {
            return None;
        }
        let digits = match i128::from_str_radix(digits, radix) {
            Ok(small) => small.to_string(),
            Err(_) if radix == 10 => digits.trim_start_matches('0').to_owned(),
            Err(_) => decimal_of(digits, radix),
        };
        Some(Self {
            negative: negative && digits != "0",
            digits,
        })
    }

    /// The number, if it is not too large.
    pub fn to_i64(&self) -> Option<i64> {
        self.to_string().parse().ok()
    }
}

impl From<i128> for Integer {
    fn from(value: i128) -> Self {
        Self {
            negative: value < 0,
            digits: value.unsigned_abs().to_string(),
        }
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.negative { "-" } else { "" }, self.digits)
    }
}

/// Long multiplication in limbs of nine decimal digits, lowest first.
fn decimal_of(digits: &str, radix: u32) -> String {
    const LIMB: u64 = 1_000_000_000;
    let mut limbs = vec![0_u64];
    for digit in digits.chars().filter_map(|digit| digit.to_digit(radix)) {
        let mut carry = u64::from(digit);
        for limb in &mut limbs {
            let value = *limb * u64::from(radix) + carry;
            *limb = value % LIMB;
            carry = value / LIMB;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let text = limbs
        .iter()
        .rev()
        .fold(String::new(), |text, limb| text + &format!("{limb:09}"));
    text.trim_start_matches('0').to_owned()
}
