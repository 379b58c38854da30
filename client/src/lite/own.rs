//! Copies what a user may read: sealed records, checked against the entries in the file, and the profiles in which the
//! hospitals sealed the patient's keys to the patient. All of it stays sealed.

use epione_primitives::{AccountId, HospitalId, RecordPointer, UserId};
use futures::{StreamExt, stream};

use super::{LiteError, Store, check::check_bytes};
use crate::chain::Chain;

/// Records that are requested at once. Each has up to 2 MiB.
const RECORDS_AT_ONCE: usize = 4;

/// What was copied.
#[derive(Debug, Default)]
pub struct Fetched {
    pub added: u32,
    /// The records that could not be copied, and why.
    pub failed: Vec<(RecordPointer, LiteError)>,
}

/// Adds the sealed records at these positions, as far as the file lacks them. A record that cannot be copied does not
/// stop the others, unless the node cannot be reached. Calls `progress` with the number of records that are done, and
/// of all.
pub async fn fetch(
    chain: &Chain,
    store: &mut Store,
    pointers: Vec<RecordPointer>,
    mut progress: impl FnMut(usize, usize),
) -> Result<Fetched, LiteError> {
    let mut missing = Vec::new();
    for pointer in pointers {
        if !store.has_record(pointer)? {
            missing.push(pointer);
        }
    }
    let (mut done, all) = (0, missing.len());
    let requests = missing.into_iter().map(|pointer| async move {
        let served = chain.lite_record(pointer).await.map_err(LiteError::from);
        let served = served.and_then(|found| found.ok_or(LiteError::NoRecord { pointer }));
        (pointer, served.map(|found| found.text.0))
    });
    let mut served = stream::iter(requests).buffered(RECORDS_AT_ONCE);
    let mut fetched = Fetched::default();
    while let Some((pointer, text)) = served.next().await {
        match text.and_then(|text| keep(store, pointer, &text)) {
            Ok(()) => fetched.added += 1,
            Err(LiteError::Chain(error)) if error.is_transient() => return Err(error.into()),
            Err(error) => fetched.failed.push((pointer, error)),
        }
        done += 1;
        progress(done, all);
    }
    Ok(fetched)
}

/// Compares the bytes of a record with the entry in the file, and stores them.
fn keep(store: &mut Store, pointer: RecordPointer, text: &[u8]) -> Result<(), LiteError> {
    let block = store.block(pointer.height)?.ok_or(LiteError::NoRecord { pointer })?;
    let entry = block.entries.get(usize::from(pointer.index));
    let entry = entry.ok_or(LiteError::NoRecord { pointer })?;
    check_bytes(entry, text).map_err(|what| LiteError::Record { pointer, what })?;
    store.keep_record(pointer, text)
}

/// Adds the profiles of a user at all hospitals where the user is or was registered, and notes the user's account.
/// Returns the hospitals whose profile the node does not have.
pub async fn keep_profiles(
    chain: &Chain,
    store: &mut Store,
    account: &AccountId,
    user: UserId,
) -> Result<Vec<HospitalId>, LiteError> {
    store.keep_user(account, user)?;
    let mut absent = Vec::new();
    for (hospital, registration) in chain.finalized().await?.registrations(user).await? {
        let hash = registration.body_hash;
        if store.has_profile(hash)? {
            continue;
        }
        match chain.body(hash).await? {
            Some(body) => store.keep_profile(user, hospital, hash, &body)?,
            None => absent.push(hospital),
        }
    }
    Ok(absent)
}
