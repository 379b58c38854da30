//! Checks rights against a hospital's policies, before something is recorded, and again whenever
//! a recorded grant is used.

use epione_primitives::{
    HospitalId, Moment, UserId,
    access::{AccessRequest, Decision, PolicyName, Purpose},
    limits::MAX_RIGHTS,
    ports::AccessPolicies,
    release::{Request, Right},
};
use sp_runtime::{BoundedVec, traits::ConstU32};

use crate::{Config, classes::Classes};

/// What a request asks the policies at a moment, without the rights.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub requester: UserId,
    pub patient: UserId,
    pub hospital: HospitalId,
    pub purpose: Purpose,
    pub at: Moment,
}

/// The policies that allow rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grounds {
    /// The version of the hospital's policy set.
    pub version: u32,
    /// The policy that allows each right, in the order of the rights.
    pub policies: BoundedVec<PolicyName, ConstU32<MAX_RIGHTS>>,
}

impl Question {
    pub fn of(request: &Request, at: Moment) -> Self {
        let Request { requester, patient, hospital, purpose, .. } = *request;
        Self { requester, patient, hospital, purpose, at }
    }

    /// The policies that allow these rights; none if one of the rights is not allowed.
    pub fn grounds<T: Config>(&self, rights: &[Right]) -> Option<Grounds> {
        let mut grounds = Grounds::default();
        for right in rights {
            let Decision::Allow { version, policy } = self.decide::<T>(*right) else {
                return None;
            };
            // The same for every right, because hospital and moment are the same.
            grounds.version = version;
            grounds.policies.try_push(policy).ok()?;
        }
        Some(grounds)
    }

    /// Whether the policies deny at least one right to sections of these classes: to read, or in an emergency to break
    /// the glass.
    pub fn is_refused_some<T: Config>(&self, emergency: bool, classes: Classes) -> bool {
        Right::to_read(emergency)
            .filter(|right| classes.contain(right.class))
            .any(|right| !self.decide::<T>(right).is_allowed())
    }

    fn decide<T: Config>(&self, Right { action, class }: Right) -> Decision {
        let Self { requester, patient, hospital, purpose, at } = *self;
        let request =
            AccessRequest { requester, action, patient, hospital, class, purpose, cosigned: false };
        T::Policies::decide(&request, at)
    }
}
