//! Moments, as TOML and sentences write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use epione_primitives::Moment;
use toml::value::{Datetime, Offset};

use super::fields::Objection;

/// The last moment that TOML can write, in milliseconds after 1970: the end of the year 9999.
pub(super) const LAST: Moment = 253_402_300_799_999;

/// The time of this machine.
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment::try_from(since.as_millis()).unwrap_or(Moment::MAX)
}

/// A moment as TOML writes it, in UTC; one that TOML cannot write becomes the last one that it can.
pub(super) fn written(at: Moment) -> String {
    let at = at.min(LAST);
    if at.is_multiple_of(1_000) {
        return in_seconds(at);
    }
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at)).to_string()
}

/// A moment up to [`LAST`] in UTC, without its milliseconds.
pub(super) fn in_seconds(at: Moment) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(at)).to_string()
}

/// The moment that a TOML value stands for. What is finer than a millisecond is cut off.
pub(super) fn moment(written: &Datetime) -> Result<Moment, Objection> {
    let (Some(date), Some(time)) = (written.date, written.time) else {
        return Err(Objection::new(
            "is not a full time",
            "write date, time and offset, as in 2027-01-01T00:00:00Z",
        ));
    };
    let Some(offset) = written.offset else {
        return Err(Objection::new(
            "does not say in which time zone",
            "write Z for UTC, or an offset such as +01:00, at its end",
        ));
    };
    let text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
        date.year,
        date.month,
        date.day,
        time.hour,
        time.minute,
        time.second.unwrap_or(0),
        time.nanosecond.unwrap_or(0),
    );
    let impossible = || Objection::new("is not a time after 1970", "correct it");
    let local = humantime::parse_rfc3339(&text).map_err(|_| impossible())?;
    let local = local.duration_since(UNIX_EPOCH).map_err(|_| impossible())?.as_millis();
    let ahead = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i128::from(minutes) * 60_000,
    };
    let universal = i128::try_from(local).map_err(|_| impossible())? - ahead;
    Moment::try_from(universal).map_err(|_| impossible())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Moment> {
        moment(&text.parse().unwrap()).ok()
    }

    #[test]
    fn an_offset_is_counted_back_to_utc() {
        assert_eq!(read("1970-01-01T00:00:01Z"), Some(1_000));
        assert_eq!(read("2027-01-01T00:00:00Z"), read("2027-01-01T01:30:00+01:30"));
        assert_eq!(read("2026-12-31T23:00:00-01:00"), read("2027-01-01T00:00:00Z"));
    }

    #[test]
    fn times_without_an_offset_and_before_1970_are_no_moments() {
        for text in [
            "2027-01-01",
            "2027-01-01T00:00:00",
            "00:00:00",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for at in [0, 1, 999, 1_000, 1_700_000_000_123, 4_102_444_800_000, LAST] {
            assert_eq!(read(&written(at)), Some(at));
        }
        assert_eq!(read(&written(Moment::MAX)), Some(LAST));
    }
}
