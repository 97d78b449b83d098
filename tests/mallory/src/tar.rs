//! Raw tar archives, as no packer of ours would write them.

/// One entry: its path, its type flag, its link target, its content.
pub fn entry(path: &str, kind: u8, link: &str, content: &[u8]) -> Vec<u8> {
    header(path, kind, link, content.len() as u64, content)
}

/// An entry that says another size than it has.
pub fn header(path: &str, kind: u8, link: &str, size: u64, content: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, path.as_bytes());
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    put(329, b"0000001\0");
    put(337, b"0000003\0");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut bytes = block.to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// The end of an archive.
pub fn end() -> Vec<u8> {
    vec![0; 1024]
}
