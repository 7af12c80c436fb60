//! What people and other programs wrote, as a terminal or a comment can bear it.

/// In one line, and without orders to a terminal: each is shown as U+FFFD.
pub fn plain(text: &str) -> String {
    let letter = |letter: char| if orders(letter) { '\u{fffd}' } else { letter };
    text.chars().map(letter).collect()
}

/// Whether a terminal does something else with it than show it: what controls it, and what turns the direction of a line.
pub fn orders(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left_and_nothing_else_is_changed() {
        for (text, wanted) in [
            ("ä b, – 日本", "ä b, – 日本"),
            (
                "a\u{1b}[2Kb\r\nc\t\u{7f}",
                "a\u{fffd}[2Kb\u{fffd}\u{fffd}c\u{fffd}\u{fffd}",
            ),
            ("a\u{202e}b\u{2069}", "a\u{fffd}b\u{fffd}"),
        ] {
            assert_eq!(plain(text), wanted);
        }
    }
}
