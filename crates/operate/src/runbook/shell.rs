//! What can be known of a shell block without running it: whether it is shell, and which commands of ours it calls.

use std::process::Stdio;

use tokio::process::Command;

use crate::error::Error;

/// Whether `bash` understands it; nothing is run.
///
/// # Errors
/// [`Error::Start`] without a `bash`; [`Error::Failed`] with what it cannot read.
pub async fn syntax(script: &str) -> Result<(), Error> {
    let mut command = Command::new("bash");
    command
        .args(["-n", "-c", script])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command
        .output()
        .await
        .map_err(|source| Error::Start("bash".into(), source))?;
    crate::program::succeeded("bash -n", output).map(drop)
}

/// The words of each call of `program` in the script, its name not among them. What a shell would put in the place of a
/// variable stays as it is written; redirections are left out.
pub fn calls(script: &str, program: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut end = |words: &mut Vec<String>| {
        let mut rest = words.drain(..).skip_while(|word| !is_call(word, program));
        if rest.next().is_some() {
            found.push(rest.collect());
        }
    };
    for token in tokens(script) {
        match token {
            Token::Word(word) => words.push(word),
            Token::End => end(&mut words),
        }
    }
    end(&mut words);
    found
}

/// Whether the text uses the variable.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    let mut parts = text.split('$').skip(1);
    parts.any(|part| {
        let part = part.strip_prefix('{').unwrap_or(part);
        let rest = part.strip_prefix(name);
        let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_';
        rest.is_some_and(|rest| !rest.starts_with(goes_on))
    })
}

/// `hubctl`, or a path to it.
fn is_call(word: &str, program: &str) -> bool {
    word.rsplit('/').next() == Some(program)
}

enum Token {
    Word(String),
    /// Of one command.
    End,
}

/// Splits as a shell would, as far as names of commands and options need it.
fn tokens(script: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut begun = false;
    let mut quote: Option<char> = None;
    // Quotes that a parenthesis stands in.
    let mut around = Vec::new();
    let mut skip_target = false;
    let mut characters = script.chars().peekable();
    let finish = |word: &mut String, begun: &mut bool, skip: &mut bool, to: &mut Vec<Token>| {
        let text = std::mem::take(word);
        if std::mem::take(begun) && !std::mem::take(skip) {
            to.push(Token::Word(text));
        }
    };
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            // A command inside of quotes is one of its own.
            (Some('"') | None, '$') if characters.peek() == Some(&'(') => {
                characters.next();
                finish(&mut word, &mut begun, &mut skip_target, &mut tokens);
                tokens.push(Token::End);
                around.push(quote);
                quote = None;
            }
            (Some(_), _) => word.push(c),
            (None, '\\') => match characters.next() {
                Some('\n') | None => {}
                Some(escaped) => {
                    word.push(escaped);
                    begun = true;
                }
            },
            (None, '\'' | '"') => {
                quote = Some(c);
                begun = true;
            }
            (None, '#') if !begun => while characters.next_if(|c| *c != '\n').is_some() {},
            (None, '>' | '<') => {
                // `2>`: the number belongs to the redirection.
                if word.bytes().all(|byte| byte.is_ascii_digit()) {
                    word.clear();
                    begun = false;
                }
                finish(&mut word, &mut begun, &mut skip_target, &mut tokens);
                while characters
                    .next_if(|c| matches!(c, '>' | '<' | '&'))
                    .is_some()
                {}
                skip_target = true;
            }
            (None, '\n' | ';' | '|' | '&' | '(' | ')' | '`') => {
                finish(&mut word, &mut begun, &mut skip_target, &mut tokens);
                skip_target = false;
                tokens.push(Token::End);
                match c {
                    '(' => around.push(None),
                    ')' => quote = around.pop().flatten(),
                    _ => {}
                }
                // What goes on in quotes is a word of its own.
                begun = quote.is_some();
            }
            (None, _) if c.is_whitespace() => {
                finish(&mut word, &mut begun, &mut skip_target, &mut tokens);
            }
            (None, _) => {
                word.push(c);
                begun = true;
            }
        }
    }
    finish(&mut word, &mut begun, &mut skip_target, &mut tokens);
    tokens
}
