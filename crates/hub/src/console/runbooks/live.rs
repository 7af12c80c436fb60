//! A run as it goes on: each second its time, and the checklist anew when somebody did or said something. It is asked of the
//! database, since the one who did it may have told another server.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template as _;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream};
use hub_base::OperationId;
use hub_operate::runbook::shared;
use hub_store::Cx;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::view::{LastPart, ListPart, RunView, SaidPart, TilesPart};
use crate::api::extract::Caller;
use crate::console::door::id;
use crate::front::admit::{WATCH, may_stay};
use crate::problem::Problem;
use crate::state::App;

struct Watching {
    app: App,
    cx: Cx,
    id: OperationId,
    until: Instant,
    second: Interval,
    /// What was shown last.
    version: Option<i64>,
    run: RunView,
}

pub(crate) async fn live(
    State(app): State<App>,
    Caller(cx): Caller,
    Path(run): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let id = id(&run)?;
    let run = super::seen(&app, &cx, id).await?;
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watching = Watching {
        app,
        cx,
        id,
        until: Instant::now() + WATCH,
        second,
        version: None,
        run,
    };
    let events = stream::unfold(watching, |mut watching| async move {
        watching.next().await.map(|event| (Ok(event), watching))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

impl Watching {
    /// The next message; `None` when the server stops or the session is over.
    async fn next(&mut self) -> Option<Event> {
        let mut stopping = self.app.stopping.subscribe();
        loop {
            tokio::select! {
                () = crate::front::listener::told(&mut stopping) => return None,
                _ = self.second.tick() => {}
            }
            if Instant::now() >= self.until || !may_stay(&self.app, &self.cx) {
                return None;
            }
            // The database may be away for a moment; the next second tries again.
            let changed = self.look().await.unwrap_or(false);
            self.run.pass(self.cx.now());
            let html = if changed {
                self.picture()
            } else if self.run.is_over {
                None
            } else {
                self.tiles()
            };
            if let Some(html) = html {
                return Some(Event::default().data(html));
            }
        }
    }

    /// Whether it is another one than was shown last.
    async fn look(&mut self) -> Result<bool, Problem> {
        let version = shared::version(&mut *self.cx.read().await?, self.id).await?;
        if self.version == Some(version) {
            return Ok(false);
        }
        self.run = super::seen(&self.app, &self.cx, self.id).await?;
        self.version = Some(version);
        Ok(true)
    }

    fn tiles(&self) -> Option<String> {
        part("run-tiles", TilesPart { run: &self.run }.render())
    }

    fn picture(&self) -> Option<String> {
        let list = part("run-list", ListPart { run: &self.run }.render())?;
        let said = part("run-said", SaidPart { run: &self.run }.render())?;
        let last = part("run-last", LastPart { run: &self.run }.render())?;
        Some([self.tiles()?, list, said, last].concat())
    }
}

/// One part for its place in the page. Morphed into it, so that whoever is at a button there stays at it.
fn part(id: &str, html: askama::Result<String>) -> Option<String> {
    let html = html.ok()?;
    // Lines of a message are joined again by the browser, those of commands and their output too.
    let html = html.replace('\r', "");
    Some(format!(
        "<hx-partial hx-target=\"#{id}\" hx-swap=\"innerMorph\">{html}</hx-partial>"
    ))
}
