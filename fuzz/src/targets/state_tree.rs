//! A saved state: the tree itself, and the file around it. The checksums are made right, since they
//! keep nobody out.

use crate::files;
use crate::input::Input;
use basalt_vmm::state::file;
use basalt_vmm::state::tree::{Kind, Tree};
use sha2::{Digest, Sha256};

/// Where the tree lies in a file.
const TREE_AT: usize = 4096;

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.byte();
    let mut tree = Vec::new();
    if kind & 1 == 0 {
        tree.extend(b"BslTree\n\x01\0\0\0");
    }
    tree.extend(input.rest());
    if kind & 2 == 0 {
        tree.extend(Sha256::digest(&tree));
    }
    if kind & 4 == 0 {
        if let Ok(tree) = Tree::decode(&tree) {
            judge(tree);
        }
        return;
    }
    let mut whole = b"BslState\x01\0\0\0".to_vec();
    whole.extend((tree.len() as u32).to_le_bytes());
    whole.extend([0; 8]);
    whole.extend(Sha256::digest(&whole));
    whole.resize(TREE_AT, 0);
    whole.extend(&tree);
    if let Ok((tree, _)) = file::read_tree(&files::with(&whole)) {
        judge(tree);
    }
}

/// What was read can be written, and is then read as the same.
fn judge(mut tree: Tree) {
    let again = tree.encode().expect("it was read");
    assert_eq!(Tree::decode(&again).expect("it was written"), tree);
    let _ = tree.take::<serde_json::Value>("machine", Kind::Machine);
    let _ = tree.finish();
}
