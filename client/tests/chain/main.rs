//! The client against a real node.

#![allow(clippy::unwrap_used)]

mod blocks;
mod calls;
mod grants;
mod node;
mod records;
mod users;
mod verified;

use epione_client::{
    Account,
    chain::{
        Chain, Included,
        calls::profiles::{self, Registrant},
    },
    consent,
};
use epione_envelope::development;
use epione_primitives::{Hash, HospitalId, UserId, consent::Naming, profile::Role};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

fn agent() -> Account {
    Account::development("//Alice//agent").unwrap()
}

fn account(uri: &str) -> Account {
    Account::development(uri).unwrap()
}

/// Registers a user at Alice's hospital under a body that is not checked here.
async fn register(chain: &Chain, user: UserId, role: Role, account: &Account) -> Included {
    register_under(chain, user, role, account, &body_of(user)).await
}

async fn register_under(
    chain: &Chain,
    user: UserId,
    role: Role,
    account: &Account,
    body: &[u8],
) -> Included {
    let naming = Naming::Registration { hospital: HospitalId(0), user, version: 0 };
    let registrant = Registrant {
        user,
        role,
        account: &account.id(),
        sealing_key_hash: sealing_key_hash(user),
        consent: &consent::sign(account, chain.genesis_hash(), naming),
    };
    chain.submit(&profiles::register(&registrant, body), &agent()).await.unwrap()
}

/// Grants are sealed to the doctor's key. The keys of other users are not used.
fn sealing_key_hash(user: UserId) -> Hash {
    if user == records::DOCTOR {
        return development::keys("//Doctor").unwrap().sealing.public().hash();
    }
    Hash::repeat_byte(user.0[0])
}

fn body_of(user: UserId) -> Vec<u8> {
    [b"profile of ".as_slice(), &user.0].concat()
}

fn hash(bytes: &[u8]) -> Hash {
    BlakeTwo256::hash(bytes)
}
