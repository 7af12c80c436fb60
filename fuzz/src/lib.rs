//! What holds for every normalised batch, whatever the bytes were.

use hub_base::Timestamp;
use hub_events::normalise::{Format, MAX_RAW, Options, normalise};

/// Normalises the bytes and checks that every line is accounted for, that what is kept is bounded and can be stored,
/// and that no event carries the hub's own log source.
///
/// # Panics
/// If one of these does not hold.
pub fn check(format: Format, bytes: &[u8]) {
    let out = normalise(
        format,
        bytes,
        &Options::at(Timestamp::from_unix_seconds(1_800_000_000)),
    );
    let told = out.events.len() + out.rejected.len();
    let repeats = format == Format::Sshd;
    assert!(told == out.lines as usize || (repeats && told > out.lines as usize));
    for kept in &out.rejected {
        assert!(kept.line > 0 && kept.raw.len() <= MAX_RAW && kept.reason.len() <= 512);
        assert!(!kept.raw.contains('\0') && !kept.reason.contains('\0'));
    }
    for event in &out.events {
        assert_ne!(event.source.product, "security_hub");
        assert!(!event.source.product.contains('\0') && !event.source.service.contains('\0'));
        assert!(event.at("class_uid").is_some_and(|class| class.is_number()));
        assert!(event.text("metadata.log_provider") != Some("security_hub"));
    }
}
