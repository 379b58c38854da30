//! Instants of FHIR. The end of a FHIR period is a part of it; the chain's ends are not. Instants are written with
//! milliseconds, so the last millisecond of a period is written exactly.

use std::time::{Duration, UNIX_EPOCH};

use epione_primitives::Moment;

/// The last moment that FHIR can write: the end of the year 9999.
const LAST: Moment = 253_402_300_799_999;

/// A moment in UTC with its milliseconds, as 2027-01-31T00:00:00.000Z; one after the year 9999 becomes its end.
pub fn instant(at: Moment) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(at.min(LAST));
    humantime::format_rfc3339_millis(at).to_string()
}

/// The first and the last millisecond of a written time: of a second, if it has no fraction. None if it is not a full
/// time in UTC with at most milliseconds.
pub(super) fn read(text: &str) -> Option<(Moment, Moment)> {
    // humantime accepts other separators and more digits.
    let is_full = matches!(text.len(), 20 | 24) && text.ends_with('Z') && text.contains('T');
    let at = is_full.then(|| humantime::parse_rfc3339(text).ok()).flatten()?;
    let first = Moment::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    let last = if text.len() == 20 { first.saturating_add(999) } else { first };
    Some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for at in [0, 1, 999, 1_801_353_600_000, LAST] {
            assert_eq!(read(&instant(at)), Some((at, at)), "{at}");
        }
        assert_eq!(read(&instant(Moment::MAX)), Some((LAST, LAST)));
        assert_eq!(read("1970-01-01T00:00:01Z"), Some((1_000, 1_999)));
    }

    #[test]
    fn a_time_without_its_zone_or_of_another_zone_is_refused() {
        for text in [
            "",
            "2027",
            "2027-01",
            "2027-01-31",
            "2027-01-31T00:00:00",
            "2027-01-31T00:00:00+01:00",
            "2027-01-31 00:00:00Z",
            "2027-13-31T00:00:00Z",
            "2027-01-31T00:00:00.1Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
