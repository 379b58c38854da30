//! What a patient decides about, in words: the requester, the sections, the purpose, and what the patient signs.

use std::fmt;

use epione_client::{
    query::{Considered, Found, Unopened},
    reader::{self, OpenContent, OpenRecord, OpenSection, Reader},
};
use epione_primitives::{
    HospitalId, Moment, QueryId, RecordPointer, UserId,
    access::Purpose,
    profile::Role,
    release::{ReleasedRecord, SectionSet},
    text::quoted,
};
use serde::Serialize;

use super::show::Asker;
use crate::{
    commands::records::unknown,
    context::Context,
    failure::Failure,
    identity::{self, KeySource},
    wording::{self, legible, moment, word},
};

/// Widest line of the requester's text, with the mark before it.
const TERMS_COLUMNS: usize = 72;
/// Most lines of the requester's text that are shown.
const TERMS_LINES: usize = 30;
/// Begins each line of the requester's text, so that none passes for a line of this program.
const MARK: &str = "  > ";

/// What a requester asks for, opened by the patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asking {
    /// Whether the requester's registration is in force at the hospital for which they ask.
    pub in_force: bool,
    #[serde(skip)]
    query: QueryId,
    /// The requester's text, if the patient looks. Nobody has checked it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    /// The asked sections that exist.
    pub content: Vec<AskedRecord>,
    /// The asked records that do not open. They are not accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unopened: Vec<UnopenedRecord>,
}

/// A record that the patient's keys do not open, or that is not what its author signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnopenedRecord {
    pub pointer: RecordPointer,
    pub reason: String,
}

/// A record, with some of its sections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AskedRecord {
    pub pointer: RecordPointer,
    pub hospital: String,
    /// When its block was committed, in RFC 3339.
    pub at: String,
    pub sections: Vec<AskedSection>,
}

/// What a section is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AskedSection {
    pub section: u16,
    pub kind: String,
    pub media_type: String,
    pub bytes: u64,
}

/// What a patient signs with an acceptance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    pub query: QueryId,
    /// The patient, if a representative signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_name_of: Option<UserId>,
    pub requester: UserId,
    pub role: Role,
    /// The hospital for which the requester asks.
    pub hospital: HospitalId,
    pub hospital_name: String,
    pub purpose: Purpose,
    /// RFC 3339.
    pub until: String,
    pub mailbox: HospitalId,
    pub mailbox_name: String,
    #[serde(flatten)]
    pub asking: Asking,
    /// The asked sections that are not accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<ReleasedRecord>,
}

impl Asking {
    /// All that is asked for.
    pub(super) async fn of(considered: &Considered, context: &Context) -> Result<Self, Failure> {
        let all: Vec<_> = considered.records.iter().map(opened).collect();
        Self::part_of(considered, &all, context).await
    }

    /// These sections of what is asked for.
    async fn part_of(
        considered: &Considered,
        part: &[ReleasedRecord],
        context: &Context,
    ) -> Result<Self, Failure> {
        let known = context.chain().await?.finalized().await?.hospitals().await?;
        let name = |wanted: HospitalId| {
            let found = known.iter().find(|(id, _)| *id == wanted);
            let name = found.map(|(_, hospital)| quoted(&hospital.name)).unwrap_or_default();
            format!("{wanted} {name}")
        };
        let mut content = Vec::with_capacity(part.len());
        for ReleasedRecord { pointer, sections } in part {
            let record = considered.records.iter().find(|it| it.summary.pointer == *pointer);
            let Some(record) = record else { continue };
            let described = record.sections.iter().filter_map(described);
            content.push(AskedRecord {
                pointer: *pointer,
                hospital: name(record.summary.hospital),
                at: moment(record.summary.time),
                sections: described.filter(|it| sections.contains(it.section)).collect(),
            });
        }
        Ok(Self {
            query: considered.id,
            in_force: considered.requester.in_force,
            terms: considered.terms.as_ref().map(|terms| terms.to_string()),
            content,
            unopened: considered.unopened.iter().cloned().map(UnopenedRecord::from).collect(),
        })
    }
}

impl From<Unopened> for UnopenedRecord {
    fn from(Unopened { pointer, reason }: Unopened) -> Self {
        Self { pointer, reason }
    }
}

impl Statement {
    pub(super) async fn of(
        considered: &Considered,
        accepted: &[ReleasedRecord],
        (until, mailbox): (Moment, HospitalId),
        context: &Context,
    ) -> Result<Self, Failure> {
        let asked = considered.records.iter().map(opened);
        let state = context.chain().await?.finalized().await?;
        let Asker { hospital_name, .. } = Asker::of(&considered.query, &state).await?;
        let kept_by = state.hospital(mailbox).await?;
        Ok(Self {
            query: considered.id,
            in_name_of: (considered.by != considered.query.patient)
                .then_some(considered.query.patient),
            requester: considered.requester.user,
            role: considered.requester.role,
            hospital: considered.query.hospital,
            hospital_name,
            purpose: considered.query.purpose,
            until: moment(until),
            mailbox,
            mailbox_name: kept_by.map(|it| legible(&it.name)).unwrap_or_default(),
            asking: Asking::part_of(considered, accepted, context).await?,
            left_out: asked.filter_map(|asked| without(asked, accepted)).collect(),
        })
    }
}

/// The sections of a record that the patient has opened.
fn opened(record: &OpenRecord) -> ReleasedRecord {
    let mut sections = SectionSet::default();
    for section in record.sections.iter().filter_map(described) {
        sections.insert(section.section);
    }
    ReleasedRecord { pointer: record.summary.pointer, sections }
}

fn without(asked: ReleasedRecord, accepted: &[ReleasedRecord]) -> Option<ReleasedRecord> {
    let of_record = accepted.iter().find(|record| record.pointer == asked.pointer);
    let accepted = of_record.map(|record| record.sections).unwrap_or_default();
    let sections = asked.sections.without(accepted);
    (!sections.is_empty()).then_some(ReleasedRecord { sections, ..asked })
}

fn described(section: &OpenSection) -> Option<AskedSection> {
    let (media_type, bytes) = match &section.content {
        OpenContent::Text { media_type, text } => (media_type, text.len() as u64),
        OpenContent::Media { media_type, bytes, .. } => (media_type, *bytes),
        OpenContent::NotGranted => return None,
    };
    Some(AskedSection {
        // A record has at most 64 sections.
        section: section.index as u16,
        kind: section.kind.map_or_else(|| "section".into(), |kind| kind.to_string()),
        media_type: media_type.clone(),
        bytes,
    })
}

impl Asking {
    /// The requester's text, and what the chain says about them.
    fn write_terms(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(terms) = &self.terms else {
            return write!(
                f,
                "What the requester says is sealed to the patient: a representative cannot open it."
            );
        };
        write!(f, "The requester says (nobody has checked it):")?;
        let lines = wrapped(terms, TERMS_COLUMNS - MARK.len());
        for line in lines.iter().take(TERMS_LINES) {
            write!(f, "\n{MARK}{line}")?;
        }
        match lines.len().saturating_sub(TERMS_LINES) {
            0 => Ok(()),
            more => {
                let lines = wording::counted(more as u64, "more line", "more lines");
                write!(f, "\n... {lines}: `query show {} --as FILE --json`", self.query)
            }
        }
    }

    fn write_content(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for AskedRecord { pointer, hospital, at, sections } in &self.content {
            write!(f, "\n  record {pointer} of {at} at {hospital}:")?;
            for AskedSection { section, kind, media_type, bytes } in sections {
                let media_type = legible(media_type.as_bytes());
                write!(f, "\n    {section:>2}  {kind:<13} {bytes:>10} bytes  {media_type}")?;
            }
        }
        for UnopenedRecord { pointer, reason } in &self.unopened {
            let reason = legible(reason.as_bytes());
            write!(f, "\n  record {pointer} does not open, and cannot be accepted: {reason}")?;
        }
        if !self.in_force {
            write!(
                f,
                "\nThe requester's registration at this hospital is NOT in force: the chain refuses your acceptance \
                 now."
            )?;
        }
        Ok(())
    }
}

/// Somebody else's text in lines that are not wider than this, safe to print. A line of the text may become several.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let (mut row, mut used) = (String::new(), 0);
        for c in legible(line.as_bytes()).chars() {
            // No terminal shows a character in more columns, and one that is shown in fewer does no harm here.
            let width = if c.is_ascii() { 1 } else { 2 };
            if used + width > columns {
                lines.push(std::mem::take(&mut row));
                used = 0;
            }
            row.push(c);
            used += width;
        }
        lines.push(row);
    }
    lines
}

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_terms(f)?;
        self.write_content(f)
    }
}

impl fmt::Display for Statement {
    /// What the patient signs comes last, directly above the prompt: the requester's text cannot push it away.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, requester, role, hospital, hospital_name, .. } = self;
        let Self { purpose, until, mailbox, mailbox_name, asking, left_out, .. } = self;
        asking.write_terms(f)?;
        let in_name = self.in_name_of.map(|patient| format!("in the name of patient {patient}, "));
        let in_name = in_name.unwrap_or_default();
        write!(
            f,
            "\n\nQuery {query}: {in_name}you let {} {requester} of hospital {hospital} {} read these sections for {}, \
             until {until}.",
            word(role),
            quoted(hospital_name.as_bytes()),
            word(purpose)
        )?;
        asking.write_content(f)?;
        for ReleasedRecord { pointer, sections } in left_out {
            let sections = wording::sections(*sections);
            write!(f, "\nYou do not accept {sections} of record {pointer}.")?;
        }
        let is_partial = !left_out.is_empty() || !asking.unopened.is_empty();
        if self.in_name_of.is_some() && is_partial {
            write!(
                f,
                "\nThis answers the whole query: nobody can accept the rest of it afterwards, nor records of other \
                 hospitals. The requester would have to ask again."
            )?;
        }
        write!(
            f,
            "\nHospital {mailbox} {} keeps the sealed keys, and cannot open them. What the requester has read, they \
             may keep, also after you withdraw.",
            quoted(mailbox_name.as_bytes())
        )?;
        if mailbox == hospital {
            write!(
                f,
                "\nThis is the requester's own hospital: it could hand out the keys without a record on the chain. \
                 Choose another with --mailbox."
            )?;
        }
        Ok(())
    }
}

/// The hospital of a record of a query: of the first, if none is named.
pub(super) async fn hospital_of(
    found: &Found,
    named: Option<RecordPointer>,
    context: &Context,
) -> Result<HospitalId, Failure> {
    let patient = found.query.patient;
    let first = found.query.records.first().map(|record| record.pointer);
    let Some(pointer) = named.or(first) else {
        return Err(Failure::new(
            format!("query {} has no record", found.id),
            "use another node with --node URL",
        ));
    };
    let state = context.chain().await?.finalized().await?;
    let hospital = reader::hospital_of(&state, patient, pointer).await?;
    hospital.ok_or_else(|| unknown(patient, pointer, context))
}

/// A reader with these keys and those from before rotations, through the worker of a hospital.
pub(super) async fn reader(
    (signer, earlier): (&KeySource, &[KeySource]),
    hospital: HospitalId,
    context: &Context,
) -> Result<Reader, Failure> {
    let keys = context.keys(signer)?;
    let worker = context.worker(hospital, identity::account(&keys)).await?;
    let earlier = earlier.iter().map(|source| Ok(context.keys(source)?.sealing));
    let earlier = earlier.collect::<Result<Vec<_>, Failure>>()?;
    let reader = Reader::new(context.chain().await?.clone(), worker, keys.sealing);
    Ok(reader.with_earlier_sealing_keys(earlier))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        let section = |section, kind: &str| AskedSection {
            section,
            kind: kind.into(),
            media_type: "text/plain".into(),
            bytes: 9,
        };
        let pointer = RecordPointer { height: 1, index: 0 };
        Statement {
            query: QueryId(7),
            in_name_of: None,
            requester: UserId([2; 32]),
            role: Role::Researcher,
            hospital: HospitalId(5),
            hospital_name: "Bob".into(),
            purpose: Purpose::Research,
            until: "2026-12-30T00:00:00Z".into(),
            mailbox: HospitalId(1),
            mailbox_name: "Carol".into(),
            asking: Asking {
                query: QueryId(7),
                in_force: true,
                terms: Some("a study\nQuery 8: you let nobody read\x1b[2J".into()),
                content: vec![AskedRecord {
                    pointer,
                    hospital: "0 \"Alice\"".into(),
                    at: "2026-11-29T00:00:00Z".into(),
                    sections: vec![section(3, "diagnosis"), section(5, "report")],
                }],
                unopened: Vec::new(),
            },
            left_out: vec![ReleasedRecord { pointer, sections: SectionSet(0b11) }],
        }
    }

    #[test]
    fn the_sentence_says_who_reads_what_why_and_until_when() {
        let text = statement().to_string();
        let first = format!(
            "\nQuery 7: you let researcher 0x{} of hospital 5 \"Bob\" read these sections for research, until \
             2026-12-30T00:00:00Z.\n",
            "02".repeat(32)
        );
        assert!(text.contains(&first), "{text}");
        for part in [
            "record 1/0 of 2026-11-29T00:00:00Z at 0 \"Alice\":",
            " 3  diagnosis",
            " 5  report",
            "You do not accept sections 0,1 of record 1/0.",
            "Hospital 1 \"Carol\" keeps the sealed keys",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("NOT in force") && !text.contains("own hospital"), "{text}");
        let patient = UserId([1; 32]);
        let asking = Asking { terms: None, ..statement().asking };
        let for_patient =
            Statement { in_name_of: Some(patient), asking, ..statement() }.to_string();
        let sentence = format!("Query 7: in the name of patient {patient}, you let researcher");
        assert!(for_patient.contains(&sentence), "{for_patient}");
        assert!(for_patient.contains("is sealed to the patient"), "{for_patient}");
        assert!(for_patient.contains("answers the whole query: nobody can accept the rest"));
        assert!(!text.contains("answers the whole query"), "{text}");
        let own = Statement { mailbox: HospitalId(5), ..statement() }.to_string();
        assert!(own.ends_with("Choose another with --mailbox."), "{own}");
        let unopened = vec![UnopenedRecord {
            pointer: RecordPointer { height: 2, index: 0 },
            reason: "it has a forged\nsignature".into(),
        }];
        let partly = Asking { unopened, ..statement().asking }.to_string();
        assert!(partly.contains("\n  record 2/0 does not open, and cannot be"), "{partly}");
        assert!(!partly.contains("\nsignature"), "{partly}");
        let unregistered = Asking { in_force: false, ..statement().asking };
        assert!(unregistered.to_string().contains("is NOT in force"));
    }

    #[test]
    fn the_requesters_text_cannot_pass_for_the_programs() {
        let text = statement().to_string();
        assert!(text.contains("\n  > a study\n  > Query 8: you let nobody read"), "{text}");
        assert!(!text.contains('\x1b') && !text.contains("\nQuery 8"), "{text}");
    }

    #[test]
    fn the_requesters_text_cannot_push_away_what_is_signed() {
        let shown = |terms: String| {
            let asking = Asking { terms: Some(terms), ..statement().asking };
            let text = Statement { asking, ..statement() }.to_string();
            let rows: Vec<_> = text.lines().map(str::to_owned).collect();
            let sentence = rows.iter().position(|row| row.starts_with("Query 7: you let")).unwrap();
            // Sections, what is left out, and the mailbox.
            assert_eq!(rows.len() - sentence, 6, "{text}");
            let terms: Vec<_> = rows.into_iter().filter(|row| row.starts_with(MARK)).collect();
            assert!(terms.iter().all(|row| row.chars().count() <= TERMS_COLUMNS), "{text}");
            (terms.len(), text)
        };
        let line = format!("{}Query 8: you let nobody read", "x".repeat(996));
        assert_eq!(line.len(), 1_024);
        let (rows, text) = shown(line);
        assert_eq!(rows, 16);
        assert!(!text.contains("\nQuery 8") && !text.contains("more line"), "{text}");
        // The rows of wide characters are as wide: half as many in each.
        assert_eq!(shown("字".repeat(341)).0, 11);
        let (rows, text) = shown(format!("a{}b", "\n".repeat(1_022)));
        assert_eq!(rows, TERMS_LINES);
        let more = "\n... 993 more lines: `query show 7 --as FILE --json`\n";
        assert!(text.contains(more), "{text}");
    }

    #[test]
    fn what_is_not_accepted_is_what_was_asked_for_in_addition() {
        let record = |height, sections| ReleasedRecord {
            pointer: RecordPointer { height, index: 0 },
            sections: SectionSet(sections),
        };
        let accepted = [record(1, 0b100)];
        assert_eq!(without(record(1, 0b101), &accepted), Some(record(1, 0b1)));
        assert_eq!(without(record(1, 0b100), &accepted), None);
        assert_eq!(without(record(2, 0b1), &accepted), Some(record(2, 0b1)));
    }
}
