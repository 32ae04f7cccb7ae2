//! Debian version numbers, compared as Debian Policy 5.6.12 orders them.

use std::cmp::Ordering;

/// Compares two versions `[epoch:]upstream[-revision]`.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left_epoch, left_upstream, left_revision) = split(left);
    let (right_epoch, right_upstream, right_revision) = split(right);
    compare_numbers(left_epoch, right_epoch)
        .then_with(|| compare_part(left_upstream, right_upstream))
        .then_with(|| compare_part(left_revision, right_revision))
}

fn split(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    (epoch, upstream, revision)
}

/// Compares by turns the longest run of non-digits and the longest run of digits.
fn compare_part(mut left: &str, mut right: &str) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (left_word, left_rest) = left.split_at(length(left, |byte| !byte.is_ascii_digit()));
        let (right_word, right_rest) = right.split_at(length(right, |byte| !byte.is_ascii_digit()));
        let (left_number, left_rest) =
            left_rest.split_at(length(left_rest, |b| b.is_ascii_digit()));
        let (right_number, right_rest) =
            right_rest.split_at(length(right_rest, |b| b.is_ascii_digit()));
        let order = compare_words(left_word, right_word)
            .then_with(|| compare_numbers(left_number, right_number));
        if order.is_ne() {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

/// The bytes at the start of `text` for which `of` holds. Versions are ASCII; anything else ends the run at a
/// character boundary because the bytes of one character are never digits.
fn length(text: &str, of: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|byte| !of(byte)).unwrap_or(text.len())
}

/// `~` sorts before the end, the end before letters, letters before everything else.
fn compare_words(left: &str, right: &str) -> Ordering {
    let weights = |word: &str| -> Vec<i32> {
        let mut weights: Vec<i32> = word.bytes().map(weight).collect();
        weights.push(0);
        weights
    };
    weights(left).cmp(&weights(right))
}

fn weight(byte: u8) -> i32 {
    match byte {
        b'~' => -1,
        letter if letter.is_ascii_alphabetic() => i32::from(letter),
        other => i32::from(other) + 256,
    }
}

/// Compares runs of digits of any length; none counts as zero.
fn compare_numbers(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs in strictly rising order; the order is that of `dpkg --compare-versions` (checked by hand once).
    const RISING: &[(&str, &str)] = &[
        ("6.12.9-1", "6.12.107-1"),
        ("6.12.107-1", "7.2.13-1"),
        ("7.2~rc3-1", "7.2-1"),
        ("7.2-1~exp1", "7.2-1"),
        ("7.2-1", "7.2-1+b1"),
        ("1.38.0-3", "1.38.0-3+b1"),
        ("9.9", "1:0.1"),
        ("1.0a", "1.0b"),
        ("1.0a", "1.0+"),
        ("1.0~~", "1.0~"),
        ("1.0~~a", "1.0~"),
        ("1.0", "1.0-1"),
        ("1.0a", "1.00.1"),
    ];

    #[test]
    fn versions_rise_as_policy_says() {
        for (low, high) in RISING {
            assert_eq!(compare(low, high), Ordering::Less, "{low} < {high}");
            assert_eq!(compare(high, low), Ordering::Greater, "{high} > {low}");
        }
    }

    #[test]
    fn leading_zeros_and_a_missing_epoch_mean_nothing() {
        for (left, right) in [("1.02-1", "1.2-01"), ("0:1.2", "1.2"), ("1.0-0", "1.0")] {
            assert_eq!(compare(left, right), Ordering::Equal, "{left} = {right}");
        }
    }
}
