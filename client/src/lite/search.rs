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
/// saved descriptions. What another process adds meanwhile is not searched: it could be a record whose key is in a
/// profile that was added with it.
pub fn search(
    store: &Store,
    own: Option<OwnKeys<'_>>,
    saved: impl IntoIterator<Item = Saved>,
    filter: &Filter,
) -> Result<Searched, LiteError> {
    let _snapshot = store.snapshot()?;
    let keyring = own.map_or_else(|| Ok(Keyring::default()), |own| Keyring::open(store, own))?;
    let mut wanted: BTreeMap<RecordPointer, Wanted> = BTreeMap::new();
    for saved in saved {
        wanted.entry(saved.pointer).or_default().saved.push(saved);
    }
    if let Some(own) = own {
        for pointer in store.records_of(own.user)? {
            wanted.entry(pointer).or_default().is_own = true;
        }
    }
    let mut searched = Searched::default();
    for (pointer, wanted) in wanted.into_iter().rev() {
        let sealed = match read(store, pointer, filter)? {
            Ok(Some(sealed)) => sealed,
            Ok(None) => continue,
            Err(reason) => {
                searched.closed.push(Closed { pointer, reason });
                continue;
            }
        };
        let opened = sealed.opened(wanted, store.genesis(), &keyring);
        if let Some(reason) = opened.incomplete {
            searched.closed.push(Closed { pointer, reason });
        }
        searched.found.extend(sealed.found(&opened.sections, filter));
    }
    Ok(searched)
}

/// By what a record may be read. A record can be read twice by grants for different sections, and into two folders.
#[derive(Default)]
struct Wanted {
    /// The user is its patient.
    is_own: bool,
    saved: Vec<Saved>,
}

const OTHER_KEYS: &str = "these keys do not open all of it";
const NO_PROFILE: &str = "the file does not have the patient's profile at its hospital, which has the keys: \
                          synchronize again with the patient's key file, from another node if this happens again";
const OLD_PROFILE: &str = "its key is newer than the patient's profile in the file: synchronize again with the \
                           patient's key file";
const OTHER_RECIPIENT: &str = "its hospital sealed the patient's keys to another key of the patient: give the key \
                               files from before and after the rotation";
const WITHHELD: &str = "its hospital withholds the newest key until it has confirmed the rotation of the patient's \
                        keys: synchronize again after that";
const UNREADABLE_PROFILE: &str = "this version cannot read the patient's profile at its hospital";
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

/// The open sections of a record, by their indices.
type Sections = BTreeMap<u16, Opened>;

/// What is open of a record.
struct Open {
    sections: Sections,
    /// Why these are not all.
    incomplete: Option<&'static str>,
}

/// A section that is open.
struct Opened {
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
    /// Opens what the patient's keys open, and adds what earlier reads saved, as far as the author signed it.
    fn opened(&self, wanted: Wanted, genesis: Hash, keyring: &Keyring) -> Open {
        let mut sections = Sections::new();
        if wanted.is_own {
            sections = self.open(genesis, keyring.at(self.record.hospital()));
        }
        let mut is_signed = true;
        for saved in wanted.saved {
            let is_same = saved.record == self.record.id();
            for (section, description) in saved.sections {
                if is_same && self.record.check_leaf(section, &description).is_ok() {
                    sections.entry(section).or_insert(Opened { description, text: None });
                } else {
                    is_signed = false;
                }
            }
        }
        let is_whole = sections.len() == self.record.sections().len();
        let incomplete = match wanted.is_own {
            true => (!is_whole).then(|| keyring.why_closed(&self.record)),
            false => (!is_signed).then_some(UNSIGNED),
        };
        Open { sections, incomplete }
    }

    /// Opens all sections that these keys open.
    fn open(&self, genesis: Hash, keys: &[PatientKeys]) -> Sections {
        let mut sections = Sections::new();
        for (section, sealed) in (0..).zip(self.record.sections()) {
            let is_text = matches!(sealed.payload, Payload::Text(_));
            let mut tried = keys.iter().filter_map(|keys| {
                let key = self.record.content_key(genesis, section, keys).ok()?;
                self.open_section(genesis, section, &key, is_text)
            });
            sections.extend(tried.next().map(|opened| (section, opened)));
        }
        sections
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
        Some(Opened { description, text })
    }

    /// The sections that match.
    fn found(&self, sections: &Sections, filter: &Filter) -> Vec<Found> {
        let texts = sections.values().filter_map(|it| Some((&it.description, it.text.as_ref()?)));
        let stated: BTreeSet<String> =
            texts.flat_map(|(description, text)| modality::stated(description, text)).collect();
        let shown = sections
            .iter()
            .map(|(section, opened)| (self.shown(*section, opened, &stated), opened));
        shown.filter(|(found, opened)| filter.matches(found, opened)).map(|(it, _)| it).collect()
    }

    fn shown(&self, section: u16, opened: &Opened, stated: &BTreeSet<String>) -> Found {
        let Opened { description, text } = opened;
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
            section,
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

/// What the sealed profiles in the file give to a patient, by hospital.
#[derive(Default)]
struct Keyring(HashMap<HospitalId, OfHospital>);

/// The profiles of a patient at one hospital, the last one that was added first.
#[derive(Default)]
struct OfHospital {
    keys: Vec<PatientKeys>,
    /// Why the first of the others did not open.
    closed: Option<&'static str>,
}

impl Keyring {
    fn open(store: &Store, own: OwnKeys<'_>) -> Result<Self, LiteError> {
        let mut keyring = Self::default();
        for (hospital, body) in store.profiles(own.user)? {
            let context = ProfileContext { genesis: store.genesis(), hospital, user: own.user };
            let at = keyring.0.entry(hospital).or_default();
            match opened_profile(&body, &context, own.sealing) {
                Ok(keys) => at.keys.push(keys),
                Err(reason) => {
                    at.closed.get_or_insert(reason);
                }
            }
        }
        Ok(keyring)
    }

    fn at(&self, hospital: HospitalId) -> &[PatientKeys] {
        self.0.get(&hospital).map(|at| at.keys.as_slice()).unwrap_or_default()
    }

    /// Why these keys do not open a record of the patient.
    fn why_closed(&self, record: &Record) -> &'static str {
        let Some(OfHospital { keys, closed }) = self.0.get(&record.hospital()) else {
            return NO_PROFILE;
        };
        let has_version = keys.iter().any(|keys| keys.get(record.key_version()).is_some());
        match closed {
            Some(reason) => reason,
            None if has_version => OTHER_KEYS,
            None => OLD_PROFILE,
        }
    }
}

/// The keys in a profile, or why they do not open.
fn opened_profile(
    body: &[u8],
    context: &ProfileContext,
    keys: &[SealingKeyPair],
) -> Result<PatientKeys, &'static str> {
    let body = ProfileBody::decode_exactly(body).map_err(|_| UNREADABLE_PROFILE)?;
    if body.is_withheld() {
        return Err(WITHHELD);
    }
    let pair = keys.iter().find(|pair| pair.public() == body.recipient().key);
    let pair = pair.ok_or(OTHER_RECIPIENT)?;
    body.patient_keys_for_patient(context, pair, body.sealer()).map_err(|_| OTHER_KEYS)
}

#[cfg(test)]
mod tests;
