//! QEMU's `value,key=value,…` lists: a comma separates, two commas are one in a value.

use super::nearest::did_you_mean;
use super::values::ValueError;

/// The pairs of one list. Each key is taken by name; what is left over at the end is refused with
/// the nearest of the keys that were asked for.
#[derive(Debug)]
pub(crate) struct KeyList {
    word: String,
    pairs: Vec<(String, String)>,
    asked: Vec<&'static str>,
}

impl KeyList {
    /// Splits `text`, the value of `word`. A first part without `=` belongs to `first_key`.
    pub(crate) fn parse(
        word: &str,
        text: &str,
        first_key: &'static str,
    ) -> Result<Self, ValueError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (at, part) in split_at_single_commas(text).into_iter().enumerate() {
            let (key, value) = match part.split_once('=') {
                Some((key, value)) => (key.to_owned(), value.to_owned()),
                None if at == 0 => (first_key.to_owned(), part),
                None => {
                    return Err(ValueError(format!(
                        "{word}: '{part}' is not of the form key=value"
                    )));
                }
            };
            if pairs.iter().any(|(known, _)| *known == key) {
                return Err(ValueError(format!("{word}: '{key}' is given twice")));
            }
            pairs.push((key, value));
        }
        Ok(Self { word: word.to_owned(), pairs, asked: Vec::new() })
    }

    /// The value of `key`, once.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<String> {
        self.asked.push(key);
        let at = self.pairs.iter().position(|(known, _)| known == key)?;
        Some(self.pairs.remove(at).1)
    }

    /// The value of `key`, which must be there.
    pub(crate) fn require(&mut self, key: &'static str) -> Result<String, ValueError> {
        self.take(key).ok_or_else(|| ValueError(format!("{}: '{key}=' is missing", self.word)))
    }

    /// The value of `key` as QEMU's on or off; off when it is absent.
    pub(crate) fn take_switch(&mut self, key: &'static str) -> Result<bool, ValueError> {
        match self.take(key) {
            None => Ok(false),
            Some(value) => switch(&value).ok_or_else(|| {
                ValueError(format!("{}: {key}={value} is not on or off", self.word))
            }),
        }
    }

    /// Refuses a value of `key` other than `only`, the one that is true of this machine.
    pub(crate) fn take_only(&mut self, key: &'static str, only: &str) -> Result<(), ValueError> {
        match self.take(key) {
            Some(value)
                if value != only && switch(&value).is_none_or(|v| switch(only) != Some(v)) =>
            {
                Err(ValueError(format!(
                    "{}: {key}={value} is not built yet, only {only}",
                    self.word
                )))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what nobody asked for.
    pub(crate) fn finish(self) -> Result<(), ValueError> {
        match self.pairs.first() {
            None => Ok(()),
            Some((key, _)) => Err(ValueError(format!(
                "{}: unknown key '{key}'{}",
                self.word,
                did_you_mean(key, &self.asked)
            ))),
        }
    }
}

/// QEMU's spellings of on and off.
pub(crate) fn switch(value: &str) -> Option<bool> {
    match value {
        "on" | "true" | "yes" | "y" => Some(true),
        "off" | "false" | "no" | "n" => Some(false),
        _ => None,
    }
}

fn split_at_single_commas(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, parts.last_mut()) {
            (',', Some(part)) if rest.next_if_eq(&',').is_some() => part.push(','),
            (',', _) => parts.push(String::new()),
            (_, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_commas_are_one_in_a_value() {
        let mut keys = KeyList::parse("-drive", "file=a,,b.img,if=none", "file").unwrap();
        assert_eq!(keys.take("file").as_deref(), Some("a,b.img"));
        assert_eq!(keys.take("if").as_deref(), Some("none"));
        assert_eq!(keys.finish(), Ok(()));
    }

    #[test]
    fn a_key_nobody_asked_for_is_refused_with_the_nearest() {
        let mut keys = KeyList::parse("-drive", "file=a,fromat=raw", "file").unwrap();
        keys.take("file");
        keys.take("format");
        let error = keys.finish().unwrap_err().0;
        assert_eq!(error, "-drive: unknown key 'fromat'; did you mean 'format'?");
    }

    #[test]
    fn a_key_is_given_once_and_has_a_value() {
        assert!(KeyList::parse("-drive", "id=a,id=b", "file").is_err());
        assert!(KeyList::parse("-drive", "id=a,readonly", "file").is_err());
    }
}
