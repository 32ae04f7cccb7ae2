//! The flattened form of a device tree [devicetree specification 0.4, chapter 5].

use super::{DeviceTree, Node, Property};
use thiserror::Error;
use vm_fdt::{FdtReserveEntry, FdtWriter};

/// The largest blob that is read or written, in bytes. Real ones have some ten thousand.
const BYTES_MAX: usize = 1 << 20;
/// The longest name; the specification allows 31 characters, and some trees take more.
const NAME_BYTES_MAX: usize = 255;
/// The deepest nesting; what Linux accepts.
const DEPTH_MAX: usize = 64;
const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// What is wrong with a blob, or with a tree that should become one.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BlobError {
    /// The first word is another one.
    #[error("not a device tree blob: it begins with {0:#010x}, not with 0xd00dfeed")]
    Magic(u32),
    /// A version that cannot be read as version 17.
    #[error("device tree blob of version {0}, readable back to version {1}; 17 is known")]
    Version(u32, u32),
    /// It ends before it should.
    #[error("device tree blob is cut off or points outside itself at offset {0:#x}")]
    Truncated(usize),
    /// A token that does not exist, or not there.
    #[error("device tree blob has an unexpected token {token:#x} at offset {at:#x}")]
    Token {
        /// The token.
        token: u32,
        /// Where it stands in the structure block.
        at: usize,
    },
    /// A name that is not text, or has no end.
    #[error("device tree blob has a name that is not text or too long at offset {0:#x}")]
    Name(usize),
    /// Too many nodes inside each other.
    #[error("device tree nests deeper than {DEPTH_MAX} nodes")]
    Depth,
    /// Too large.
    #[error("device tree blob of {0} bytes; at most {BYTES_MAX} are accepted")]
    Size(usize),
    /// The tree breaks a rule of the specification.
    #[error("device tree cannot be written: {0}")]
    Unwritable(String),
}

impl From<vm_fdt::Error> for BlobError {
    fn from(error: vm_fdt::Error) -> Self {
        Self::Unwritable(error.to_string())
    }
}

/// A slice that answers out-of-range reads with an error.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn word(self, at: usize) -> Result<u32, BlobError> {
        let bytes = self.slice(at, 4)?;
        Ok(bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte)))
    }

    fn double(self, at: usize) -> Result<u64, BlobError> {
        Ok(u64::from(self.word(at)?) << 32 | u64::from(self.word(at + 4)?))
    }

    fn slice(self, at: usize, len: usize) -> Result<&'a [u8], BlobError> {
        at.checked_add(len).and_then(|end| self.0.get(at..end)).ok_or(BlobError::Truncated(at))
    }

    /// A block from `at` of `len` bytes.
    fn block(self, at: u32, len: u32) -> Result<Self, BlobError> {
        self.slice(at as usize, len as usize).map(Self)
    }

    /// The text at `at` up to its zero byte.
    fn text(self, at: usize) -> Result<&'a str, BlobError> {
        let rest = self.0.get(at..).ok_or(BlobError::Truncated(at))?;
        let name = &rest[..rest.len().min(NAME_BYTES_MAX + 1)];
        let len = name.iter().position(|&byte| byte == 0).ok_or(BlobError::Name(at))?;
        std::str::from_utf8(&rest[..len]).map_err(|_| BlobError::Name(at))
    }
}

/// The structure block, read token by token.
struct Structure<'a> {
    block: Bytes<'a>,
    strings: Bytes<'a>,
    at: usize,
}

impl Structure<'_> {
    /// The next token that means something.
    fn token(&mut self) -> Result<u32, BlobError> {
        loop {
            let token = self.block.word(self.at)?;
            self.at += 4;
            if token != NOP {
                return Ok(token);
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.at = (self.at + bytes).next_multiple_of(4);
    }

    fn unexpected(&self, token: u32) -> BlobError {
        BlobError::Token { token, at: self.at - 4 }
    }

    /// A node after its begin token.
    fn node(&mut self, depth: usize) -> Result<Node, BlobError> {
        if depth > DEPTH_MAX {
            return Err(BlobError::Depth);
        }
        let name = self.block.text(self.at)?;
        self.skip(name.len() + 1);
        let mut node = Node::new(name);
        loop {
            match self.token()? {
                PROP => {
                    let len = self.block.word(self.at)? as usize;
                    let name = self.strings.text(self.block.word(self.at + 4)? as usize)?;
                    self.at += 8;
                    let value = self.block.slice(self.at, len)?.to_vec();
                    self.skip(len);
                    node.properties.push(Property { name: name.to_owned(), value });
                }
                BEGIN_NODE => node.children.push(self.node(depth + 1)?),
                END_NODE => return Ok(node),
                token => return Err(self.unexpected(token)),
            }
        }
    }
}

impl DeviceTree {
    /// Reads a blob.
    ///
    /// # Errors
    /// It is no blob, of a version before 16, damaged, or beyond a limit.
    pub fn parse(blob: &[u8]) -> Result<Self, BlobError> {
        let all = Bytes(blob);
        let magic = all.word(0)?;
        if magic != MAGIC {
            return Err(BlobError::Magic(magic));
        }
        let total = all.word(4)? as usize;
        if total > BYTES_MAX {
            return Err(BlobError::Size(total));
        }
        let all = Bytes(all.slice(0, total)?);
        let (version, readable_from) = (all.word(20)?, all.word(24)?);
        if version < VERSION || readable_from > VERSION {
            return Err(BlobError::Version(version, readable_from));
        }
        let strings = all.block(all.word(12)?, all.word(32)?)?;
        let block = all.block(all.word(8)?, all.word(36)?)?;

        let mut reservations = Vec::new();
        let mut at = all.word(16)? as usize;
        loop {
            let entry = (all.double(at)?, all.double(at + 8)?);
            if entry == (0, 0) {
                break;
            }
            reservations.push(entry);
            at += 16;
        }

        let mut structure = Structure { block, strings, at: 0 };
        let root = match structure.token()? {
            BEGIN_NODE => structure.node(1)?,
            token => return Err(structure.unexpected(token)),
        };
        match structure.token()? {
            END => Ok(Self { reservations, boot_cpu: all.word(28)?, root }),
            token => Err(structure.unexpected(token)),
        }
    }

    /// Writes the blob.
    ///
    /// # Errors
    /// A name that the specification does not allow, a phandle that is there twice, overlapping
    /// reservations, or a tree beyond a limit.
    pub fn blob(&self) -> Result<Vec<u8>, BlobError> {
        let reservations = self
            .reservations
            .iter()
            .map(|&(address, bytes)| FdtReserveEntry::new(address, bytes))
            .collect::<Result<Vec<_>, _>>()?;
        let mut writer = FdtWriter::new_with_mem_reserv(&reservations)?;
        writer.set_boot_cpuid_phys(self.boot_cpu);
        write_node(&mut writer, &self.root)?;
        let blob = writer.finish()?;
        if blob.len() > BYTES_MAX { Err(BlobError::Size(blob.len())) } else { Ok(blob) }
    }
}

fn write_node(writer: &mut FdtWriter, node: &Node) -> Result<(), vm_fdt::Error> {
    let open = writer.begin_node(&node.name)?;
    for property in &node.properties {
        match (property.name.as_str(), <[u8; 4]>::try_from(property.value.as_slice())) {
            ("phandle", Ok(bytes)) => writer.property_phandle(u32::from_be_bytes(bytes))?,
            (name, _) => writer.property(name, &property.value)?,
        }
    }
    for child in &node.children {
        write_node(writer, child)?;
    }
    writer.end_node(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> DeviceTree {
        let child = Node::new("memory@80000000")
            .strings("device_type", ["memory"])
            .wide_cells("reg", [0x8000_0000, 0x1000])
            .flag("nothing")
            .bytes("odd", [1, 2, 3]);
        DeviceTree {
            reservations: vec![(0x1000, 0x2000)],
            boot_cpu: 3,
            root: Node::new("").cells("#address-cells", [2]).child(child).child(Node::new("b")),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(DeviceTree::parse(&tree().blob().unwrap()), Ok(tree()));
    }

    #[test]
    fn a_blob_written_by_hand_is_read() {
        // Header, one empty reservation, and a root with one NOP and the property a = <1>.
        #[rustfmt::skip]
        let words: [u32; 24] = [
            0xd00d_feed, 24 * 4, 56, 92, 40, 17, 16, 0, 2, 36,
            0, 0, 0, 0,
            BEGIN_NODE, 0, NOP, PROP, 4, 0, 1, END_NODE, END,
            u32::from_be_bytes(*b"a\0\0\0"),
        ];
        let blob: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
        let parsed = DeviceTree::parse(&blob).unwrap();
        assert_eq!(parsed.root, Node::new("").cells("a", [1]));
        assert_eq!(parsed.root.get("a"), Some([0, 0, 0, 1].as_slice()));
    }

    #[test]
    fn a_damaged_blob_is_an_error_and_never_a_panic() {
        let blob = tree().blob().unwrap();
        for len in 0..blob.len() {
            assert!(DeviceTree::parse(&blob[..len]).is_err());
        }
        for at in 0..blob.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = blob.clone();
                bad[at] = value;
                let _ = DeviceTree::parse(&bad);
            }
        }
    }

    #[test]
    fn a_tree_without_bottom_is_refused() {
        let deep = (0..100).fold(Node::new("x"), |inner, _| Node::new("x").child(inner));
        let tree = DeviceTree { root: Node::new("").child(deep), ..DeviceTree::default() };
        assert!(matches!(tree.blob(), Err(BlobError::Unwritable(_))));

        let mut words = vec![0xd00d_feed, 0, 56, 40, 40, 17, 16, 0, 0, 0, 0, 0, 0, 0];
        words.extend([BEGIN_NODE, 0].repeat(1000));
        words[1] = words.len() as u32 * 4;
        words[9] = 8000;
        let blob: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
        assert_eq!(DeviceTree::parse(&blob), Err(BlobError::Depth));
    }

    #[test]
    fn what_is_no_blob_says_so() {
        assert_eq!(DeviceTree::parse(b"\x7fELF0000"), Err(BlobError::Magic(0x7f45_4c46)));
        assert_eq!(DeviceTree::parse(b""), Err(BlobError::Truncated(0)));
    }

    #[test]
    fn a_phandle_belongs_to_one_node() {
        let node = |name: &str| Node::new(name).cells("phandle", [1]);
        let tree = DeviceTree {
            root: Node::new("").child(node("a")).child(node("b")),
            ..DeviceTree::default()
        };
        assert!(matches!(tree.blob(), Err(BlobError::Unwritable(_))));
    }
}
