//! A run as it goes on, on standard error.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hub_emulate::Progress;
use hub_emulate::report::seconds;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::Output;

/// Bars on a terminal; a line per event elsewhere.
pub(super) struct Display {
    live: bool,
    bars: MultiProgress,
    stage: ProgressBar,
    attacks: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Display {
    pub(super) fn new() -> Self {
        let live = Output::is_live();
        let bars = MultiProgress::new();
        let stage = if live {
            bars.add(ProgressBar::new(0))
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) =
            ProgressStyle::with_template("{elapsed_precise} {bar:24} {pos}/{len} {msg}")
        {
            stage.set_style(style);
        }
        Self {
            live,
            bars,
            stage,
            attacks: Mutex::default(),
        }
    }

    fn say(&self, id: &str, text: &str, last: bool) {
        if !self.live {
            Output::new(false).note(text);
            return;
        }
        let mut attacks = self.attacks.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = attacks.entry(id.to_owned()).or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            bar.enable_steady_tick(std::time::Duration::from_millis(120));
            bar
        });
        bar.set_message(text.to_owned());
        if last {
            bar.finish();
        }
    }

    pub(super) fn tell(&self, progress: Progress) {
        match progress {
            Progress::Stage { name, steps } => {
                self.stage.set_length(steps);
                self.stage.set_position(0);
                self.stage.set_message(name);
                if !self.live {
                    Output::new(false).note(&format!("… {name}"));
                }
            }
            Progress::Step => self.stage.inc(1),
            Progress::Requests { all, hostile } => {
                if self.live {
                    self.stage.set_message(format!(
                        "work, and attacks among it: {all} requests, {hostile} hostile"
                    ));
                }
            }
            Progress::AttackBegan { id, technique } => {
                self.say(&id, &format!("{technique:<10} {id}: attack begins"), false);
            }
            Progress::Detected {
                id,
                technique,
                after_ms,
            } => {
                let after = seconds(Some(after_ms));
                self.say(
                    &id,
                    &format!("{technique:<10} {id}: detected after {after}"),
                    false,
                );
            }
            Progress::Contained {
                id,
                technique,
                after_ms,
            } => {
                let after = seconds(Some(after_ms));
                self.say(
                    &id,
                    &format!("{technique:<10} {id}: contained after {after}"),
                    true,
                );
            }
        }
    }

    pub(super) fn end(&self) {
        self.stage.finish_and_clear();
    }
}
