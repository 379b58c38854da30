//! Copies what a user may read: sealed records, checked against the entries in the file, and the profiles in which the
//! hospitals sealed the patient's keys to the patient. All of it stays sealed.

use std::collections::BTreeSet;

use epione_primitives::{
    AccountId, AnnouncementId, Hash, HospitalId, RecordPointer, UserId, block::Header,
};
use futures::{StreamExt, future::try_join, stream};

use super::{LiteError, Store, check::check_bytes};
use crate::chain::{Chain, LiteBlock};

/// Records that are requested at once. Each has up to 2 MiB.
const RECORDS_AT_ONCE: usize = 4;

/// What was copied.
#[derive(Debug, Default)]
pub struct Fetched {
    pub added: u32,
    /// The records that could not be copied, and why.
    pub failed: Vec<(RecordPointer, LiteError)>,
}

/// The present profiles of a patient.
#[derive(Clone, Debug)]
pub struct Profiles {
    /// The patient.
    pub user: UserId,
    /// The hospitals whose present profile the node does not have.
    pub absent: Vec<HospitalId>,
    /// The hospitals that have sealed the profile again, as after a rotation.
    renewed: BTreeSet<HospitalId>,
}

/// A record's hospital, and its announcement.
#[derive(Clone, Copy)]
struct Announced {
    hospital: HospitalId,
    id: AnnouncementId,
}

impl Profiles {
    /// Where to find the profile that the hospital had when it announced a record of this patient. None if it is the
    /// present one.
    fn earlier(&self, block: &LiteBlock, index: u16) -> Option<Announced> {
        let Header { announcer: hospital, announcement: id, .. } = block.header;
        let entry = block.entries.get(usize::from(index))?;
        let may_differ = entry.patient == self.user && self.renewed.contains(&hospital);
        may_differ.then_some(Announced { hospital, id })
    }
}

/// Adds the sealed records at these positions, as far as the file lacks them. A record that cannot be copied does not
/// stop the others, unless the node cannot be reached. Calls `progress` with the number of records that are done, and
/// of all.
///
/// With a patient's own record, also adds the profile that the hospital had when it announced the record: the present
/// one may be sealed to a later key of the patient, or not to the patient yet, and a hospital that lost its keys began
/// with new ones.
pub async fn fetch(
    chain: &Chain,
    store: &mut Store,
    own: Option<&Profiles>,
    pointers: Vec<RecordPointer>,
    mut progress: impl FnMut(usize, usize),
) -> Result<Fetched, LiteError> {
    let mut missing = Vec::new();
    for pointer in pointers {
        if !store.has_record(pointer)? {
            let block = store.block(pointer.height)?;
            let earlier =
                own.zip(block).and_then(|(own, block)| own.earlier(&block, pointer.index));
            missing.push((pointer, own.map(|own| own.user).zip(earlier)));
        }
    }
    let (mut done, all) = (0, missing.len());
    let requests = missing.into_iter().map(|(pointer, earlier)| async move {
        (pointer, try_join(text(chain, pointer), profile(chain, earlier)).await)
    });
    let mut served = stream::iter(requests).buffered(RECORDS_AT_ONCE);
    let mut fetched = Fetched::default();
    while let Some((pointer, served)) = served.next().await {
        let kept = match served {
            Ok((text, profile)) => keep(chain, store, pointer, &text, profile).await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(()) => fetched.added += 1,
            Err(LiteError::Chain(error)) if error.is_transient() => return Err(error.into()),
            Err(error) => fetched.failed.push((pointer, error)),
        }
        done += 1;
        progress(done, all);
    }
    Ok(fetched)
}

/// The bytes of a record, as the node sends them.
async fn text(chain: &Chain, pointer: RecordPointer) -> Result<Vec<u8>, LiteError> {
    let found = chain.lite_record(pointer).await?;
    Ok(found.ok_or(LiteError::NoRecord { pointer })?.text.0)
}

/// A profile that a hospital had sealed for a user, by its hash.
struct SealedProfile {
    user: UserId,
    hospital: HospitalId,
    hash: Hash,
}

/// The profile of a user at the time of an announcement.
async fn profile(
    chain: &Chain,
    at: Option<(UserId, Announced)>,
) -> Result<Option<SealedProfile>, LiteError> {
    let Some((user, Announced { hospital, id })) = at else { return Ok(None) };
    let announcement = chain.finalized().await?.announcement(id).await?;
    let Some((announcement, _)) = announcement else { return Ok(None) };
    let Some(block) = chain.block_hash(announcement.announced_at).await? else { return Ok(None) };
    let registration = chain.at(block).registration(hospital, user).await?;
    let hash = registration.map(|registration| registration.body_hash);
    Ok(hash.map(|hash| SealedProfile { user, hospital, hash }))
}

/// Compares the bytes of a record with the entry in the file, and stores them, after the profile with their key.
async fn keep(
    chain: &Chain,
    store: &mut Store,
    pointer: RecordPointer,
    text: &[u8],
    profile: Option<SealedProfile>,
) -> Result<(), LiteError> {
    let block = store.block(pointer.height)?.ok_or(LiteError::NoRecord { pointer })?;
    let entry = block.entries.get(usize::from(pointer.index));
    let entry = entry.ok_or(LiteError::NoRecord { pointer })?;
    check_bytes(entry, text).map_err(|what| LiteError::Record { pointer, what })?;
    if let Some(SealedProfile { user, hospital, hash }) = profile
        && !store.has_profile(hash)?
    {
        let body = chain.body(hash).await?.ok_or(LiteError::NoProfile { pointer, hospital })?;
        store.keep_profile(user, hospital, hash, &body)?;
    }
    store.keep_record(pointer, text)
}

/// Adds the present profiles of a user at all hospitals where the user is or was registered, and notes the user's
/// account.
pub async fn keep_profiles(
    chain: &Chain,
    store: &mut Store,
    account: &AccountId,
    user: UserId,
) -> Result<Profiles, LiteError> {
    store.keep_user(account, user)?;
    let mut profiles = Profiles { user, absent: Vec::new(), renewed: BTreeSet::new() };
    for (hospital, registration) in chain.finalized().await?.registrations(user).await? {
        if registration.version > 1 {
            profiles.renewed.insert(hospital);
        }
        let hash = registration.body_hash;
        if store.has_profile(hash)? {
            continue;
        }
        match chain.body(hash).await? {
            Some(body) => store.keep_profile(user, hospital, hash, &body)?,
            None => profiles.absent.push(hospital),
        }
    }
    Ok(profiles)
}
