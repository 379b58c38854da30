//! How many patients share something with a requester: question and answer of `POST /v1/counts`.

use std::{fmt, str::FromStr};

use epione_envelope::record::SectionKind;
use epione_primitives::{Moment, access::Purpose, limits::DAY_MILLIS};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest imaging modality, in bytes: DICOM's codes have 16 at most.
pub const MAX_MODALITY_BYTES: usize = 16;
/// Years of a [`Month`].
const YEARS: std::ops::RangeInclusive<u16> = 1970..=9999;

/// How many patients share a section of these kinds with the caller, for a purpose? Only sections of the worker's own
/// hospital count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountRequest {
    /// Kinds of sections, such as `diagnosis`. A section of one of them counts. Absent: of any kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub kinds: Vec<SectionKind>,
    /// Only DICOM files of this imaging modality, such as `CT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality: Option<String>,
    /// Only records that were signed in this month (UTC) or later, as in `2026-01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub from: Option<Month>,
    /// Only records that were signed in this month (UTC) or earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub to: Option<Month>,
    /// `treatment`, `patient-request`, `research`, `audit`, `payment` or `public-health`.
    #[schema(value_type = String)]
    pub purpose: Purpose,
}

/// The answer to a [`CountRequest`]. The same caller gets the same answer to the same question for a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountReply {
    /// The hospital counts no fewer patients than this.
    pub floor: u32,
    /// At least so many patients: the number is rounded down to a multiple of the floor. Absent: fewer than `floor`
    /// patients share such a section with the caller, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patients: Option<u32>,
}

/// A calendar month (UTC), the only unit of time in which counts are asked: shorter periods would help to find a single
/// visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    year: u16,
    /// From 1.
    month: u8,
}

/// The text is not a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a month as in 2026-01, from 1970-01 on")]
pub struct InvalidMonth;

impl Month {
    /// The moment at which it begins.
    pub fn begins(self) -> Moment {
        // The days before the month in the civil calendar, whose years begin in March here, so that a leap day is the
        // last day of its year. 719,468 days are before 1970.
        let (year, month) = (u64::from(self.year), u64::from(self.month));
        let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
        let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5;
        days.saturating_sub(719_468).saturating_mul(DAY_MILLIS)
    }

    /// The moment at which it is over: when the next month begins.
    pub fn ends(self) -> Moment {
        let Self { year, month } = self;
        let next = if month < 12 {
            Self { year, month: month + 1 }
        } else {
            Self { year: year.saturating_add(1), month: 1 }
        };
        next.begins()
    }
}

impl FromStr for Month {
    type Err = InvalidMonth;

    fn from_str(text: &str) -> Result<Self, InvalidMonth> {
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (year, month) = text.split_once('-').ok_or(InvalidMonth)?;
        if year.len() != 4 || month.len() != 2 || !is_digits(year) || !is_digits(month) {
            return Err(InvalidMonth);
        }
        let year: u16 = year.parse().map_err(|_| InvalidMonth)?;
        let month: u8 = month.parse().map_err(|_| InvalidMonth)?;
        if YEARS.contains(&year) && (1..=12).contains(&month) {
            Ok(Self { year, month })
        } else {
            Err(InvalidMonth)
        }
    }
}

impl TryFrom<String> for Month {
    type Error = InvalidMonth;

    fn try_from(text: String) -> Result<Self, InvalidMonth> {
        text.parse()
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_and_ends_at_midnight_utc() {
        for (text, begins, ends) in [
            ("1970-01", 0, 31 * DAY_MILLIS),
            ("1970-12", 334 * DAY_MILLIS, 365 * DAY_MILLIS),
            // A leap year, and a century that is one.
            ("2024-02", 1_706_745_600_000, 1_709_251_200_000),
            ("2000-02", 949_363_200_000, 951_868_800_000),
            ("2026-11", 1_793_491_200_000, 1_796_083_200_000),
        ] {
            let month: Month = text.parse().unwrap();
            assert_eq!((month.begins(), month.ends()), (begins, ends), "{text}");
            assert_eq!(month.to_string(), text);
        }
        let months: Vec<Month> = ["2025-12", "2026-01"].map(|text| text.parse().unwrap()).to_vec();
        assert!(months[0] < months[1]);
        assert_eq!(months[0].ends(), months[1].begins());
    }

    #[test]
    fn only_months_are_months() {
        for text in [
            "",
            "2026",
            "2026-1",
            "2026-13",
            "2026-00",
            "26-01",
            "1969-12",
            "2026-01-01",
            "+026-01",
        ] {
            assert_eq!(text.parse::<Month>(), Err(InvalidMonth), "{text}");
        }
    }

    #[test]
    fn a_question_leaves_out_what_is_not_asked() {
        let request = CountRequest {
            kinds: vec![SectionKind::Diagnosis],
            modality: None,
            from: Some("2026-01".parse().unwrap()),
            to: None,
            purpose: Purpose::Research,
        };
        let json = r#"{"kinds":["diagnosis"],"from":"2026-01","purpose":"research"}"#;
        assert_eq!(serde_json::to_string(&request).unwrap(), json);
        assert_eq!(serde_json::from_str::<CountRequest>(json).unwrap(), request);
        for wrong in [
            r#"{"purpose":"research","from":"January"}"#,
            r#"{"purpose":"research","kinds":["poem"]}"#,
            r#"{"purpose":"research","day":"2026-01-01"}"#,
            r#"{"kinds":[]}"#,
        ] {
            assert!(serde_json::from_str::<CountRequest>(wrong).is_err(), "{wrong}");
        }
        let few = CountReply { floor: 10, patients: None };
        assert_eq!(serde_json::to_string(&few).unwrap(), r#"{"floor":10}"#);
        let some = CountReply { floor: 10, patients: Some(20) };
        assert_eq!(serde_json::to_string(&some).unwrap(), r#"{"floor":10,"patients":20}"#);
    }
}
