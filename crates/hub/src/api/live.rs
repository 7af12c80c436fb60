//! Server-sent events: findings, incidents and actions as they commit, and rates each second.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream};
use http::{Method, StatusCode};
use hub_access::Action;
use hub_store::{Committed, Cx};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::extract::Caller;
use super::table::Api;
use crate::front::admit::{WATCH, may_stay};
use crate::live::{Kind, Totals};
use crate::state::App;

pub(super) fn routes(api: &mut Api) {
    api.at(
        Method::GET,
        "/api/v2/live",
        (Action::IncidentsRead, "What happens, as it happens"),
        live,
    )
    .answers(StatusCode::OK, "text/event-stream");
}

struct Watching {
    app: App,
    cx: Cx,
    until: Instant,
    bus: Receiver<Committed>,
    second: Interval,
    before: Totals,
}

async fn live(
    State(app): State<App>,
    Caller(cx): Caller,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let before = app.live.totals(cx.tenant());
    let bus = app.store.bus().listen();
    let watching = Watching {
        app,
        cx,
        until: Instant::now() + WATCH,
        bus,
        second,
        before,
    };
    let events = stream::unfold(watching, |mut watching| async move {
        watching.next().await.map(|event| (Ok(event), watching))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

impl Watching {
    /// The next event; `None` ends the stream: the server stops, the caller may not stay, or has
    /// watched long enough.
    async fn next(&mut self) -> Option<Event> {
        let mut stopping = self.app.stopping.subscribe();
        loop {
            tokio::select! {
                () = crate::front::listener::told(&mut stopping) => return None,
                _ = self.second.tick() => {
                    let goes_on = Instant::now() < self.until && may_stay(&self.app, &self.cx);
                    return goes_on.then(|| self.rates());
                }
                heard = self.bus.recv() => match heard {
                    Ok(committed) if committed.tenant == self.cx.tenant() && may_stay(&self.app, &self.cx) => {
                        if let Some(event) = event(&committed) {
                            return Some(event);
                        }
                    }
                    // Of another tenant; or we were slow and lost some, which the next page load shows.
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    fn rates(&mut self) -> Event {
        let now = self.app.live.totals(self.cx.tenant());
        let rates = json!({
            "time": self.app.clock().now().unix_seconds(),
            "events": now.events - self.before.events,
            "findings": now.findings - self.before.findings,
            "events_total": now.events,
        });
        self.before = now;
        Event::default().event("rates").data(rates.to_string())
    }
}

fn event(committed: &Committed) -> Option<Event> {
    let kind = Kind::of(committed.operation)?;
    let body = json!({"operation": committed.operation, "event": committed.event.body});
    Some(Event::default().event(kind.name()).data(body.to_string()))
}
