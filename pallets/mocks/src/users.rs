//! Users with a role and an account, registered at hospitals for a period.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use epione_primitives::{
    AccountId, Hash, HospitalId, Moment, UserId, ports,
    profile::{Period, Role},
};

use crate::{Now, user_account};

struct User {
    role: Role,
    account: AccountId,
    sealing_key: Hash,
}

thread_local! {
    static USERS: RefCell<BTreeMap<UserId, User>> = Default::default();
    static REGISTRATIONS: RefCell<BTreeMap<(HospitalId, UserId), Period>> = Default::default();
    static HISTORIES: Cell<u32> = const { Cell::new(0) };
    /// Those that differ from [`first_body`].
    static BODIES: RefCell<BTreeMap<(HospitalId, UserId), Hash>> = Default::default();
}

pub(crate) fn forget() {
    USERS.set(BTreeMap::new());
    REGISTRATIONS.set(BTreeMap::new());
    BODIES.set(BTreeMap::new());
}

/// The profile body of a registration until a test sets another one: the bytes of the user's id, and of the hospital's.
fn first_body(hospital: HospitalId, user: UserId) -> Hash {
    let mut bytes = user.0;
    bytes[30..].copy_from_slice(&hospital.0.to_be_bytes());
    Hash::from(bytes)
}

/// Adds a user with the account of their id, and a sealing key whose hash has the bytes of the id. They are registered
/// nowhere.
pub fn add_user(user: UserId, role: Role) {
    insert(user, role, user_account(user));
}

fn insert(id: UserId, role: Role, account: AccountId) {
    let user = User { role, account, sealing_key: Hash::from(id.0) };
    USERS.with_borrow_mut(|users| users.insert(id, user));
}

fn change(id: UserId, change: impl FnOnce(&mut User)) {
    USERS.with_borrow_mut(|users| change(users.get_mut(&id).expect("the test added this user")));
}

/// Registers a user at a hospital from a moment on.
pub fn register(hospital: HospitalId, user: UserId, since: Moment) {
    let period = Period { since, until: None };
    REGISTRATIONS.with_borrow_mut(|all| all.insert((hospital, user), period));
}

/// Ends a user's registration at a hospital now.
pub fn end_registration(hospital: HospitalId, user: UserId) {
    REGISTRATIONS.with_borrow_mut(|all| {
        let period = all.get_mut(&(hospital, user)).expect("the test registered this user");
        period.until = Some(Now::get());
    });
}

/// How often this thread has asked for all registrations that a user ever had. Nothing bounds their number.
pub fn histories_read() -> u32 {
    HISTORIES.get()
}

fn registered_at(user: UserId, at: Moment) -> Vec<HospitalId> {
    REGISTRATIONS.with_borrow(|all| {
        let own = all.iter().filter(|((_, known), period)| *known == user && period.contains(at));
        own.map(|((hospital, _), _)| *hospital).collect()
    })
}

/// Gives a registration another profile body.
pub fn set_profile_body(hospital: HospitalId, user: UserId, body: Hash) {
    BODIES.with_borrow_mut(|all| all.insert((hospital, user), body));
}

/// Stands in for pallet-profiles.
pub struct Users;

impl Users {
    /// Gives a user another account. The earlier one is retired.
    pub fn set_account(user: UserId, account: AccountId) {
        change(user, |user| user.account = account);
    }

    /// Gives a user a sealing key with another hash.
    pub fn set_sealing_key(user: UserId, hash: Hash) {
        change(user, |user| user.sealing_key = hash);
    }
}

impl ports::Users for Users {
    fn by_account(account: &AccountId) -> Option<UserId> {
        USERS.with_borrow(|users| {
            users.iter().find(|(_, user)| user.account == *account).map(|(id, _)| *id)
        })
    }

    fn account(user: UserId) -> Option<AccountId> {
        USERS.with_borrow(|users| users.get(&user).map(|user| user.account.clone()))
    }

    fn role(user: UserId) -> Option<Role> {
        USERS.with_borrow(|users| users.get(&user).map(|user| user.role))
    }

    fn sealing_key(user: UserId) -> Option<Hash> {
        USERS.with_borrow(|users| users.get(&user).map(|user| user.sealing_key))
    }

    fn in_force(user: UserId) -> Vec<HospitalId> {
        registered_at(user, Now::get())
    }

    fn registered(hospital: HospitalId, user: UserId, at: Moment) -> bool {
        REGISTRATIONS
            .with_borrow(|all| all.get(&(hospital, user)).is_some_and(|period| period.contains(at)))
    }

    fn was_registered(hospital: HospitalId, user: UserId) -> bool {
        REGISTRATIONS.with_borrow(|all| all.contains_key(&(hospital, user)))
    }

    fn profile_body(hospital: HospitalId, user: UserId) -> Option<Hash> {
        let body = BODIES.with_borrow(|all| all.get(&(hospital, user)).copied());
        let is_registered = <Self as ports::Users>::was_registered(hospital, user);
        is_registered.then(|| body.unwrap_or_else(|| first_body(hospital, user)))
    }

    fn hospitals(user: UserId, at: Moment) -> Vec<HospitalId> {
        HISTORIES.set(HISTORIES.get() + 1);
        registered_at(user, at)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId, user: UserId, role: Role, account: AccountId) {
        insert(user, role, account);
        register(hospital, user, 0);
    }
}
