//! What somebody can read who copied all that the chain and its nodes have ever had: with the curve broken, as a removed
//! member, or with one share less than the threshold. Any 32 bytes of it, wherever they begin, are tried as each secret.

use std::{
    collections::{BTreeMap, HashSet},
    slice,
};

use epione_primitives::{HospitalId, consortium::Epoch};
use epione_threshold::{Index, MixingSecret, Partial, Point, Share, Wrap};
use epione_worker::consortium::HeldShare;

use super::hospitals::{KEY, LABEL, World, some, wrap};

const REMOVED: HospitalId = HospitalId(3);

/// Two epochs of four hospitals, of which the last is removed between them. A wrap was made in each.
struct Scene {
    harvest: Harvest,
    epochs: [Epoch; 2],
    shares: [BTreeMap<HospitalId, HeldShare>; 2],
    wraps: [Wrap; 2],
    /// The disks of one member less than the threshold, when each epoch had just begun.
    disks: [Vec<Vec<u8>>; 2],
}

impl Scene {
    async fn new() -> Self {
        let mut world = World::new(4).await;
        let first = world.first_epoch().await;
        let (old, old_disks) = (world.shares(&first).await, disks(&world, &first));
        world.chain.set_active(REMOVED, false);
        let second = world.next_epoch(Some(first.id)).await;
        let second = world.all_confirm(second.id).await;
        let (new, new_disks) = (world.shares(&second).await, disks(&world, &second));
        assert_eq!((first.threshold, second.threshold), (3, 2));
        let wraps = [wrap(&first, &old[&REMOVED]), wrap(&second, &new[&HospitalId(0)])];
        let harvest = Harvest::of(&mut world, &wraps);
        let (epochs, shares) = ([first, second], [old, new]);
        Self { harvest, epochs, shares, wraps, disks: [old_disks, new_disks] }
    }

    /// The secret key, which follows from what is public for somebody who breaks the curve.
    fn secret_key(&self) -> Share {
        let needed = usize::from(self.epochs[0].threshold);
        let shares = some(&self.shares[0], needed).into_iter();
        let shares: Vec<_> =
            shares.map(|(hospital, held)| (index(hospital), share(&held))).collect();
        let secret = Share::interpolate(&shares).unwrap();
        for epoch in &self.epochs {
            let public = Point::decode(&epoch.public_key().unwrap());
            assert_eq!(secret.public(), public, "the curve is broken, in every epoch");
        }
        secret
    }

    /// The mixing secret of an epoch.
    fn mixing(&self, epoch: usize) -> [u8; 32] {
        *self.shares[epoch][&HospitalId(0)].mixing
    }
}

/// One less than the threshold.
fn too_few(epoch: &Epoch) -> usize {
    usize::from(epoch.threshold) - 1
}

/// The disks of the first members, which are too few to open anything.
fn disks(world: &World, epoch: &Epoch) -> Vec<Vec<u8>> {
    let conspirators = world.hospitals[..too_few(epoch)].iter();
    conspirators.flat_map(|hospital| hospital.disk()).collect()
}

fn index(hospital: HospitalId) -> Index {
    Index::of_hospital(hospital.0)
}

fn share(held: &HeldShare) -> Share {
    Share::decode(&held.share).unwrap()
}

/// What one member, or somebody with the secret key, computes of the point of a wrap.
fn partial(share: &Share, point: Point) -> Partial {
    Partial::make(share, &[point], b"", &[1; 32]).unwrap()
}

fn point_of(wrap: &Wrap) -> Point {
    wrap.check(LABEL).unwrap()
}

/// All that was public, each piece for itself.
struct Harvest(Vec<Vec<u8>>);

impl Harvest {
    fn of(world: &mut World, wraps: &[Wrap]) -> Self {
        let mut pieces = world.chain.harvest();
        // The sealed shares of the two ceremonies alone are more.
        assert!(pieces.iter().map(Vec::len).sum::<usize>() > 20_000);
        pieces.extend(wraps.iter().map(|wrap| wrap.encode().to_vec()));
        Self(pieces)
    }

    /// The same, with something secret that leaked between other bytes. It is tried first.
    fn with(&self, secret: &[u8; 32]) -> Self {
        let leaked = [&[7; 5][..], &secret[..], &[7; 5][..]].concat();
        self.and(slice::from_ref(&leaked))
    }

    fn and(&self, pieces: &[Vec<u8>]) -> Self {
        Self([pieces, self.0.as_slice()].concat())
    }

    /// The first success with any 32 bytes in a row.
    fn find<T>(&self, attempt: impl Fn(&[u8; 32]) -> Option<T>) -> Option<T> {
        let mut tried = HashSet::new();
        let rows = self.0.iter().flat_map(|piece| piece.windows(32));
        rows.filter(|row| tried.insert(*row)).find_map(|row| attempt(row.try_into().unwrap()))
    }
}

/// Somebody who broke the curve, and opens a wrap as soon as they find the mixing secret.
struct Breaker<'a> {
    wrap: &'a Wrap,
    shared: Point,
    links: Vec<[u8; 40]>,
}

impl<'a> Breaker<'a> {
    fn new(scene: &'a Scene, wrap: &'a Wrap) -> Self {
        let shared = partial(&scene.secret_key(), point_of(wrap)).values()[0];
        let links: Vec<_> = scene.epochs.iter().filter_map(|epoch| epoch.link).collect();
        assert_eq!(links.len(), 1, "the first epoch has nothing to link");
        Self { wrap, shared, links }
    }

    /// Tries bytes as a mixing secret, as one from which a link leads to another one, and as its value for the label.
    fn open(&self, bytes: &[u8; 32]) -> Option<[u8; 32]> {
        let known = MixingSecret::from_bytes(*bytes);
        let followed = self.links.iter().find_map(|link| known.follow(link));
        let secrets = [Some(known), followed].into_iter().flatten();
        let mut values = secrets.map(|secret| *Wrap::mixing_of(&secret, LABEL)).chain([*bytes]);
        values.find_map(|value| self.wrap.open(LABEL, &value, &self.shared).map(|key| *key))
    }
}

#[tokio::test]
async fn who_breaks_the_curve_reads_nothing_with_all_that_the_chain_has() {
    let scene = Scene::new().await;
    for (epoch, wrap) in scene.wraps.iter().enumerate() {
        let breaker = Breaker::new(&scene, wrap);
        assert_eq!(scene.harvest.find(|bytes| breaker.open(bytes)), None, "epoch {epoch}");
        // If one member published its mixing secret, or only the value for the wrap, the search would find it.
        let mixing = scene.mixing(epoch);
        let leaked = scene.harvest.with(&mixing);
        assert_eq!(leaked.find(|bytes| breaker.open(bytes)), Some(KEY));
        let value = Wrap::mixing_of(&MixingSecret::from_bytes(mixing), LABEL);
        let leaked = scene.harvest.with(&value);
        assert_eq!(leaked.find(|bytes| breaker.open(bytes)), Some(KEY));
    }
}

/// The removed member kept its share and the mixing secret of its epoch, and breaks the curve.
#[tokio::test]
async fn a_removed_member_reads_no_later_wrap_with_all_that_the_chain_has() {
    let scene = Scene::new().await;
    let kept = &scene.shares[0][&REMOVED];
    assert!(!scene.shares[1].contains_key(&REMOVED));
    let harvest = scene.harvest.with(&kept.mixing).with(&kept.share);
    let [earlier, later] = [0, 1].map(|epoch| Breaker::new(&scene, &scene.wraps[epoch]));
    assert_eq!(harvest.find(|bytes| earlier.open(bytes)), Some(KEY), "from before its removal");
    assert_eq!(harvest.find(|bytes| later.open(bytes)), None);
    // The link leads from the later mixing secret to the earlier one.
    let leaked = scene.harvest.with(&scene.mixing(1));
    assert_eq!(leaked.find(|bytes| earlier.open(bytes)), Some(KEY));
}

/// Members who have the mixing secret, and one share less than the threshold. They put their disks together.
struct Conspiracy<'a> {
    wrap: &'a Wrap,
    point: Point,
    /// The value of the mixing secret for the wrap.
    mixing: [u8; 32],
    parts: Vec<(Index, Partial)>,
    /// Whose share they lack.
    others: Vec<Index>,
}

impl<'a> Conspiracy<'a> {
    fn new(scene: &'a Scene, epoch: usize) -> Self {
        let (wrap, shares) = (&scene.wraps[epoch], &scene.shares[epoch]);
        let few = too_few(&scene.epochs[epoch]);
        let (point, few_shares) = (point_of(wrap), some(shares, few));
        let parts = few_shares.iter().map(|(id, held)| (index(*id), partial(&share(held), point)));
        let parts = parts.collect();
        let others = shares.keys().skip(few).copied().map(index).collect();
        let mixing = MixingSecret::from_bytes(scene.mixing(epoch));
        Self { wrap, point, mixing: *Wrap::mixing_of(&mixing, LABEL), parts, others }
    }

    /// Tries bytes as the share of one of the others, as what it computes for the wrap, and as the point that opens.
    fn open(&self, bytes: &[u8; 32]) -> Option<[u8; 32]> {
        let as_share = Share::decode(bytes).filter(|share| share.public().is_some());
        let as_share = as_share.map(|share| partial(&share, self.point));
        let as_value = Partial::decode(&[&[0; 64][..], &bytes[..]].concat());
        let parts: Vec<_> = [as_share, as_value].into_iter().flatten().collect();
        let completed = parts.iter().find_map(|part| self.complete(part));
        completed.or_else(|| self.open_with(&Point::decode(bytes)?))
    }

    fn complete(&self, part: &Partial) -> Option<[u8; 32]> {
        self.others.iter().find_map(|other| {
            let own = self.parts.iter().map(|(at, part)| (*at, part));
            let all: Vec<_> = own.chain([(*other, part)]).collect();
            self.open_with(&Partial::combine(&all)?[0])
        })
    }

    fn open_with(&self, shared: &Point) -> Option<[u8; 32]> {
        self.wrap.open(LABEL, &self.mixing, shared).map(|key| *key)
    }
}

#[tokio::test]
async fn one_share_less_than_the_threshold_reads_nothing_with_all_that_chain_and_disks_have() {
    let scene = Scene::new().await;
    for (epoch, wrap) in scene.wraps.iter().enumerate() {
        let conspiracy = Conspiracy::new(&scene, epoch);
        let all = scene.harvest.and(&scene.disks[epoch]);
        assert_eq!(all.find(|bytes| conspiracy.open(bytes)), None, "epoch {epoch}");
        let own = &scene.shares[epoch][&HospitalId(0)].share;
        assert_eq!(all.find(|bytes| (*bytes == **own).then_some(())), Some(()), "it has a disk");
        // If one more member published its share, or only what it computes, the search would find it.
        let one_more = scene.shares[epoch].values().next_back().unwrap();
        let value = partial(&share(one_more), point_of(wrap)).values()[0].encode();
        for secret in [&*one_more.share, &value] {
            let leaked = scene.harvest.with(secret);
            assert_eq!(leaked.find(|bytes| conspiracy.open(bytes)), Some(KEY));
        }
    }
    // The share that the removed member kept is one of another epoch.
    let later = Conspiracy::new(&scene, 1);
    let harvest = scene.harvest.with(&scene.shares[0][&REMOVED].share);
    assert_eq!(harvest.find(|bytes| later.open(bytes)), None);
}
