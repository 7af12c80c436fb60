//! Which WAL is archived, and where it breaks off.

use serde::Serialize;

/// Segments per 4 GiB of WAL, at PostgreSQL's 16 MiB each.
const PER_FILE: u64 = 256;

/// A stretch of WAL that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The last segment before it: what it holds can still be reached.
    pub after: String,
    /// The first that is missing.
    pub missing: String,
}

/// A segment's place: timeline, and number within it.
fn place(name: &str) -> Option<(u32, u64)> {
    let digits = name.get(..24)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = |from: usize| u64::from_str_radix(digits.get(from..from + 8)?, 16).ok();
    let timeline = u32::try_from(number(0)?).ok()?;
    Some((timeline, number(8)? * PER_FILE + number(16)?))
}

fn name(timeline: u32, number: u64) -> String {
    format!(
        "{timeline:08X}{:08X}{:08X}",
        number / PER_FILE,
        number % PER_FILE
    )
}

/// The gaps behind the segment `from`, of all names that an archive lists.
pub(super) fn gaps<'n>(names: impl IntoIterator<Item = &'n str>, from: &str) -> Vec<Gap> {
    let from = place(from);
    let mut places: Vec<(u32, u64)> = names
        .into_iter()
        // `.partial` is the end of a timeline that was left; its whole segment is on the next one.
        .filter(|name| !name.contains(".partial") && !name.contains(".history"))
        .filter_map(place)
        .filter(|place| from.is_none_or(|from| *place >= from))
        .collect();
    places.sort_unstable();
    places.dedup();
    let pairs = places.windows(2).filter_map(|pair| match pair {
        // A new timeline begins with a segment that the old one had too.
        [(old, a), (new, b)] if old == new && *b != a + 1 => Some(Gap {
            after: name(*old, *a),
            missing: name(*old, a + 1),
        }),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_segment_is_named() {
        let names = [
            "00000001000000000000FE-1a.zst",
            "0000000100000000000000FE-1a.zst",
            "0000000100000000000000FF-2b.zst",
            "000000010000000100000000-3c.zst",
            "000000010000000100000002-4d.zst",
            "00000002.history",
            "000000020000000100000002-5e.zst",
        ];
        let found = gaps(names, "0000000100000000000000FE");
        assert_eq!(
            found,
            [Gap {
                after: "000000010000000100000000".to_owned(),
                missing: "000000010000000100000001".to_owned(),
            }]
        );
        // What is before the backup is nobody's loss.
        assert!(gaps(names, "000000010000000100000002").is_empty());
    }
}
