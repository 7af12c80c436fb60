//! Prose of a runbook: what stands between backticks is code, between two stars is strong; everything else is text.

use askama::Template;
use askama::filters::HtmlSafe;

/// Prose as HTML.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = "{% for span in spans %}{% match span.kind %}{% when Kind::Code %}<code>{{ span.text }}</code>\
              {% when Kind::Strong %}<strong>{{ span.text }}</strong>{% when Kind::Text %}{{ span.text }}{% endmatch %}{% endfor %}",
    ext = "html"
)]
pub(super) struct Words {
    spans: Vec<Span>,
}

/// Its template escapes what people wrote.
impl HtmlSafe for Words {}

impl Words {
    pub(super) fn of(prose: &str) -> Self {
        let spans = spans(prose);
        Self { spans }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Without its marks, for whoever hears it.
    pub(super) fn plain(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }
}

/// A piece of prose.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Code,
    Strong,
}

/// What is opened and never closed is text.
fn spans(prose: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut text = String::new();
    let mut rest = prose;
    while let Some((mark, kind, at)) = [("`", Kind::Code), ("**", Kind::Strong)]
        .into_iter()
        .filter_map(|(mark, kind)| Some((mark, kind, rest.find(mark)?)))
        .min_by_key(|(.., at)| *at)
    {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let inside = from.strip_prefix(mark).unwrap_or_default();
        if let Some((inside, after)) = inside.split_once(mark)
            && !inside.is_empty()
        {
            push(&mut spans, &mut text);
            spans.push(Span {
                text: inside.to_owned(),
                kind,
            });
            rest = after;
        } else {
            text.push_str(mark);
            rest = inside;
        }
    }
    text.push_str(rest);
    push(&mut spans, &mut text);
    spans
}

fn push(spans: &mut Vec<Span>, text: &mut String) {
    if !text.is_empty() {
        let (text, kind) = (std::mem::take(text), Kind::Text);
        spans.push(Span { text, kind });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_shown_so_and_nothing_is_lost() {
        let found = |prose: &str| -> Vec<(String, Kind)> {
            let spans = spans(prose).into_iter();
            spans.map(|span| (span.text, span.kind)).collect()
        };
        let text = |text: &str| (text.to_owned(), Kind::Text);
        let code = |text: &str| (text.to_owned(), Kind::Code);
        let strong = |text: &str| (text.to_owned(), Kind::Strong);
        for (prose, wanted) in [
            ("", vec![]),
            ("Look.", vec![text("Look.")]),
            (
                "`PONG` if **well**, or `a ** b`",
                vec![
                    code("PONG"),
                    text(" if "),
                    strong("well"),
                    text(", or "),
                    code("a ** b"),
                ],
            ),
            ("a ` b <i>", vec![text("a ` b <i>")]),
            ("``", vec![text("``")]),
            ("2 ** 3", vec![text("2 ** 3")]),
        ] {
            assert_eq!(found(prose), wanted, "{prose}");
        }
        let words = Words::of("see `x<y` and **z** & more");
        assert_eq!(words.plain(), "see x<y and z & more");
        assert_eq!(
            words.to_string(),
            "see <code>x&#60;y</code> and <strong>z</strong> &#38; more"
        );
    }
}
