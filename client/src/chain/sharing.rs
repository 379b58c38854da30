//! What patients share: consents, placements, and the chain of changes.

use epione_primitives::{
    Hash, RecordPointer, UserId,
    access::Purpose,
    limits::MAX_RELEASED_RECORDS,
    release::SectionSet,
    sharing::{ConsentVersion, Placements, SharedChange, SlotId, SlotSet},
};

use super::{ChainError, Snapshot};

impl Snapshot {
    /// In which slots of their patients the sections are, of each of these records, in their order.
    pub async fn placements(
        &self,
        records: &[RecordPointer],
    ) -> Result<Vec<Placements>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.placements(records).await;
        }
        let mut all = Vec::with_capacity(records.len());
        for page in records.chunks(MAX_RELEASED_RECORDS as usize) {
            let placements: Vec<Placements> = self.read("SharingApi_placements", page).await?;
            if placements.len() != page.len() {
                let reason = format!("{} answers for {} records", placements.len(), page.len());
                return Err(ChainError::malformed("SharingApi_placements", reason));
            }
            all.extend(placements);
        }
        Ok(all)
    }

    /// The slots of a patient whose consents share with a requester for a purpose at the time of the block. None in an
    /// emergency.
    pub async fn admitting(
        &self,
        patient: UserId,
        requester: UserId,
        purpose: Purpose,
    ) -> Result<SlotSet, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.admitting(patient, requester, purpose).await;
        }
        self.read("SharingApi_admitting", (patient, requester, purpose)).await
    }

    /// The slots of a patient whose standing consents share with a requester for a purpose at the time of the block,
    /// also in an emergency.
    pub async fn standing(
        &self,
        patient: UserId,
        requester: UserId,
        purpose: Purpose,
    ) -> Result<SlotSet, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.standing(patient, requester, purpose).await;
        }
        self.read("SharingApi_standing", (patient, requester, purpose)).await
    }

    /// The newest version of the consent of each of a patient's slots, in force or not, ascending by slot.
    pub async fn consents(
        &self,
        patient: UserId,
    ) -> Result<Vec<(SlotId, ConsentVersion)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.consents(patient).await;
        }
        self.read("SharingApi_consents", patient).await
    }

    /// A page of the versions of a slot's consent before the newest: newest first, before version `before`.
    pub async fn earlier_consents(
        &self,
        patient: UserId,
        slot: SlotId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<ConsentVersion>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.earlier_consents(patient, slot, before, limit).await;
        }
        self.read("SharingApi_earlier_consents", (patient, slot, before, limit)).await
    }

    /// A page of the records with sections in a slot, in the order of the chain's storage, after `after`.
    pub async fn placed_in(
        &self,
        patient: UserId,
        slot: SlotId,
        after: Option<RecordPointer>,
        limit: u32,
    ) -> Result<Vec<(RecordPointer, SectionSet)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.placed_in(patient, slot, after, limit).await;
        }
        self.read("SharingApi_placed_in", (patient, slot, after, limit)).await
    }

    /// The height of the newest change of a slot of a patient; 0 before the first. A patient who gives the slot a
    /// consent names the height that they have seen.
    pub async fn slot_height(&self, patient: UserId, slot: SlotId) -> Result<u64, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.slot_height(patient, slot).await;
        }
        self.read("SharingApi_slot_height", (patient, slot)).await
    }

    /// The height of the newest change of what patients share, and its hash; 0 and zero before the first.
    pub async fn shared_head(&self) -> Result<(u64, Hash), ChainError> {
        if let Some(state) = self.proven().await? {
            return state.shared_head().await;
        }
        self.read("SharingApi_shared_head", ()).await
    }

    /// A page of the changes of what patients share, ascending from a height.
    pub async fn shared_changes(
        &self,
        from: u64,
        limit: u32,
    ) -> Result<Vec<SharedChange>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.shared_changes(from, limit).await;
        }
        self.read("SharingApi_shared_changes", (from, limit)).await
    }
}
