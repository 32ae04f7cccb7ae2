//! The nearest known option to an unknown one, for hints. Letters are compared by `isa::nearest`; what
//! is added here is how options differ from other words: dashes, and being cut short.

/// The candidate that a person most likely meant by `word`; none when nothing is near.
///
/// Dashes in front do not count, except to choose between two spellings of one word: `--kernal`
/// finds `--kernel`, `--smp` finds `-smp`, `--mem` finds `--memory`.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let bare = word.trim_start_matches('-');
    let cut_short = || {
        let longer = |known: &&str| bare.len() >= 3 && known.starts_with(bare);
        let known = candidates.iter().map(|known| known.trim_start_matches('-'));
        known.filter(longer).min_by_key(|known| (known.len(), *known))
    };
    let same = candidates.iter().map(|known| known.trim_start_matches('-')).find(|k| *k == bare);
    let found = same
        .or_else(cut_short)
        .or_else(|| isa::nearest(bare, candidates.iter().map(|k| k.trim_start_matches('-'))))?;
    let dashes = |text: &str| text.len() - text.trim_start_matches('-').len();
    candidates
        .iter()
        .filter(|known| known.trim_start_matches('-') == found)
        .min_by_key(|known| dashes(known).abs_diff(dashes(word)))
        .copied()
}

/// `; did you mean 'x'?`, or nothing.
pub(crate) fn did_you_mean(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates) {
        Some(candidate) => format!("; did you mean '{candidate}'?"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_whatever_the_dashes() {
        let words = ["--kernel", "-kernel", "--initrd", "-smp", "--harts", "--memory"];
        for (slip, meant) in [
            ("--kernal", "--kernel"),
            ("-kernal", "-kernel"),
            ("--smp", "-smp"),
            ("--mem", "--memory"),
            ("--intird", "--initrd"),
            ("-harts", "--harts"),
        ] {
            assert_eq!(nearest(slip, &words), Some(meant), "{slip}");
        }
    }

    #[test]
    fn what_resembles_nothing_finds_nothing() {
        assert_eq!(nearest("--xylophone", &["--kernel", "-smp"]), None);
        assert_eq!(nearest("", &["--kernel", "-smp"]), None);
        assert_eq!(did_you_mean("--xylophone", &["--kernel"]), "");
    }
}
