//! What pgBackRest says when it fails, made short, and what to do about it.

use std::process::Output;

use crate::error::Error;

/// What it printed, or why it failed.
pub(super) fn answered(verb: &str, output: Output) -> Result<String, Error> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Failed {
        program: format!("pgbackrest {verb}"),
        status: output.status.to_string(),
        said: told(&String::from_utf8_lossy(&output.stderr)),
    })
}

/// Parts of its words, and what helps.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["unable to acquire lock"],
        "another backup or restore runs; wait for it",
    ),
    (
        &["No space left", "Disk quota exceeded"],
        "make room in the repository: `hubctl backup prune`, or a larger disk; nothing that was there is lost",
    ),
    (
        &["RequestTimeTooSkewed"],
        "this host's clock and the object store's are too far apart: set the clock (NTP)",
    ),
    (
        &[
            "SignatureDoesNotMatch",
            "InvalidAccessKeyId",
            "NotSignedUp",
            "AccessDenied",
            "403 (Forbidden)",
        ],
        "the object store refuses the key: look at `key_file` (the key's id, the key) and at what the key may do",
    ),
    (
        &["NoSuchBucket"],
        "the bucket is not there: make it, or look at `bucket` and `endpoint`",
    ),
    (
        &[
            "certificate verify failed",
            "unable to verify certificate",
            "unable to find hostname",
        ],
        "its certificate is not trusted here: name its authority with `ca_file`",
    ),
    (
        &[
            "HostConnectError",
            "unable to connect",
            "unable to get address",
            "timeout",
        ],
        "the repository does not answer: is its endpoint right, and is there a way to it?",
    ),
    (
        &["not later than latest backup label"],
        "a backup in the repository was made while a clock was ahead, and nothing can be put behind it before then: set the clocks (NTP), and if you cannot wait, give the repository a new `path`; what is in the old one can still be restored",
    ),
    (
        &["FileMissingError"],
        "nothing was ever backed up into this repository, or its place is another",
    ),
    (
        &["unable to decrypt", "unable to load info file", "cipher"],
        "is it the right passphrase? The one of each repository is sealed in security-hub/recovery.age beside the backups",
    ),
];

/// Its words without the request that failed, with the object store's own, and what to do.
pub(super) fn told(said: &str) -> String {
    const MOST: usize = 4;
    let mut lines: Vec<String> = Vec::new();
    let mut is_request = false;
    for line in said.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("***") {
            is_request = true;
        }
        let code = between(line, "<Code>", "</Code>");
        let line = match code {
            Some(code) => {
                is_request = false;
                match between(line, "<Message>", "</Message>") {
                    Some(message) => format!("{code}: {message}"),
                    None => code.to_owned(),
                }
            }
            None if is_request => continue,
            // What a wrong passphrase makes of a file is no text.
            None => line.chars().filter(|c| !c.is_control()).collect(),
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.truncate(MOST);
    // What helps is found in all that was said.
    let advice = ADVICE
        .iter()
        .find(|(parts, _)| parts.iter().any(|part| said.contains(part)));
    if let Some((_, advice)) = advice {
        lines.push((*advice).to_owned());
    }
    lines.join(" · ")
}

/// Why the archiver could not push the segment that it tried last, out of its log.
pub(super) fn archiver(log: &str) -> Option<String> {
    const SIGN: &str = "could not push WAL file ";
    let (_, last) = log.rsplit_once(SIGN)?;
    // The next line that begins with a time is another message.
    let is_next = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
    let lines: Vec<&str> = last.lines().take_while(|line| !is_next(line)).collect();
    let whole = lines.join("\n");
    let (_, why) = whole
        .split_once("encountered error(s):")
        .unwrap_or(("", &whole));
    Some(told(why))
}

fn between<'t>(text: &'t str, from: &str, to: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(from)?;
    Some(rest.split_once(to)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_is_told_in_a_line_without_the_request() {
        let said = "ERROR: [039]: HTTP request failed with 403 (Forbidden):\n\
            *** Path/Query ***:\n\
            GET /backups/hub/x\n\
            *** Request Headers ***:\n\
            authorization: <redacted>\n\
            *** Response Content ***:\n\
            <?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code></Error>\n";
        assert_eq!(
            told(said),
            "ERROR: [039]: HTTP request failed with 403 (Forbidden): · SignatureDoesNotMatch · the object store refuses \
             the key: look at `key_file` (the key's id, the key) and at what the key may do"
        );
    }

    #[test]
    fn what_nobody_foresaw_is_told_as_it_is() {
        assert_eq!(
            told("ERROR: [001]: the moon is full\n       HINT: wait\n"),
            "ERROR: [001]: the moon is full · HINT: wait"
        );
    }

    #[test]
    fn the_archivers_last_trouble_is_told() {
        let log = "2026-11-27 03:29:55.492 P03   WARN: could not push WAL file '000000010000000000000010' to the archive (will \
            be retried): [104] raised from local-3 protocol: archive-push command encountered error(s):\n\
            \x20      repo1: [FileWriteError] unable to write '/backup/x.zst': [28] No space left on device\n\
            \x20      [CommandError] on retry after 0ms\n\
            2026-11-27 03:29:55.655 P00   INFO: archive-push:async command end: completed successfully\n";
        let why = archiver(log).unwrap();
        assert!(
            why.starts_with("repo1: [FileWriteError] unable to write"),
            "{why}"
        );
        assert!(why.contains("make room in the repository"), "{why}");
        assert_eq!(archiver("nothing"), None);
    }

    #[test]
    fn a_wrong_passphrase_and_an_absent_host_are_not_confused() {
        let away = "ERROR: [049]: unable to load info file 'a' or 'b':\nHostConnectError: unable to connect to 'x:1': [111]";
        assert!(told(away).contains("does not answer"), "{}", told(away));
        let wrong = "ERROR: [095]: unable to load info file 'a' or 'b':\nCryptoError: cipher header invalid";
        assert!(told(wrong).contains("right passphrase"), "{}", told(wrong));
    }
}
