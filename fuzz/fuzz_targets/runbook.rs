#![no_main]

use hub_operate::runbook::{Runbook, calls};
use libfuzzer_sys::fuzz_target;

// Whatever somebody writes is read or refused with its reasons, each at a line of the file; no script makes the splitter fall.
fuzz_target!(|text: &str| {
    match Runbook::parse("fuzz", text) {
        Ok(book) => {
            assert!(book.checks().is_some() && book.way_back().is_some());
            assert!(book.sections.iter().all(|section| !section.items.is_empty()));
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            let lines = text.lines().count().max(1) + 1;
            assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line)));
        }
    }
    let _found = calls(text, "hubctl");
});
