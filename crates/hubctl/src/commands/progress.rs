//! How far a long operation is: a line for each step on standard error, and a bar on a terminal.

use hub_operate::operation::{Entry, Witness};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Output;

/// Shows an operation's steps.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = Output::is_live().then(|| ProgressBar::new(100));
        if let Some(bar) = &bar
            && let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos} %")
        {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// What it waits for, for as long as nothing else is to be said.
    pub(crate) fn note(&self, words: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(words.to_owned());
            bar.tick();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Witness for Progress {
    fn begins(&self, step: &str, words: &str) {
        if let Some(bar) = &self.0 {
            bar.set_position(0);
            bar.set_message(format!("{step}: {words}"));
        }
    }

    fn progress(&self, percent: f32) {
        if let Some(bar) = &self.0 {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 0 to 100"
            )]
            bar.set_position(percent.clamp(0.0, 100.0) as u64);
        }
    }

    fn did(&self, entry: &Entry) {
        let seconds = entry.took_ms as f64 / 1000.0;
        let text = format!("{:<10} {} ({seconds:.1} s)", entry.step, entry.said);
        match &self.0 {
            Some(bar) => bar.println(text),
            None => Output::new(false).note(&text),
        }
    }
}
