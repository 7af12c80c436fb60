#![no_main]

use hub_events::normalise::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hub_fuzz::check(Format::CloudTrail, bytes));
