//! AuthZEN 1.0: may this subject do that to this resource?

use axum::extract::State;
use http::{Method, StatusCode};
use hub_access::Action;
use hub_access::evaluation::{Evaluation, evaluate};
use hub_base::UserId;
use hub_identity::users;
use hub_store::Cx;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::extract::{Caller, Given, Json, Reply};
use super::table::Api;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn routes(api: &mut Api) {
    let what = (Action::AccessEvaluate, "AuthZEN access evaluation");
    api.at(Method::POST, "/access/v1/evaluation", what, evaluation)
        .takes::<Value>()
        .gives::<Answer>(StatusCode::OK);
}

#[derive(Debug, Serialize, JsonSchema)]
struct Answer {
    decision: bool,
    context: Context,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Context {
    permission: String,
}

async fn evaluation(
    State(app): State<App>,
    Caller(cx): Caller,
    Given(body): Given<Value>,
) -> Reply<Answer> {
    let question = Evaluation::parse(&body)?;
    let subject = subject(&cx, &question.subject_id).await?;
    let answer = evaluate(&app.authorizer, cx.tenant(), subject, &question).await?;
    Ok(Json(Answer {
        decision: answer.decision,
        context: Context {
            permission: answer.permission,
        },
    }))
}

/// A subject is named by id or by user name; nobody of that name may nothing, nor who is locked out.
async fn subject(cx: &Cx, text: &str) -> Result<Option<UserId>, Problem> {
    let mut tx = cx.read().await?;
    let user = match text.parse() {
        Ok(id) => users::by_id(&mut tx, id).await?,
        Err(_) => users::by_username(&mut tx, text).await?,
    };
    let user = user.filter(|user| user.locked_at.is_none());
    Ok(user.map(|user| user.id))
}
