//! What a hospital's policies say of rights: asked before something is recorded, and again whenever
//! a recorded grant is used.

use epione_primitives::{
    HospitalId, Moment, UserId,
    access::{AccessRequest, Decision, PolicyName, Purpose},
    limits::MAX_RIGHTS,
    ports::AccessPolicies,
    release::{Release, Right},
};
use sp_runtime::{BoundedVec, traits::ConstU32};

use crate::Config;

/// Who asks for whose records at which hospital, why and when.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub requester: UserId,
    pub patient: UserId,
    pub hospital: HospitalId,
    pub purpose: Purpose,
    pub at: Moment,
}

/// By which version of the policies rights were allowed, and by which policy each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grounds {
    pub version: u32,
    /// In the order of the rights.
    pub policies: BoundedVec<PolicyName, ConstU32<MAX_RIGHTS>>,
}

impl Question {
    pub fn of(release: &Release, hospital: HospitalId, at: Moment) -> Self {
        let Release { requester, patient, purpose, .. } = *release;
        Self { requester, patient, hospital, purpose, at }
    }

    /// On what grounds all of these rights are allowed; none if one is not.
    pub fn grounds<T: Config>(&self, rights: &[Right]) -> Option<Grounds> {
        let mut grounds = Grounds::default();
        for right in rights {
            let Decision::Allow { version, policy } = self.decide::<T>(*right) else {
                return None;
            };
            // One hospital at one moment: the same for each right.
            grounds.version = version;
            grounds.policies.try_push(policy).ok()?;
        }
        Some(grounds)
    }

    /// Whether some right is denied that could be asked for: to read, or in an emergency to break
    /// the glass.
    pub fn is_refused_some<T: Config>(&self, emergency: bool) -> bool {
        Right::to_read(emergency).any(|right| !self.decide::<T>(right).is_allowed())
    }

    fn decide<T: Config>(&self, Right { action, class }: Right) -> Decision {
        let Self { requester, patient, hospital, purpose, at } = *self;
        let request =
            AccessRequest { requester, action, patient, hospital, class, purpose, cosigned: false };
        T::Policies::decide(&request, at)
    }
}
