//! Finds sections by their descriptions, without a node. Descriptions are sealed in the file. A search opens them with
//! the user's own keys, or takes them from what earlier reads saved, and stores nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use epione_envelope::{
    Zeroizing,
    keys::{ContentKey, PatientKeys},
    profile::{ProfileBody, ProfileContext},
    record::{Description, Payload, Record, SectionKind},
    sealing_keys::SealingKeyPair,
};
use epione_primitives::{Hash, HospitalId, Moment, RecordId, RecordPointer, UserId};
use serde::Serialize;

use super::{LiteError, Store, check::check_bytes, modality};

/// What to find. Everything that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub kind: Option<SectionKind>,
    /// The first moment at which the record was committed.
    pub from: Option<Moment>,
    /// The first moment that is too late.
    pub before: Option<Moment>,
    /// As DICOM spells it, such as `CT`.
    pub modality: Option<String>,
    /// Words in the kind, the media type, the file name or the opened text, in any case.
    pub text: Option<String>,
}

/// The keys of a patient: they open all records of the patient.
#[derive(Clone, Copy, Debug)]
pub struct OwnKeys<'k> {
    pub user: UserId,
    /// The newest sealing key, and earlier ones.
    pub sealing: &'k [SealingKeyPair],
}

/// What an earlier read saved of a record: the descriptions of sections that it opened. They count only if the record's
/// author signed them.
#[derive(Clone, Debug)]
pub struct Saved {
    pub pointer: RecordPointer,
    pub record: RecordId,
    pub sections: BTreeMap<u16, Description>,
}

/// A section that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    pub pointer: RecordPointer,
    pub hospital: HospitalId,
    pub patient: UserId,
    pub author: UserId,
    /// The time at which the record's block was committed.
    pub time: Moment,
    pub section: u16,
    pub kind: SectionKind,
    pub media_type: String,
    /// Name of the author's file; may be empty.
    pub file_name: String,
    /// Bytes of the content.
    pub bytes: u64,
    /// The modalities, as far as the descriptions say them.
    pub modalities: BTreeSet<String>,
}

/// A record that was not searched, or only in part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Closed {
    pub pointer: RecordPointer,
    pub reason: &'static str,
}

/// The result of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Searched {
    /// Newest first.
    pub found: Vec<Found>,
    pub closed: Vec<Closed>,
}

/// Searches the records that the user may read: the user's own ones as a patient, and those of which earlier reads
/// saved descriptions.
pub fn search(
    store: &Store,
    own: Option<OwnKeys<'_>>,
    saved: Vec<Saved>,
    filter: &Filter,
) -> Result<Searched, LiteError> {
    let mut keyring = HashMap::new();
    let mut wanted: BTreeMap<RecordPointer, Option<Saved>> = BTreeMap::new();
    wanted.extend(saved.into_iter().map(|saved| (saved.pointer, Some(saved))));
    if let Some(own) = own {
        keyring = patient_keys(store, own)?;
        // Own keys open every section; what was saved may be only some of them.
        wanted.extend(store.records_of(own.user)?.into_iter().map(|pointer| (pointer, None)));
    }
    let mut searched = Searched::default();
    for (pointer, saved) in wanted.into_iter().rev() {
        let sealed = match read(store, pointer, filter)? {
            Ok(Some(sealed)) => sealed,
            Ok(None) => continue,
            Err(reason) => {
                searched.closed.push(Closed { pointer, reason });
                continue;
            }
        };
        let opened = match saved {
            Some(saved) => sealed.described(saved),
            None => sealed.open(store.genesis(), &keyring),
        };
        if let Some(reason) = opened.incomplete {
            searched.closed.push(Closed { pointer, reason });
        }
        searched.found.extend(sealed.found(&opened.sections, filter));
    }
    Ok(searched)
}

const OTHER_KEYS: &str = "these keys do not open all of it";
const ABSENT: &str = "its sealed bytes are not in the file: synchronize again";
const UNKNOWN: &str = "the file has no such record: synchronize again";
const ALTERED: &str = "its bytes in the file are not those on the chain: verify the file";
const UNREADABLE: &str = "this version cannot read its format";
const UNSIGNED: &str = "its author did not sign what was saved of it";

/// A sealed record, and where and when it was committed.
struct Sealed {
    pointer: RecordPointer,
    time: Moment,
    record: Record,
}

/// The open sections of a record.
struct Open {
    sections: Vec<Opened>,
    /// Why these are not all.
    incomplete: Option<&'static str>,
}

/// A section that is open.
struct Opened {
    section: u16,
    description: Description,
    text: Option<Zeroizing<Vec<u8>>>,
}

/// Reads a sealed record. None if it was committed outside the time that is searched; a reason if it cannot be read.
fn read(
    store: &Store,
    pointer: RecordPointer,
    filter: &Filter,
) -> Result<Result<Option<Sealed>, &'static str>, LiteError> {
    let Some(block) = store.block(pointer.height)? else { return Ok(Err(UNKNOWN)) };
    let Some(entry) = block.entries.get(usize::from(pointer.index)) else {
        return Ok(Err(UNKNOWN));
    };
    let time = block.header.time;
    if filter.from.is_some_and(|from| time < from)
        || filter.before.is_some_and(|before| time >= before)
    {
        return Ok(Ok(None));
    }
    let Some(bytes) = store.record(pointer)? else { return Ok(Err(ABSENT)) };
    if check_bytes(entry, &bytes).is_err() {
        return Ok(Err(ALTERED));
    }
    let Ok(record) = Record::decode_exactly(&bytes) else { return Ok(Err(UNREADABLE)) };
    Ok(Ok(Some(Sealed { pointer, time, record })))
}

impl Sealed {
    /// Opens all sections that the patient's keys open.
    fn open(&self, genesis: Hash, keyring: &HashMap<HospitalId, Vec<PatientKeys>>) -> Open {
        let keys = keyring.get(&self.record.hospital()).map(Vec::as_slice).unwrap_or_default();
        let mut sections = Vec::new();
        for (section, sealed) in (0..).zip(self.record.sections()) {
            let is_text = matches!(sealed.payload, Payload::Text(_));
            let mut tried = keys.iter().filter_map(|keys| {
                let key = self.record.content_key(genesis, section, keys).ok()?;
                self.open_section(genesis, section, &key, is_text)
            });
            sections.extend(tried.next());
        }
        let is_whole = sections.len() == self.record.sections().len();
        Open { sections, incomplete: (!is_whole).then_some(OTHER_KEYS) }
    }

    fn open_section(
        &self,
        genesis: Hash,
        section: u16,
        key: &ContentKey,
        is_text: bool,
    ) -> Option<Opened> {
        let (description, text) = if is_text {
            let (description, text) = self.record.open_text(genesis, section, key).ok()?;
            (description, Some(text))
        } else {
            (self.record.describe(genesis, section, key).ok()?, None)
        };
        Some(Opened { section, description, text })
    }

    /// What an earlier read saved, as far as the author signed it.
    fn described(&self, saved: Saved) -> Open {
        let is_same = saved.record == self.record.id();
        let count = saved.sections.len();
        let signed = saved.sections.into_iter().filter(|(section, description)| {
            is_same && self.record.check_leaf(*section, description).is_ok()
        });
        let sections: Vec<Opened> = signed
            .map(|(section, description)| Opened { section, description, text: None })
            .collect();
        let incomplete = (sections.len() < count).then_some(UNSIGNED);
        Open { sections, incomplete }
    }

    /// The sections that match.
    fn found(&self, sections: &[Opened], filter: &Filter) -> Vec<Found> {
        let texts = sections.iter().filter_map(|it| Some((&it.description, it.text.as_ref()?)));
        let stated: BTreeSet<String> =
            texts.flat_map(|(description, text)| modality::stated(description, text)).collect();
        let shown = sections.iter().map(|opened| (self.shown(opened, &stated), opened));
        shown.filter(|(found, opened)| filter.matches(found, opened)).map(|(it, _)| it).collect()
    }

    fn shown(&self, opened: &Opened, stated: &BTreeSet<String>) -> Found {
        let Opened { section, description, text } = opened;
        let own = match (text, modality::named(description)) {
            (Some(text), _) => modality::stated(description, text),
            (None, Some(named)) => BTreeSet::from([named.to_owned()]),
            (None, None) => stated.clone(),
        };
        Found {
            pointer: self.pointer,
            hospital: self.record.hospital(),
            patient: self.record.patient(),
            author: self.record.author(),
            time: self.time,
            section: *section,
            kind: description.kind,
            media_type: description.media_type.clone(),
            file_name: description.file_name.clone(),
            bytes: description.content_length,
            modalities: own,
        }
    }
}

impl Filter {
    fn matches(&self, found: &Found, opened: &Opened) -> bool {
        self.kind.is_none_or(|kind| kind == found.kind)
            && self.modality.as_ref().is_none_or(|wanted| {
                found.modalities.iter().any(|known| known.eq_ignore_ascii_case(wanted))
            })
            && self.text.as_ref().is_none_or(|text| has_text(found, opened, text))
    }
}

fn has_text(found: &Found, opened: &Opened, wanted: &str) -> bool {
    let wanted = wanted.to_lowercase();
    let contains = |text: &str| text.to_lowercase().contains(&wanted);
    contains(&found.kind.to_string())
        || contains(&found.media_type)
        || contains(&found.file_name)
        || opened.text.as_ref().is_some_and(|text| {
            let lower = Zeroizing::new(String::from_utf8_lossy(text).to_lowercase());
            lower.contains(&wanted)
        })
}

/// The patient's keys, of each hospital, from the sealed profiles in the file: of the newest profile first.
fn patient_keys(
    store: &Store,
    own: OwnKeys<'_>,
) -> Result<HashMap<HospitalId, Vec<PatientKeys>>, LiteError> {
    let mut keyring: HashMap<HospitalId, Vec<PatientKeys>> = HashMap::new();
    for (hospital, body) in store.profiles(own.user)? {
        let context = ProfileContext { genesis: store.genesis(), hospital, user: own.user };
        if let Some(keys) = opened_profile(&body, &context, own.sealing) {
            keyring.entry(hospital).or_default().push(keys);
        }
    }
    Ok(keyring)
}

/// None if the profile is sealed to another key, or is not a patient's.
fn opened_profile(
    body: &[u8],
    context: &ProfileContext,
    keys: &[SealingKeyPair],
) -> Option<PatientKeys> {
    let body = ProfileBody::decode_exactly(body).ok()?;
    let pair = keys.iter().find(|pair| pair.public() == body.recipient().key)?;
    body.patient_keys_for_patient(context, pair, body.sealer()).ok()
}

#[cfg(test)]
mod tests;
