//! What patients share, as the chain has it: for counts, and for placing new sections in the slots of patients.

use epione_client::chain::Snapshot;
use epione_primitives::{
    Moment, RecordPointer, UserId,
    access::Purpose,
    sharing::{ConsentVersion, Placements, SlotId, SlotSet},
};

use super::{Answer, NodeChain, ViewError};

/// Reads what patients share.
pub trait SharingView: Send + Sync {
    /// The state after the last finalized block. All answers are of this block.
    fn sharing(&self) -> Answer<'_, Box<dyn SharingState>>;
}

/// What patients share after a finalized block.
pub trait SharingState: Send + Sync {
    /// The time of the block.
    fn time(&self) -> Answer<'_, Moment>;
    /// The slots of a patient whose consents share with a requester for a purpose.
    fn admitting(
        &self,
        patient: UserId,
        requester: UserId,
        purpose: Purpose,
    ) -> Answer<'_, SlotSet>;
    /// In which slots the sections of each of these records are, at most 64, in their order.
    fn placements<'a>(&'a self, records: &'a [RecordPointer]) -> Answer<'a, Vec<Placements>>;
    /// The newest version of the consent of each of a patient's slots, in force or not.
    fn consents(&self, patient: UserId) -> Answer<'_, Vec<(SlotId, ConsentVersion)>>;
}

impl SharingView for NodeChain {
    fn sharing(&self) -> Answer<'_, Box<dyn SharingState>> {
        Box::pin(async {
            let chain = self.chain()?;
            let head = self.high_water.head_of(&chain).await?.ok_or(ViewError::Away)?;
            Ok(Box::new(chain.at(head.hash)) as Box<dyn SharingState>)
        })
    }
}

impl SharingState for Snapshot {
    fn time(&self) -> Answer<'_, Moment> {
        Box::pin(async move { Ok(self.time().await?) })
    }

    fn admitting(
        &self,
        patient: UserId,
        requester: UserId,
        purpose: Purpose,
    ) -> Answer<'_, SlotSet> {
        Box::pin(async move { Ok(self.admitting(patient, requester, purpose).await?) })
    }

    fn placements<'a>(&'a self, records: &'a [RecordPointer]) -> Answer<'a, Vec<Placements>> {
        Box::pin(async move { Ok(self.placements(records).await?) })
    }

    fn consents(&self, patient: UserId) -> Answer<'_, Vec<(SlotId, ConsentVersion)>> {
        Box::pin(async move { Ok(self.consents(patient).await?) })
    }
}
