//! An executable with `tohost` and `fromhost`, as Spike and our loader read it [ELF-64 object file format].

/// What the section of the symbols covers, from the entry on.
const MEMORY_BYTES: u64 = 8 << 20;

/// The file: segments by physical address, which is where they are entered, too.
pub(super) fn executable(entry: u64, htif: [u64; 2], segments: &[(u64, Vec<u8>)]) -> Vec<u8> {
    const HEADER: u64 = 64;
    const SEGMENT: u64 = 56;
    const SECTION: u64 = 64;
    const SYMBOL: u64 = 24;
    let names = b"\0.symtab\0.strtab\0.bss\0";
    let strings = b"\0tohost\0fromhost\0";
    let bytes: u64 = segments.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let first = HEADER + SEGMENT * segments.len() as u64;
    let symbols = first + bytes;
    let texts = symbols + 3 * SYMBOL;
    let sections = (texts + (strings.len() + names.len()) as u64).next_multiple_of(8);

    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halves = |file: &mut Vec<u8>, halves: &[u16]| {
        halves.iter().for_each(|half| file.extend(half.to_le_bytes()));
    };
    let words = |file: &mut Vec<u8>, words: &[u32]| {
        words.iter().for_each(|word| file.extend(word.to_le_bytes()));
    };
    let longs = |file: &mut Vec<u8>, longs: &[u64]| {
        longs.iter().for_each(|long| file.extend(long.to_le_bytes()));
    };
    // An executable for RISC-V, version 1.
    halves(&mut file, &[2, 243]);
    words(&mut file, &[1]);
    longs(&mut file, &[entry, HEADER, sections]);
    words(&mut file, &[0]);
    halves(&mut file, &[64, 56, segments.len() as u16, 64, 5, 3]);
    let mut at = first;
    for (address, bytes) in segments {
        // To be loaded; readable, writable, executable.
        words(&mut file, &[1, 7]);
        let length = bytes.len() as u64;
        longs(&mut file, &[at, *address, *address, length, length, 8]);
        at += length;
    }
    segments.iter().for_each(|(_, bytes)| file.extend_from_slice(bytes));
    // No symbol; then objects, global, in the section that stands for all of memory.
    longs(&mut file, &[0, 0, 0]);
    for (name, address) in [1, 8].into_iter().zip(htif) {
        words(&mut file, &[name]);
        file.extend([0x11, 0]);
        halves(&mut file, &[4]);
        longs(&mut file, &[address, 8]);
    }
    file.extend_from_slice(strings);
    file.extend_from_slice(names);
    file.resize(sections as usize, 0);
    let mut section = |name: u32, kind: u32, at: u64, bytes: u64, link: u32, entry: u64| {
        words(&mut file, &[name, kind]);
        // Memory is at an address, all else in the file.
        let (flags, address) = if kind == 8 { (7, entry) } else { (0, 0) };
        longs(&mut file, &[flags, address, at, bytes]);
        // Of the symbol table: the first global symbol.
        words(&mut file, &[link, u32::from(kind == 2)]);
        longs(&mut file, &[1, if kind == 2 { SYMBOL } else { 0 }]);
    };
    section(0, 0, 0, 0, 0, 0);
    section(1, 2, symbols, 3 * SYMBOL, 2, 0);
    section(9, 3, texts, strings.len() as u64, 0, 0);
    section(9, 3, texts + strings.len() as u64, names.len() as u64, 0, 0);
    section(17, 8, first, MEMORY_BYTES, 0, entry);
    debug_assert_eq!(file.len() as u64, sections + 5 * SECTION);
    file
}
