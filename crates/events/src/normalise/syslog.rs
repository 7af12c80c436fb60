//! The frame of a syslog line: time, host, program, message. RFC 3164's times have no year.

use hub_base::Timestamp;
use time::{Date, Month, PrimitiveDateTime, Time};

/// A line's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) when: When<'a>,
    pub(crate) host: &'a str,
    pub(crate) program: &'a str,
    pub(crate) pid: Option<u32>,
    pub(crate) message: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When<'a> {
    /// RFC 3164: month (1 to 12), day, time of day.
    WithoutYear { month: u8, day: u8, time: Time },
    /// RFC 3339.
    Iso(&'a str),
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads a line's frame; the reason if it has none.
pub(crate) fn parse(text: &str) -> Result<Line<'_>, String> {
    // An optional priority, as it comes over the wire: `<38>`.
    let text = match text.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((digits, rest)) if digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            rest
        }
        _ => text,
    };
    let (when, rest) = when(text)?;
    let (host, rest) = rest.split_once(' ').ok_or("no host after the time")?;
    let (tag, message) = rest
        .split_once(": ")
        .or_else(|| rest.strip_suffix(':').map(|tag| (tag, "")))
        .ok_or("no program before a colon")?;
    let (program, pid) = match tag.strip_suffix(']').and_then(|tag| tag.split_once('[')) {
        Some((program, pid)) => (program, pid.parse().ok()),
        None => (tag, None),
    };
    if host.is_empty() || program.is_empty() || program.contains(' ') {
        return Err("no host and program after the time".to_owned());
    }
    Ok(Line {
        when,
        host,
        program,
        pid,
        message,
    })
}

fn when(text: &str) -> Result<(When<'_>, &str), String> {
    let month = text
        .get(..3)
        .and_then(|name| MONTHS.iter().position(|month| *month == name));
    let Some(month) = month else {
        let (stamp, rest) = text.split_once(' ').ok_or("no time at the beginning")?;
        if stamp.parse::<Timestamp>().is_err() {
            return Err("no syslog or RFC 3339 time at the beginning".to_owned());
        }
        return Ok((When::Iso(stamp), rest));
    };
    let rest = text.get(3..).unwrap_or_default().trim_start();
    let (day, rest) = rest.split_once(' ').ok_or("no day after the month")?;
    let (clock, rest) = rest.trim_start().split_once(' ').ok_or("no time of day")?;
    let day = day
        .parse()
        .ok()
        .filter(|day| (1..=31).contains(day))
        .ok_or("the day is no day of a month")?;
    let mut parts = clock.split(':').map(|part| part.parse::<u8>().ok());
    let (Some(Some(h)), Some(Some(m)), Some(Some(s)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("the time of day is not hh:mm:ss".to_owned());
    };
    let time = Time::from_hms(h, m, s.min(59)).map_err(|_| "the time of day is not hh:mm:ss")?;
    let month = u8::try_from(month + 1).unwrap_or(1);
    Ok((When::WithoutYear { month, day, time }, rest))
}

/// Gives lines without a year theirs: it grows when December turns to January.
#[derive(Debug)]
pub(crate) struct Years {
    now: Timestamp,
    year: Option<i32>,
    last_month: u8,
}

impl Years {
    pub(crate) const fn new(now: Timestamp, first: Option<i32>) -> Self {
        Self {
            now,
            year: first,
            last_month: 0,
        }
    }

    pub(crate) fn resolve(&mut self, when: When<'_>) -> Result<Timestamp, String> {
        let (month, day, time) = match when {
            When::Iso(text) => {
                return text
                    .parse()
                    .map_err(|_| "the time is not RFC 3339".to_owned());
            }
            When::WithoutYear { month, day, time } => (month, day, time),
        };
        let at = |year: i32| {
            let month = Month::try_from(month).ok()?;
            let date = Date::from_calendar_date(year, month, day).ok()?;
            Some(Timestamp::from_offset(
                PrimitiveDateTime::new(date, time).assume_utc(),
            ))
        };
        let mut year = self.year.unwrap_or_else(|| {
            let this = self.now.to_offset().year();
            // A day of grace for clocks that are ahead.
            let soon = self.now.plus(std::time::Duration::from_hours(24));
            if at(this).is_some_and(|time| time <= soon) {
                this
            } else {
                this - 1
            }
        });
        if self.last_month == 12 && month == 1 {
            year += 1;
        }
        let found = at(year).ok_or_else(|| format!("{year} has no such day"))?;
        self.year = Some(year);
        self.last_month = month;
        Ok(found)
    }
}
