//! All published Sigma rules over real logs through the detection engine, beside a bare rsigma-eval loop over the same
//! events, by processor time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hub_base::{SystemClock, Timestamp};
use hub_benches::{Target, rate, report, shared, size, thread_time};
use hub_detect::{RuleSet, RuleSource, TenantDetector};
use hub_events::normalise::{Format, Options, normalise};
use hub_events::{Event, LogSource};
use rsigma_eval::event::JsonEvent;
use rsigma_eval::{CompiledRule, Engine, compile_rule};
use rsigma_parser::parse_sigma_yaml;
use serde_json::{Map, Value};

/// Between two rounds over the logs, so that windows do not run into each other.
const PAUSE: Duration = Duration::from_hours(24 * 30);

fn main() -> anyhow::Result<()> {
    let wanted = size("HUB_BENCH_RULE_EVENTS", 100_000)?;
    let (Some(rules), Some(cloud), Some(sshd)) = (
        shared("rules", "sigma"),
        shared("rules", "cloudtrail"),
        shared("rules", "sshd/auth.log"),
    ) else {
        return Ok(());
    };
    let (set, _) = RuleSet::load(&[RuleSource::Folder(rules.clone())]);
    let set = Arc::new(set);
    let bare = Bare::load(&rules)?;
    let mut all = Spent::default();
    for (name, format, files) in [
        ("CloudTrail", Format::CloudTrail, files(&cloud, "json")?),
        ("sshd", Format::Sshd, vec![sshd]),
    ] {
        let events = read(format, &files)?;
        let rounds = wanted.div_ceil(2).div_ceil(events.len().max(1)) as u32;
        let spent = measure(&set, &bare, &events, rounds)?;
        spent.tell(&format!("rules, {name}"), &set, &bare, None);
        all.add(&spent);
    }
    all.tell("rules", &set, &bare, Some(Target::AtLeast(0.8)));
    Ok(())
}

#[derive(Default)]
struct Spent {
    events: usize,
    ours: Duration,
    bare: Duration,
    our_hits: u64,
    bare_hits: u64,
}

impl Spent {
    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.ours += other.ours;
        self.bare += other.bare;
        self.our_hits += other.our_hits;
        self.bare_hits += other.bare_hits;
    }

    fn tell(&self, name: &str, set: &RuleSet, bare: &Bare, target: Option<Target>) {
        let (ours, reference) = (rate(self.events, self.ours), rate(self.events, self.bare));
        let details = format!(
            "{} events, {} and {} rules, {} and {} hits; {:.0} k vs {:.0} k events per CPU-second",
            self.events,
            set.len(),
            bare.rules,
            self.our_hits,
            self.bare_hits,
            ours / 1000.0,
            reference / 1000.0,
        );
        report(name, ours / reference, "bare rsigma-eval", target, &details);
    }
}

/// Both over the same events in turns, so that other work on the machine meets both alike.
fn measure(
    set: &Arc<RuleSet>,
    bare: &Bare,
    events: &[Event],
    rounds: u32,
) -> anyhow::Result<Spent> {
    let mut detector = TenantDetector::new(Arc::clone(set), Arc::new(SystemClock));
    let plain: Vec<(LogSource, Value)> = events.iter().map(plain).collect();
    let mut spent = Spent::default();
    for round in 0..rounds {
        let mut copy = events.to_vec();
        for event in &mut copy {
            event.time = event.time.plus(PAUSE * round);
        }
        let ids: Vec<String> = (0..copy.len()).map(|n| format!("{round}/{n}")).collect();
        let before = thread_time()?;
        for (event, id) in copy.iter_mut().zip(&ids) {
            std::hint::black_box(detector.observe(event, id));
        }
        let between = thread_time()?;
        spent.ours += between.saturating_sub(before);
        for (source, value) in &plain {
            spent.bare_hits += bare.evaluate(source, value);
        }
        spent.bare += thread_time()?.saturating_sub(between);
        spent.events += copy.len();
    }
    spent.our_hits = detector.counters().hits;
    Ok(spent)
}

fn read(format: Format, files: &[PathBuf]) -> anyhow::Result<Vec<Event>> {
    let mut options = Options::at(Timestamp::from_unix_seconds(1_700_000_000));
    options.year = Some(2017);
    let mut events = Vec::new();
    for file in files {
        events.extend(normalise(format, &std::fs::read(file)?, &options).events);
    }
    events.sort_by_key(|event| event.time);
    Ok(events)
}

/// What rsigma's own users feed it: one JSON object, in which the record's own fields are at the top.
fn plain(event: &Event) -> (LogSource, Value) {
    let mut body: Map<String, Value> = event.body.clone();
    if let Some(Value::Object(record)) = body.remove("unmapped") {
        for (key, value) in record {
            body.entry(key).or_insert(value);
        }
    }
    (event.source.clone(), Value::Object(body))
}

type Route = [Option<String>; 3];

/// rsigma-eval as it comes: an engine per log source, no state, no findings.
struct Bare {
    engines: Vec<(Route, Engine)>,
    rules: usize,
    routes: HashMap<LogSource, Vec<usize>>,
}

impl Bare {
    fn load(folder: &Path) -> anyhow::Result<Self> {
        let mut seen = HashSet::new();
        let mut by_route: BTreeMap<Route, Vec<CompiledRule>> = BTreeMap::new();
        for file in files(folder, "yml")? {
            let Ok(text) = std::fs::read_to_string(&file) else {
                continue;
            };
            let Ok(collection) = parse_sigma_yaml(&text) else {
                continue;
            };
            for rule in collection.rules {
                let source = &rule.logsource;
                let route = [&source.product, &source.service, &source.category].map(Clone::clone);
                if route.iter().any(Option::is_some)
                    && let Ok(compiled) = compile_rule(&rule)
                    && seen.insert(rule.id.clone())
                {
                    by_route.entry(route).or_default().push(compiled);
                }
            }
        }
        let rules = by_route.values().map(Vec::len).sum();
        let engines: Vec<(Route, Engine)> = by_route
            .into_iter()
            .map(|(route, compiled)| {
                let mut engine = Engine::new();
                engine.extend_compiled_rules(compiled);
                (route, engine)
            })
            .collect();
        let sources = [("aws", "cloudtrail"), ("linux", "sshd")].map(|(p, s)| LogSource::new(p, s));
        let routes = sources.map(|source| (source.clone(), route(&engines, &source)));
        Ok(Self {
            engines,
            rules,
            routes: routes.into(),
        })
    }

    fn evaluate(&self, source: &LogSource, value: &Value) -> u64 {
        let event = JsonEvent::borrow(value);
        let route = self
            .routes
            .get(source)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let engines = route.iter().filter_map(|n| self.engines.get(*n));
        engines
            .map(|(_, engine)| engine.evaluate(&event).len() as u64)
            .sum()
    }
}

/// The engines whose rules are meant for events of `source`.
fn route(engines: &[(Route, Engine)], source: &LogSource) -> Vec<usize> {
    let event = [
        Some(&source.product),
        Some(&source.service),
        source.category.as_ref(),
    ];
    let fits = |route: &Route| {
        let mut parts = route.iter().zip(event);
        parts.all(|(rule, event)| rule.as_ref().is_none_or(|rule| Some(rule) == event))
    };
    let fitting = engines
        .iter()
        .enumerate()
        .filter(|(_, (route, _))| fits(route));
    fitting.map(|(n, _)| n).collect()
}

/// All files of that extension below a folder, sorted.
fn files(folder: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
