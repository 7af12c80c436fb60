//! People of the caller's tenant.

use std::collections::BTreeSet;

use axum::extract::State;
use http::{Method, StatusCode};
use hub_access::{Action, roles};
use hub_base::{PageRequest, Timestamp, UserId};
use hub_identity::users::{self, NewUser, User};
use hub_store::Cx;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Asked, At, Caller, Created, Given, Json, List, Reply};
use super::table::Api;
use crate::permits;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn routes(api: &mut Api) {
    api.at(
        Method::GET,
        "/api/v2/users",
        (Action::UsersRead, "People by user name"),
        list,
    )
    .asks::<UsersQuery>()
    .gives::<List<UserView>>(StatusCode::OK);
    api.at(
        Method::POST,
        "/api/v2/users",
        (Action::UsersCreate, "Make a person"),
        create,
    )
    .takes::<NewPerson>()
    .gives::<UserView>(StatusCode::CREATED);
    api.at(
        Method::GET,
        "/api/v2/users/{id}",
        (Action::UsersRead, "One person"),
        show,
    )
    .gives::<UserView>(StatusCode::OK);
    api.at(
        Method::POST,
        "/api/v2/users/{id}/lock",
        (Action::UsersLock, "Lock a person out"),
        lock,
    )
    .takes::<Reason>()
    .gives::<UserView>(StatusCode::OK);
    api.at(
        Method::POST,
        "/api/v2/users/{id}/unlock",
        (Action::UsersLock, "Let a person in again"),
        unlock,
    )
    .takes::<Reason>()
    .gives::<UserView>(StatusCode::OK);
    api.at(
        Method::PUT,
        "/api/v2/users/{id}/roles",
        (Action::RolesUpdate, "Set a person's roles"),
        set_roles,
    )
    .takes::<Roles>()
    .gives::<UserView>(StatusCode::OK);
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UsersQuery {
    /// The last user name of the page before.
    after: Option<String>,
    limit: Option<u16>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct UserView {
    id: String,
    username: String,
    email: String,
    display_name: String,
    created_at: Timestamp,
    locked_at: Option<Timestamp>,
    lock_reason: Option<String>,
    /// Only of one person, not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<String>>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.username,
            email: user.email,
            display_name: user.display_name,
            created_at: user.created_at,
            locked_at: user.locked_at,
            lock_reason: user.lock_reason,
            roles: None,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewPerson {
    username: String,
    email: String,
    #[serde(default)]
    display_name: String,
    password: String,
    #[serde(default)]
    roles: BTreeSet<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reason {
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Roles {
    roles: BTreeSet<String>,
}

async fn list(
    Caller(cx): Caller,
    Asked(query): Asked<UsersQuery>,
) -> Result<List<UserView>, Problem> {
    let page = users::list(&cx, &PageRequest::new(query.after, query.limit)).await?;
    Ok(List::page(page, UserView::from))
}

async fn view(app: &App, cx: &Cx, id: UserId) -> Reply<UserView> {
    let mut view = UserView::from(users::show(cx, id).await?);
    view.roles = Some(permits::roles(app, cx.tenant(), id).await);
    Ok(Json(view))
}

async fn show(
    State(app): State<App>,
    Caller(cx): Caller,
    At((id,)): At<(UserId,)>,
) -> Reply<UserView> {
    view(&app, &cx, id).await
}

async fn create(
    State(app): State<App>,
    Caller(cx): Caller,
    Given(wish): Given<NewPerson>,
) -> Result<Created<UserView>, Problem> {
    let person = NewUser {
        username: wish.username,
        email: wish.email,
        display_name: wish.display_name,
        password: wish.password,
    };
    if !wish.roles.is_empty() {
        permits::demand(&app, &cx, Action::RolesUpdate).await?;
    }
    let held = app.authorizer.permissions(&cx.principal).await?;
    let name = person.username.clone();
    let prepared = users::prepare(&cx, person, &app.hashing).await?;
    let mut tx = cx.write().await?;
    let id = users::create_in(&mut tx, &cx, prepared).await?;
    if !wish.roles.is_empty() {
        roles::assign_in(&mut tx, &held, id, &name, &wish.roles).await?;
    }
    tx.commit_progress().await?;
    view(&app, &cx, id).await.map(|Json(view)| Created(view))
}

async fn lock(
    State(app): State<App>,
    Caller(cx): Caller,
    At((id,)): At<(UserId,)>,
    Given(why): Given<Reason>,
) -> Reply<UserView> {
    roles::check_rank(&cx, &app.authorizer, id).await?;
    users::lock(&cx, id, &why.reason).await?;
    view(&app, &cx, id).await
}

async fn unlock(
    State(app): State<App>,
    Caller(cx): Caller,
    At((id,)): At<(UserId,)>,
    Given(why): Given<Reason>,
) -> Reply<UserView> {
    roles::check_rank(&cx, &app.authorizer, id).await?;
    users::unlock(&cx, id, &why.reason).await?;
    view(&app, &cx, id).await
}

async fn set_roles(
    State(app): State<App>,
    Caller(cx): Caller,
    At((id,)): At<(UserId,)>,
    Given(wish): Given<Roles>,
) -> Reply<UserView> {
    let user = users::show(&cx, id).await?;
    roles::assign(&cx, &app.authorizer, id, &user.username, &wish.roles).await?;
    view(&app, &cx, id).await
}
