//! Device trees: a tree as a value, its blob, its source text, and the tree of our board.
//!
//! A blob may come from a user, so reading one has limits and never trusts a length or an offset.

mod blob;
mod cpus;
mod dts;
mod guest;
mod virt;

pub use blob::BlobError;
pub use guest::GuestTree;
pub use virt::{BoardTree, Initrd};

/// A tree with what its blob holds beside it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeviceTree {
    /// Ranges of memory that software must leave alone: first address and bytes.
    pub reservations: Vec<(u64, u64)>,
    /// The hart that boots.
    pub boot_cpu: u32,
    /// The root node; its name is empty.
    pub root: Node,
}

/// A node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Node {
    /// Its name, with the unit address.
    pub name: String,
    /// Its properties, in order.
    pub properties: Vec<Property>,
    /// Its children, in order.
    pub children: Vec<Node>,
}

/// A property.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its bytes, big-endian where they are numbers.
    pub value: Vec<u8>,
}

impl Node {
    /// A node without properties and children.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// With a child.
    #[must_use]
    pub fn child(mut self, child: Node) -> Self {
        self.children.push(child);
        self
    }

    /// With these children.
    #[must_use]
    pub fn children(mut self, children: impl IntoIterator<Item = Node>) -> Self {
        self.children.extend(children);
        self
    }

    /// With a property of these bytes.
    #[must_use]
    pub fn bytes(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.set(name, value);
        self
    }

    /// With a property that says something by being there.
    #[must_use]
    pub fn flag(self, name: &str) -> Self {
        self.bytes(name, [])
    }

    /// With a property of 32-bit cells.
    #[must_use]
    pub fn cells(self, name: &str, cells: impl IntoIterator<Item = u32>) -> Self {
        self.bytes(name, cells.into_iter().flat_map(u32::to_be_bytes).collect::<Vec<_>>())
    }

    /// With a property of pairs of cells.
    #[must_use]
    pub fn wide_cells(self, name: &str, cells: impl IntoIterator<Item = u64>) -> Self {
        self.bytes(name, cells.into_iter().flat_map(u64::to_be_bytes).collect::<Vec<_>>())
    }

    /// With a property of strings, each ended by a zero byte.
    #[must_use]
    pub fn strings<S: AsRef<str>>(self, name: &str, texts: impl IntoIterator<Item = S>) -> Self {
        let mut value = Vec::new();
        for text in texts {
            value.extend_from_slice(text.as_ref().as_bytes());
            value.push(0);
        }
        self.bytes(name, value)
    }

    /// Adds a property or replaces its value.
    pub fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        let value = value.into();
        match self.properties.iter_mut().find(|property| property.name == name) {
            Some(property) => property.value = value,
            None => self.properties.push(Property { name: name.to_owned(), value }),
        }
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.properties
            .iter()
            .find(|property| property.name == name)
            .map(|property| property.value.as_slice())
    }

    /// The child with this name.
    pub fn find(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The child with this name, made if it is missing.
    pub fn find_or_add(&mut self, name: &str) -> &mut Node {
        let at = match self.children.iter().position(|child| child.name == name) {
            Some(at) => at,
            None => {
                self.children.push(Node::new(name));
                self.children.len() - 1
            }
        };
        &mut self.children[at]
    }
}

impl DeviceTree {
    /// The node at a path such as `/cpus/cpu@0`.
    pub fn node(&self, path: &str) -> Option<&Node> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(&self.root, |node, name| node.find(name))
    }

    /// Writes what a kernel looks for under `/chosen`: its command line and its initial RAM disk.
    /// What is `None` stays as it is.
    pub fn choose(&mut self, bootargs: Option<&str>, initrd: Option<Initrd>) {
        if bootargs.is_none() && initrd.is_none() {
            return;
        }
        let chosen = self.root.find_or_add("chosen");
        if let Some(bootargs) = bootargs {
            chosen.set("bootargs", [bootargs.as_bytes(), &[0]].concat());
        }
        if let Some(Initrd { start, end }) = initrd {
            chosen.set("linux,initrd-start", start.0.to_be_bytes());
            chosen.set("linux,initrd-end", end.0.to_be_bytes());
        }
    }
}
