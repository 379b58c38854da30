//! Accounts by kind and number. No two kinds share an account.

use epione_primitives::{AccountId, UserId, hospital::Founder};

/// The governance account of the hospital with this number. Accounts ascend with their numbers.
pub fn governance_account(hospital: u16) -> AccountId {
    account(b'g', hospital)
}

/// The agent account of the hospital with this number.
pub fn agent_account(hospital: u16) -> AccountId {
    account(b'a', hospital)
}

/// The account of a user: the bytes of their id.
pub fn user_account(user: UserId) -> AccountId {
    AccountId::new(user.0)
}

/// The founder with this number, for the genesis configuration of the real hospitals pallet.
pub fn founder(number: u16) -> Founder {
    Founder {
        name: format!("Hospital {number}").into_bytes(),
        governance: governance_account(number),
        agent: agent_account(number),
        worker_url: format!("https://hospital-{number}.example:9443").into_bytes(),
        sealing_key: vec![1, number as u8],
        tls_key: [number as u8; 32],
        storage_origin: None,
    }
}

fn account(kind: u8, number: u16) -> AccountId {
    let mut bytes = [kind; 32];
    bytes[30..].copy_from_slice(&number.to_be_bytes());
    AccountId::new(bytes)
}
