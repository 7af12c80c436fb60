//! Where in a YAML text a value stands. The YAML library keeps no places, so that block-style texts (what
//! people write) are followed by their indentation; inside a flow-style value the place is that of its key.

/// One step of the way to a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seg<'a> {
    Key(&'a str),
    Item(usize),
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    line: usize,
    column: usize,
    /// `None` for a list's dash.
    text: Option<&'a str>,
}

/// Line and column (from 1) of the value at `path`, or of the nearest thing above it that was found.
pub(crate) fn locate(text: &str, path: &[Seg<'_>]) -> (usize, usize) {
    let tokens = tokens(text);
    let mut block = tokens.as_slice();
    let mut place = block.first().map_or((1, 1), |t| (t.line, t.column));
    for seg in path {
        let Some((at, inner)) = enter(block, *seg) else {
            break;
        };
        place = (at.line, at.column);
        block = inner;
    }
    place
}

/// The token where `seg` stands in `block`, and what stands inside it.
fn enter<'a, 'b>(block: &'b [Token<'a>], seg: Seg<'_>) -> Option<(Token<'a>, &'b [Token<'a>])> {
    let column = block.first()?.column;
    let is_it = |token: &Token<'_>| {
        token.column == column
            && match (seg, token.text) {
                (Seg::Key(key), Some(text)) => is_key(text, key),
                (Seg::Item(_), None) => true,
                _ => false,
            }
    };
    let nth = if let Seg::Item(n) = seg { n } else { 0 };
    let start = block
        .iter()
        .enumerate()
        .filter(|(_, token)| is_it(token))
        .nth(nth)?
        .0;
    let at = *block.get(start)?;
    let rest = block.get(start + 1..)?;
    // A list may stand at the same column as its key.
    let ends = |token: &Token<'_>| {
        token.column < column
            || (token.column == column && (token.text.is_some() || matches!(seg, Seg::Item(_))))
    };
    let end = rest.iter().position(ends).unwrap_or(rest.len());
    Some((at, rest.get(..end)?))
}

fn is_key(text: &str, key: &str) -> bool {
    let text = text.trim_start_matches(['"', '\'']);
    text.strip_prefix(key).is_some_and(|rest| {
        rest.trim_start_matches(['"', '\''])
            .trim_start()
            .starts_with(':')
    })
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        if rest.is_empty() || rest.starts_with('#') || rest == "---" {
            continue;
        }
        loop {
            let column = line.len() - rest.len() + 1;
            let token = |text| Token {
                line: number + 1,
                column,
                text,
            };
            match rest.strip_prefix('-') {
                Some(after) if after.is_empty() || after.starts_with(' ') => {
                    tokens.push(token(None));
                    rest = after.trim_start();
                    if rest.is_empty() {
                        break;
                    }
                }
                _ => {
                    tokens.push(token(Some(rest)));
                    break;
                }
            }
        }
    }
    tokens
}
