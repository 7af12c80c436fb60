#![no_main]

use hub_ledger::export::{Expect, Report};
use hub_ledger::verify;
use libfuzzer_sys::fuzz_target;

// Nobody here can sign: whatever the bytes are, they are not whole, and that is said without a panic.
fuzz_target!(|bytes: &[u8]| {
    let report = verify(bytes, &Expect::default());
    assert!(report.faults.len() <= Report::MAX_FAULTS);
    assert!(!report.is_whole());
});
