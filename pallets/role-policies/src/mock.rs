//! A runtime with role policies, and stand-ins for the pallets that they ask.

use std::{cell::RefCell, collections::BTreeMap};

use epione_primitives::{
    AccountId, HospitalId, Moment, UserId, ports,
    profile::{Period, Role},
};
use frame_support::{construct_runtime, derive_impl, parameter_types, traits::Time};
use frame_system::RawOrigin;
use sp_io::TestExternalities;
use sp_runtime::traits::IdentityLookup;

use crate as pallet_role_policies;

construct_runtime!(
    pub struct Test {
        System: frame_system,
        RolePolicies: pallet_role_policies,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type Block = frame_system::mocking::MockBlockU32<Test>;
}

impl pallet_role_policies::Config for Test {
    type WeightInfo = ();
    type Hospitals = Hospitals;
    type Users = Users;
    type Time = Clock;
}

pub const HOME: HospitalId = HospitalId(0);
pub const AWAY: HospitalId = HospitalId(1);
pub const SUSPENDED: HospitalId = HospitalId(2);
/// Never admitted.
pub const NOWHERE: HospitalId = HospitalId(99);

pub const PATIENT: UserId = UserId([1; 32]);
pub const DOCTOR: UserId = UserId([2; 32]);
pub const NURSE: UserId = UserId([3; 32]);
pub const RESEARCHER: UserId = UserId([4; 32]);
/// A doctor registered at [`AWAY`] only.
pub const SPECIALIST: UserId = UserId([5; 32]);
/// Never registered.
pub const STRANGER: UserId = UserId([6; 32]);
pub const OTHER_PATIENT: UserId = UserId([7; 32]);

/// The chain's time at the start of each test.
pub const START: Moment = 1_000_000;

pub struct Admitted {
    active: bool,
    governance: AccountId,
    agent: AccountId,
}

pub struct User {
    role: Role,
    account: AccountId,
}

parameter_types! {
    pub static Now: Moment = START;
}

thread_local! {
    static ADMITTED: RefCell<BTreeMap<HospitalId, Admitted>> = Default::default();
    static USERS: RefCell<BTreeMap<UserId, User>> = Default::default();
    static REGISTRATIONS: RefCell<BTreeMap<(HospitalId, UserId), Period>> =
        Default::default();
}

pub struct Clock;

impl Time for Clock {
    type Moment = Moment;

    fn now() -> Moment {
        Now::get()
    }
}

pub struct Hospitals;

impl Hospitals {
    fn active_with(account: impl Fn(&Admitted) -> bool) -> Option<HospitalId> {
        ADMITTED.with_borrow(|all| {
            all.iter().find(|(_, known)| known.active && account(known)).map(|(id, _)| *id)
        })
    }
}

impl ports::Hospitals for Hospitals {
    fn active_by_agent(account: &AccountId) -> Option<HospitalId> {
        Self::active_with(|known| known.agent == *account)
    }

    fn active_by_governance(account: &AccountId) -> Option<HospitalId> {
        Self::active_with(|known| known.governance == *account)
    }

    fn exists(hospital: HospitalId) -> bool {
        ADMITTED.with_borrow(|all| all.contains_key(&hospital))
    }

    fn active() -> Vec<HospitalId> {
        ADMITTED.with_borrow(|all| {
            all.iter().filter(|(_, known)| known.active).map(|(id, _)| *id).collect()
        })
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(governance: AccountId, agent: AccountId) -> HospitalId {
        Self::active_with(|known| known.agent == agent).unwrap_or_else(|| {
            ADMITTED.with_borrow_mut(|all| {
                let id = HospitalId(u16::try_from(all.len()).unwrap());
                all.insert(id, Admitted { active: true, governance, agent });
                id
            })
        })
    }
}

pub struct Users;

impl ports::Users for Users {
    fn by_account(account: &AccountId) -> Option<UserId> {
        USERS.with_borrow(|all| {
            all.iter().find(|(_, user)| user.account == *account).map(|(id, _)| *id)
        })
    }

    fn role(user: UserId) -> Option<Role> {
        USERS.with_borrow(|all| all.get(&user).map(|user| user.role))
    }

    fn registered(hospital: HospitalId, user: UserId, at: Moment) -> bool {
        REGISTRATIONS
            .with_borrow(|all| all.get(&(hospital, user)).is_some_and(|period| period.contains(at)))
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId, user: UserId, role: Role, account: AccountId) {
        USERS.with_borrow_mut(|all| all.insert(user, User { role, account }));
        register(hospital, user, 0);
    }
}

pub fn register(hospital: HospitalId, user: UserId, since: Moment) {
    let period = Period { since, until: None };
    REGISTRATIONS.with_borrow_mut(|all| all.insert((hospital, user), period));
}

pub fn end_registration(hospital: HospitalId, user: UserId) {
    REGISTRATIONS.with_borrow_mut(|all| {
        all.get_mut(&(hospital, user)).unwrap().until = Some(Now::get());
    });
}

pub fn pass(millis: Moment) {
    Now::mutate(|now| *now += millis);
}

pub fn agent_account(hospital: HospitalId) -> AccountId {
    AccountId::new([100 + hospital.0 as u8; 32])
}

pub fn governance_account(hospital: HospitalId) -> AccountId {
    AccountId::new([200 + hospital.0 as u8; 32])
}

pub fn user_account(user: UserId) -> AccountId {
    AccountId::new(user.0)
}

pub fn agent(hospital: HospitalId) -> RuntimeOrigin {
    RawOrigin::Signed(agent_account(hospital)).into()
}

pub fn governance(hospital: HospitalId) -> RuntimeOrigin {
    RawOrigin::Signed(governance_account(hospital)).into()
}

pub fn user(user: UserId) -> RuntimeOrigin {
    RawOrigin::Signed(user_account(user)).into()
}

/// Origins that none of the calls takes.
pub fn unsigned() -> [RuntimeOrigin; 2] {
    [RawOrigin::None.into(), RawOrigin::Root.into()]
}

/// Three hospitals, the last suspended; two patients, a doctor, a nurse and a researcher registered
/// at [`HOME`], and a specialist at [`AWAY`].
pub fn externalities() -> TestExternalities {
    Now::set(START);
    ADMITTED.set(
        [(HOME, true), (AWAY, true), (SUSPENDED, false)]
            .into_iter()
            .map(|(id, active)| {
                let governance = governance_account(id);
                (id, Admitted { active, governance, agent: agent_account(id) })
            })
            .collect(),
    );
    USERS.set(
        [
            (PATIENT, Role::Patient),
            (DOCTOR, Role::Doctor),
            (NURSE, Role::Nurse),
            (RESEARCHER, Role::Researcher),
            (SPECIALIST, Role::Doctor),
            (OTHER_PATIENT, Role::Patient),
        ]
        .into_iter()
        .map(|(id, role)| (id, User { role, account: user_account(id) }))
        .collect(),
    );
    REGISTRATIONS.set(BTreeMap::new());
    for user in [PATIENT, DOCTOR, NURSE, RESEARCHER, OTHER_PATIENT] {
        register(HOME, user, START);
    }
    register(AWAY, SPECIALIST, START);
    let mut externalities = TestExternalities::default();
    externalities.execute_with(|| System::set_block_number(1));
    externalities
}

/// Runs `test`, then checks the invariants.
pub fn run(test: impl FnOnce()) {
    externalities().execute_with(|| {
        test();
        RolePolicies::check_state().unwrap();
    });
}
