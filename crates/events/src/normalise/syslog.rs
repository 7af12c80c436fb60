//! The frame of a syslog line: time, host, program, message. RFC 3164's times have no year; RFC 5424's have.

use std::time::Duration;

use hub_base::Timestamp;
use time::{Date, Month, PrimitiveDateTime, Time};

/// A line's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) when: When,
    pub(crate) host: &'a str,
    /// Empty if the line names none (`last message repeated 3 times`).
    pub(crate) program: &'a str,
    pub(crate) pid: Option<u32>,
    pub(crate) message: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// RFC 3164: month (1 to 12), day, time of day.
    WithoutYear { month: u8, day: u8, time: Time },
    /// RFC 3339.
    At(Timestamp),
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
    if let Some(rest) = text.strip_prefix("1 ") {
        return versioned(rest);
    }
    let (when, rest) = when(text)?;
    let (host, rest) = rest.split_once(' ').ok_or("no host after the time")?;
    if host.is_empty() || rest.is_empty() {
        return Err("no host and message after the time".to_owned());
    }
    let (program, pid, message) = tag(rest);
    Ok(Line {
        when,
        host,
        program,
        pid,
        message,
    })
}

/// `PROGRAM[PID]: MESSAGE`; a text without such a beginning is all message.
fn tag(text: &str) -> (&str, Option<u32>, &str) {
    let cut = text
        .split_once(": ")
        .or_else(|| text.strip_suffix(':').map(|tag| (tag, "")));
    let Some((tag, message)) = cut.filter(|(tag, _)| !tag.is_empty() && !tag.contains(' ')) else {
        return ("", None, text);
    };
    match tag.strip_suffix(']').and_then(|tag| tag.split_once('[')) {
        Some((program, pid)) => (program, pid.parse().ok(), message),
        None => (tag, None, message),
    }
}

/// RFC 5424 after its version: `TIME HOST PROGRAM PID MSGID DATA [MESSAGE]`, `-` for what is not there.
fn versioned(text: &str) -> Result<Line<'_>, String> {
    let mut words = text.splitn(6, ' ');
    let mut word = |what: &str| {
        let word = words.next().filter(|word| !word.is_empty());
        word.ok_or_else(|| format!("no {what} where RFC 5424 has it"))
    };
    let stamp = word("time")?;
    let (host, program, pid) = (word("host")?, word("program")?, word("process id")?);
    word("message id")?;
    let message = after_data(word("structured data")?).ok_or("the structured data has no end")?;
    Ok(Line {
        when: When::At(moment(stamp)?),
        host,
        program: if program == "-" { "" } else { program },
        pid: pid.parse().ok(),
        message: message.trim_start_matches('\u{feff}'),
    })
}

/// What follows RFC 5424's structured data: `-`, or elements in brackets whose quoted values may hold anything.
fn after_data(text: &str) -> Option<&str> {
    let mut quoted = false;
    let mut escaped = false;
    let mut end = usize::from(text.starts_with('-'));
    for (at, byte) in text
        .bytes()
        .enumerate()
        .take_while(|_| text.starts_with('['))
    {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b']' if !quoted => {
                end = at + 1;
                if text.as_bytes().get(end) != Some(&b'[') {
                    break;
                }
                end = 0;
            }
            _ => {}
        }
    }
    let rest = text.get(end..).filter(|_| end > 0)?;
    rest.strip_prefix(' ').or(rest.is_empty().then_some(rest))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "no syslog or RFC 3339 time at the beginning".to_owned())
}

fn when(text: &str) -> Result<(When, &str), String> {
    let month = text
        .get(..3)
        .and_then(|name| MONTHS.iter().position(|month| *month == name));
    let Some(month) = month else {
        let (stamp, rest) = text.split_once(' ').ok_or("no time at the beginning")?;
        return Ok((When::At(moment(stamp)?), rest));
    };
    let rest = text.get(3..).unwrap_or_default().trim_start();
    let (day, rest) = rest.split_once(' ').ok_or("no day after the month")?;
    let (clock, rest) = rest.trim_start().split_once(' ').ok_or("no time of day")?;
    let day = day
        .parse()
        .ok()
        .filter(|day| (1..=31).contains(day))
        .ok_or("the day is no day of a month")?;
    let time = time_of_day(clock).ok_or("the time of day is not hh:mm:ss")?;
    let month = u8::try_from(month + 1).unwrap_or(1);
    Ok((When::WithoutYear { month, day, time }, rest))
}

fn time_of_day(text: &str) -> Option<Time> {
    let mut parts = text.splitn(3, ':').map(|part| part.parse::<u8>().ok());
    let (h, m, s) = (parts.next()??, parts.next()??, parts.next()??);
    // A leap second happens within the second before it.
    Time::from_hms(h, m, if s == 60 { 59 } else { s }).ok()
}

/// How far a line may stand behind the one before it and still be of the same year. Logs of several hosts or files
/// are joined out of order; a log that is silent for half a year is rarer than that.
const BEHIND: Duration = Duration::from_hours(183 * 24);
/// How far behind a line is a late one of the year before, and not one after a long silence.
const LATE: Duration = Duration::from_hours(31 * 24);
/// Grace for clocks that are ahead.
const AHEAD: Duration = Duration::from_hours(24);
/// How many years back a log may begin, if nobody says; at least one leap year is among them.
const YEARS_BACK: i32 = 8;

/// Gives lines without a year theirs, from the line before.
#[derive(Debug)]
pub(crate) struct Years {
    year: i32,
    last: Option<Timestamp>,
}

impl Years {
    /// Beginning with the year of the first line.
    pub(crate) const fn from(first: i32) -> Self {
        Self {
            year: first,
            last: None,
        }
    }

    pub(crate) fn resolve(&mut self, when: When) -> Result<Timestamp, String> {
        let (month, day, time) = match when {
            When::At(time) => return Ok(time),
            When::WithoutYear { month, day, time } => (month, day, time),
        };
        let at = |year: i32| {
            let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
            let time = PrimitiveDateTime::new(date, time).assume_utc();
            Some(Timestamp::from_offset(time))
        };
        let same = self.year;
        let (before, after) = (same.saturating_sub(1), same.saturating_add(1));
        let year = match self.last {
            Some(last) if at(before).is_some_and(|time| time >= last.minus(LATE)) => before,
            Some(last) if at(same).is_some_and(|time| time < last.minus(BEHIND)) => after,
            _ => same,
        };
        let found = at(year).ok_or_else(|| format!("{year} has no such day"))?;
        self.year = year;
        self.last = Some(found);
        Ok(found)
    }
}

/// The newest year in which a log with these times can have begun: as few lines as may be are of the future or of a
/// day that does not exist.
pub(crate) fn first_year(now: Timestamp, whens: &[When]) -> i32 {
    let soon = now.plus(AHEAD);
    let faults = |first: i32| {
        let mut years = Years::from(first);
        whens
            .iter()
            .filter(|when| years.resolve(**when).map_or(true, |time| time > soon))
            .count()
    };
    let this = now.to_offset().year();
    let mut best = (usize::MAX, this);
    for first in (0..=YEARS_BACK).map(|back| this - back) {
        let found = faults(first);
        if found < best.0 {
            best = (found, first);
        }
        if found == 0 {
            break;
        }
    }
    best.1
}

#[cfg(test)]
mod tests;
