//! Which releases a rollback may return to: those that bore the traffic here. Whatever else somebody holds has passed no
//! gate and no judgement; it comes in by a deploy.

use super::journal::{Held, Journey};
use crate::error::Error;
use crate::release::Release;

/// What ran here, the way that led to what runs now: each deploy goes one further, each return back to where it was.
fn way(history: &[Journey]) -> Vec<&Held> {
    let mut way: Vec<&Held> = Vec::new();
    for journey in history.iter().filter(|one| one.is_deployed()) {
        if way.is_empty() {
            way.extend(&journey.from);
        }
        let there = way.iter().rposition(|held| held.name == journey.to.name);
        if let (true, Some(at)) = (journey.is_rollback(), there) {
            way.truncate(at);
        }
        way.push(&journey.to);
    }
    way
}

/// The release that ran before the one that runs: two returns go back two releases, never forward again to the one that was left.
///
/// # Errors
/// [`Error::NoWayBack`] if none did.
pub fn before(history: &[Journey]) -> Result<Held, Error> {
    let way = way(history);
    let before = way.iter().rev().nth(1);
    before.map(|held| (*held).clone()).ok_or(Error::NoWayBack(
        "no release ran before this one; name one that ran here with --to DIR",
    ))
}

/// Whether that very release ran here, with all the traffic.
///
/// # Errors
/// [`Error::NeverRan`].
pub fn ran(history: &[Journey], release: &Release) -> Result<(), Error> {
    let name = release.name();
    let reached = history.iter().filter(|one| one.is_deployed());
    let reached = reached.map(|one| &one.to);
    let mut kept = reached.chain(history.iter().filter_map(|one| one.from.as_ref()));
    if kept.any(|held| held.name == name) {
        return Ok(());
    }
    Err(Error::NeverRan(name))
}

#[cfg(test)]
mod tests {
    use hub_base::{OperationId, SystemClock, Timestamp};

    use super::super::{Colour, Stage};
    use super::*;

    fn held(name: &str) -> Held {
        Held {
            dir: format!("/releases/{name}").into(),
            name: name.to_owned(),
        }
    }

    /// `A>B` a deploy, `A<B` a return from B to A, `A!B` a deploy of B that was taken back.
    fn history(text: &str) -> Vec<Journey> {
        let journey = |word: &str| {
            let (from, to, sign) = match word.split_at(1) {
                (from, rest) if rest.len() == 2 => (from, &rest[1..], &rest[..1]),
                (to, _) => ("", to, ">"),
            };
            let (from, to) = if sign == "<" { (to, from) } else { (from, to) };
            Journey {
                id: OperationId::new(&SystemClock),
                kind: if sign == "<" { "rollback" } else { "deploy" }.to_owned(),
                began: Timestamp::from_unix_seconds(0),
                to: held(to),
                built: None,
                colour: Colour::Blue,
                from: (!from.is_empty()).then(|| held(from)),
                stage: Stage::Retired,
                back: None,
                entries: Vec::new(),
                outcome: Some(
                    if sign == "!" {
                        "rolled_back"
                    } else {
                        "deployed"
                    }
                    .to_owned(),
                ),
                ended: None,
            }
        };
        text.split_whitespace().map(journey).collect()
    }

    #[test]
    fn a_return_goes_back_and_never_forward_again() {
        for (text, wanted) in [
            ("", None),
            ("A", None),
            ("A A>B", Some("A")),
            ("A A>B B>C", Some("B")),
            // Taken back by itself: nothing changed.
            ("A A>B B!C", Some("A")),
            // B was left for a reason.
            ("A A>B A<B", None),
            ("A A>B B>C B<C", Some("A")),
            ("A A>B B>C A<C", None),
            ("A A>B A<B A>C", Some("A")),
            // Asked for by name: forward again, and back from there.
            ("A A>B A<B B<A", Some("A")),
            // Brought in once more.
            ("A A>B B>A", Some("B")),
            // The history begins with a release that ran already.
            ("A>B", Some("A")),
        ] {
            let found = before(&history(text)).ok().map(|held| held.name);
            assert_eq!(found.as_deref(), wanted, "{text}");
        }
    }
}
