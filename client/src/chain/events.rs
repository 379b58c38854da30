//! Events of the pallets in a block.
//!
//! An event is recognized by the names of its pallet and variant in the metadata of the block; its fields are then
//! decoded by position as the types of `epione_primitives`. A handle that verifies also compares their numbers.

use codec::{Compact, Decode, DecodeAll};
use epione_primitives::{
    AccountId, AnnouncementId, BlockNumber, Hash, HospitalId, Moment, UserId,
    access::RelationshipKind,
    approval::{BallotOutcome, RejectReason},
    opening::OpeningId,
    query::QueryId,
    release::ReviewId,
    sharing::{Change, SlotId},
};
use subxt::{
    OnlineClientAtBlock, SubstrateConfig,
    events::{Event, Phase},
};

use super::{Chain, ChainError, DispatchFailure, SubxtHash, error::unknown_block};

/// An event, with the extrinsic that caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockEvent {
    /// Index of the extrinsic in its block; none if the block itself caused the event.
    pub extrinsic: Option<u32>,
    pub event: ChainEvent,
}

/// The events on which workers and clients act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainEvent {
    /// A hospital asks the others to verify and approve a lite block.
    Announced {
        id: AnnouncementId,
        announcer: HospitalId,
        body_hash: Hash,
    },
    /// A lite block was approved and chained.
    Committed {
        id: AnnouncementId,
        height: u32,
        lite_hash: Hash,
        cloud_hash: Hash,
    },
    /// There could no longer be enough approvals.
    Rejected {
        id: AnnouncementId,
    },
    /// The ballot was undecided at its deadline.
    Expired {
        id: AnnouncementId,
    },
    /// The announcer took the announcement back.
    Withdrawn {
        id: AnnouncementId,
    },
    BallotOpened {
        id: AnnouncementId,
        opener: HospitalId,
        needed: u32,
        deadline: BlockNumber,
    },
    /// One hospital's vote.
    Approved {
        id: AnnouncementId,
        hospital: HospitalId,
    },
    /// One hospital's vote.
    RejectionCast {
        id: AnnouncementId,
        hospital: HospitalId,
        reason: RejectReason,
    },
    BallotClosed {
        id: AnnouncementId,
        outcome: BallotOutcome,
    },
    /// A hospital has new accounts. These are the ones that it has from then on.
    AccountsRotated {
        hospital: HospitalId,
        governance: AccountId,
        agent: AccountId,
    },
    /// A hospital registered a user.
    Registered {
        hospital: HospitalId,
        user: UserId,
        version: u32,
        body_hash: Hash,
    },
    /// A registration has a new body.
    ProfileUpdated {
        hospital: HospitalId,
        user: UserId,
        version: u32,
        body_hash: Hash,
    },
    /// A user replaced their account, their sealing key or both.
    KeysRotated {
        user: UserId,
        version: u32,
    },
    Related {
        patient: UserId,
        professional: UserId,
        hospital: HospitalId,
        kind: RelationshipKind,
        expires: Option<Moment>,
    },
    Unrelated {
        patient: UserId,
        professional: UserId,
        hospital: HospitalId,
        kind: RelationshipKind,
    },
    PoliciesSet {
        hospital: HospitalId,
        version: u32,
    },
    /// What a patient shares has changed.
    SharingChanged {
        /// The height of the change in the chain of changes.
        height: u64,
        patient: UserId,
        slot: SlotId,
        change: Change,
    },
    /// A requester asks a patient.
    QueryAsked {
        query: QueryId,
        requester: UserId,
        patient: UserId,
    },
    /// The patient accepted, with some or all of the sections.
    QueryAccepted {
        query: QueryId,
        patient: UserId,
        requester: UserId,
        /// The patient, or a representative.
        by: UserId,
        /// The hospital whose worker keeps the sealed grant.
        mailbox: HospitalId,
    },
    /// The patient refused.
    QueryRefused {
        query: QueryId,
        patient: UserId,
        requester: UserId,
        /// The patient, or a representative.
        by: UserId,
    },
    /// The requester took back the query, or the patient the acceptance.
    QueryWithdrawn {
        query: QueryId,
        patient: UserId,
        requester: UserId,
        /// The requester, the patient, or a representative.
        by: UserId,
    },
    /// A hospital's worker hands out the sealed grant.
    QueryTransferred {
        query: QueryId,
        hospital: HospitalId,
    },
    /// The chain decided that a requester may open sections of a patient's records.
    Opened {
        opening: OpeningId,
        requester: UserId,
        patient: UserId,
    },
    /// The other hospitals are to judge an emergency, until this block.
    ReviewOpened {
        review: ReviewId,
        deadline: BlockNumber,
    },
    /// Any other event, with the SCALE of its fields.
    Other {
        pallet: String,
        name: String,
        fields: Vec<u8>,
    },
}

impl ChainEvent {
    fn read(pallet: &str, name: &str, fields: &[u8]) -> Result<Self, ChainError> {
        let known = match pallet {
            "LiteBlocks" => lite_block_event(name, fields),
            "Approvals" => approval_event(name, fields),
            "Hospitals" => hospital_event(name, fields),
            "Profiles" => profile_event(name, fields),
            "RolePolicies" => policy_event(name, fields),
            "Sharing" => sharing_event(name, fields),
            "Queries" => query_event(name, fields),
            "Openings" => opening_event(name, fields),
            "Releases" => release_event(name, fields),
            _ => None,
        };
        match known {
            Some(event) => {
                event.map_err(|error| ChainError::malformed(format!("{pallet}.{name}"), error))
            }
            None => Ok(Self::Other {
                pallet: pallet.into(),
                name: name.into(),
                fields: fields.to_vec(),
            }),
        }
    }
}

type Known = Option<Result<ChainEvent, codec::Error>>;

fn read<T: Decode>(fields: &[u8], make: impl FnOnce(T) -> ChainEvent) -> Known {
    Some(T::decode_all(&mut &*fields).map(make))
}

fn lite_block_event(name: &str, fields: &[u8]) -> Known {
    match name {
        "Announced" => read(fields, |(id, announcer, body_hash)| ChainEvent::Announced {
            id,
            announcer,
            body_hash,
        }),
        "Committed" => read(fields, |(id, height, lite_hash, cloud_hash)| ChainEvent::Committed {
            id,
            height,
            lite_hash,
            cloud_hash,
        }),
        "Rejected" => read(fields, |id| ChainEvent::Rejected { id }),
        "Expired" => read(fields, |id| ChainEvent::Expired { id }),
        "Withdrawn" => read(fields, |id| ChainEvent::Withdrawn { id }),
        _ => None,
    }
}

fn approval_event(name: &str, fields: &[u8]) -> Known {
    match name {
        "Opened" => read(fields, |(id, opener, needed, deadline)| ChainEvent::BallotOpened {
            id,
            opener,
            needed,
            deadline,
        }),
        "Approved" => read(fields, |(id, hospital)| ChainEvent::Approved { id, hospital }),
        "Rejected" => read(fields, |(id, hospital, reason)| ChainEvent::RejectionCast {
            id,
            hospital,
            reason,
        }),
        "Closed" => read(fields, |(id, outcome)| ChainEvent::BallotClosed { id, outcome }),
        _ => None,
    }
}

fn hospital_event(name: &str, fields: &[u8]) -> Known {
    match name {
        "AccountsRotated" => read(fields, |(hospital, governance, agent)| {
            ChainEvent::AccountsRotated { hospital, governance, agent }
        }),
        _ => None,
    }
}

fn profile_event(name: &str, fields: &[u8]) -> Known {
    match name {
        "Registered" => read(fields, |(hospital, user, version, body_hash)| {
            ChainEvent::Registered { hospital, user, version, body_hash }
        }),
        "Updated" => read(fields, |(hospital, user, version, body_hash)| {
            ChainEvent::ProfileUpdated { hospital, user, version, body_hash }
        }),
        "KeysRotated" => read(fields, |(user, version)| ChainEvent::KeysRotated { user, version }),
        _ => None,
    }
}

fn policy_event(name: &str, fields: &[u8]) -> Known {
    match name {
        "Related" => read(fields, |(patient, professional, hospital, kind, expires)| {
            ChainEvent::Related { patient, professional, hospital, kind, expires }
        }),
        "Unrelated" => read(fields, |(patient, professional, hospital, kind)| {
            ChainEvent::Unrelated { patient, professional, hospital, kind }
        }),
        "PoliciesSet" => {
            read(fields, |(hospital, version)| ChainEvent::PoliciesSet { hospital, version })
        }
        _ => None,
    }
}

fn sharing_event(name: &str, fields: &[u8]) -> Known {
    match name {
        "Changed" => read(fields, |(height, patient, slot, change)| ChainEvent::SharingChanged {
            height,
            patient,
            slot,
            change,
        }),
        _ => None,
    }
}

fn query_event(name: &str, fields: &[u8]) -> Known {
    match name {
        "Asked" => read(fields, |(query, requester, patient)| ChainEvent::QueryAsked {
            query,
            requester,
            patient,
        }),
        "Accepted" => read(fields, |(query, patient, requester, by, mailbox)| {
            ChainEvent::QueryAccepted { query, patient, requester, by, mailbox }
        }),
        "Refused" => read(fields, |(query, patient, requester, by)| ChainEvent::QueryRefused {
            query,
            patient,
            requester,
            by,
        }),
        "Withdrawn" => read(fields, |(query, patient, requester, by)| ChainEvent::QueryWithdrawn {
            query,
            patient,
            requester,
            by,
        }),
        "Transferred" => {
            read(fields, |(query, hospital)| ChainEvent::QueryTransferred { query, hospital })
        }
        _ => None,
    }
}

fn opening_event(name: &str, fields: &[u8]) -> Known {
    match name {
        "Opened" => read(fields, |(opening, requester, patient)| ChainEvent::Opened {
            opening,
            requester,
            patient,
        }),
        _ => None,
    }
}

fn release_event(name: &str, fields: &[u8]) -> Known {
    match name {
        "ReviewOpened" => {
            read(fields, |(review, deadline)| ChainEvent::ReviewOpened { review, deadline })
        }
        _ => None,
    }
}

pub(super) type At = OnlineClientAtBlock<SubstrateConfig>;

impl Chain {
    /// The events of a block, in their order.
    pub async fn events(&self, block: Hash) -> Result<Vec<BlockEvent>, ChainError> {
        self.within_limit(async {
            let at = self.client_at(block).await?;
            let mut events = Vec::new();
            self.each_event(block, &at, |event| {
                let extrinsic = match event.phase() {
                    Phase::ApplyExtrinsic(index) => Some(index),
                    Phase::Initialization | Phase::Finalization => None,
                };
                events.push(BlockEvent { extrinsic, event: chain_event(event)? });
                Ok(())
            })
            .await?;
            Ok(events)
        })
        .await
    }

    /// The events of one extrinsic, and the reason if it failed.
    pub(super) async fn extrinsic_events(
        &self,
        block: Hash,
        extrinsic: u32,
    ) -> Result<(Vec<ChainEvent>, Option<DispatchFailure>), ChainError> {
        self.within_limit(async {
            let at = self.client_at(block).await?;
            let (mut events, mut failure, mut outcomes) = (Vec::new(), None, 0);
            self.each_event(block, &at, |event| {
                if event.phase() != Phase::ApplyExtrinsic(extrinsic) {
                    return Ok(());
                }
                match (event.pallet_name(), event.event_name()) {
                    ("System", "ExtrinsicSuccess") => outcomes += 1,
                    ("System", "ExtrinsicFailed") => {
                        outcomes += 1;
                        let metadata = at.metadata_ref();
                        failure = Some(DispatchFailure::read(event.field_bytes(), metadata)?);
                    }
                    _ => {}
                }
                events.push(chain_event(event)?);
                Ok(())
            })
            .await?;
            self.check_outcomes(block, extrinsic, outcomes)?;
            Ok((events, failure))
        })
        .await
    }

    async fn each_event(
        &self,
        block: Hash,
        at: &At,
        mut look: impl FnMut(&Event<'_, SubstrateConfig>) -> Result<(), ChainError>,
    ) -> Result<(), ChainError> {
        const WHAT: &str = "a block's events";
        let events = match self.verified(block).await? {
            Some(state) => {
                let proven = state.events().await?;
                at.events().from_bytes(proven)
            }
            None => {
                at.events().fetch().await.map_err(|error| ChainError::malformed(WHAT, error))?
            }
        };
        let mut read = count_bytes(events.bytes());
        for event in events.iter() {
            let event = event.map_err(|error| ChainError::malformed(WHAT, error))?;
            let numbers = [event.pallet_index(), event.event_index()];
            self.check_event(numbers, event.pallet_name(), event.event_name())?;
            read = read.saturating_add(event.bytes().len());
            look(&event)?;
        }
        self.check_all_read(block, events.bytes().len(), read)
    }

    pub(super) async fn client_at(&self, block: Hash) -> Result<At, ChainError> {
        use subxt::error::OnlineClientAtBlockError as AtError;
        let at = self.inner.client.at_block(SubxtHash::from(block.0)).await;
        let at = at.map_err(|error| match error {
            AtError::BlockHeaderNotFound { .. } | AtError::BlockNotFound { .. } => {
                unknown_block(block)
            }
            other => ChainError::malformed("a block's metadata", other),
        })?;
        if let Some(verifier) = &self.verifier {
            verifier.check_metadata(self, at.metadata())?;
        }
        Ok(at)
    }
}

/// Bytes of the number of events, before the first one.
fn count_bytes(events: &[u8]) -> usize {
    let mut rest = events;
    Compact::<u32>::decode(&mut rest).map_or(0, |_| events.len().saturating_sub(rest.len()))
}

fn chain_event(event: &Event<'_, SubstrateConfig>) -> Result<ChainEvent, ChainError> {
    ChainEvent::read(event.pallet_name(), event.event_name(), event.field_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use codec::Encode;
    use epione_primitives::{RecordPointer, release::SectionSet};

    use super::*;

    #[test]
    fn the_number_of_events_is_before_them() {
        for (count, bytes) in [(0_u32, 1), (63, 1), (64, 2), (70_000, 4)] {
            let events = [Compact(count).encode(), vec![7; 40]].concat();
            assert_eq!(count_bytes(&events), bytes);
        }
        assert_eq!(count_bytes(&[]), 0);
    }

    #[test]
    fn fields_are_read_by_position() {
        let (id, height) = (AnnouncementId(9), 4_u32);
        let hashes = (Hash::repeat_byte(1), Hash::repeat_byte(2));
        let fields = (id, height, hashes.0, hashes.1).encode();
        assert_eq!(
            ChainEvent::read("LiteBlocks", "Committed", &fields).unwrap(),
            ChainEvent::Committed { id, height, lite_hash: hashes.0, cloud_hash: hashes.1 }
        );
    }

    #[test]
    fn votes_and_outcomes_of_the_same_name_are_told_apart_by_their_pallet() {
        let id = AnnouncementId(1);
        let vote = (id, HospitalId(2), RejectReason::SegmentMissing).encode();
        assert!(matches!(
            ChainEvent::read("Approvals", "Rejected", &vote).unwrap(),
            ChainEvent::RejectionCast { .. }
        ));
        assert_eq!(
            ChainEvent::read("LiteBlocks", "Rejected", &id.encode()).unwrap(),
            ChainEvent::Rejected { id }
        );
    }

    #[test]
    fn a_rotation_of_a_hospital_has_its_new_accounts() {
        let (hospital, governance, agent) =
            (HospitalId(2), AccountId::new([1; 32]), AccountId::new([2; 32]));
        let fields = (hospital, &governance, &agent).encode();
        assert_eq!(
            ChainEvent::read("Hospitals", "AccountsRotated", &fields).unwrap(),
            ChainEvent::AccountsRotated { hospital, governance, agent }
        );
    }

    #[test]
    fn a_change_of_what_a_patient_shares_has_its_height_and_its_slot() {
        let (patient, pointer) = (UserId([1; 32]), RecordPointer { height: 3, index: 2 });
        let (height, slot) = (9_u64, SlotId(3));
        let change = Change::Placed { pointer, sections: SectionSet(0b101) };
        let fields = (height, patient, slot, &change).encode();
        assert_eq!(
            ChainEvent::read("Sharing", "Changed", &fields).unwrap(),
            ChainEvent::SharingChanged { height, patient, slot, change }
        );
    }

    #[test]
    fn a_query_and_its_answers_name_the_parties_in_the_pallets_order() {
        let (requester, patient, by) = (UserId([1; 32]), UserId([2; 32]), UserId([4; 32]));
        let (query, mailbox) = (QueryId(7), HospitalId(3));
        assert_eq!(
            ChainEvent::read("Queries", "Asked", &(query, requester, patient).encode()).unwrap(),
            ChainEvent::QueryAsked { query, requester, patient }
        );
        let fields = (query, patient, requester, by, mailbox).encode();
        assert_eq!(
            ChainEvent::read("Queries", "Accepted", &fields).unwrap(),
            ChainEvent::QueryAccepted { query, patient, requester, by, mailbox }
        );
        let fields = (query, patient, requester, by).encode();
        assert_eq!(
            ChainEvent::read("Queries", "Refused", &fields).unwrap(),
            ChainEvent::QueryRefused { query, patient, requester, by }
        );
        assert_eq!(
            ChainEvent::read("Queries", "Withdrawn", &fields).unwrap(),
            ChainEvent::QueryWithdrawn { query, patient, requester, by }
        );
    }

    #[test]
    fn an_event_with_other_fields_is_an_error() {
        let fields = (AnnouncementId(1), 7_u8).encode();
        let error = ChainEvent::read("LiteBlocks", "Expired", &fields).unwrap_err();
        assert!(error.to_string().contains("LiteBlocks.Expired"), "{error}");
    }

    #[test]
    fn an_unknown_event_keeps_its_bytes() {
        let event = ChainEvent::read("System", "ExtrinsicSuccess", &[1, 2]).unwrap();
        assert!(matches!(event, ChainEvent::Other { fields, .. } if fields == [1, 2]));
    }
}
