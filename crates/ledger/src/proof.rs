//! Inclusion and consistency proofs, made from any source of subtree hashes and checked without one.

use crate::error::Error;
use crate::merkle::{Hash, node_hash, split};

/// A run of leaves: `start .. start + size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    pub start: u64,
    pub size: u64,
}

/// Which subtree roots make up the inclusion proof of `index` in the tree of `size`, leaf to root.
/// RFC 9162 §2.1.3.1.
///
/// # Errors
/// [`Error::Beyond`] if `index >= size`.
pub fn inclusion_ranges(index: u64, size: u64) -> Result<Vec<Range>, Error> {
    if index >= size {
        return Err(Error::Beyond { index, size });
    }
    let mut ranges = Vec::new();
    let (mut start, mut size) = (0, size);
    while size > 1 {
        let left = split(size);
        if index - start < left {
            ranges.push(Range {
                start: start + left,
                size: size - left,
            });
            size = left;
        } else {
            ranges.push(Range { start, size: left });
            start += left;
            size -= left;
        }
    }
    ranges.reverse();
    Ok(ranges)
}

/// Checks that the leaf is entry `index` of the tree with that size and root. RFC 9162 §2.1.3.2.
///
/// # Errors
/// [`Error::Beyond`], [`Error::ProofLength`], [`Error::RootMismatch`].
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), Error> {
    let ranges = inclusion_ranges(index, size)?;
    if ranges.len() != path.len() {
        return Err(Error::ProofLength {
            found: path.len(),
            expected: ranges.len(),
        });
    }
    let found = ranges.iter().zip(path).fold(leaf, |hash, (range, other)| {
        if range.start > index {
            node_hash(&hash, other)
        } else {
            node_hash(other, &hash)
        }
    });
    if found == *root {
        Ok(())
    } else {
        Err(Error::RootMismatch)
    }
}

/// Which subtree roots prove that the tree of `first` entries is the beginning of the tree of `second`.
/// RFC 9162 §2.1.4.1.
///
/// # Errors
/// [`Error::Beyond`] if `first` is zero or more than `second`.
pub fn consistency_ranges(first: u64, second: u64) -> Result<Vec<Range>, Error> {
    if first == 0 || first > second {
        return Err(Error::Beyond {
            index: first,
            size: second,
        });
    }
    let mut ranges = Vec::new();
    let (mut start, mut size, mut old, mut whole) = (0, second, first, true);
    while old != size {
        let left = split(size);
        if old <= left {
            ranges.push(Range {
                start: start + left,
                size: size - left,
            });
            size = left;
        } else {
            ranges.push(Range { start, size: left });
            start += left;
            size -= left;
            old -= left;
            whole = false;
        }
    }
    if !whole {
        ranges.push(Range { start, size });
    }
    ranges.reverse();
    Ok(ranges)
}

/// Checks a consistency proof between two roots. RFC 9162 §2.1.4.2.
///
/// # Errors
/// [`Error::Beyond`], [`Error::ProofLength`], [`Error::RootMismatch`].
pub fn verify_consistency(
    first: u64,
    second: u64,
    first_root: &Hash,
    second_root: &Hash,
    path: &[Hash],
) -> Result<(), Error> {
    let expected = consistency_ranges(first, second)?.len();
    if path.len() != expected {
        return Err(Error::ProofLength {
            found: path.len(),
            expected,
        });
    }
    if first == second {
        return if first_root == second_root {
            Ok(())
        } else {
            Err(Error::RootMismatch)
        };
    }
    let (mut old_node, mut new_node) = (first - 1, second - 1);
    while old_node & 1 == 1 {
        old_node >>= 1;
        new_node >>= 1;
    }
    let mut path = path.iter();
    // A complete old tree is its own first hash and is left out of the proof.
    let seed = if first.is_power_of_two() {
        Some(first_root)
    } else {
        path.next()
    };
    let Some(seed) = seed else {
        return Err(Error::RootMismatch);
    };
    let (mut old, mut new) = (*seed, *seed);
    for hash in path {
        if old_node & 1 == 1 || old_node == new_node {
            old = node_hash(hash, &old);
            new = node_hash(hash, &new);
            while old_node & 1 == 0 && old_node != 0 {
                old_node >>= 1;
                new_node >>= 1;
            }
        } else {
            new = node_hash(&new, hash);
        }
        old_node >>= 1;
        new_node >>= 1;
    }
    if old == *first_root && new == *second_root {
        Ok(())
    } else {
        Err(Error::RootMismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{leaf_hash, root_of};
    use proptest::prelude::*;

    fn leaves(n: u64) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    fn take(leaves: &[Hash], ranges: &[Range]) -> Vec<Hash> {
        ranges
            .iter()
            .map(|r| root_of(&leaves[r.start as usize..(r.start + r.size) as usize]))
            .collect()
    }

    proptest! {
        #[test]
        fn every_entry_is_proven_and_no_other_leaf_is(size in 1_u64..200, pick in 0_u64..200, bad in 0_u8..=255) {
            let index = pick % size;
            let leaves = leaves(size);
            let root = root_of(&leaves);
            let path = take(&leaves, &inclusion_ranges(index, size).unwrap());
            prop_assert!(verify_inclusion(leaves[index as usize], index, size, &path, &root).is_ok());
            prop_assert!(verify_inclusion(leaf_hash(&[bad]), index, size, &path, &root).is_err());
            if let Some(last) = path.len().checked_sub(1) {
                let mut bent = path.clone();
                bent[last].0[(bad % 32) as usize] ^= 1;
                prop_assert!(verify_inclusion(leaves[index as usize], index, size, &bent, &root).is_err());
            }
        }

        #[test]
        fn every_earlier_tree_is_proven_and_no_forged_one_is(second in 1_u64..200, pick in 0_u64..200) {
            let first = pick % second + 1;
            let leaves = leaves(second);
            let (old, new) = (root_of(&leaves[..first as usize]), root_of(&leaves));
            let path = take(&leaves, &consistency_ranges(first, second).unwrap());
            prop_assert!(verify_consistency(first, second, &old, &new, &path).is_ok());
            let forged = leaf_hash(b"forged");
            prop_assert!(verify_consistency(first, second, &forged, &new, &path).is_err());
            prop_assert!(verify_consistency(first, second, &old, &forged, &path).is_err());
        }
    }

    /// The reference tree that RFC 6962 implementations share: eight well-known inputs and their roots.
    #[test]
    fn roots_of_the_shared_test_vectors() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let leaves: Vec<Hash> = inputs.iter().map(|input| leaf_hash(input)).collect();
        for (n, root) in roots.iter().enumerate() {
            assert_eq!(root_of(&leaves[..=n]).to_string(), *root, "size {}", n + 1);
        }
    }
}
