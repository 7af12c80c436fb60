use proptest::prelude::*;

use super::*;

fn shown(text: &str) -> String {
    match parse(text) {
        Ok(line) => {
            let when = match line.when {
                When::At(time) => time.to_string(),
                When::WithoutYear { month, day, time } => format!("{month}-{day} {time}"),
            };
            let pid = line.pid.map_or_else(String::new, |pid| pid.to_string());
            format!(
                "{when}|{}|{}|{pid}|{}",
                line.host, line.program, line.message
            )
        }
        Err(reason) => format!("fault: {reason}"),
    }
}

#[test]
fn frames_of_both_generations() {
    for (text, expected) in [
        (
            "Nov  2 10:00:00 web sshd[7]: hello",
            "11-2 10:00:00.0|web|sshd|7|hello",
        ),
        (
            "<38>Nov 20 10:00:00 web sshd[7]: a: b",
            "11-20 10:00:00.0|web|sshd|7|a: b",
        ),
        (
            "Nov 20 23:59:60 web kernel: x",
            "11-20 23:59:59.0|web|kernel||x",
        ),
        (
            "2026-11-20T10:00:00.5+02:00 web cron[x]: y",
            "2026-11-20T08:00:00.5Z|web|cron||y",
        ),
        (
            "Nov 20 10:00:00 web last message repeated 3 times",
            "11-20 10:00:00.0|web|||last message repeated 3 times",
        ),
        (
            "Nov 20 10:00:00 web odd tag: x",
            "11-20 10:00:00.0|web|||odd tag: x",
        ),
        ("Nov 20 10:00:00 web sshd:", "11-20 10:00:00.0|web|sshd||"),
        (
            "<34>1 2026-11-20T10:00:00Z web sshd 7 - - \u{feff}hello",
            "2026-11-20T10:00:00Z|web|sshd|7|hello",
        ),
        (
            r#"<34>1 2026-11-20T10:00:00Z web su - ID47 [a b="]\"" c="d"][e] hello [x]"#,
            "2026-11-20T10:00:00Z|web|su||hello [x]",
        ),
        (
            "1 2026-11-20T10:00:00Z - - - - -",
            "2026-11-20T10:00:00Z|-|||",
        ),
    ] {
        assert_eq!(shown(text), expected);
    }
}

#[test]
fn what_is_no_syslog_says_why() {
    for (text, expected) in [
        ("hello world", "no syslog or RFC 3339 time at the beginning"),
        ("hello", "no time at the beginning"),
        ("Nov 20 10:00:00 web", "no host after the time"),
        ("Nov 20 10:00:00 web ", "no host and message after the time"),
        ("Nov 32 10:00:00 web a: b", "the day is no day of a month"),
        (
            "Nov 20 10:00:61 web a: b",
            "the time of day is not hh:mm:ss",
        ),
        (
            "Nov 20 10:00:00:00 web a: b",
            "the time of day is not hh:mm:ss",
        ),
        (
            "<34>1 2026-11-20T10:00:00Z web su",
            "no process id where RFC 5424 has it",
        ),
        (
            "<34>1 - web su - - - x",
            "no syslog or RFC 3339 time at the beginning",
        ),
        (
            r#"<34>1 2026-11-20T10:00:00Z web su - - [a b="c] x"#,
            "the structured data has no end",
        ),
        (
            "<34>1 2026-11-20T10:00:00Z web su - - -x",
            "the structured data has no end",
        ),
    ] {
        assert_eq!(shown(text), format!("fault: {expected}"));
    }
}

/// The years that the days get, at noon of 23 November 2026.
fn years(first: Option<i32>, days: &[&str]) -> Vec<String> {
    let when = |day: &&str| parse(&format!("{day} 10:00:00 h p: m")).unwrap().when;
    let whens: Vec<When> = days.iter().map(when).collect();
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    let mut years = Years::from(first.unwrap_or_else(|| first_year(now, &whens)));
    let year = |when: &When| match years.resolve(*when) {
        Ok(time) => time.to_offset().year().to_string(),
        Err(reason) => reason,
    };
    whens.iter().map(year).collect()
}

#[test]
fn days_get_the_newest_year_that_fits_all_of_them() {
    for (days, expected) in [
        (vec!["Nov 20"], vec!["2026"]),
        (vec!["Nov 24"], vec!["2026"]),
        (vec!["Nov 25"], vec!["2025"]),
        (vec!["Dec 31", "Jan  1"], vec!["2025", "2026"]),
        // A log that is silent over the turn of the year, and goes on until now.
        (
            vec!["Nov  1", "Feb  1", "Nov 20"],
            vec!["2025", "2026", "2026"],
        ),
        // Late lines, at the turn of the year and within it.
        (
            vec!["Jan  1", "Dec 31", "Jan  2"],
            vec!["2026", "2025", "2026"],
        ),
        (
            vec!["Nov 10", "Nov  9", "Nov 11"],
            vec!["2026", "2026", "2026"],
        ),
        // Files joined with the newest first.
        (
            vec!["Nov  1", "Oct  1", "Sep  1"],
            vec!["2026", "2026", "2026"],
        ),
        (
            vec!["Feb 28", "Feb 29", "Mar  1"],
            vec!["2024", "2024", "2024"],
        ),
        (
            vec!["Nov 20", "Nov 31"],
            vec!["2026", "2026 has no such day"],
        ),
    ] {
        assert_eq!(years(None, &days), expected, "{days:?}");
    }
}

#[test]
fn a_given_year_is_believed() {
    assert_eq!(
        years(Some(2017), &["Dec 31", "Jan  1", "Dec 31"]),
        ["2017", "2018", "2017"]
    );
    assert_eq!(
        years(Some(2019), &["Feb 28", "Feb 29", "Mar  1"]),
        ["2019", "2019 has no such day", "2019"]
    );
    assert_eq!(
        years(Some(i32::MAX), &["Dec 31"]),
        [format!("{} has no such day", i32::MAX)]
    );
}

proptest! {
    #[test]
    fn any_days_get_years_without_a_panic(first in any::<i32>(), days in prop::collection::vec((1_u8..=12, 1_u8..=31), 0..40)) {
        let whens: Vec<When> = days.iter().map(|(month, day)| When::WithoutYear { month: *month, day: *day, time: Time::MIDNIGHT }).collect();
        let mut given = Years::from(first);
        for when in &whens {
            let _ = given.resolve(*when);
        }
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        prop_assert!((2018..=2026).contains(&first_year(now, &whens)));
    }

    #[test]
    fn any_text_is_parsed_without_a_panic(text in "(<[0-9]{1,3}>)?(1 |Nov 20 )?[ -~]{0,40}(\\[[^ ]{0,10})?[ -~\u{e9}]{0,40}") {
        let _ = parse(&text);
    }
}
