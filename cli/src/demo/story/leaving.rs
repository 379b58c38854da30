//! The council removes a hospital. The others renew their shares of the consortium key without it, on their own: the
//! key stays, so what was wrapped before still opens.

use codec::{Compact, Encode};
use epione_client::chain::{Call, Chain};
use epione_primitives::{Hash, HospitalId, hospital::HospitalStatus, opening::Wrapped};
use sp_crypto_hashing::blake2_256;

use super::{
    A, B, C, D, Person, Scene, Story, broken, check,
    consortium::{key_when, reported},
    standing,
};
use crate::{
    commands::consortium::KeyShown, context::HospitalRef, demo::report::HospitalLeft,
    failure::Failure,
};

/// Indices of `hospitals.remove`, which the runtime pins.
const REMOVE: [u8; 2] = [6, 3];
/// The first motion of the network. No earlier chapter needs the council.
const FIRST_MOTION: Compact<u32> = Compact(0);
/// More than half of the four members of the council: the governance accounts of the active hospitals.
const VOTES: Compact<u32> = Compact(3);
/// The weight that is declared for the motion's call: the most that a motion may need, in picoseconds, and bytes of its
/// proof.
const MOTION_WEIGHT: (Compact<u64>, Compact<u64>) = (Compact(400_000_000_000), Compact(4 << 20));

/// A section that was wrapped before a hospital left, and the key after that.
pub(super) struct Prepared {
    pub wrap: Wrapped,
    pub key: KeyShown,
}

impl Story {
    /// D's node goes on voting about final blocks until the session after the next one begins, which is at least 200
    /// blocks later. The next chapter is over by then, and relies on it: of the validators A, B and C, finality needs
    /// all three.
    pub(super) async fn leave(
        &mut self,
        scene: Scene<'_>,
        patient: &Person,
    ) -> Result<Prepared, Failure> {
        self.chapter("The council removes D; A, B and C renew the shares of the key without it");
        let Scene { context, cast, .. } = scene;
        let before = key_when(context, "the key is usable", |key| key.usable).await?;
        let (given, wrap) = standing::share(patient, cast, context).await?;
        given.sentences.iter().take(1).for_each(|sentence| self.line(sentence));
        check(wrap.key == before.key, "the section is wrapped under the hospitals' key")?;
        self.line(format!(
            "A's worker has wrapped the section's key in epoch {}: any {} of the {} hospitals open it",
            wrap.epoch,
            before.threshold,
            before.members.len()
        ));

        remove(scene).await?;
        let entry = context.chain().await?.finalized().await?.hospital(D).await?;
        let is_removed = entry.is_some_and(|it| it.status == HospitalStatus::Removed);
        check(is_removed, "D is removed")?;
        self.line("A proposes to the council that D is removed; A, B and C vote for it");

        let claim = "the workers of A, B and C renew the shares";
        let key = key_when(context, claim, |key| {
            let members = key.members.iter().map(|member| member.hospital);
            members.eq([A, B, C]) && key.members.iter().all(|member| member.confirmed)
        });
        let key = key.await?;
        for key in [&before, &key] {
            self.line(format!(
                "key {}, epoch {}: {} of {} members open what is sealed to it; public key 0x{}",
                key.key,
                key.epoch,
                key.threshold,
                key.members.len(),
                key.public_key
            ));
        }
        check(key.epoch > before.epoch && key.threshold == 2, "any two of the three use the key")?;
        let is_same = (key.key, &key.public_key) == (before.key, &before.public_key);
        check(is_same, "the key is the same as before D left")?;
        self.line("the key is the same; D's share is of an ended epoch, and fits to no new share");
        self.report.hospital_left =
            Some(HospitalLeft { hospital: D, key: reported(&key), wrapped_in: wrap.epoch });
        Ok(Prepared { wrap, key })
    }
}

/// A proposes that D is removed, and closes the motion when A, B and C have voted.
async fn remove(scene: Scene<'_>) -> Result<(), Failure> {
    let motion = (REMOVE, D).encode();
    let hash = Hash::from(blake2_256(&motion));
    let length = u32::try_from(motion.len()).map_err(|_| broken("a motion is short"))?;
    let length = Compact(length).encode();
    let arguments = [VOTES.encode(), motion, length.clone()].concat();
    submit(scene, A, "propose", arguments).await?;
    let vote = |hospital| submit(scene, hospital, "vote", (hash, FIRST_MOTION, true).encode());
    tokio::try_join!(vote(A), vote(B), vote(C))?;
    let arguments = [(hash, FIRST_MOTION, MOTION_WEIGHT).encode(), length].concat();
    submit(scene, A, "close", arguments).await
}

/// A hospital's governance sends a call of the council through its own node.
async fn submit(
    scene: Scene<'_>,
    hospital: HospitalId,
    name: &'static str,
    arguments: Vec<u8>,
) -> Result<(), Failure> {
    let of_hospital = HospitalRef::Id(hospital);
    let (_, governance) = scene.context.own_governance(None, Some(&of_hospital)).await?;
    let entry = scene.network.state().hospital(hospital);
    let entry = entry.ok_or_else(|| broken("each hospital of the council is up"))?;
    let call = Call { pallet: "Council", name, arguments };
    Chain::connect(&entry.node_url).await?.submit(&call, &governance).await?;
    Ok(())
}
