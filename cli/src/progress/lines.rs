//! Chooses the wait to show, and writes its line.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

use epione_client::waiting::{Awaited, Wait};
use epione_primitives::HospitalId;
use indicatif::BinaryBytes;
use serde_json::json;

use crate::wording::{controls, escaped, legible};

/// A wait that continues is printed again after this time.
const AGAIN: Duration = Duration::from_secs(30);

/// The wait to show, of those that last at least this long: the oldest one with a reason; if none has a reason, the one
/// that began last, which is the most specific. Waits of the same kind for the same hospital count as one.
pub(super) fn foremost(waits: &[Wait], now: Instant, least: Duration) -> Option<Wait> {
    let lasting: Vec<_> = merged(waits)
        .into_iter()
        .filter(|wait| now.saturating_duration_since(wait.since) >= least)
        .collect();
    let explained = lasting.iter().filter(|wait| wait.reason.is_some());
    explained.min_by_key(|wait| wait.since).or(lasting.last()).cloned()
}

/// Merges the waits for several segments of one hospital: they last since a byte of any of them arrived, or since the
/// first of those with a reason began.
fn merged(waits: &[Wait]) -> Vec<Wait> {
    let mut merged: Vec<Wait> = Vec::new();
    for wait in waits {
        let same = |known: &&mut Wait| (&known.what, known.hospital) == (&wait.what, wait.hospital);
        match merged.iter_mut().find(same) {
            None => merged.push(wait.clone()),
            Some(known) => {
                let newer = wait.since > known.since;
                let replaces = match (&known.reason, &wait.reason) {
                    (None, None) => newer,
                    (None, Some(_)) => true,
                    (Some(_), None) => false,
                    (Some(_), Some(_)) => !newer,
                };
                if replaces {
                    known.clone_from(wait);
                }
            }
        }
    }
    merged
}

/// What was printed without a terminal.
#[derive(Default)]
pub(super) struct Printed(HashMap<(Awaited, Option<HospitalId>), Line>);

struct Line {
    at: Instant,
    with_reason: bool,
}

impl Printed {
    /// Whether to print a wait now: for the first time, with its first reason, or again after a long time.
    pub(super) fn is_due(&mut self, wait: &Wait, now: Instant) -> bool {
        let with_reason = wait.reason.is_some();
        let key = (wait.what.clone(), wait.hospital);
        let due = self.0.get(&key).is_none_or(|line| {
            (with_reason && !line.with_reason) || now.saturating_duration_since(line.at) >= AGAIN
        });
        if due {
            // A reason that appears repeatedly is printed once.
            let with_reason = with_reason || self.0.get(&key).is_some_and(|line| line.with_reason);
            self.0.insert(key, Line { at: now, with_reason });
        }
        due
    }
}

/// The printed line of a wait: for what, since when, and why. In JSON an object with the member `waiting`.
pub(super) fn line(wait: &Wait, now: Instant, clock: SystemTime, as_json: bool) -> String {
    let lasting = now.saturating_duration_since(wait.since);
    let since = clock.checked_sub(lasting).unwrap_or(clock);
    let since = humantime::format_rfc3339_seconds(since).to_string();
    let seconds = lasting.as_secs();
    if as_json {
        let progress = wait.progress.map(|at| json!({ "done": at.done, "total": at.total }));
        let waiting = json!({
            "what": wait.to_string(),
            "hospital": wait.hospital,
            "since": since,
            "seconds": seconds,
            "reason": wait.reason,
            "progress": progress,
        });
        return escaped(&json!({ "waiting": waiting }).to_string());
    }
    legible(format!("{wait}, for {seconds} s, since {since}{}", details(wait)).as_bytes())
}

/// The line of a wait on a terminal.
pub(super) fn brief(wait: &Wait, now: Instant) -> String {
    let seconds = now.saturating_duration_since(wait.since).as_secs();
    legible(format!("{wait}, for {seconds} s{}", details(wait)).as_bytes())
}

fn details(wait: &Wait) -> String {
    let progress =
        wait.progress.filter(|progress| progress.total > 0).map_or_else(String::new, |progress| {
            format!(", {} of {}", BinaryBytes(progress.done), BinaryBytes(progress.total))
        });
    let reason = wait.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    // A worker's text may have several lines, or terminal controls.
    let reason: String = reason.chars().map(|c| if controls(c) { ' ' } else { c }).collect();
    progress + &reason
}

#[cfg(test)]
mod tests {
    use epione_client::{Progress, waiting::Waits};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Waits of these ages in seconds.
    fn script(of: &[(u32, Awaited, Option<u16>, Option<&str>)], now: Instant) -> Vec<Wait> {
        let waits = Waits::default();
        let script = of.iter().map(|(age, what, hospital, reason)| {
            let waiting = waits.begin(what.clone(), hospital.map(HospitalId));
            let mut wait = waits.now().remove(0);
            drop(waiting);
            wait.since = now.checked_sub(SECOND * *age).unwrap();
            wait.reason = reason.map(Into::into);
            wait
        });
        script.collect()
    }

    fn later() -> Instant {
        Instant::now() + SECOND * 3_600
    }

    #[test]
    fn a_wait_with_a_reason_is_shown_before_the_most_specific_one() {
        let now = later();
        let step = Awaited::Step("reading".into());
        let quiet = [(9, step.clone(), None, None), (4, Awaited::Answer, Some(1), None)];
        let shown = |of: &[_]| foremost(&script(of, now), now, SECOND * 2);
        assert_eq!(shown(&quiet).unwrap().what, Awaited::Answer);
        let explained = [
            (9, step, None, None),
            (8, Awaited::Segment, Some(3), Some("refused")),
            (4, Awaited::Answer, Some(1), None),
            (0, Awaited::Node, None, Some("lost")),
        ];
        let shown = shown(&explained).unwrap();
        assert_eq!((shown.what, shown.hospital), (Awaited::Segment, Some(HospitalId(3))));
    }

    #[test]
    fn a_short_wait_is_not_shown() {
        let now = later();
        let waits = script(&[(1, Awaited::Node, None, Some("lost"))], now);
        assert_eq!(foremost(&waits, now, SECOND * 2), None);
        assert_eq!(foremost(&[], now, Duration::ZERO), None);
    }

    #[test]
    fn segments_of_one_hospital_are_one_wait_since_the_last_byte_arrived() {
        let now = later();
        let segment = |age, reason| (age, Awaited::Segment, Some(0), reason);
        let shown = |of: &[_]| foremost(&script(of, now), now, SECOND * 2);
        // One of the segments makes progress: the reader does not wait.
        assert_eq!(shown(&[segment(9, None), segment(0, None), segment(5, None)]), None);
        let kept = shown(&[segment(9, None), segment(5, Some("away")), segment(7, Some("away"))]);
        assert_eq!(kept.unwrap().since, now - SECOND * 7);
    }

    #[test]
    fn a_wait_is_printed_once_then_with_a_reason_then_every_half_minute() {
        let now = later();
        let at = |seconds| now + SECOND * seconds;
        let quiet = script(&[(2, Awaited::Grant, Some(0), None)], now).remove(0);
        let explained = Wait { reason: Some("late".into()), ..quiet.clone() };
        let mut printed = Printed::default();
        assert!(printed.is_due(&quiet, at(0)));
        assert!(!printed.is_due(&quiet, at(1)));
        assert!(printed.is_due(&explained, at(2)));
        // A reason that appears again, or changes, is not printed again.
        assert!(!printed.is_due(&quiet, at(3)));
        assert!(
            !printed.is_due(&Wait { reason: Some("other".into()), ..explained.clone() }, at(4))
        );
        assert!(!printed.is_due(&explained, at(31)));
        assert!(printed.is_due(&explained, at(32)));
        let other = Wait { hospital: Some(HospitalId(1)), ..explained };
        assert!(printed.is_due(&other, at(32)));
        let lines = (33..3_600).filter(|second| printed.is_due(&quiet, at(*second))).count();
        assert!(lines <= 119, "{lines}");
    }

    #[test]
    fn a_line_has_the_wait_its_beginning_and_its_reason() {
        let now = later();
        let mut wait =
            script(&[(4, Awaited::Segment, Some(2), Some("away\x1b[2J\nfor now"))], now).remove(0);
        let clock = SystemTime::UNIX_EPOCH + SECOND * 64;
        let said = line(&wait, now, clock, false);
        assert!(said.contains("hospital 2"), "{said}");
        assert!(said.contains("for 4 s, since 1970-01-01T00:01:00Z: away"), "{said}");
        assert!(!said.contains(controls), "{said}");
        wait.progress = Some(Progress { done: 1_048_576, total: 2_097_152 });
        let brief = brief(&wait, now);
        assert!(brief.contains("for 4 s, 1.00 MiB of 2.00 MiB: away"), "{brief}");
        let json: serde_json::Value = serde_json::from_str(&line(&wait, now, clock, true)).unwrap();
        assert_eq!(json["waiting"]["hospital"], json!(2));
        assert_eq!(json["waiting"]["seconds"], json!(4));
        assert_eq!(json["waiting"]["since"], json!("1970-01-01T00:01:00Z"));
        assert_eq!(json["waiting"]["reason"], json!("away\x1b[2J\nfor now"));
        assert_eq!(json["waiting"]["progress"]["done"], json!(1_048_576));
    }
}
