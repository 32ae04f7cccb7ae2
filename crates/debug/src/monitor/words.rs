//! The words of a command line, and the numbers among them.

use super::Usage;

/// What is left of a line.
pub(super) struct Words<'t>(std::str::SplitWhitespace<'t>);

impl<'t> Words<'t> {
    pub(super) fn new(line: &'t str) -> Self {
        Self(line.split_whitespace())
    }

    /// The next word, if there is one.
    pub(super) fn next(&mut self) -> Option<&'t str> {
        self.0.next()
    }
}

/// A number: decimal, or hexadecimal with `0x`.
pub(super) fn number(word: &str) -> Result<u64, Usage> {
    let parsed = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        // A sign would be taken.
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None if word.starts_with('+') => None,
        None => word.parse().ok(),
    };
    parsed.ok_or_else(|| Usage(format!("'{word}' is not a number of 64 bits")))
}

/// `FIRST-LAST`, or one number for both.
pub(super) fn range(word: &str) -> Result<(u64, u64), Usage> {
    let (first, last) = match word.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(word)?, number(word)?),
    };
    if first <= last {
        Ok((first, last))
    } else {
        Err(Usage(format!("'{word}' ends before it begins")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_or_marked() {
        assert_eq!(number("10"), Ok(10));
        assert_eq!(number("0x10"), Ok(16));
        assert_eq!(number("0xffffffffffffffff"), Ok(u64::MAX));
        for wrong in ["", "0x", "+1", "0x+1", "-1", "1g", "0x10000000000000000"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
        assert_eq!(range("1-0x10"), Ok((1, 16)));
        assert_eq!(range("7"), Ok((7, 7)));
        assert!(range("2-1").is_err() && range("-").is_err());
    }
}
