//! Durations as an operator writes them: `500ms`, `30s`, `10min`, `1h 30min`, `7days`. For serde's `with`.

use std::{fmt, time::Duration};

use serde::{
    Deserializer, Serializer,
    de::{Error, Unexpected, Visitor},
};

pub(super) fn serialize<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*duration))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(Text)
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with a unit, such as \"30s\", \"5min\" or \"1h\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        humantime::parse_duration(text).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// The shortest text for a duration, with minutes as `min`.
pub(super) fn text(duration: Duration) -> String {
    let shown = humantime::format_duration(duration).to_string();
    let parts: Vec<_> = shown
        .split(' ')
        .map(|part| match part.strip_suffix('m') {
            Some(minutes) => format!("{minutes}min"),
            None => part.into(),
        })
        .collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_survive_writing_and_reading() {
        for (millis, shown) in [
            (0, "0s"),
            (250, "250ms"),
            (30_000, "30s"),
            (600_000, "10min"),
            (130_000, "2min 10s"),
            (3_600_000, "1h"),
            (604_800_000, "7days"),
        ] {
            let duration = Duration::from_millis(millis);
            assert_eq!(text(duration), shown);
            assert_eq!(humantime::parse_duration(shown), Ok(duration));
        }
    }
}
