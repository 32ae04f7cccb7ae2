//! The nearest known word to a misspelt one. Every table that users write words of answers with it.

/// The known word with the smallest edit distance to `word`, if at most a third of its letters (and
/// at least one) differ. Words longer than 64 bytes have no neighbours.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let limit = word.chars().count().div_ceil(3).max(1);
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// How an error message names the nearest known word, or nothing.
pub(crate) fn hint(nearest: Option<&str>) -> String {
    nearest.map(|word| format!("; did you mean '{word}'?")).unwrap_or_default()
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_off_is_near_and_a_stranger_is_not() {
        let words = ["zba", "zbb", "sstc", "svpbmt"];
        assert_eq!(nearest("ssct", words.into_iter()), Some("sstc"));
        assert_eq!(nearest("svpmbt", words.into_iter()), Some("svpbmt"));
        assert_eq!(nearest("walnut", words.into_iter()), None);
        assert_eq!(nearest("", words.into_iter()), None);
    }
}
