//! From files to compiled rules, with a fault for everything that does not get there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hub_events::Severity;
use rsigma_eval::correlation::compile_correlation;
use rsigma_eval::{CompiledRule, Engine, compile_rule};
use rsigma_parser::{
    ConditionOperator, CorrelationRule, CorrelationType, Level, SigmaRule, WindowMode,
    parse_sigma_yaml,
};

use super::{Correlation, HubBlock, PACK, Partition, Route, Rule, RuleFault, RuleSet, RuleSource};

/// A file larger than this is not a rule.
const LARGEST: u64 = 1 << 20;

/// Where a document stands.
#[derive(Debug, Clone)]
struct Place {
    file: String,
    /// The file as its folder has it: what a rule without an id goes by, wherever the folder lies.
    name: String,
    line: usize,
}

impl Place {
    fn fault(&self, reason: impl ToString) -> RuleFault {
        let reason = reason.to_string();
        // The YAML reader counts within the document.
        let (line, column) = position(&reason).map_or((0, None), |(l, c)| (l.saturating_sub(1), c));
        RuleFault {
            file: self.file.clone(),
            line: self.line + line,
            column,
            reason,
        }
    }
}

/// `… at line 3 column 5` as the parsers write it.
fn position(text: &str) -> Option<(usize, Option<usize>)> {
    let number = |after: &str| {
        let rest = text.split_once(after)?.1;
        rest.split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    };
    Some((number("line ")?, number("column ")))
}

#[derive(Default)]
struct Loader {
    faults: Vec<RuleFault>,
    seen: HashMap<String, Place>,
    detections: Vec<(Rule, Route, CompiledRule)>,
    correlations: Vec<(Correlation, Place)>,
}

pub(super) fn load(sources: &[RuleSource]) -> (RuleSet, Vec<RuleFault>) {
    let mut loader = Loader::default();
    for source in sources {
        match source {
            RuleSource::Embedded => {
                for (name, text) in PACK.iter().filter(|(name, _)| !is_test(name)) {
                    loader.text(name, name, text);
                }
            }
            RuleSource::Folder(path) => loader.folder(path, path),
            RuleSource::Text { name, text } => loader.text(name, name, text),
        }
    }
    loader.finish()
}

/// Whether the file holds tests of rules.
fn is_test(name: &str) -> bool {
    name.split('/').rev().skip(1).any(|part| part == "tests")
}

impl Loader {
    fn folder(&mut self, root: &Path, folder: &Path) {
        let unreadable = |error: std::io::Error| RuleFault {
            file: folder.display().to_string(),
            line: 1,
            column: None,
            reason: format!("cannot be read: {error}"),
        };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.faults.push(unreadable(error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => paths.push(entry.path()),
                Err(error) => self.faults.push(unreadable(error)),
            }
        }
        paths.sort();
        for path in paths {
            let is_rule = path
                .extension()
                .is_some_and(|ext| ext == "yml" || ext == "yaml");
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "tests") {
                    self.folder(root, &path);
                }
            } else if is_rule {
                self.file(root, &path);
            }
        }
    }

    fn file(&mut self, root: &Path, path: &Path) {
        let place = Place {
            file: path.display().to_string(),
            name: path
                .strip_prefix(root)
                .unwrap_or(path)
                .display()
                .to_string(),
            line: 1,
        };
        let too_large = std::fs::metadata(path).is_ok_and(|meta| meta.len() > LARGEST);
        if too_large {
            return self
                .faults
                .push(place.fault("larger than 1 MiB: not a rule"));
        }
        match std::fs::read_to_string(path) {
            Ok(text) => self.text(&place.file, &place.name, &text),
            Err(error) => self
                .faults
                .push(place.fault(format!("cannot be read: {error}"))),
        }
    }

    fn text(&mut self, file: &str, name: &str, text: &str) {
        for (line, document) in documents(text) {
            self.document(
                &Place {
                    file: file.to_owned(),
                    name: name.to_owned(),
                    line,
                },
                document,
            );
        }
    }

    fn document(&mut self, place: &Place, text: &str) {
        let collection = match parse_sigma_yaml(text) {
            Ok(collection) => collection,
            Err(error) => return self.faults.push(place.fault(error)),
        };
        self.faults
            .extend(collection.errors.iter().map(|error| place.fault(error)));
        for filter in &collection.filters {
            let reason = format!("`{}`: filter documents are not used here", filter.title);
            self.faults.push(place.fault(reason));
        }
        let mut found = !collection.errors.is_empty() || !collection.filters.is_empty();
        for rule in collection.rules {
            found = true;
            if let Err(reason) = self.detection(rule, place) {
                self.faults.push(place.fault(reason));
            }
        }
        for rule in collection.correlations {
            found = true;
            if let Err(reason) = self.correlation(rule, place) {
                self.faults.push(place.fault(reason));
            }
        }
        if !found {
            self.faults.push(place.fault("holds no rule"));
        }
    }

    /// The rule's id; a rule without one goes by its file.
    fn id(&mut self, id: Option<&str>, place: &Place) -> Result<String, String> {
        let id = id.map_or_else(|| format!("{}:{}", place.name, place.line), str::to_owned);
        if let Some(first) = self.seen.get(&id) {
            return Err(format!(
                "the id `{id}` is taken by {}:{}",
                first.file, first.line
            ));
        }
        self.seen.insert(id.clone(), place.clone());
        Ok(id)
    }

    fn detection(&mut self, mut rule: SigmaRule, place: &Place) -> Result<(), String> {
        let source = &rule.logsource;
        let route = Route {
            product: source.product.clone(),
            service: source.service.clone(),
            category: source.category.clone(),
        };
        if route == Route::default() {
            return Err("its logsource names no product, service or category".to_owned());
        }
        let mut compiled = compile_rule(&rule).map_err(|error| error.to_string())?;
        let hub = HubBlock::parse(compiled.custom_attributes.get("hub"))?;
        let id = self.id(rule.id.as_deref(), place)?;
        let names = [Some(id.clone()), rule.name.take()]
            .into_iter()
            .flatten()
            .collect();
        compiled.id = Some(id.clone());
        // A hit is looked up by id: what it would copy each time is not needed.
        compiled.tags = Vec::new();
        compiled.title = String::new();
        let meta = describe(
            id,
            rule.title,
            rule.level,
            &rule.tags,
            rule.author,
            hub,
            names,
        );
        self.detections.push((meta, route, compiled));
        Ok(())
    }

    fn correlation(&mut self, rule: CorrelationRule, place: &Place) -> Result<(), String> {
        let mut compiled = compile_correlation(&rule).map_err(|error| error.to_string())?;
        // Sigma: without a condition all rules must hit. The parser gives "at least one" instead.
        if compiled.correlation_type == CorrelationType::Temporal
            && compiled.condition.predicates == [(ConditionOperator::Gte, 1.0)]
        {
            compiled.condition.predicates =
                vec![(ConditionOperator::Gte, compiled.rule_refs.len() as f64)];
        }
        if compiled.window_mode != WindowMode::Sliding {
            return Err("only sliding windows are supported".to_owned());
        }
        if compiled.extended_expr.is_some() {
            return Err("a condition over rule names is not supported in correlations".to_owned());
        }
        let counts_values = matches!(
            compiled.correlation_type,
            CorrelationType::ValueCount
                | CorrelationType::ValueSum
                | CorrelationType::ValueAvg
                | CorrelationType::ValuePercentile
                | CorrelationType::ValueMedian
        );
        if counts_values && compiled.condition.field.as_ref().is_none_or(Vec::is_empty) {
            return Err("the condition names no field to count".to_owned());
        }
        if compiled.timespan_secs == 0 || compiled.timespan_secs > 7 * 86_400 {
            return Err("the timespan must be between 1 second and 7 days".to_owned());
        }
        let hub = HubBlock::parse(compiled.custom_attributes.get("hub"))?;
        let id = self.id(rule.id.as_deref(), place)?;
        let names = [Some(id.clone()), rule.name]
            .into_iter()
            .flatten()
            .collect();
        let timespan = Duration::from_secs(compiled.timespan_secs);
        let meta = describe(
            id,
            rule.title,
            rule.level,
            &rule.tags,
            rule.author,
            hub,
            names,
        );
        self.correlations.push((
            Correlation {
                rule: meta,
                compiled,
                timespan,
            },
            place.clone(),
        ));
        Ok(())
    }

    fn finish(mut self) -> (RuleSet, Vec<RuleFault>) {
        let correlations = self.resolve();
        self.check_during();
        let both = self
            .detections
            .iter()
            .map(|(rule, ..)| rule)
            .chain(correlations.iter().map(|c| &c.rule));
        let awaited = both.filter_map(|rule| rule.hub.during.clone()).collect();
        let mut by_route: BTreeMap<Route, Vec<CompiledRule>> = BTreeMap::new();
        let mut rules = HashMap::with_capacity(self.detections.len());
        for (rule, route, compiled) in self.detections {
            by_route.entry(route).or_default().push(compiled);
            rules.insert(rule.id.clone(), Arc::new(rule));
        }
        let partitions = by_route.into_iter().map(|(route, compiled)| {
            let mut engine = Engine::new();
            engine.extend_compiled_rules(compiled);
            Partition { route, engine }
        });
        (
            RuleSet {
                partitions: partitions.collect(),
                rules,
                correlations,
                awaited,
            },
            self.faults,
        )
    }

    /// Ties each correlation to the rules it counts; one that names a rule nobody has is a fault.
    fn resolve(&mut self) -> Vec<Correlation> {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (n, (rule, ..)) in self.detections.iter().enumerate() {
            for name in &rule.names {
                by_name.entry(name.clone()).or_default().push(n);
            }
        }
        let above: HashSet<String> = self
            .correlations
            .iter()
            .flat_map(|(c, _)| c.rule.names.iter().cloned())
            .collect();
        let mut usable = Vec::new();
        for (correlation, place) in std::mem::take(&mut self.correlations) {
            let refs = &correlation.compiled.rule_refs;
            if let Some(missing) = refs.iter().find(|name| !by_name.contains_key(*name)) {
                let why = if above.contains(missing) {
                    "is a correlation itself, which is not supported (see `hub: while`)"
                } else {
                    "is not loaded"
                };
                let reason = format!("`{}`: the rule `{missing}` {why}", correlation.rule.id);
                self.faults.push(place.fault(reason));
                continue;
            }
            let counted: HashSet<usize> = refs
                .iter()
                .filter_map(|name| by_name.get(name))
                .flatten()
                .copied()
                .collect();
            for n in counted {
                if let Some((rule, ..)) = self.detections.get_mut(n) {
                    rule.feeds.push(usable.len());
                    rule.is_silent |= !correlation.compiled.generate;
                }
            }
            usable.push(correlation);
        }
        self.correlations.clear();
        usable
    }

    fn check_during(&mut self) {
        for (rule, ..) in &self.detections {
            if let Some(other) = &rule.hub.during
                && !self.seen.contains_key(other)
                && let Some(place) = self.seen.get(&rule.id)
            {
                self.faults
                    .push(place.fault(format!("`hub.while` names `{other}`, which is not loaded")));
            }
        }
    }
}

/// A file's documents with the line each begins on. A file that uses collection actions stays whole.
fn documents(text: &str) -> Vec<(usize, &str)> {
    if text.lines().any(|line| line.starts_with("action:")) {
        return vec![(1, text)];
    }
    let mut out = Vec::new();
    let (mut start, mut first_line, mut at) = (0, 1, 0);
    for (n, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" {
            out.push((first_line, text.get(start..at).unwrap_or_default()));
            start = at + line.len();
            first_line = n + 2;
        }
        at += line.len();
    }
    out.push((first_line, text.get(start..).unwrap_or_default()));
    let is_blank = |text: &str| {
        text.lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    };
    if out.len() > 1 || out.first().is_some_and(|(_, text)| text.trim().is_empty()) {
        let all_blank = out.iter().all(|(_, text)| is_blank(text));
        if !all_blank {
            out.retain(|(_, text)| !is_blank(text));
        }
    }
    out
}

fn describe(
    id: String,
    title: String,
    level: Option<Level>,
    tags: &[String],
    authors: Option<String>,
    hub: HubBlock,
    names: Vec<String>,
) -> Rule {
    let (mut techniques, mut tactics) = (Vec::new(), Vec::new());
    for tag in tags.iter().filter_map(|tag| tag.strip_prefix("attack.")) {
        let is_technique = tag
            .strip_prefix(['t', 'T'])
            .is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()));
        if is_technique {
            techniques.push(tag.to_ascii_uppercase());
        } else if !tag.starts_with(['s', 'g']) || !tag.contains(|c: char| c.is_ascii_digit()) {
            tactics.push(tag.replace('_', "-"));
        }
    }
    Rule {
        id,
        title,
        severity: severity(level),
        techniques,
        tactics,
        authors,
        hub,
        is_silent: false,
        feeds: Vec::new(),
        names,
    }
}

const fn severity(level: Option<Level>) -> Severity {
    match level {
        Some(Level::Critical) => Severity::Critical,
        Some(Level::High) => Severity::High,
        Some(Level::Medium) => Severity::Medium,
        Some(Level::Low) | None => Severity::Low,
        Some(Level::Informational) => Severity::Informational,
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
