//! Which reports of equivocations the chain accepts.
//!
//! A report has no signature, so no quota covers it, and pallet-offences stores it forever. Whoever has a hospital's
//! GRANDPA key can sign an equivocation in any round. So the chain accepts one report about a hospital for each set of
//! authorities, and none that would not count: about a hospital that is benched or not active, or about a session in or
//! before which the council last reinstated the hospital.

use alloc::{vec, vec::Vec};
use core::slice;
use epione_primitives::{AccountId, HospitalId};
use frame_support::ensure;
use pallet_grandpa::{EquivocationOffence, TimeSlot};
use pallet_session::historical::IdentificationTuple;
use sp_consensus_grandpa::SetId;
use sp_runtime::Perbill;
use sp_staking::{
    SessionIndex,
    offence::{Kind, Offence, OffenceError, ReportOffence},
};

use crate::{Hospitals, Offences, Runtime};

type Offender = IdentificationTuple<Runtime>;

/// An equivocation that pallet-offences knows by the set of authorities and the hospital, without the round.
struct InSet(EquivocationOffence<Offender>);

impl Offence<Offender> for InSet {
    const ID: Kind = <EquivocationOffence<Offender> as Offence<Offender>>::ID;
    /// With the hospital in it, the offences of other hospitals in the same set are not reported again with this one.
    type Slot = (SetId, HospitalId);

    fn offenders(&self) -> Vec<Offender> {
        vec![self.0.offender]
    }

    fn session_index(&self) -> SessionIndex {
        self.0.session_index
    }

    fn validator_set_count(&self) -> u32 {
        self.0.validator_set_count
    }

    fn slot(&self) -> Self::Slot {
        (self.0.time_slot.set_id, self.0.offender.0)
    }

    fn slash_fraction(&self, offenders: u32) -> Perbill {
        self.0.slash_fraction(offenders)
    }
}

/// Passes the reports that count to pallet-offences.
pub struct Reports;

impl ReportOffence<AccountId, Offender, EquivocationOffence<Offender>> for Reports {
    fn report_offence(
        reporters: Vec<AccountId>,
        offence: EquivocationOffence<Offender>,
    ) -> Result<(), OffenceError> {
        let counts = Hospitals::answers_for(offence.offender.0, offence.session_index);
        ensure!(counts, OffenceError::DuplicateReport);
        Offences::report_offence(reporters, InSet(offence))
    }

    /// Nodes ask before they accept a report into their pool or a block.
    fn is_known_offence(offenders: &[Offender], slot: &TimeSlot) -> bool {
        offenders.iter().all(|offender| {
            !Hospitals::may_validate(offender.0) || is_reported(slot.set_id, offender)
        })
    }
}

fn is_reported(set: SetId, offender: &Offender) -> bool {
    let slot = (set, offender.0);
    <Offences as ReportOffence<AccountId, Offender, InSet>>::is_known_offence(
        slice::from_ref(offender),
        &slot,
    )
}
