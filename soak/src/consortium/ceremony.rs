//! Ceremonies within this process: what each member computes and sends, by the functions that the workers call, and
//! what a ceremony leaves on the chain. Nobody complains.

use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use codec::Encode;
use epione_client::{
    chain::calls::consortium_key::{self, Dealt},
    signer::Account,
};
use epione_envelope::{
    Zeroizing,
    dealing::{DealingContext, SealedShares, SharePart},
    sealing_keys::{SealingKeyPair, SealingPublicKey, SealingSuite},
};
use epione_primitives::{
    Hash, HospitalId,
    consortium::{
        self, CeremonyId, CeremonyResult, CommitmentList, Confirmation, Confirmations,
        DealerContext, Dealing, Epoch, EpochId, KeyId, Phase, SeatSet, Seats,
    },
};
use epione_threshold::{Commitments, Index, MixingSecret, Polynomial, Share};
use serde::Serialize;

use super::spread::{Spread, timed};
use crate::sharing::transaction;

const GENESIS: Hash = Hash::repeat_byte(1);
/// Each member signs with the account of this key and its number.
const AGENT: &str = "//Consortium//Agent";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Kind {
    /// The first shares of a new key.
    Generation,
    /// New shares of the same key, for the same members.
    Resharing,
}

/// What ceremonies of so many members cost.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Costs {
    pub kind: Kind,
    pub members: u16,
    pub threshold: u16,
    /// A member makes its sealing key.
    pub enrol: Spread,
    /// A member makes its polynomial, and seals a share to each member.
    pub deal: Spread,
    /// A member opens and checks its shares of all dealings.
    pub judge: Spread,
    /// A member opens the shares that count again, and combines them.
    pub combine: Spread,
    /// The computation of all members, one after the other.
    pub whole: Spread,
    #[serde(flatten)]
    pub sizes: Sizes,
}

/// Bytes that a ceremony needs. Bodies are outside the chain's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sizes {
    /// Of one member.
    pub transactions: u64,
    /// Of one member, with the bodies.
    pub transaction_bytes: u64,
    /// The body of one enrolment: a sealing key.
    pub enrolment_bytes: u64,
    /// The body of one dealing: the sealed shares.
    pub dealing_bytes: u64,
    /// What the ceremony leaves in the state until the next one begins.
    pub ceremony_bytes: u64,
    /// What the epoch leaves in the state for good.
    pub epoch_bytes: u64,
}

/// Measures generations and resharings of so many members.
pub(super) fn measure(members: u16, repetitions: u16) -> anyhow::Result<[Costs; 2]> {
    let all = Members::new(members)?;
    let (mut generations, mut resharings) = (Taken::default(), Taken::default());
    let (mut of_generation, mut of_resharing) = (Sizes::default(), Sizes::default());
    for repetition in 0..repetitions {
        // Of each key: the ceremony that generates it, and the one that makes new shares.
        let id = 2 * u32::from(repetition);
        let (first, sizes) = all.perform(CeremonyId(id), None, &mut generations)?;
        of_generation = sizes;
        let next = CeremonyId(id + 1);
        let (second, sizes) = all.perform(next, Some(&first), &mut resharings)?;
        of_resharing = sizes;
        ensure!(
            first.commitments.constant() == second.commitments.constant(),
            "new shares are of another key"
        );
    }
    Ok([
        all.costs(Kind::Generation, generations, of_generation),
        all.costs(Kind::Resharing, resharings, of_resharing),
    ])
}

/// Times of members in all repetitions.
#[derive(Default)]
struct Taken {
    enrol: Vec<Duration>,
    deal: Vec<Duration>,
    judge: Vec<Duration>,
    combine: Vec<Duration>,
    whole: Vec<Duration>,
}

impl Taken {
    fn sum(&self) -> Duration {
        [&self.enrol, &self.deal, &self.judge, &self.combine].into_iter().flatten().sum()
    }
}

/// The hospitals of a ceremony.
struct Members {
    seats: Vec<Seat>,
    threshold: usize,
}

struct Seat {
    hospital: HospitalId,
    agent: Account,
}

impl Seat {
    fn at(&self) -> Index {
        Index::of_hospital(self.hospital.0)
    }

    /// Not secret: the same at every run, for measurements only.
    fn seed(&self, ceremony: CeremonyId, of: &str) -> [u8; 32] {
        *blake3::hash(&(ceremony, self.hospital, of).encode()).as_bytes()
    }
}

/// What a dealer has published.
struct Published {
    hospital: HospitalId,
    agent: Account,
    dealing: Dealing,
    body: Vec<u8>,
}

/// What the members have after a ceremony.
struct Held {
    epoch: Epoch,
    commitments: Commitments,
    /// Of each seat.
    shares: Vec<Share>,
    mixing: MixingSecret,
}

/// What one member has after a ceremony, and what it confirms.
struct Combined {
    share: Share,
    commitments: Commitments,
    mixing: MixingSecret,
    result: CeremonyResult,
}

/// A ceremony as one member sees it.
#[derive(Clone, Copy)]
struct Scene<'a> {
    id: CeremonyId,
    seat: &'a Seat,
    /// The seat's position.
    position: usize,
    earlier: Option<&'a Held>,
}

impl Members {
    fn new(count: u16) -> anyhow::Result<Self> {
        let seat = |number: u16| {
            let agent = Account::development(&format!("{AGENT}-{number}"))?;
            anyhow::Ok(Seat { hospital: HospitalId(number), agent })
        };
        let seats = (0..count).map(seat).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { threshold: consortium::threshold(seats.len()), seats })
    }

    fn costs(&self, kind: Kind, taken: Taken, sizes: Sizes) -> Costs {
        Costs {
            kind,
            members: self.seats.len() as u16,
            threshold: self.threshold as u16,
            enrol: Spread::of(taken.enrol),
            deal: Spread::of(taken.deal),
            judge: Spread::of(taken.judge),
            combine: Spread::of(taken.combine),
            whole: Spread::of(taken.whole),
            sizes,
        }
    }

    /// One ceremony: all members act in each phase.
    fn perform(
        &self,
        id: CeremonyId,
        earlier: Option<&Held>,
        taken: &mut Taken,
    ) -> anyhow::Result<(Held, Sizes)> {
        let before = taken.sum();
        let scene = |(position, seat)| Scene { id, seat, position, earlier };
        let scenes: Vec<_> = self.seats.iter().enumerate().map(scene).collect();
        let mut sent = vec![Vec::new(); scenes.len()];

        let mut keys = Vec::new();
        for scene in &scenes {
            let (pair, call) = timed(&mut taken.enrol, || Ok(enrol(*scene)))?;
            keys.push(pair);
            sent[scene.position].push(call);
        }
        let publics: Vec<_> = keys.iter().map(|pair| pair.public().as_bytes().to_vec()).collect();
        let mut dealings = Vec::new();
        for scene in &scenes {
            let (dealt, call) = timed(&mut taken.deal, || self.deal(*scene, &publics))?;
            dealings.push(dealt);
            sent[scene.position].push(call);
        }
        for scene in &scenes {
            let keys = &keys[scene.position];
            let call = timed(&mut taken.judge, || judge(*scene, keys, &dealings))?;
            sent[scene.position].push(call);
        }
        // Of new shares, the first dealings count; of a new key, all of them.
        let needed = earlier.map_or(dealings.len(), |held| usize::from(held.epoch.threshold));
        let counted = dealings.get(..needed).context("there are too few dealings")?;
        let mut combined = Vec::new();
        for scene in &scenes {
            let keys = &keys[scene.position];
            let (own, call) = timed(&mut taken.combine, || combine(*scene, keys, counted))?;
            combined.push(own);
            sent[scene.position].push(call);
        }
        let whole = taken.sum().saturating_sub(before);
        taken.whole.push(whole);

        let held = self.held(id, earlier, combined)?;
        let mut sizes = self.sizes(id, earlier, (&held, &publics, &dealings))?;
        let bytes = |calls: &Vec<Vec<u8>>| calls.iter().map(Vec::len).sum::<usize>();
        sizes.transactions = sent.iter().map(Vec::len).max().unwrap_or_default() as u64;
        sizes.transaction_bytes = sent.iter().map(bytes).max().unwrap_or_default() as u64;
        Ok((held, sizes))
    }

    fn deal(&self, scene: Scene<'_>, publics: &[Vec<u8>]) -> anyhow::Result<(Published, Vec<u8>)> {
        let Scene { id, seat, position, earlier } = scene;
        let key = |(seat, key): (&Seat, &Vec<u8>)| {
            anyhow::Ok((seat.hospital, SealingPublicKey::from_bytes(key)?))
        };
        let keys = self.seats.iter().zip(publics).map(key).collect::<anyhow::Result<Vec<_>>>()?;
        let seed = seat.seed(id, "polynomial");
        let polynomial = match earlier {
            None => Polynomial::generate(&seed, self.threshold),
            Some(held) => {
                let share = held.shares.get(position).context("the dealer has no share")?;
                let is_ours = held.commitments.includes(seat.at(), share);
                ensure!(is_ours, "the dealer's share is of another key");
                Polynomial::sharing(share, &seed, self.threshold)
            }
        };
        let polynomial = polynomial.context("the polynomial has no terms")?;
        let commitments = CommitmentList::try_from(polynomial.commitments().encode())
            .map_err(|_| anyhow!("the threshold is above the chain's limit"))?;
        let part = seat.seed(id, "part");
        let share_of = |hospital: HospitalId| SharePart {
            share: *polynomial.share(Index::of_hospital(hospital.0)).encode(),
            part,
            earlier: earlier.map(|held| *held.mixing.encode()),
        };
        let sealed =
            SealedShares::seal(&keys, GENESIS, id, seat.hospital, share_of, &seat.agent)?.encode();
        let context = DealerContext { genesis: GENESIS, ceremony: id, dealer: seat.hospital };
        let proof = polynomial.prove(&context.encode(), &seat.seed(id, "nonce"));
        let part = Hash::from(MixingSecret::part_hash(&part));
        let dealt = Dealt { commitments: &commitments, proof: &proof.0, part, shares: &sealed };
        let call = transaction(&consortium_key::deal(id, &dealt), &seat.agent, GENESIS);
        // The chain computes the hash of the body, which has the same length whatever it is.
        let (hospital, agent) = (seat.hospital, seat.agent.clone());
        let dealing = Dealing { agent: agent.id(), commitments, part, body: Hash::zero() };
        Ok((Published { hospital, agent, dealing, body: sealed }, call))
    }

    /// What all members have: the same key and the same mixing secret, and each a share of its own.
    fn held(
        &self,
        id: CeremonyId,
        earlier: Option<&Held>,
        combined: Vec<Combined>,
    ) -> anyhow::Result<Held> {
        let first = combined.first().context("there are no members")?;
        let (commitments, mixing, result) =
            (first.commitments.clone(), first.mixing.clone(), first.result);
        let agree = combined.iter().all(|it| it.result == result && it.commitments == commitments);
        ensure!(agree, "the members have different results");
        let epoch = Epoch {
            id: earlier.map_or(EpochId(0), |held| EpochId(held.epoch.id.0 + 1)),
            key: KeyId(0),
            ceremony: id,
            members: self.list()?,
            threshold: u8::try_from(self.threshold)?,
            faulty: u8::try_from(consortium::faulty(self.seats.len()))?,
            commitments: CommitmentList::try_from(commitments.encode())
                .map_err(|_| anyhow!("the threshold is above the chain's limit"))?,
            mixing: result.mixing,
            link: result.link,
            since: 1,
            confirmed: SeatSet::first(self.seats.len()),
        };
        let shares = combined.into_iter().map(|it| it.share).collect();
        Ok(Held { epoch, commitments, shares, mixing })
    }

    /// The hospitals, as the chain lists them.
    fn list(&self) -> anyhow::Result<Seats> {
        let seats: Vec<_> = self.seats.iter().map(|seat| seat.hospital).collect();
        Seats::try_from(seats).map_err(|_| anyhow!("there are more members than seats"))
    }

    /// Bytes of the bodies, and of keys and values in the state without the hashes in the keys.
    fn sizes(
        &self,
        id: CeremonyId,
        earlier: Option<&Held>,
        (held, publics, dealings): (&Held, &[Vec<u8>], &[Published]),
    ) -> anyhow::Result<Sizes> {
        let (list, all) = (self.list()?, SeatSet::first(self.seats.len()));
        let earlier = earlier.map(|held| &held.epoch);
        let mut ceremony = consortium::Ceremony::begin(id, earlier, list.clone(), list, 1);
        (ceremony.enrolled, ceremony.dealt, ceremony.judged) = (all, all, all);
        ceremony.phase = Phase::Activated;
        let Epoch { mixing, link, .. } = held.epoch;
        let result = CeremonyResult { mixing, link };
        // The chain keeps the confirmations until as many are equal as the threshold.
        let confirmed =
            (0..u8::try_from(self.threshold)?).map(|seat| Confirmation { seat, result });
        let confirmed = Confirmations::truncate_from(confirmed.collect());
        let enrolments = self.seats.len() * (0_u8, Hash::zero()).encoded_size();
        let dealt: usize = dealings.iter().map(|it| (0_u8, &it.dealing).encoded_size()).sum();
        let state = ceremony.encoded_size() + enrolments + dealt + confirmed.encoded_size();
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or_default();
        Ok(Sizes {
            enrolment_bytes: longest(&mut publics.iter().map(Vec::len)) as u64,
            dealing_bytes: longest(&mut dealings.iter().map(|it| it.body.len())) as u64,
            ceremony_bytes: state as u64,
            epoch_bytes: (held.epoch.id, &held.epoch).encoded_size() as u64,
            ..Sizes::default()
        })
    }
}

fn enrol(Scene { id, seat, .. }: Scene<'_>) -> (SealingKeyPair, Vec<u8>) {
    let keys = SealingKeyPair::from_seed(SealingSuite::XWing, &seat.seed(id, "sealing key"));
    let call = consortium_key::enrol(id, keys.public().as_bytes());
    (keys, transaction(&call, &seat.agent, GENESIS))
}

fn judge(
    scene: Scene<'_>,
    keys: &SealingKeyPair,
    dealings: &[Published],
) -> anyhow::Result<Vec<u8>> {
    for dealt in dealings {
        given(scene, keys, dealt)?;
    }
    let call = consortium_key::judge_dealings(scene.id, SeatSet::default());
    Ok(transaction(&call, &scene.seat.agent, GENESIS))
}

/// What a dealer gave the member: the share and the part to which the dealer is committed.
fn given(
    Scene { id, seat, .. }: Scene<'_>,
    keys: &SealingKeyPair,
    Published { hospital, agent, dealing, body }: &Published,
) -> anyhow::Result<(Share, Zeroizing<[u8; 32]>)> {
    let context =
        DealingContext { genesis: GENESIS, ceremony: id, dealer: *hospital, seat: seat.hospital };
    let opened = SealedShares::decode_exactly(body)?.open(&context, keys, &agent.id())?;
    let commitments = Commitments::decode(&dealing.commitments).context("no commitments")?;
    let share = Share::decode(&opened.share).context("a share is not canonical")?;
    ensure!(commitments.includes(seat.at(), &share), "a share is not the one that was dealt");
    let is_part = Hash::from(MixingSecret::part_hash(&opened.part)) == dealing.part;
    ensure!(is_part, "a part of the mixing secret is another one");
    Ok((share, Zeroizing::new(opened.part)))
}

/// The member's share and the mixing secret, and the confirmation.
fn combine(
    scene: Scene<'_>,
    keys: &SealingKeyPair,
    counted: &[Published],
) -> anyhow::Result<(Combined, Vec<u8>)> {
    let (mut shares, mut published) = (Vec::new(), Vec::new());
    let mut parts = Zeroizing::new(Vec::<(u16, [u8; 32])>::with_capacity(counted.len()));
    for dealt in counted {
        let (share, part) = given(scene, keys, dealt)?;
        let at = Index::of_hospital(dealt.hospital.0);
        let commitments = Commitments::decode(&dealt.dealing.commitments);
        shares.push((at, share));
        published.push((at, commitments.context("no commitments")?));
        parts.push((dealt.hospital.0, *part));
    }
    let (share, commitments) = if scene.earlier.is_some() {
        (Share::interpolate(&shares), Commitments::interpolate(&published))
    } else {
        let shares: Vec<_> = shares.into_iter().map(|(_, share)| share).collect();
        let published: Vec<_> = published.into_iter().map(|(_, each)| each).collect();
        (Share::sum(&shares), Commitments::sum(&published))
    };
    let (share, commitments) = share.zip(commitments).context("the dealings do not combine")?;
    ensure!(commitments.includes(scene.seat.at(), &share), "the share is not one of the key");
    let mixing = MixingSecret::combine(&parts).context("the parts do not combine")?;
    let link = scene.earlier.map(|held| mixing.link(&held.mixing));
    let result = CeremonyResult { mixing: Hash::from(mixing.hash()), link };
    let call = consortium_key::confirm_ceremony(scene.id, &result);
    let call = transaction(&call, &scene.seat.agent, GENESIS);
    Ok((Combined { share, commitments, mixing, result }, call))
}

#[cfg(test)]
mod tests {
    use epione_threshold::{Partial, Wrap};

    use super::*;

    const LABEL: &[u8] = b"a section";

    /// Whether these members of these epochs open a wrap.
    fn opens(wrap: &Wrap, mixing: &MixingSecret, of: &[(u16, &Held)]) -> bool {
        let points = [wrap.check(LABEL).unwrap()];
        let parts: Vec<_> = of
            .iter()
            .map(|(hospital, held)| {
                let share = &held.shares[usize::from(*hospital)];
                let part = Partial::make(share, &points, b"context", &[3; 32]).unwrap();
                (Index::of_hospital(*hospital), part)
            })
            .collect();
        let parts: Vec<_> = parts.iter().map(|(at, part)| (*at, part)).collect();
        let shared = Partial::combine(&parts).unwrap();
        wrap.open(LABEL, &Wrap::mixing_of(mixing, LABEL), &shared[0]).is_some()
    }

    #[test]
    fn the_measured_ceremonies_make_shares_of_one_key() {
        let (all, mut taken) = (Members::new(4).unwrap(), Taken::default());
        let (first, _) = all.perform(CeremonyId(0), None, &mut taken).unwrap();
        let (second, _) = all.perform(CeremonyId(1), Some(&first), &mut taken).unwrap();
        let public = first.commitments.constant();
        assert_eq!(public, second.commitments.constant());
        let wrap = Wrap::make(&public, &first.mixing, LABEL, &[7; 32]);
        let opens = |of: &[(u16, &Held)]| opens(&wrap, &first.mixing, of);
        assert!(opens(&[(0, &first), (1, &first), (2, &first)]));
        assert!(opens(&[(1, &second), (2, &second), (3, &second)]));
        assert!(!opens(&[(0, &first), (1, &first)]), "two members are too few");
        assert!(!opens(&[(0, &first), (1, &second), (2, &second)]), "shares of two epochs");
        let link = second.epoch.link.unwrap();
        assert!(second.mixing.follow(&link) == Some(first.mixing.clone()));
        assert_eq!((taken.deal.len(), taken.whole.len()), (8, 2));
        let sum: Duration = taken.whole.iter().sum();
        assert_eq!(sum, taken.sum());
    }

    #[test]
    fn bytes_grow_with_the_members() {
        let costs = |members| measure(members, 1).unwrap();
        let ([four, again], [seven, _]) = (costs(4), costs(7));
        assert_eq!((four.kind, again.kind), (Kind::Generation, Kind::Resharing));
        assert_eq!((four.threshold, seven.threshold), (3, 5));
        let (small, large) = (four.sizes, seven.sizes);
        assert_eq!((small.transactions, small.enrolment_bytes), (4, large.enrolment_bytes));
        assert!(small.dealing_bytes < large.dealing_bytes, "{small:?} {large:?}");
        assert!(small.ceremony_bytes < large.ceremony_bytes, "{small:?} {large:?}");
        // Two more commitments, and three more members.
        assert_eq!(large.epoch_bytes - small.epoch_bytes, 2 * 32 + 3 * 2);
        // The link to the earlier mixing secret.
        assert_eq!(again.sizes.epoch_bytes - small.epoch_bytes, 40);
        let sent = small.dealing_bytes + small.enrolment_bytes;
        assert!((sent..sent + 1_500).contains(&small.transaction_bytes), "{small:?}");
    }
}
