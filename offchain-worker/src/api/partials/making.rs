//! This hospital's part of an opening, from its share of the consortium key and the wraps of the sections.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use epione_envelope::{Zeroizing, opening::PartialContent};
use epione_primitives::{
    Hash, HospitalId, RecordPointer, UserId,
    consortium::{Epoch, EpochId},
    custody::CustodyLabel,
    opening::{WRAP_BYTES, WrapLabel},
};
use epione_threshold::{Commitments, Index, MixingSecret, Partial, Point, Wrap};

use super::{
    decision::{Decided, OpenedSection},
    mixing::mixing_secrets,
};
use crate::{
    api::{ApiError, AppState},
    chain::{FinalState, Identity},
    consortium::own_share::{self, OwnShare},
    hospital_keys::HospitalKeysError,
};

/// Why a part cannot be made, although the chain allows it. None of these can happen while node and chain are sound.
#[derive(Debug, thiserror::Error)]
pub(super) enum MakingError {
    #[error(
        "the mixing secret of the epoch before epoch {0} does not follow from that of epoch {0}"
    )]
    Link(EpochId),
    #[error("the wrap of section {section} of record {pointer} is not bound to this section")]
    Wrap { pointer: RecordPointer, section: u16 },
    #[error("the wrap of the key of patient {0} is not bound to this key")]
    Key(UserId),
    #[error("the share of the consortium key makes no part")]
    Share,
    #[error("the system gives no random bytes")]
    Random,
}

/// A section's wrap, and what it must be bound to.
struct Labelled {
    pointer: RecordPointer,
    section: u16,
    label: Vec<u8>,
    wrap: [u8; WRAP_BYTES],
    /// What the mixing secret of the wrap's epoch gives the label.
    mixing: Zeroizing<[u8; 32]>,
}

/// The wrap of a patient key, and what it must be bound to.
pub(super) struct KeptWrap {
    pub label: CustodyLabel,
    pub wrap: [u8; WRAP_BYTES],
}

/// Everything of which the hospital's part is made.
pub(super) struct Parts {
    share: OwnShare,
    points: Vec<Point>,
    mixing: Vec<Zeroizing<[u8; 32]>>,
}

impl Parts {
    /// Finds the share and the wraps, and checks that each wrap is bound to its section: a wrap that was moved from
    /// another section would open that one.
    pub async fn gather(
        state: &AppState,
        finalized: &dyn FinalState,
        identity: Identity,
        decided: &Decided,
    ) -> Result<Self, ApiError> {
        let share = own_share(state, &decided.epoch, identity.hospital).await?;
        let epochs: BTreeSet<_> = decided.sections.iter().map(|it| it.wrapped.epoch).collect();
        let (known, newest) = (&state.shared.followed, &decided.epoch);
        let secrets = mixing_secrets(known, finalized, newest, &share.mixing, &epochs).await?;
        let bodies = bodies(state, &decided.sections).await?;
        let mut labelled = Vec::with_capacity(decided.sections.len());
        for opened in &decided.sections {
            labelled.push(labelled_wrap(identity.genesis, decided, opened, &secrets, &bodies)?);
        }
        blocking(move || {
            let points = labelled.iter().map(point).collect::<Result<_, _>>()?;
            let mixing = labelled.into_iter().map(|it| it.mixing).collect();
            Ok(Self { share, points, mixing })
        })
        .await
    }

    /// The same for patient keys.
    pub async fn of_keys(
        state: &AppState,
        finalized: &dyn FinalState,
        here: HospitalId,
        epoch: &Epoch,
        kept: Vec<KeptWrap>,
    ) -> Result<Self, ApiError> {
        let share = own_share(state, epoch, here).await?;
        let epochs: BTreeSet<_> = kept.iter().map(|it| it.label.epoch).collect();
        let known = &state.shared.followed;
        let secrets = mixing_secrets(known, finalized, epoch, &share.mixing, &epochs).await?;
        blocking(move || {
            let (mut points, mut mixing) = (Vec::new(), Vec::new());
            for KeptWrap { label, wrap } in kept {
                let secret = secrets.get(&label.epoch).ok_or(MakingError::Link(label.epoch))?;
                let bytes = label.bytes();
                let point = Wrap::decode(&wrap).and_then(|wrap| wrap.check(&bytes));
                points.push(point.ok_or(MakingError::Key(label.patient))?);
                mixing.push(Wrap::mixing_of(secret, &bytes));
            }
            Ok(Self { share, points, mixing })
        })
        .await
    }

    /// The hospital's part, with a proof that is valid in this context only.
    pub async fn content(self, proof_context: Vec<u8>) -> Result<PartialContent, ApiError> {
        blocking(move || {
            let mut seed = Zeroizing::new([0_u8; 32]);
            getrandom::fill(seed.as_mut_slice()).map_err(|_| MakingError::Random)?;
            let Self { share, points, mixing } = &self;
            let partial = Partial::make(&share.share, points, &proof_context, &seed);
            let encoded = partial.ok_or(MakingError::Share)?.encode();
            let (proof, values) = encoded.split_first_chunk::<64>().ok_or(MakingError::Share)?;
            let values = values.as_chunks::<32>().0.to_vec();
            let mixing = mixing.iter().map(|value| **value).collect();
            Ok(PartialContent { values, proof: *proof, mixing })
        })
        .await
    }
}

/// The hospital's share of an epoch, if it is the one of which the chain has the commitments.
async fn own_share(
    state: &AppState,
    epoch: &Epoch,
    here: HospitalId,
) -> Result<OwnShare, ApiError> {
    let Some(own) = own_share::of_epoch(&state.journal, epoch).await? else {
        return Err(no_share());
    };
    let commitments = Commitments::decode(&epoch.commitments);
    let is_ours = commitments.is_some_and(|it| it.includes(Index::of_hospital(here.0), &own.share));
    if is_ours && own.mixing.hash() == epoch.mixing.0 {
        return Ok(own);
    }
    tracing::error!(
        epoch = epoch.id.0,
        "the worker's share of the consortium key is not that of the epoch on the chain: nothing is handed out until \
         the members renew their shares"
    );
    Err(no_share())
}

fn no_share() -> ApiError {
    ApiError::conflict(
        "no-share",
        "This hospital does not have its share of the consortium key",
        "Its worker has not got its share of the present epoch yet, or has lost it. Ask the workers of the other \
         members.",
    )
}

/// The bodies with the wraps of these sections.
async fn bodies(
    state: &AppState,
    sections: &[OpenedSection],
) -> Result<BTreeMap<Hash, Vec<u8>>, ApiError> {
    let mut bodies = BTreeMap::new();
    for hash in sections.iter().map(|opened| opened.wrapped.body) {
        if let Entry::Vacant(entry) = bodies.entry(hash) {
            entry.insert(state.view.body(hash).await?.ok_or(HospitalKeysError::NoBody)?);
        }
    }
    Ok(bodies)
}

fn labelled_wrap(
    genesis: Hash,
    decided: &Decided,
    opened: &OpenedSection,
    secrets: &BTreeMap<EpochId, MixingSecret>,
    bodies: &BTreeMap<Hash, Vec<u8>>,
) -> Result<Labelled, MakingError> {
    let OpenedSection { pointer, section, slot, wrapped } = *opened;
    let wrong = MakingError::Wrap { pointer, section };
    let label = WrapLabel {
        genesis,
        key: wrapped.key,
        epoch: wrapped.epoch,
        hospital: wrapped.hospital,
        patient: decided.opening.patient,
        slot,
        pointer,
        section,
    };
    let label = label.bytes();
    let body = bodies.get(&wrapped.body).map_or(&[][..], Vec::as_slice);
    let (wraps, []) = body.as_chunks::<WRAP_BYTES>() else { return Err(wrong) };
    let wrap =
        wraps.get(opened.position()).filter(|_| wraps.len() == wrapped.sections.iter().count());
    let Some(wrap) = wrap else { return Err(wrong) };
    let secret = secrets.get(&wrapped.epoch).ok_or(MakingError::Link(wrapped.epoch))?;
    let mixing = Wrap::mixing_of(secret, &label);
    Ok(Labelled { pointer, section, label, wrap: *wrap, mixing })
}

/// The point of which members make their parts, if the wrap is bound to its label.
fn point(labelled: &Labelled) -> Result<Point, MakingError> {
    let Labelled { pointer, section, label, wrap, .. } = labelled;
    let point = Wrap::decode(wrap).and_then(|wrap| wrap.check(label));
    point.ok_or(MakingError::Wrap { pointer: *pointer, section: *section })
}

impl From<MakingError> for ApiError {
    fn from(error: MakingError) -> Self {
        Self::internal(&error)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MakingError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| ApiError::from(HospitalKeysError::Interrupted))??)
}
