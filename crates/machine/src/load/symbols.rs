//! Names for addresses, and addresses for names.

use object::{Object as _, ObjectSymbol as _, SymbolKind};
use std::collections::HashMap;

/// One symbol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbol {
    /// Its address.
    pub address: u64,
    /// Its size in bytes, 0 where the file does not say.
    pub bytes: u64,
    /// Its name.
    pub name: Box<str>,
}

/// The symbols of one or more files.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// By rising address.
    by_address: Vec<Symbol>,
    by_name: HashMap<Box<str>, u64>,
}

/// The longest name that is kept, in bytes.
const NAME_BYTES_MAX: usize = 4096;

impl Symbols {
    /// The symbols of an ELF file. Files, sections, local labels and the assembler's mapping symbols are
    /// left out.
    ///
    /// # Errors
    /// The file's section or symbol tables cannot be read.
    pub fn parse(data: &[u8]) -> Result<Self, object::Error> {
        let file = object::File::parse(data)?;
        let mut symbols = Self::default();
        for symbol in file.symbols() {
            let named =
                matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data | SymbolKind::Unknown)
                    && symbol.is_definition();
            // A name that is not text names nothing for us.
            let name = symbol.name().unwrap_or_default();
            let kept =
                !name.is_empty() && !name.starts_with(['$', '.']) && name.len() <= NAME_BYTES_MAX;
            if named && kept {
                symbols.insert(symbol.address(), symbol.size(), name);
            }
        }
        symbols.sort();
        Ok(symbols)
    }

    fn insert(&mut self, address: u64, bytes: u64, name: &str) {
        self.by_address.push(Symbol { address, bytes, name: name.into() });
        // The first of several local symbols with the same name stands.
        self.by_name.entry(name.into()).or_insert(address);
    }

    fn sort(&mut self) {
        // Sized symbols before labels at the same address, then by name, so that the order of the file
        // does not matter.
        self.by_address
            .sort_by(|a, b| (a.address, b.bytes, &a.name).cmp(&(b.address, a.bytes, &b.name)));
    }

    /// Adds those of another file, moved by `bias`.
    pub fn merge(&mut self, other: Symbols, bias: u64) {
        for Symbol { address, bytes, name } in other.by_address {
            self.insert(address.wrapping_add(bias), bytes, &name);
        }
        self.sort();
    }

    /// The address of a name.
    pub fn address(&self, name: &str) -> Option<u64> {
        self.by_name.get(name).copied()
    }

    /// The name for an address, and how far into it the address lies: the last symbol at or before the
    /// address, unless its size says that it ends before.
    pub fn at(&self, address: u64) -> Option<(&str, u64)> {
        let end = self.by_address.partition_point(|symbol| symbol.address <= address);
        let last = self.by_address[..end].last()?;
        let start = self.by_address.partition_point(|symbol| symbol.address < last.address);
        let symbol = self.by_address.get(start)?;
        let offset = address - symbol.address;
        (symbol.bytes == 0 || offset < symbol.bytes).then_some((&*symbol.name, offset))
    }

    /// Every symbol by rising address.
    pub fn iter(&self) -> impl Iterator<Item = &Symbol> {
        self.by_address.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(rows: &[(u64, u64, &str)]) -> Symbols {
        let mut symbols = Symbols::default();
        for &(address, bytes, name) in rows {
            symbols.insert(address, bytes, name);
        }
        symbols.sort();
        symbols
    }

    #[test]
    fn an_address_belongs_to_the_last_symbol_before_it() {
        let s =
            symbols(&[(0x20, 0, "label"), (0x10, 8, "f"), (0x10, 0, "f_alias"), (0x40, 4, "g")]);
        assert_eq!(s.at(0xf), None);
        assert_eq!(s.at(0x10), Some(("f", 0)));
        assert_eq!(s.at(0x17), Some(("f", 7)));
        assert_eq!(s.at(0x18), None);
        assert_eq!(s.at(0x3f), Some(("label", 0x1f)));
        assert_eq!(s.at(u64::MAX), None);
        assert_eq!(s.address("g"), Some(0x40));
        assert_eq!(s.address("h"), None);
    }

    #[test]
    fn files_are_merged_with_their_bias() {
        let mut s = symbols(&[(0x10, 8, "f")]);
        s.merge(symbols(&[(0x10, 8, "g"), (0, 4, "f")]), 0x100);
        assert_eq!(s.at(0x110), Some(("g", 0)));
        assert_eq!(s.address("f"), Some(0x10));
        assert_eq!(s.iter().map(|symbol| symbol.address).collect::<Vec<_>>(), [0x10, 0x100, 0x110]);
    }

    #[test]
    fn what_is_no_object_file_is_an_error() {
        assert!(Symbols::parse(b"").is_err());
        assert!(Symbols::parse(b"\x7fELF").is_err());
    }
}
