//! The consortium key as a member sees it.

use epione_client::chain::{CeremonyState, ChainError, ConsortiumKey, Snapshot};
use epione_primitives::{
    BlockNumber, HospitalId,
    consortium::{Ceremony, Epoch, PastCeremony},
    hospital::{Hospital, HospitalStatus},
};

/// The consortium key as of one finalized block, as far as a member needs it.
#[derive(Clone, Debug)]
pub struct ConsortiumView {
    pub key: ConsortiumKey,
    /// The newest ceremony; none before the first.
    pub state: Option<CeremonyState>,
    /// The epoch whose key the newest ceremony shares anew.
    pub earlier: Option<Epoch>,
    /// The ceremony that made the current epoch, if it is not the newest.
    pub kept: Option<KeptCeremony>,
    /// The last ceremonies that are over, oldest first.
    pub past: Vec<PastCeremony>,
    /// The active hospitals, ascending.
    pub active: Vec<HospitalId>,
    /// The active hospitals that do not validate until their workers say that they are ready, ascending.
    pub unready: Vec<HospitalId>,
}

/// The ceremony that made the current epoch, while a later one is the newest.
#[derive(Clone, Debug)]
pub struct KeptCeremony {
    pub state: CeremonyState,
    /// The epoch whose key it shared anew; none if it generated the key.
    pub earlier: Option<Epoch>,
}

impl ConsortiumView {
    /// Reads it as of the block of a snapshot.
    pub async fn read(snapshot: &Snapshot) -> Result<Self, ChainError> {
        let (key, hospitals) = (snapshot.consortium_key().await?, snapshot.hospitals().await?);
        let state = match &key.ceremony {
            Some(_) => snapshot.ceremony_state().await?,
            None => None,
        };
        let kept = match &key.kept {
            Some(_) => snapshot.kept_ceremony_state().await?,
            None => None,
        };
        let earlier = reshared(snapshot, state.as_ref()).await?;
        let kept = match kept {
            Some(state) => {
                let earlier = reshared(snapshot, Some(&state)).await?;
                Some(KeptCeremony { state, earlier })
            }
            None => None,
        };
        let past = snapshot.past_ceremonies().await?;
        let is_active = |(_, it): &&(HospitalId, Hospital)| it.status == HospitalStatus::Active;
        let mut active: Vec<_> = hospitals.iter().filter(is_active).map(|(id, _)| *id).collect();
        active.sort_unstable();
        let unready = snapshot.unready().await?;
        Ok(Self { key, state, earlier, kept, past, active, unready })
    }

    /// The newest ceremony as the last call left it.
    pub fn newest(&self) -> Option<&Ceremony> {
        self.state.as_ref().map(|state| &state.ceremony)
    }

    /// The newest ceremony as a call in block `next` finds it.
    pub fn advanced(&self, next: BlockNumber) -> Option<Ceremony> {
        let mut ceremony = self.newest()?.clone();
        ceremony.advance(next, self.key.schedule.phase);
        Some(ceremony)
    }

    /// The ceremony that made the current epoch, and the epoch whose key it shared anew; none before there is an epoch.
    pub fn made_current(&self) -> Option<(&CeremonyState, Option<&Epoch>)> {
        let made = self.key.current.as_ref()?.ceremony;
        let newest = self.state.as_ref().map(|state| (state, self.earlier.as_ref()));
        let kept = self.kept.as_ref().map(|kept| (&kept.state, kept.earlier.as_ref()));
        newest.into_iter().chain(kept).find(|(state, _)| state.ceremony.id == made)
    }

    /// The epochs that the view has: the current one, and those whose keys were shared anew.
    pub fn epochs(&self) -> impl Iterator<Item = &Epoch> {
        let kept = self.kept.as_ref().and_then(|kept| kept.earlier.as_ref());
        self.key.current.iter().chain(&self.earlier).chain(kept)
    }
}

async fn reshared(
    snapshot: &Snapshot,
    state: Option<&CeremonyState>,
) -> Result<Option<Epoch>, ChainError> {
    match state.and_then(|state| state.ceremony.reshares) {
        Some(epoch) => snapshot.epoch(epoch).await,
        None => Ok(None),
    }
}
