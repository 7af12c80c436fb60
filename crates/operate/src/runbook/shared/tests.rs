use std::sync::Arc;

use hub_base::{SystemClock, TenantId};
use hub_store::sequence;

use super::*;
use crate::runbook::{Ended, Event, How};

const BOOK: &str = "---\npurpose: A test.\nseverity: low\nroles: [on-call]\ntime_limit: 10m\n---\n# A test\n\n## 1. Prepare\n\n\
    - [ ] the door is shut\n- [ ] the light is off\n\n**Decide:** once more?\n\n- **again**: it is not done → step 1\n- **on**: it is\n\n\
    ## 2. Run\n\n```sh\ntrue\n```\n\n**Expect:** exit 0\n\n## Checks\n\n- [ ] all is well\n\n## Roll back\n\nNothing.\n";

struct House {
    cx: Cx,
    id: OperationId,
    lines: u32,
    database: hub_testkit::TestDb,
}

impl House {
    async fn new() -> Self {
        let database = hub_testkit::database().await;
        let cx = Cx::system(database.store(), TenantId::SYSTEM, "test");
        let id = OperationId::new(&SystemClock);
        let mut house = Self {
            cx,
            id,
            lines: 0,
            database,
        };
        assert_eq!(begin(&house.cx, &house.beginning()).await.unwrap(), 0);
        let begun = Event::Begun {
            id,
            runbook: "test".to_owned(),
            sha256: String::new(),
            folder: "/".into(),
            incident: None,
        };
        house.tell(begun).await;
        house
    }

    fn beginning(&self) -> Beginning {
        Beginning {
            id: self.id,
            runbook: "test".to_owned(),
            text: BOOK.to_owned(),
            by: "ada".to_owned(),
            began: self.cx.now(),
            incident: None,
        }
    }

    fn told(&self, number: u32, what: Event) -> Told {
        let (at, by) = (self.cx.now(), "ada".to_owned());
        Told {
            number,
            line: Line { at, by, what },
            output: None,
        }
    }

    async fn tell(&mut self, what: Event) {
        let told = self.told(self.lines, what);
        self.lines = tell(&self.cx, self.id, vec![told]).await.unwrap();
    }

    /// The one who leads takes it.
    async fn ended(&mut self, section: usize, item: usize, how: How, said: &str) {
        self.tell(Event::Ended(Ended {
            section,
            item,
            how,
            exit: None,
            sha256: None,
            said: said.to_owned(),
            took_ms: 1,
        }))
        .await;
    }

    async fn say(&self, by: &str, item: u32, choice: Option<&str>) -> Result<Answer, String> {
        let entered = self.seen().await.now().1;
        self.say_as_of(entered, by, (0, item), choice).await
    }

    async fn say_as_of(
        &self,
        entered: u32,
        by: &str,
        (section, item): (u32, u32),
        choice: Option<&str>,
    ) -> Result<Answer, String> {
        let wish = Wish {
            entered,
            section,
            item,
            choice: choice.map(str::to_owned),
            by: Some(by.to_owned()),
        };
        let answer = answer(&self.cx, self.id, wish).await;
        answer.map_err(|error| error.to_string())
    }

    /// Somebody else with a credential of their own.
    fn other(&self) -> Cx {
        Cx::system(self.database.store(), TenantId::SYSTEM, "other")
    }

    async fn seen(&self) -> Shared {
        let mut tx = self.cx.read().await.unwrap();
        show(&mut tx, self.id).await.unwrap()
    }
}

#[tokio::test]
async fn who_is_first_counts_and_only_what_is_to_be_done_now_is_answered() {
    let mut house = House::new().await;
    // Ahead of its turn, in the section where the run is.
    let first = house.say("ben", 1, None).await.unwrap();
    assert_eq!(house.say("ben", 1, None).await.unwrap(), first);
    assert_eq!(
        house.say("eve", 1, None).await.unwrap_err(),
        "ben was first: done"
    );
    let cases = [
        ((0, 2), Some("on"), "its turn has not come yet"),
        ((1, 0), None, "its turn has passed, or has not come yet"),
        ((0, 0), Some("yes"), "choice: it is only done or not"),
        ((0, 9), None, "item: there is no such item"),
    ];
    for (place, choice, words) in cases {
        let said = house.say_as_of(0, "eve", place, choice).await.unwrap_err();
        assert!(said.starts_with(words), "{said}");
    }
    house.ended(0, 0, How::Confirmed, "").await;
    assert_eq!(
        house.say("ben", 0, None).await.unwrap_err(),
        "ada was first: confirmed"
    );
    house.ended(0, 1, How::Confirmed, "").await;
    let said = house.say("eve", 2, Some("never")).await.unwrap_err();
    assert_eq!(said, "choice: use again, on");
    house.say("eve", 2, Some("on")).await.unwrap();
    let said = house.say("ben", 2, Some("again")).await.unwrap_err();
    assert_eq!(said, "eve was first: on");
    house.ended(0, 2, How::Decided, "on").await;
    let entered = house.seen().await.now().1;
    let said = house.say_as_of(entered, "ben", (1, 0), None).await;
    assert_eq!(
        said.unwrap_err(),
        "item: a command is run by the one who leads"
    );
}

/// What was ticked in one round is to be done again in the next.
#[tokio::test]
async fn a_section_that_is_gone_through_again_is_answered_again() {
    let mut house = House::new().await;
    let before = house.seen().await.now().1;
    house.say("ben", 1, None).await.unwrap();
    for item in 0..2 {
        house.ended(0, item, How::Confirmed, "").await;
    }
    house.ended(0, 2, How::Decided, "again").await;
    let run = house.seen().await;
    let picture = run.picture();
    for item in &picture.sections[0].items {
        assert!(matches!(item.state, State::Waits), "{:?}", item.state);
    }
    // Whoever still sees the former round does not answer this one.
    let said = house.say_as_of(before, "eve", (0, 0), None).await;
    assert_eq!(said.unwrap_err(), "ada was first: confirmed");
    house.say("eve", 1, None).await.unwrap();
    assert_eq!(house.seen().await.answers.len(), 2);
}

#[tokio::test]
async fn lines_are_taken_once_in_order_and_the_end_closes_the_run() {
    let mut house = House::new().await;
    assert_eq!(begin(&house.cx, &house.beginning()).await.unwrap(), 1);
    let gap = house.told(7, Event::Resumed);
    let said = tell(&house.cx, house.id, vec![gap]).await.unwrap_err();
    assert!(said.to_string().starts_with("line 1 of"), "{said}");
    let known = house.seen().await.lines[0].clone();
    let again = vec![known, house.told(1, Event::Resumed)];
    assert_eq!(tell(&house.cx, house.id, again).await.unwrap(), 2);
    house.lines = 2;
    let run = house.seen().await;
    assert!(matches!(run.lines[0].line.what, Event::Begun { .. }));
    let mut other = house.beginning();
    other.text = BOOK.replace("A test", "Another");
    let said = begin(&house.cx, &other).await.unwrap_err().to_string();
    assert!(said.ends_with("goes by another runbook"), "{said}");

    let remark = note(&house.cx, house.id, "it rains").await.unwrap();
    assert_eq!((remark.number, remark.by.as_str()), (1, "the hub"));
    assert!(note(&house.cx, house.id, " ").await.is_err());
    house
        .tell(Event::Handed {
            to: "ben".to_owned(),
        })
        .await;
    assert_eq!(house.seen().await.overview.leader, "ben");
    let outcome = "failed".to_owned();
    house.tell(Event::Closed { outcome, why: None }).await;
    let listed = list(&mut house.cx.read().await.unwrap()).await.unwrap();
    assert_eq!(listed[0].outcome.as_deref(), Some("failed"));
    assert!(listed[0].ended.is_some());
    assert_eq!(
        house.say("eve", 0, None).await.unwrap_err(),
        "the run is over"
    );
    assert!(note(&house.cx, house.id, "late").await.is_err());
    // An act for the beginning, each telling, the note.
    let mut tx = house.cx.read().await.unwrap();
    assert_eq!(sequence::backlog(&mut tx).await.unwrap(), 6);
}

/// The hub was away when it ended; the operation's record comes with the next operation.
#[tokio::test]
async fn a_run_whose_last_lines_never_came_ends_with_its_record() {
    let house = House::new().await;
    let record = Record {
        id: house.id,
        kind: "runbook".to_owned(),
        subject: "test".to_owned(),
        outcome: "done".to_owned(),
        why: None,
        began: house.cx.now(),
        ended: house.cx.now(),
        steps: Vec::new(),
    };
    assert!(crate::records::record(&house.cx, &record).await.unwrap());
    let run = house.seen().await;
    assert_eq!(run.overview.outcome.as_deref(), Some("done"));
    assert!(run.picture().is_through);
    assert_eq!(
        house.say("eve", 0, None).await.unwrap_err(),
        "the run is over"
    );
}

/// Many at once: one of them is first, on any server.
#[tokio::test]
async fn of_many_at_once_one_is_taken() {
    let house = Arc::new(House::new().await);
    let people = (0..8).map(|number| {
        let house = Arc::clone(&house);
        tokio::spawn(async move { house.say(&format!("p{number}"), 0, None).await.is_ok() })
    });
    let mut taken = 0;
    for one in people.collect::<Vec<_>>() {
        taken += usize::from(one.await.unwrap());
    }
    assert_eq!((taken, house.seen().await.answers.len()), (1, 1));
}

/// A credential that may tell is not everybody's voice.
#[tokio::test]
async fn only_who_tells_of_a_run_speaks_for_the_people_at_its_terminal() {
    let mut house = House::new().await;
    let other = house.other();
    let wish = Wish {
        by: Some("ada".to_owned()),
        ..Wish::default()
    };
    let forged = answer(&other, house.id, wish).await.unwrap();
    assert_eq!(
        (forged.by.as_str(), forged.actor.as_str()),
        ("the hub", "hub other")
    );
    let closed = || Event::Closed {
        outcome: "done".to_owned(),
        why: None,
    };
    let end = house.told(1, closed());
    let said = tell(&other, house.id, vec![end]).await.unwrap_err();
    assert!(said.to_string().contains("somebody else tells"), "{said}");
    // Who goes on with it says so, and is known for it.
    let next = vec![house.told(1, Event::Resumed), house.told(2, Event::Overdue)];
    assert_eq!(tell(&other, house.id, next).await.unwrap(), 3);
    assert_eq!(house.seen().await.overview.teller, "hub other");
    let late = house.told(3, Event::Overdue);
    let said = tell(&house.cx, house.id, vec![late]).await.unwrap_err();
    assert!(said.to_string().contains("somebody else tells"), "{said}");
    // What was told is not told otherwise later.
    let changed = house.told(2, Event::Resumed);
    let said = tell(&other, house.id, vec![changed]).await.unwrap_err();
    assert!(said.to_string().ends_with("as another one"), "{said}");
    house.cx = other;
    house.lines = 3;
    house.tell(closed()).await;
    let after = house.told(4, Event::Resumed);
    let said = tell(&house.cx, house.id, vec![after]).await.unwrap_err();
    assert_eq!(said.to_string(), "the run is over");
    // The beginning, an answer, a telling with its takeover, the end.
    let mut tx = house.cx.read().await.unwrap();
    assert_eq!(sequence::backlog(&mut tx).await.unwrap(), 6);
}

#[tokio::test]
async fn what_would_give_orders_to_a_terminal_or_stop_a_database_is_refused() {
    let house = House::new().await;
    for text in ["\u{1b}]0;x\u{7}", "a\rb", "a\u{202e}b", "\0"] {
        let said = note(&house.cx, house.id, text).await.unwrap_err();
        assert!(said.to_string().contains("control characters"), "{said}");
        let said = house.say(text, 0, None).await.unwrap_err();
        assert!(said.contains("control characters"), "{said}");
    }
    let kept = note(&house.cx, house.id, "two\n\tlines").await.unwrap();
    assert_eq!(house.seen().await.notes[0].id, kept.id);
    let nul = Event::WentBack {
        why: "\0".to_owned(),
    };
    let mut output = house.told(1, Event::Resumed);
    output.output = Some("\0".to_owned());
    for told in [house.told(1, nul), output] {
        let said = tell(&house.cx, house.id, vec![told]).await.unwrap_err();
        assert_eq!(said.to_string(), "lines: must have no NUL");
    }
    let mut begins = house.beginning();
    begins.incident = Some("i".repeat(201));
    let said = begin(&house.cx, &begins).await.unwrap_err();
    assert!(said.to_string().starts_with("incident: "), "{said}");
    begins.incident = None;
    begins.text = BOOK.replace("A test", &"A".repeat(201));
    let said = begin(&house.cx, &begins).await.unwrap_err();
    assert!(said.to_string().starts_with("title: "), "{said}");
}

/// Whoever is behind a command or a decision does not know yet what comes of it.
#[tokio::test]
async fn nothing_is_ticked_ahead_of_a_command_or_a_decision() {
    let mut house = House::new().await;
    let step = "\n## 2. Run\n\n- [ ] the fan is on\n\n```sh\ntrue\n```\n\n**Expect:** exit 0\n\n- [ ] it still turns\n";
    let (before, rest) = BOOK.split_once("\n## 2. Run").unwrap();
    let (_, after) = rest.split_once("exit 0\n").unwrap();
    let mut begins = house.beginning();
    begins.id = OperationId::new(&SystemClock);
    begins.text = format!("{before}{step}{after}");
    begin(&house.cx, &begins).await.unwrap();
    (house.id, house.lines) = (begins.id, 0);
    house.ended(0, 0, How::Confirmed, "").await;
    house.ended(0, 1, How::Confirmed, "").await;
    house.ended(0, 2, How::Decided, "on").await;
    let run = house.seen().await;
    let open = |run: &Shared| -> Vec<bool> {
        let items = &run.picture().sections[1].items;
        items.iter().map(|item| item.is_open).collect()
    };
    assert_eq!(open(&run), [true, false, false]);
    let entered = run.now().1;
    let said = house.say_as_of(entered, "ben", (1, 2), None).await;
    assert_eq!(said.unwrap_err(), "its turn has not come yet");
    house.ended(1, 0, How::Confirmed, "").await;
    house.ended(1, 1, How::Passed, "").await;
    assert_eq!(open(&house.seen().await), [false, false, true]);
}

#[tokio::test]
async fn whoever_watches_sees_every_change_the_record_of_the_end_too() {
    let mut house = House::new().await;
    let mut seen = Vec::new();
    let version = async |house: &House| {
        let mut tx = house.cx.read().await.unwrap();
        version(&mut tx, house.id).await.unwrap()
    };
    seen.push(version(&house).await);
    house.say("ben", 0, None).await.unwrap();
    seen.push(version(&house).await);
    note(&house.cx, house.id, "it rains").await.unwrap();
    seen.push(version(&house).await);
    house.tell(Event::Resumed).await;
    seen.push(version(&house).await);
    let record = Record {
        id: house.id,
        kind: "runbook".to_owned(),
        subject: "test".to_owned(),
        outcome: "done".to_owned(),
        why: None,
        began: house.cx.now(),
        ended: house.cx.now(),
        steps: Vec::new(),
    };
    crate::records::record(&house.cx, &record).await.unwrap();
    seen.push(version(&house).await);
    assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
    // Its last lines come later all the same.
    let (outcome, why) = ("done".to_owned(), None);
    house.tell(Event::Closed { outcome, why }).await;
    assert!(version(&house).await > seen[4]);
}
