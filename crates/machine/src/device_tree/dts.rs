//! Device tree source: the text that `dtc` compiles into the same blob.

use super::{DeviceTree, Node};
use std::fmt;

impl fmt::Display for DeviceTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/dts-v1/;\n")?;
        for (address, bytes) in &self.reservations {
            writeln!(f, "/memreserve/ {address:#x} {bytes:#x};")?;
        }
        f.write_str("\n")?;
        write_node(f, &self.root, 0)
    }
}

fn write_node(f: &mut fmt::Formatter<'_>, node: &Node, depth: usize) -> fmt::Result {
    let indent =
        |f: &mut fmt::Formatter<'_>, depth: usize| (0..depth).try_for_each(|_| f.write_str("\t"));
    indent(f, depth)?;
    writeln!(f, "{} {{", if node.name.is_empty() { "/" } else { &node.name })?;
    for property in &node.properties {
        indent(f, depth + 1)?;
        f.write_str(&property.name)?;
        if !property.value.is_empty() {
            f.write_str(" = ")?;
            write_value(f, &property.value)?;
        }
        f.write_str(";\n")?;
    }
    for (index, child) in node.children.iter().enumerate() {
        if index != 0 || !node.properties.is_empty() {
            f.write_str("\n")?;
        }
        write_node(f, child, depth + 1)?;
    }
    indent(f, depth)?;
    f.write_str("};\n")
}

/// A blob does not say what a value is: text where it reads as text, else cells, else bytes.
fn write_value(f: &mut fmt::Formatter<'_>, value: &[u8]) -> fmt::Result {
    if let Some(texts) = as_strings(value) {
        for (index, text) in texts.enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            write!(f, "{}\"{text}\"", if index == 0 { "" } else { ", " })?;
        }
        return Ok(());
    }
    let (cells, rest) = value.as_chunks::<4>();
    if rest.is_empty() {
        f.write_str("<")?;
        for (index, &cell) in cells.iter().enumerate() {
            let cell = u32::from_be_bytes(cell);
            write!(f, "{}{cell:#x}", if index == 0 { "" } else { " " })?;
        }
        return f.write_str(">");
    }
    f.write_str("[")?;
    for (index, byte) in value.iter().enumerate() {
        write!(f, "{}{byte:02x}", if index == 0 { "" } else { " " })?;
    }
    f.write_str("]")
}

/// The strings of a value that consists of printable, non-empty, zero-ended strings.
fn as_strings(value: &[u8]) -> Option<impl Iterator<Item = &str>> {
    let text = std::str::from_utf8(value.strip_suffix(&[0])?).ok()?;
    let printable =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    text.split('\0').all(printable).then(|| text.split('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    #[test]
    fn values_print_as_what_they_look_like() {
        let root = Node::new("")
            .strings("s", ["a\"b\\", "c"])
            .cells("c", [0, 0x10])
            .bytes("b", [0xab, 0, 1])
            .flag("e")
            .child(Node::new("n@0").strings("empty", [""]));
        let tree = DeviceTree { reservations: vec![(0x10, 0x20)], boot_cpu: 0, root };
        let expected = "/dts-v1/;\n/memreserve/ 0x10 0x20;\n\n/ {\n\ts = \"a\\\"b\\\\\", \"c\";\n\tc = <0x0 0x10>;\n\
                        \tb = [ab 00 01];\n\te;\n\n\tn@0 {\n\t\tempty = [00];\n\t};\n};\n";
        assert_eq!(tree.to_string(), expected);
    }

    #[test]
    fn dtc_compiles_the_text_to_the_same_tree() {
        let tree = crate::device_tree::virt::tests::example();
        let mut dtc = match Command::new("dtc")
            .args(["-q", "-I", "dts", "-O", "dtb"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        {
            Ok(dtc) => dtc,
            Err(error) => {
                println!("SKIPPED: dtc does not run: {error}");
                return;
            }
        };
        dtc.stdin.take().unwrap().write_all(tree.to_string().as_bytes()).unwrap();
        let output = dtc.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(DeviceTree::parse(&output.stdout), Ok(tree));
    }
}
