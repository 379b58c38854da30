//! A runtime with quotas only.

use epione_primitives::{AccountId, HospitalId, UserId};
use frame_support::{construct_runtime, derive_impl, parameter_types};
use sp_io::TestExternalities;
use sp_runtime::traits::IdentityLookup;

use crate::{self as pallet_quotas, Budget, Cost, Debit, Holder, Lane, Limits, Share};

construct_runtime!(
    pub struct Test {
        System: frame_system,
        Quotas: pallet_quotas,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = frame_system::mocking::MockBlockU32<Test>;
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
}

/// A user has 100 ps and 1,000 bytes, a hospital three times as much.
pub const SHARE: Share = Share {
    account: Budget { ref_time: 100, bytes: 1_000 },
    hospital: Budget { ref_time: 300, bytes: 3_000 },
};
const LEAST: Share = Share {
    account: Budget { ref_time: 10, bytes: 100 },
    hospital: Budget { ref_time: 20, bytes: 200 },
};

pub const fn same(share: Share) -> Limits {
    Limits {
        users: share,
        emergencies: share,
        rotations: share,
        endings: share,
        records: share,
        votes: share,
        governance: share,
    }
}

parameter_types! {
    pub const DefaultLimits: Limits = same(SHARE);
    pub const LeastLimits: Limits = same(LEAST);
}

impl crate::Config for Test {
    type DefaultLimits = DefaultLimits;
    type LeastLimits = LeastLimits;
    type WeightInfo = ();
}

pub const A: HospitalId = HospitalId(0);
pub const B: HospitalId = HospitalId(1);

/// A user's transaction.
pub fn debit(user: u8, hospital: HospitalId, ref_time: u64, bytes: u64) -> Debit {
    let signer = Holder::User(UserId([user; 32]));
    let (lane, cost) = (Lane::User, Cost { ref_time, bytes });
    Debit { signer, hospital: Some(hospital), lane, cost }
}

pub fn externalities() -> TestExternalities {
    TestExternalities::default()
}

/// Runs a test in the first block, and checks the invariants afterwards.
pub fn run(test: impl FnOnce()) {
    externalities().execute_with(|| {
        System::set_block_number(1);
        test();
        Quotas::check_state().unwrap();
    });
}
