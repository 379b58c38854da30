//! A question in one form, however the requester wrote it, so that it is recognized when it is asked again.

use codec::Encode;
use epione_client::api::{CountRequest, MAX_MODALITY_BYTES};
use epione_envelope::record::SectionKind;
use epione_primitives::{Word, access::Purpose, sharing::KindSet};

use crate::{
    api::ApiError,
    journal::{matches::Wanted, sections},
};

/// What a requester asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub purpose: Purpose,
    pub wanted: Wanted,
}

impl Question {
    pub fn of(request: &CountRequest) -> Result<Self, ApiError> {
        let CountRequest { kinds, modality, from, to, purpose } = request;
        if *purpose == Purpose::Emergency {
            return Err(malformed(
                "No consent shares sections for emergencies: name another purpose.",
            ));
        }
        if from.zip(*to).is_some_and(|(from, to)| from > to) {
            return Err(malformed("`from` is after `to`: exchange the two months."));
        }
        let wanted = Wanted {
            kinds: Some(sections::set_of(kinds)).filter(|kinds| !is_any(*kinds)),
            modality: modality.as_deref().map(code).transpose()?,
            from: from.map(|month| month.begins()),
            before: to.map(|month| month.ends()),
        };
        Ok(Self { purpose: *purpose, wanted })
    }

    /// The same for questions with the same meaning.
    pub fn hash(&self) -> [u8; 32] {
        let Self { purpose, wanted: Wanted { kinds, modality, from, before } } = self;
        let asked = (purpose, kinds, modality, from, before);
        blake3::hash(&asked.encode()).into()
    }
}

/// Whether a set of kinds excludes none: it is empty, or has all.
fn is_any(kinds: KindSet) -> bool {
    kinds == KindSet(0) || kinds == sections::set_of(SectionKind::ALL)
}

/// A code as the index has it.
fn code(modality: &str) -> Result<String, ApiError> {
    let is_code = (1..=MAX_MODALITY_BYTES).contains(&modality.len())
        && modality.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_code {
        Ok(modality.to_ascii_uppercase())
    } else {
        Err(malformed("A modality is a code of up to 16 letters and digits, such as `CT`."))
    }
}

fn malformed(detail: &str) -> ApiError {
    ApiError::bad_request("question", "The question cannot be answered", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> CountRequest {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_question_is_recognized_however_it_is_written() {
        let hash = |json| Question::of(&request(json)).unwrap().hash();
        let first =
            hash(r#"{"kinds":["diagnosis","report"],"modality":"ct","purpose":"research"}"#);
        let same =
            r#"{"kinds":["report","diagnosis","report"],"modality":"CT","purpose":"research"}"#;
        assert_eq!(first, hash(same));
        for other in [
            r#"{"kinds":["diagnosis"],"modality":"CT","purpose":"research"}"#,
            r#"{"kinds":["diagnosis","report"],"modality":"MR","purpose":"research"}"#,
            r#"{"kinds":["diagnosis","report"],"modality":"CT","purpose":"audit"}"#,
            r#"{"kinds":["diagnosis","report"],"modality":"CT","from":"2026-01","purpose":"research"}"#,
            r#"{"kinds":["diagnosis","report"],"modality":"CT","to":"2025-12","purpose":"research"}"#,
        ] {
            assert_ne!(first, hash(other), "{other}");
        }
    }

    #[test]
    fn all_kinds_are_the_same_as_any_kind() {
        let any = request(r#"{"purpose":"research"}"#);
        let all = CountRequest { kinds: SectionKind::ALL.to_vec(), ..any.clone() };
        assert_eq!(Question::of(&all).unwrap(), Question::of(&any).unwrap());
    }

    #[test]
    fn a_question_has_whole_months_and_a_known_purpose() {
        let json = r#"{"from":"2026-01","to":"2026-02","purpose":"research"}"#;
        let wanted = Question::of(&request(json)).unwrap().wanted;
        let days = (wanted.before.unwrap() - wanted.from.unwrap()) / 86_400_000;
        assert_eq!((days, wanted.kinds, wanted.modality), (31 + 28, None, None));
        let all = request(r#"{"purpose":"research"}"#);
        assert_eq!(Question::of(&all).unwrap().wanted, Wanted::default());
        let kinds = vec![SectionKind::Diagnosis];
        let kinds = Question::of(&CountRequest { kinds, ..all }).unwrap().wanted.kinds;
        assert_eq!(kinds, Some(KindSet(0b10)));
        for wrong in [
            r#"{"purpose":"emergency"}"#,
            r#"{"purpose":"research","from":"2026-02","to":"2026-01"}"#,
            r#"{"purpose":"research","modality":""}"#,
            r#"{"purpose":"research","modality":"C T"}"#,
            r#"{"purpose":"research","modality":"CCCCCCCCCCCCCCCCC"}"#,
        ] {
            let refused = Question::of(&request(wrong)).unwrap_err();
            assert_eq!(refused.problem().status, 400, "{wrong}");
        }
    }
}
