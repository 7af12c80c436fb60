//! Lists in pages by keyset: the cursor is the last item's key, never an offset.

use serde::Serialize;

/// How much of a list is wanted, and after which item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest<K> {
    /// The last key of the page before; `None` starts at the first.
    pub after: Option<K>,
    /// Items at most, 1 to [`PageRequest::MAX`].
    pub limit: u16,
}

impl<K> PageRequest<K> {
    pub const MAX: u16 = 500;
    pub const DEFAULT: u16 = 50;

    /// A request with its limit clamped to 1..=MAX.
    pub fn new(after: Option<K>, limit: Option<u16>) -> Self {
        Self {
            after,
            limit: limit.unwrap_or(Self::DEFAULT).clamp(1, Self::MAX),
        }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T, K> {
    pub items: Vec<T>,
    /// Give this as `after` to read on; `None` at the end.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// A page from one item more than the limit: the surplus item says that there is a next page.
    pub fn from_surplus(mut items: Vec<T>, limit: u16, key: impl Fn(&T) -> K) -> Self {
        let more = items.len() > usize::from(limit);
        items.truncate(usize::from(limit));
        let next = if more { items.last().map(key) } else { None };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surplus_item_becomes_the_cursor() {
        let page = Page::from_surplus(vec![1, 2, 3], 2, |n| *n);
        assert_eq!((page.items, page.next), (vec![1, 2], Some(2)));
        let page = Page::from_surplus(vec![1, 2], 2, |n| *n);
        assert_eq!(page.next, None);
    }
}
