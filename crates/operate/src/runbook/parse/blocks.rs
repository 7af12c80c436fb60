//! The blocks that a Markdown file is made of, each with its line.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// One block at the outermost level.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block<'a> {
    Heading(u8, String),
    Code {
        info: &'a str,
        text: String,
    },
    Paragraph(&'a str),
    List(Vec<Entry<'a>>),
    /// Something with a shell block in its inside.
    Hidden,
    Other(&'a str),
}

/// One entry of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Lines below the list's first.
    pub(super) line: usize,
    /// `- [ ] …`
    pub(super) is_task: bool,
    /// Without its mark.
    pub(super) raw: &'a str,
}

/// Each block with its line, from 1.
pub(super) fn blocks(text: &str) -> Vec<(usize, Block<'_>)> {
    let options = Options::ENABLE_TASKLISTS | Options::ENABLE_TABLES;
    let mut events = Parser::new_ext(text, options).into_offset_iter();
    let mut found = Vec::new();
    while let Some((event, range)) = events.next() {
        let Event::Start(tag) = event else { continue };
        let inside = inside(&mut events);
        let raw = text.get(range.clone()).unwrap_or_default();
        found.push((
            line(text, range.start),
            block(text, &tag, raw, &range, inside),
        ));
    }
    found
}

fn line(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.matches('\n').count() + 1
}

type Inside<'a> = Vec<(Event<'a>, Range<usize>)>;

/// Everything up to the end of the block that has begun.
fn inside<'a>(events: &mut impl Iterator<Item = (Event<'a>, Range<usize>)>) -> Inside<'a> {
    let mut depth = 1_usize;
    let mut inside = Vec::new();
    for (event, range) in events {
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        inside.push((event, range));
    }
    inside
}

fn block<'a>(
    text: &'a str,
    tag: &Tag<'_>,
    raw: &'a str,
    range: &Range<usize>,
    inside: Inside<'_>,
) -> Block<'a> {
    match tag {
        Tag::Heading { level, .. } => Block::Heading(number(*level), words(&inside)),
        Tag::CodeBlock(kind) => Block::Code {
            info: match kind {
                // The file's own text, so that it outlives the parser.
                CodeBlockKind::Fenced(_) => info(raw),
                CodeBlockKind::Indented => "",
            },
            text: words(&inside),
        },
        Tag::Paragraph => Block::Paragraph(raw),
        _ if inside.iter().any(|(event, _)| is_shell(event)) => Block::Hidden,
        Tag::List(_) => Block::List(entries(text, range, inside)),
        _ => Block::Other(raw),
    }
}

/// The first word after the fence.
fn info(raw: &str) -> &str {
    let first = raw.lines().next().unwrap_or_default();
    let first = first.trim_start().trim_start_matches(['`', '~']);
    first.split_whitespace().next().unwrap_or_default()
}

fn is_shell(event: &Event<'_>) -> bool {
    let Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) = event else {
        return false;
    };
    let word = info.split_whitespace().next().unwrap_or_default();
    super::SHELL.contains(&word)
}

const fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

/// The text in it.
fn words(inside: &Inside<'_>) -> String {
    let mut text = String::new();
    for (event, _) in inside {
        match event {
            Event::Text(part) | Event::Code(part) => text.push_str(part),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            _ => {}
        }
    }
    text
}

fn entries<'a>(text: &'a str, list: &Range<usize>, inside: Inside<'_>) -> Vec<Entry<'a>> {
    let first = line(text, list.start);
    let mut depth = 0_usize;
    let mut found: Vec<Entry<'a>> = Vec::new();
    for (event, range) in inside {
        match event {
            Event::Start(Tag::Item) => {
                if depth == 0 {
                    let raw = text.get(range.clone()).unwrap_or_default();
                    found.push(Entry {
                        line: line(text, range.start) - first,
                        is_task: false,
                        raw: bare(raw),
                    });
                }
                depth += 1;
            }
            Event::End(TagEnd::Item) => depth -= 1,
            Event::TaskListMarker(_) if depth == 1 => {
                if let Some(entry) = found.last_mut() {
                    entry.is_task = true;
                    entry.raw = entry
                        .raw
                        .split_once(']')
                        .map_or("", |(_, rest)| rest)
                        .trim_start();
                }
            }
            _ => {}
        }
    }
    found
}

/// Without the bullet or number.
fn bare(raw: &str) -> &str {
    let raw = raw.trim_start();
    raw.split_once(char::is_whitespace)
        .map_or("", |(_, rest)| rest.trim_start())
}
