//! How a hospital takes a seat among the validators and leaves it: the steps of its operators.

use std::time::Duration;

use anyhow::{Context, ensure};
use codec::{Decode, Encode};
use epione_client::{
    chain::{Call, Chain, SubmitError},
    naming,
    signer::Account,
};
use epione_devnet::HospitalState;
use epione_envelope::development;
use epione_primitives::{
    BlockNumber, HospitalId,
    hospital::Duty,
    naming::{NamedAccount, Naming},
};
use serde_json::json;

use super::{
    consensus::{author, unready, validators},
    frame::{Drill, RECOVERY},
};
use crate::{council::Nested, node::Node, patience::patiently};

/// How long the chain takes from a change of the hospitals to a change of the validators: two sessions, which are
/// longer if slots stay empty.
const TWO_SESSIONS: Duration = Duration::from_secs(60 * 60);
/// For how many blocks a consent to be named is valid.
const CONSENT_BLOCKS: BlockNumber = 2_000;

/// The public session keys that a node has made: of Aura and of GRANDPA.
type SessionKeys = [u8; 64];

/// An account with the consent of its holder to be named for a hospital.
pub async fn named(
    chain: &Chain,
    hospital: HospitalId,
    account: &Account,
    duty: Duty,
) -> anyhow::Result<NamedAccount> {
    let until = chain.finalized_head().await?.number + CONSENT_BLOCKS;
    let purpose = Naming::Hospital { hospital, duty, until };
    let consent = naming::sign(account, chain.genesis_hash(), purpose);
    Ok(NamedAccount { account: account.id(), until, consent })
}

/// `hospitals.admit` for a hospital with development keys. Its number must be the next one.
pub async fn admit(chain: &Chain, hospital: &HospitalState) -> anyhow::Result<Nested> {
    let governance = Account::development(&hospital.governance)?;
    let agent = Account::development(&hospital.agent)?;
    let sealing_key = development::keys(&hospital.governance)?.sealing;
    let arguments = (
        hospital.name.as_bytes().to_vec(),
        named(chain, hospital.id, &governance, Duty::Governance).await?,
        named(chain, hospital.id, &agent, Duty::Agent).await?,
        hospital.worker_url.as_bytes().to_vec(),
        sealing_key.public().as_bytes().to_vec(),
        development::tls_key(&hospital.governance)?.public(),
    );
    Ok(Nested::new(6, 0, arguments))
}

/// Lets a hospital's node make new session keys, and names them on the chain.
pub async fn set_session_keys(hospital: &HospitalState) -> anyhow::Result<()> {
    let governance = Account::development(&hospital.governance)?;
    let owner = format!("0x{}", hex::encode(governance.id().encode()));
    let node = Node::new(&hospital.node_url)?;
    let made = node.call("author_rotateKeysWithOwner", json!([owner])).await?;
    let bytes = |field: &str| -> anyhow::Result<Vec<u8>> {
        let digits = made[field].as_str().with_context(|| format!("the node made no {field}"))?;
        Ok(hex::decode(digits.trim_start_matches("0x"))?)
    };
    let keys = SessionKeys::decode(&mut &bytes("keys")?[..])?;
    let call = Call::new("Session", "set_keys", (keys, bytes("proof")?));
    submit(hospital, &call, &governance, None).await.context("the session keys were not set")
}

/// If a hospital does not validate before its agent says that it is ready, the agent says so. Returns whether it did.
pub async fn be_ready(drill: &mut Drill, id: HospitalId) -> anyhow::Result<bool> {
    let hospital = drill.hospital(id)?.clone();
    if !unready(&drill.node(id)?).await?.contains(&id) {
        return Ok(false);
    }
    let agent = Account::development(&hospital.agent)?;
    let call = Call::new("Hospitals", "ready", ());
    // The worker may have been faster.
    submit(&hospital, &call, &agent, Some("NotUnready")).await?;
    drill.step(format!("the agent of hospital {id} has said that it is ready"));
    Ok(true)
}

/// Lets a hospital leave: from then on it only serves.
pub async fn leave(hospital: &HospitalState) -> anyhow::Result<()> {
    let governance = Account::development(&hospital.governance)?;
    let call = Call::new("Hospitals", "leave", ());
    submit(hospital, &call, &governance, Some("NotActive")).await.context("it could not leave")
}

/// Submits a call through a hospital's own node, and repeats what fails. If there is an error `done` of pallet
/// Hospitals, it says that the call had its effect before.
pub async fn submit(
    hospital: &HospitalState,
    call: &Call,
    signer: &Account,
    done: Option<&str>,
) -> anyhow::Result<()> {
    patiently(RECOVERY, async || {
        // The node may be in another network namespace of this machine.
        let chain = Chain::connect_unprotected(&hospital.node_url).await?;
        match chain.submit(call, signer).await {
            Err(SubmitError::Dispatch(failure))
                if done.is_some_and(|error| failure.is("Hospitals", error)) =>
            {
                Ok(())
            }
            outcome => Ok(outcome.map(drop)?),
        }
    })
    .await
}

/// Waits until exactly these hospitals are the validators of the current session.
pub async fn seated(
    drill: &mut Drill,
    by: HospitalId,
    expected: &[HospitalId],
) -> anyhow::Result<()> {
    let node = drill.node(by)?;
    let what = format!("waiting until the validators are {}", listed(expected));
    drill
        .until(&what, TWO_SESSIONS, async || {
            anyhow::Ok((validators(&node).await? == expected).then_some(()))
        })
        .await
}

/// Waits until a hospital has made a block that is final, in a session with these validators.
pub async fn makes_blocks(
    drill: &mut Drill,
    id: HospitalId,
    seated: &[HospitalId],
) -> anyhow::Result<()> {
    let node = drill.node(id)?;
    let mut next = node.number(None).await?;
    let what = format!("waiting for a block of hospital {id}");
    drill
        .until(&what, RECOVERY, async || {
            while next <= node.finalized().await? {
                ensure!(validators(&node).await? == seated, "the validators have changed");
                if author(&node, next, seated).await? == id {
                    return Ok(Some(()));
                }
                next += 1;
            }
            anyhow::Ok(None)
        })
        .await
}

/// Ids in words.
pub fn listed(hospitals: &[HospitalId]) -> String {
    hospitals.iter().map(HospitalId::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use epione_primitives::AccountId;
    use epione_runtime::RuntimeCall;

    use super::*;

    #[test]
    fn the_runtime_reads_an_admission() {
        let account = AccountId::new([1; 32]);
        let signer = Account::development("//Eve").unwrap();
        let named = NamedAccount { account, until: 7, consent: signer.sign(b"consent") };
        let arguments = (
            b"Eve".to_vec(),
            named.clone(),
            named,
            b"https://127.0.0.1:1".to_vec(),
            vec![1_u8; 33],
            [2_u8; 32],
        );
        let encoded = Nested::new(6, 0, arguments).encode();
        let call = RuntimeCall::decode(&mut &encoded[..]).unwrap();
        assert_eq!(call.encode(), encoded);
        assert!(format!("{call:?}").contains("admit"));
    }
}
