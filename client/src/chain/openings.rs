//! Reads of openings: what hospitals opened together, for whom, and the wraps from which they open it.

use epione_primitives::{
    HospitalId, RecordPointer, UserId,
    opening::{HandedOut, Opening, OpeningId, Wrapped},
    sharing::SlotId,
};

use super::{ChainError, Snapshot};

impl Snapshot {
    /// An opening; none if the chain has not decided so many.
    pub async fn opening(&self, id: OpeningId) -> Result<Option<Opening>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.opening(id).await;
        }
        self.read("OpeningsApi_opening", id).await
    }

    /// The openings of a patient's records, newest first, with their numbers among the patient's: at most `limit` and
    /// [`MAX_PAGE`](epione_primitives::limits::MAX_PAGE) before the number `before`.
    pub async fn openings_of_patient(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, OpeningId, Opening)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.openings_of_patient(patient, before, limit).await;
        }
        self.read("OpeningsApi_openings_of_patient", (patient, before, limit)).await
    }

    /// The openings for a requester, newest first, with their numbers among the requester's: at most `limit` and
    /// [`MAX_PAGE`](epione_primitives::limits::MAX_PAGE) before the number `before`.
    pub async fn openings_of_requester(
        &self,
        requester: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, OpeningId, Opening)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.openings_of_requester(requester, before, limit).await;
        }
        self.read("OpeningsApi_openings_of_requester", (requester, before, limit)).await
    }

    /// The hospitals that recorded that they hand out their parts of an opening, ascending.
    pub async fn handed_out(
        &self,
        opening: OpeningId,
    ) -> Result<Vec<(HospitalId, HandedOut)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.handed_out(opening).await;
        }
        self.read("OpeningsApi_handed_out", opening).await
    }

    /// What a hospital recorded when it handed out its part of an opening, if it did.
    pub async fn handed_out_by(
        &self,
        opening: OpeningId,
        hospital: HospitalId,
    ) -> Result<Option<HandedOut>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.handed_out_by(opening, hospital).await;
        }
        let all = self.handed_out(opening).await?;
        Ok(all.into_iter().find(|(other, _)| *other == hospital).map(|(_, it)| it))
    }

    /// The wraps of sections of a record, for each of its patient's slots that has some, ascending by slot.
    pub async fn wraps(
        &self,
        pointer: RecordPointer,
    ) -> Result<Vec<(SlotId, Wrapped)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.wraps(pointer).await;
        }
        self.read("OpeningsApi_wraps", pointer).await
    }
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use epione_primitives::{Hash, consortium::EpochId};
    use serde_json::json;
    use sp_core::Bytes;

    use super::*;
    use crate::chain::fake::FakeNode;

    #[tokio::test]
    async fn a_hospitals_record_is_found_among_those_of_an_opening() {
        let handed_out = HandedOut { epoch: EpochId(2), block: 7, at: 8 };
        let all = vec![(HospitalId(1), handed_out), (HospitalId(3), handed_out)];
        let (answer, nothing) = (json!(Bytes(all.encode())), json!(Bytes(vec![0])));
        let node = FakeNode::new(move |method, _| match method {
            "OpeningsApi_handed_out" => answer.clone(),
            _ => nothing.clone(),
        });
        let state = node.connect().await.at(Hash::zero());
        let opening = OpeningId(7);
        assert_eq!(state.handed_out(opening).await.unwrap(), all);
        let of = async |hospital| state.handed_out_by(opening, HospitalId(hospital)).await.unwrap();
        assert_eq!((of(3).await, of(2).await), (Some(handed_out), None));
        assert_eq!(state.opening(opening).await.unwrap(), None);
        assert_eq!(node.requests().len(), 4);
    }
}
