//! Writes a disc with a few small files in its root: ISO 9660 (ECMA-119) with names as the files have them
//! in a second tree (Joliet).
//!
//! ```text
//! block 16        17        18   19 20 21 22  23 24   25…
//!       primary   Joliet    end  path tables  roots   files
//! ```

/// Bytes of a block (6.1.2).
const BLOCK: usize = 2048;
/// First block of the descriptors (6.2.1).
const DESCRIPTORS: u32 = 16;
/// The path tables of the two trees, each in little and in big endian (6.9).
const TABLES: [[u32; 2]; 2] = [[19, 20], [21, 22]];
/// The root directories of the two trees.
const ROOTS: [u32; 2] = [23, 24];
/// Where files begin.
const FILES: u32 = 25;
/// A root's record in a path table (9.4): its name is one zero.
const TABLE_SIZE: u32 = 10;
/// When everything was recorded (9.1.5): the same image is the same bytes. Years count from 1900.
const RECORDED: [u8; 7] = [120, 1, 1, 0, 0, 0, 0];

/// A file in the root.
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// Its name for readers without Joliet: at most eight capital letters and digits. Files are in the
    /// order of both names.
    pub short: &'static str,
    /// What is in it.
    pub content: Vec<u8>,
}

/// The two trees, which show the same files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tree {
    Primary,
    Joliet,
}

impl Tree {
    /// A file's identifier (7.5; Joliet: big-endian UCS-2).
    fn identifier(self, file: &File) -> Vec<u8> {
        match self {
            Self::Primary => format!("{}.;1", file.short).into_bytes(),
            Self::Joliet => wide(file.name),
        }
    }

    /// A text field of a descriptor, filled up with blanks.
    fn padded(self, text: &str, length: usize) -> Vec<u8> {
        let (mut bytes, blank) = match self {
            Self::Primary => (text.as_bytes().to_vec(), &b" "[..]),
            Self::Joliet => (wide(text), &b"\0 "[..]),
        };
        bytes.extend(blank.iter().copied().cycle().take(length - bytes.len()));
        bytes
    }
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// The image of a disc called `label`, of at most 15 characters.
pub fn image(label: &str, files: &[File]) -> Vec<u8> {
    let blocks = |file: &File| file.content.len().div_ceil(BLOCK) as u32;
    let size = FILES + files.iter().map(blocks).sum::<u32>();
    let mut bytes = vec![0; size as usize * BLOCK];
    let mut put = |block: u32, content: &[u8]| {
        let at = block as usize * BLOCK;
        bytes[at..at + content.len()].copy_from_slice(content);
    };
    for (index, tree) in [Tree::Primary, Tree::Joliet].into_iter().enumerate() {
        put(DESCRIPTORS + index as u32, &descriptor(tree, label, size));
        let [little, big] = TABLES[index];
        put(little, &table(&ROOTS[index].to_le_bytes(), &[1, 0]));
        put(big, &table(&ROOTS[index].to_be_bytes(), &[0, 1]));
        put(ROOTS[index], &directory(tree, files));
    }
    put(DESCRIPTORS + 2, b"\xffCD001\x01");
    let mut at = FILES;
    for file in files {
        put(at, &file.content);
        at += blocks(file);
    }
    bytes
}

/// A number in both orders of bytes (7.3.3).
fn both(number: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The same of 16 bits (7.2.3).
fn both16(number: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (number.to_le_bytes(), number.to_be_bytes());
    [a, b, c, d]
}

/// A volume descriptor (8.4, 8.5).
fn descriptor(tree: Tree, label: &str, size: u32) -> Vec<u8> {
    let index = usize::from(tree == Tree::Joliet);
    let mut block = Vec::with_capacity(BLOCK);
    block.push(index as u8 + 1);
    block.extend(b"CD001\x01\0");
    block.extend(tree.padded("", 32));
    block.extend(tree.padded(label, 32));
    block.extend([0; 8]);
    block.extend(both(size));
    let mut escapes = [0; 32];
    if tree == Tree::Joliet {
        // UCS-2, level 3.
        escapes[..3].copy_from_slice(b"%/E");
    }
    block.extend(escapes);
    block.extend(both16(1));
    block.extend(both16(1));
    block.extend(both16(BLOCK as u16));
    block.extend(both(TABLE_SIZE));
    let [little, big] = TABLES[index];
    block.extend(little.to_le_bytes());
    block.extend([0; 4]);
    block.extend(big.to_be_bytes());
    block.extend([0; 4]);
    block.extend(record(&[0], ROOTS[index], BLOCK as u32, true));
    for length in [128, 128, 128, 128, 37, 37, 37] {
        block.extend(tree.padded("", length));
    }
    for _ in 0..4 {
        // No date is given (8.4.26.1).
        block.extend(b"0000000000000000\0");
    }
    block.push(1);
    block
}

fn table(root: &[u8; 4], parent: &[u8; 2]) -> Vec<u8> {
    [&[1, 0][..], root, parent, &[0, 0]].concat()
}

/// A directory: itself, its parent, which is itself, and the files.
fn directory(tree: Tree, files: &[File]) -> Vec<u8> {
    let own = ROOTS[usize::from(tree == Tree::Joliet)];
    let mut records = record(&[0], own, BLOCK as u32, true);
    records.extend(record(&[1], own, BLOCK as u32, true));
    let mut at = FILES;
    for file in files {
        let size = file.content.len();
        records.extend(record(&tree.identifier(file), at, size as u32, false));
        at += size.div_ceil(BLOCK) as u32;
    }
    records
}

/// A directory record (9.1).
fn record(identifier: &[u8], extent: u32, size: u32, is_directory: bool) -> Vec<u8> {
    let padding = usize::from(identifier.len().is_multiple_of(2));
    let length = 33 + identifier.len() + padding;
    let mut record = vec![length as u8, 0];
    record.extend(both(extent));
    record.extend(both(size));
    record.extend(RECORDED);
    record.extend([if is_directory { 2 } else { 0 }, 0, 0]);
    record.extend(both16(1));
    record.push(identifier.len() as u8);
    record.extend(identifier);
    record.extend(vec![0; padding]);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let file = |name, short, content: &[u8]| File {
            name,
            short,
            content: content.to_vec(),
        };
        let long = vec![b'x'; BLOCK + 1];
        image(
            "cidata",
            &[
                file("meta-data", "METADATA", &long),
                file("user-data", "USERDATA", b"hello"),
            ],
        )
    }

    /// Name, first block and size of what a root directory lists.
    fn listed(image: &[u8], root: u32) -> Vec<(Vec<u8>, u32, u32)> {
        let mut rest = &image[root as usize * BLOCK..(root as usize + 1) * BLOCK];
        let mut found = Vec::new();
        while rest[0] > 0 {
            let number = |at: usize| u32::from_le_bytes(*rest[at..].first_chunk().unwrap());
            let name = rest[33..33 + usize::from(rest[32])].to_vec();
            found.push((name, number(2), number(10)));
            rest = &rest[usize::from(rest[0])..];
        }
        found
    }

    #[test]
    fn both_trees_lead_to_the_files() {
        let image = sample();
        assert_eq!(image.len(), (25 + 3) * BLOCK);
        for (index, root) in ROOTS.into_iter().enumerate() {
            let files = listed(&image, root);
            assert_eq!(files.len(), 4);
            assert_eq!((files[3].1, files[3].2), (27, 5));
            let wanted = if index == 0 {
                b"USERDATA.;1".to_vec()
            } else {
                wide("user-data")
            };
            assert_eq!(files[3].0, wanted);
        }
        assert_eq!(&image[27 * BLOCK..27 * BLOCK + 5], b"hello");
    }

    #[test]
    fn descriptors_have_their_fields_where_readers_look() {
        let image = sample();
        let primary = &image[16 * BLOCK..17 * BLOCK];
        assert_eq!(&primary[..7], b"\x01CD001\x01");
        assert_eq!(&primary[40..48], b"cidata  ");
        assert_eq!(primary[80..84], 28u32.to_le_bytes());
        assert_eq!(primary[128..132], both16(2048));
        assert_eq!(primary[156], 34);
        assert_eq!(primary[881], 1);
        let joliet = &image[17 * BLOCK..18 * BLOCK];
        assert_eq!((joliet[0], &joliet[88..91]), (2, &b"%/E"[..]));
        assert_eq!(joliet[40..46], wide("cid"));
        assert_eq!(image[18 * BLOCK], 255);
    }
}
