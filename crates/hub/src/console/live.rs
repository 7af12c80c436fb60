//! The live view: each second the rates, and the lists anew when something committed that changes them.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream};
use hub_store::{Committed, Cx};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::now::picture;
use super::view::{FindingRowsPart, IncidentRowsPart, TilesPart};
use crate::api::extract::Caller;
use crate::front::admit::{WATCH, may_stay};
use crate::live::Totals;
use crate::state::App;

struct Watching {
    app: App,
    cx: Cx,
    until: Instant,
    bus: Receiver<Committed>,
    second: Interval,
    before: Totals,
    /// Whether the picture goes out with the next tick.
    due: bool,
    rates: Option<Event>,
}

pub(crate) async fn live(
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
        due: true,
        rates: None,
    };
    let events = stream::unfold(watching, |mut watching| async move {
        watching.next().await.map(|event| (Ok(event), watching))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

impl Watching {
    /// The next message; `None` when the server stops or the session is over.
    async fn next(&mut self) -> Option<Event> {
        if let Some(rates) = self.rates.take() {
            return Some(rates);
        }
        let mut stopping = self.app.stopping.subscribe();
        tokio::select! {
            () = crate::front::listener::told(&mut stopping) => return None,
            _ = self.second.tick() => {}
        }
        if Instant::now() >= self.until || !may_stay(&self.app, &self.cx) {
            return None;
        }
        while let Ok(committed) = self.bus.try_recv() {
            self.due |= committed.tenant == self.cx.tenant();
        }
        let now = self.app.live.totals(self.cx.tenant());
        let (events, findings) = (
            now.events - self.before.events,
            now.findings - self.before.findings,
        );
        self.before = now;
        let time = self.cx.now().unix_seconds();
        let rates = json!({"time": time, "events": events, "findings": findings}).to_string();
        let rates = Event::default().event("rates").data(rates);
        if !self.due {
            return Some(rates);
        }
        match self.picture(events).await {
            Some(html) => {
                self.due = false;
                self.rates = Some(rates);
                Some(Event::default().data(html))
            }
            // The database is away for a moment; the next second tries again.
            None => Some(rates),
        }
    }

    /// The three changing parts, each for its place in the page.
    async fn picture(&self, events_per_second: u64) -> Option<String> {
        let picture = picture(&self.app, &self.cx, events_per_second).await.ok()?;
        let part = |id: &str, html: String| {
            format!(
                "<hx-partial hx-target=\"#{id}\" hx-swap=\"innerHTML\">{}</hx-partial>",
                html.replace('\n', " ")
            )
        };
        let tiles = TilesPart {
            tiles: &picture.tiles,
        }
        .render()
        .ok()?;
        let incidents = IncidentRowsPart {
            incidents: &picture.incidents,
        }
        .render()
        .ok()?;
        let findings = FindingRowsPart {
            findings: &picture.findings,
        }
        .render()
        .ok()?;
        Some(
            [
                part("tiles", tiles),
                part("incidents", incidents),
                part("findings", findings),
            ]
            .concat(),
        )
    }
}
