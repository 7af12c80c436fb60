//! Runs of runbooks while they go on: told by `hubctl`, answered by people, seen by everybody who may.

use http::{Method, StatusCode};
use hub_access::Action;
use hub_base::{ErrorKind, OperationId, Timestamp};
use hub_operate::runbook::shared::{self, Answer, Beginning, Note, Overview, Shared, Wish};
use hub_operate::runbook::{Line, Now, Told};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::extract::{At, Caller, Created, Given, Json, List, Reply};
use super::table::Api;
use crate::problem::Problem;

pub(super) fn routes(api: &mut Api) {
    looking(api);
    let tell = Action::OperationsRecord;
    api.at(
        Method::POST,
        "/api/v2/runbook-runs",
        (tell, "A run begins, or goes on with being told"),
        begin,
    )
    .takes::<BeginningView>()
    .gives::<Known>(StatusCode::OK);
    api.at(
        Method::POST,
        "/api/v2/runbook-runs/{id}/lines",
        (tell, "Further lines of its journal; each is taken once"),
        tell_lines,
    )
    .takes::<Lines>()
    .gives::<Known>(StatusCode::OK);
    api.at(
        Method::POST,
        "/api/v2/runbook-runs/{id}/answers",
        (
            tell,
            "Answer an item of the section where it is: who is first counts",
        ),
        answer,
    )
    .takes::<WishView>()
    .gives::<AnswerView>(StatusCode::CREATED);
    api.at(
        Method::POST,
        "/api/v2/runbook-runs/{id}/notes",
        (tell, "Say something that belongs to its record"),
        note,
    )
    .takes::<Remark>()
    .gives::<NoteView>(StatusCode::CREATED);
    api.at(
        Method::GET,
        "/api/v2/runbook-runs/{id}/answers",
        (
            tell,
            "What was answered and noted, for the tool that leads it",
        ),
        said,
    )
    .gives::<Said>(StatusCode::OK);
}

fn looking(api: &mut Api) {
    api.at(
        Method::GET,
        "/api/v2/runbook-runs",
        (Action::OperationsRead, "Runs of runbooks, newest first"),
        list,
    )
    .gives::<List<RunView>>(StatusCode::OK);
    api.at(
        Method::GET,
        "/api/v2/runbook-runs/{id}",
        (
            Action::OperationsRead,
            "One run with everything that happened in it",
        ),
        show,
    )
    .gives::<WholeView>(StatusCode::OK);
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BeginningView {
    #[schemars(with = "String")]
    id: OperationId,
    /// The runbook's name, such as `disk-full`.
    runbook: String,
    /// Its whole file, Markdown.
    text: String,
    /// Who leads it.
    by: String,
    began: Timestamp,
    /// The incident that it is for.
    #[serde(default)]
    incident: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Known {
    /// How many lines of the journal are known: tell on from there.
    lines: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Lines {
    /// In order, without a gap.
    lines: Vec<LineView>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LineView {
    /// Its place in the journal, from 0.
    number: u32,
    at: Timestamp,
    by: String,
    /// What happened, as in the journal: an object with `event`.
    what: Value,
    /// The end of what a command said.
    #[serde(default)]
    output: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WishView {
    /// The line of the journal since which the run is in that section, as the caller saw it.
    entered: u32,
    /// Counted from 0.
    section: u32,
    /// Counted from 0.
    item: u32,
    /// A decision's word; nothing for what is done.
    #[serde(default)]
    choice: Option<String>,
    /// Whose answer it is, if the tool that tells of the run tells it for them; of other callers it says nothing.
    #[serde(default)]
    by: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Remark {
    text: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct AnswerView {
    entered: u32,
    section: u32,
    item: u32,
    choice: Option<String>,
    by: String,
    /// Who answered or told the answer, by kind and id.
    actor: String,
    at: Timestamp,
}

#[derive(Debug, Serialize, JsonSchema)]
struct NoteView {
    number: u32,
    id: String,
    text: String,
    by: String,
    /// By kind and id.
    actor: String,
    at: Timestamp,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Said {
    answers: Vec<AnswerView>,
    notes: Vec<NoteView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct RunView {
    id: String,
    runbook: String,
    title: String,
    /// Of the runbook's file.
    sha256: String,
    /// Who leads it now.
    leader: String,
    /// Whose credential tells of it, by kind and id.
    teller: String,
    incident: Option<String>,
    began: Timestamp,
    /// Lines of its journal that are known.
    lines: u32,
    /// Where it stands, such as `3.2`.
    standing: String,
    /// `done`, `rolled_back` or `failed`; null while it goes on.
    outcome: Option<String>,
    ended: Option<Timestamp>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WholeView {
    #[serde(flatten)]
    run: RunView,
    /// The runbook as it was when the run began.
    text: String,
    /// What is to be done now; null if nothing is.
    now: Option<PlaceView>,
    journal: Vec<LineView>,
    answers: Vec<AnswerView>,
    notes: Vec<NoteView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct PlaceView {
    entered: u32,
    section: usize,
    item: usize,
}

impl From<Overview> for RunView {
    fn from(run: Overview) -> Self {
        Self {
            id: run.id.to_string(),
            runbook: run.runbook,
            title: run.title,
            sha256: run.sha256,
            leader: run.leader,
            teller: run.teller,
            incident: run.incident,
            began: run.began,
            lines: run.lines,
            standing: run.standing,
            outcome: run.outcome,
            ended: run.ended,
        }
    }
}

impl From<Answer> for AnswerView {
    fn from(answer: Answer) -> Self {
        Self {
            entered: answer.entered,
            section: answer.section,
            item: answer.item,
            choice: answer.choice,
            by: answer.by,
            actor: answer.actor,
            at: answer.at,
        }
    }
}

impl From<Note> for NoteView {
    fn from(note: Note) -> Self {
        Self {
            number: note.number,
            id: note.id.to_string(),
            text: note.said,
            by: note.by,
            actor: note.actor,
            at: note.at,
        }
    }
}

impl From<Told> for LineView {
    fn from(told: Told) -> Self {
        Self {
            number: told.number,
            at: told.line.at,
            by: told.line.by,
            what: serde_json::to_value(told.line.what).unwrap_or_default(),
            output: told.output,
        }
    }
}

impl From<Shared> for WholeView {
    fn from(run: Shared) -> Self {
        let now = match run.now() {
            (Now::Do { at, .. }, entered) => Some(PlaceView {
                entered,
                section: at.section,
                item: at.item,
            }),
            _ => None,
        };
        Self {
            run: run.overview.into(),
            text: run.book.text,
            now,
            journal: run.lines.into_iter().map(LineView::from).collect(),
            answers: run.answers.into_iter().map(AnswerView::from).collect(),
            notes: run.notes.into_iter().map(NoteView::from).collect(),
        }
    }
}

async fn begin(Caller(cx): Caller, Given(begins): Given<BeginningView>) -> Reply<Known> {
    let begins = Beginning {
        id: begins.id,
        runbook: begins.runbook,
        text: begins.text,
        by: begins.by,
        began: begins.began,
        incident: begins.incident,
    };
    let lines = shared::begin(&cx, &begins).await?;
    Ok(Json(Known { lines }))
}

async fn tell_lines(
    Caller(cx): Caller,
    At((id,)): At<(OperationId,)>,
    Given(told): Given<Lines>,
) -> Reply<Known> {
    let read = |line: LineView| {
        let (number, at, by) = (line.number, line.at, line.by);
        let what = serde_json::from_value(line.what).map_err(|error| {
            Problem::of(ErrorKind::Invalid)
                .detail(format!("lines: what: of line {number}: {error}"))
        })?;
        Ok::<_, Problem>(Told {
            number,
            line: Line { at, by, what },
            output: line.output,
        })
    };
    let told: Result<Vec<Told>, Problem> = told.lines.into_iter().map(read).collect();
    let lines = shared::tell(&cx, id, told?).await?;
    Ok(Json(Known { lines }))
}

async fn answer(
    Caller(cx): Caller,
    At((id,)): At<(OperationId,)>,
    Given(wish): Given<WishView>,
) -> Result<Created<AnswerView>, Problem> {
    let wish = Wish {
        entered: wish.entered,
        section: wish.section,
        item: wish.item,
        choice: wish.choice,
        by: wish.by,
    };
    Ok(Created(shared::answer(&cx, id, wish).await?.into()))
}

async fn note(
    Caller(cx): Caller,
    At((id,)): At<(OperationId,)>,
    Given(remark): Given<Remark>,
) -> Result<Created<NoteView>, Problem> {
    Ok(Created(shared::note(&cx, id, &remark.text).await?.into()))
}

async fn said(Caller(cx): Caller, At((id,)): At<(OperationId,)>) -> Reply<Said> {
    let (answers, notes) = shared::said(&mut *cx.read().await?, id).await?;
    Ok(Json(Said {
        answers: answers.into_iter().map(AnswerView::from).collect(),
        notes: notes.into_iter().map(NoteView::from).collect(),
    }))
}

async fn list(Caller(cx): Caller) -> Result<List<RunView>, Problem> {
    let runs = shared::list(&mut *cx.read().await?).await?;
    Ok(List::whole(runs.into_iter().map(RunView::from)))
}

async fn show(Caller(cx): Caller, At((id,)): At<(OperationId,)>) -> Reply<WholeView> {
    let run = shared::show(&mut *cx.read().await?, id).await?;
    Ok(Json(run.into()))
}
