//! What people say to a run: an answer to an item, a note. Each in one transaction with its act, while nobody else changes the run.

use hub_base::{Actor, NoteId, OperationId, plain};
use hub_store::Cx;

use super::{
    Answer, LONGEST, LONGEST_NAME, MOST_NOTES, Note, Shared, Wish, act, actor, count, fault, fits,
    held, is_in_reach, label, repo,
};
use crate::error::Error;
use crate::runbook::{At, Event, Now, What};

/// Somebody answers an item whose turn it is, or says of one in the same section that it is done. The same answer of the same
/// person is taken once.
///
/// # Errors
/// [`Error::Answered`] says who was first, [`Error::Untimely`] why it is not to be answered now; [`Error::Record`]; [`Error::UnknownRun`].
pub async fn answer(cx: &Cx, id: OperationId, wish: Wish) -> Result<Answer, Error> {
    let mut tx = cx.write().await?;
    let run = held(&mut tx, id).await?;
    let me = actor(cx);
    // Only the tool at the terminal speaks for the people who sit there.
    let named = wish.by.clone().filter(|_| run.overview.teller == me);
    let by = named.unwrap_or_else(|| who(cx));
    fits("by", &by, LONGEST_NAME)?;
    if let Some(first) = run.answers.iter().find(|one| one.is_for(&wish)) {
        if first.by == by && first.choice == wish.choice {
            return Ok(first.clone());
        }
        return Err(Error::Answered {
            by: first.by.clone(),
            choice: first.choice.clone(),
        });
    }
    may_answer(&run, &wish)?;
    let answer = Answer {
        entered: wish.entered,
        section: wish.section,
        item: wish.item,
        choice: wish.choice,
        by,
        actor: me,
        at: cx.now(),
    };
    repo::insert_answer(&mut tx, id, &answer).await?;
    let at = At {
        section: answer.section as usize,
        item: answer.item as usize,
    };
    let act = act("runbook.answer", &run.overview)
        .with("unmapped.runbook.step", label(&run.book, at))
        .with("unmapped.runbook.answer", answer.word())
        .with("unmapped.runbook.by", answer.by.as_str());
    tx.commit(act).await?;
    Ok(answer)
}

/// Whether it is to be answered now, and so.
fn may_answer(run: &Shared, wish: &Wish) -> Result<(), Error> {
    let untimely = |what: &str| Err(Error::Untimely(what.to_owned()));
    let (now, entered) = run.now();
    let at = match now {
        Now::Do { at, .. } => at,
        Now::Through { .. } | Now::Over { .. } => return untimely("the run is over"),
    };
    let (section, index) = (wish.section as usize, wish.item as usize);
    let found = run.book.sections.get(section);
    let found = found.and_then(|section| Some((section, section.items.get(index)?)));
    let Some((found, item)) = found else {
        return Err(fault("item", "there is no such item"));
    };
    let ended = run
        .lines
        .iter()
        .rev()
        .find_map(|told| match &told.line.what {
            Event::Ended(ended) if (ended.section, ended.item) == (section, index) => {
                Some((told, ended))
            }
            _ => None,
        });
    let is_past = section != at.section || index < at.item || wish.entered != entered;
    if is_past {
        return match ended {
            Some((told, ended)) => {
                untimely(&format!("{} was first: {}", told.line.by, ended.words()))
            }
            None => {
                untimely("its turn has passed, or has not come yet: look at the run as it is now")
            }
        };
    }
    let is_open = is_in_reach(found, at.item, index);
    match (&item.what, &wish.choice) {
        (What::Command { .. }, _) => Err(fault("item", "a command is run by the one who leads")),
        (What::Confirm { .. }, None) if is_open => Ok(()),
        (What::Confirm { .. }, None) => untimely("its turn has not come yet"),
        (What::Confirm { .. }, Some(_)) => Err(fault("choice", "it is only done or not")),
        (What::Decision { .. }, _) if index != at.item => untimely("its turn has not come yet"),
        (What::Decision { choices, .. }, choice) => {
            let word = choice.as_deref().unwrap_or_default();
            if choices.iter().any(|choice| choice.label == word) {
                return Ok(());
            }
            let words: Vec<&str> = choices.iter().map(|one| one.label.as_str()).collect();
            Err(fault("choice", format!("use {}", words.join(", "))))
        }
    }
}

/// Somebody has something to say that belongs to the record.
///
/// # Errors
/// [`Error::Record`], [`Error::UnknownRun`], [`Error::Untimely`] if the run is over.
pub async fn note(cx: &Cx, id: OperationId, said: &str) -> Result<Note, Error> {
    fits("text", said, LONGEST)?;
    let by = who(cx);
    let mut tx = cx.write().await?;
    let run = held(&mut tx, id).await?;
    if run.overview.outcome.is_some() {
        return Err(Error::Untimely("the run is over".to_owned()));
    }
    if run.notes.len() >= MOST_NOTES {
        return Err(Error::Untimely(format!("the run has {MOST_NOTES} notes")));
    }
    let note = Note {
        number: count(run.notes.len()) + 1,
        id: NoteId::new(&**cx.clock()),
        said: said.to_owned(),
        by,
        actor: actor(cx),
        at: cx.now(),
    };
    repo::insert_note(&mut tx, id, &note).await?;
    let act = act("runbook.note", &run.overview)
        .with("unmapped.runbook.said", said)
        .with("unmapped.runbook.by", note.by.as_str());
    tx.commit(act).await?;
    Ok(note)
}

fn who(cx: &Cx) -> String {
    let name = match &cx.principal.actor {
        Actor::User { username, .. } => username.clone(),
        Actor::ApiKey { name, .. } => format!("API key {name}"),
        Actor::System { .. } | Actor::Anonymous => "the hub".to_owned(),
    };
    // Whatever they are called, they may answer.
    plain(&name).chars().take(LONGEST_NAME).collect()
}
