//! Runs of runbooks: the list, and one as a checklist that several people see and answer at once.

mod live;
mod view;
mod words;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use hub_access::Action;
use hub_base::OperationId;
use hub_operate::runbook::shared::{self, Wish};
use hub_store::Cx;
use serde::Deserialize;

pub(super) use self::live::live;
use self::view::{RunPage, RunRow, RunView, RunsPage};
use super::door::{id, page, render};
use super::page::Place;
use crate::api::extract::Caller;
use crate::problem::Problem;
use crate::state::App;

pub(super) async fn list(State(app): State<App>, Caller(cx): Caller) -> Result<Response, Problem> {
    let runs = shared::list(&mut *cx.read().await?).await?;
    let page = page(&app, Some(&cx), Some(Place::Runbooks)).await;
    let now = cx.now();
    let shown = RunsPage {
        page: page.clone(),
        runs: runs.into_iter().map(|run| RunRow::of(run, now)).collect(),
    };
    Ok(render(&page, &shown))
}

pub(super) async fn show(
    State(app): State<App>,
    Caller(cx): Caller,
    Path(run): Path<String>,
) -> Result<Response, Problem> {
    whole(&app, &cx, id(&run)?, None).await
}

/// The run as it is seen by this caller.
async fn seen(app: &App, cx: &Cx, id: OperationId) -> Result<RunView, Problem> {
    let can_answer = crate::permits::decide(app, cx, Action::OperationsRecord).await?;
    let run = shared::show(&mut *cx.read().await?, id).await?;
    Ok(RunView::of(&run, can_answer, cx.now()))
}

async fn whole(
    app: &App,
    cx: &Cx,
    id: OperationId,
    error: Option<String>,
) -> Result<Response, Problem> {
    let run = seen(app, cx, id).await?;
    let mut page = page(app, Some(cx), Some(Place::Runbooks)).await;
    page.error = error;
    let shown = RunPage {
        page: page.clone(),
        run,
    };
    Ok(render(&page, &shown))
}

/// The page again, with what is in the way of what somebody said; other faults as they are.
async fn refused(
    app: &App,
    cx: &Cx,
    id: OperationId,
    problem: Problem,
) -> Result<Response, Problem> {
    let status = problem.status();
    if !status.is_client_error() || status == http::StatusCode::NOT_FOUND {
        return Err(problem);
    }
    let said = problem.words().to_owned();
    let shown = whole(app, cx, id, Some(format!("Not taken: {said}"))).await?;
    Ok((status, shown).into_response())
}

#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    entered: u32,
    section: u32,
    item: u32,
    choice: Option<String>,
}

pub(super) async fn answer(
    State(app): State<App>,
    Caller(cx): Caller,
    Path(run): Path<String>,
    Form(answer): Form<Answer>,
) -> Result<Response, Problem> {
    let id = id(&run)?;
    let place = format!("i-{}-{}", answer.section, answer.item);
    let wish = Wish {
        entered: answer.entered,
        section: answer.section,
        item: answer.item,
        choice: answer.choice,
        by: None,
    };
    match shared::answer(&cx, id, wish).await {
        Ok(_) => Ok(back(id, &place)),
        Err(error) => refused(&app, &cx, id, error.into()).await,
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Remark {
    text: String,
}

pub(super) async fn note(
    State(app): State<App>,
    Caller(cx): Caller,
    Path(run): Path<String>,
    Form(remark): Form<Remark>,
) -> Result<Response, Problem> {
    let id = id(&run)?;
    // A form's lines end as those of the web do.
    let text = remark.text.trim().replace("\r\n", "\n");
    match shared::note(&cx, id, &text).await {
        Ok(_) => Ok(back(id, "said")),
        Err(error) => refused(&app, &cx, id, error.into()).await,
    }
}

fn back(id: OperationId, place: &str) -> Response {
    Redirect::to(&format!("/console/runbooks/{id}#{place}")).into_response()
}
