//! The client against a real node.

#![allow(clippy::unwrap_used)]

mod blocks;
mod calls;
mod consortium;
mod council;
mod grants;
mod mandates;
mod node;
mod queries;
mod records;
mod recovery;
mod represented;
mod signatures;
mod users;
mod verified;

use epione_client::{
    Account,
    chain::{
        Chain, Included,
        calls::profiles::{self, Registrant},
    },
    naming,
};
use epione_envelope::development;
use epione_primitives::{Hash, HospitalId, UserId, naming::Naming, profile::Role};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

fn agent() -> Account {
    Account::development("//Alice//agent").unwrap()
}

fn account(uri: &str) -> Account {
    Account::development(uri).unwrap()
}

/// The user with the development keys of a URI, whose first keys these are.
fn user(uri: &str) -> UserId {
    UserId::of(&account(uri).id(), sealing_key_hash(uri))
}

/// Registers a user at Alice's hospital under a body that is not checked here.
async fn register(chain: &Chain, role: Role, uri: &str) -> Included {
    register_under(chain, role, uri, &body_of(user(uri))).await
}

async fn register_under(chain: &Chain, role: Role, uri: &str, body: &[u8]) -> Included {
    let (account, user) = (account(uri), user(uri));
    let naming = Naming::Registration { hospital: HospitalId(0), user, version: 0 };
    let registrant = Registrant {
        user,
        role,
        account: &account.id(),
        sealing_key_hash: sealing_key_hash(uri),
        consent: &naming::sign(&account, chain.genesis_hash(), naming),
    };
    chain.submit(&profiles::register(&registrant, body), &agent()).await.unwrap()
}

fn sealing_key_hash(uri: &str) -> Hash {
    development::sealing_key(uri).public().hash()
}

fn body_of(user: UserId) -> Vec<u8> {
    [b"profile of ".as_slice(), &user.0].concat()
}

fn hash(bytes: &[u8]) -> Hash {
    BlakeTwo256::hash(bytes)
}
