//! Parts of openings with real threshold cryptography: who lies is named, and the others are enough.

use epione_envelope::{
    OpenError,
    account::Signer as _,
    development,
    keys::ContentKey,
    keystore::ActorKeys,
    opening::{PartialContent, PartialContext, SealedPartial, wraps_hash},
};
use epione_primitives::{
    Hash, RecordPointer, UserId,
    access::Purpose,
    consortium::{CeremonyId, CommitmentList, EpochId, KeyId, SeatSet, Seats, faulty, threshold},
    opening::{WRAP_BYTES, WrapLabel, Wrapped},
    release::SectionSet,
    sharing::{SlotId, SlotSet},
};
use epione_threshold::{Index, MixingSecret, Partial, Point, Polynomial, Share, Wrap};

use super::{collected::*, wrapped::*, *};

const GENESIS: Hash = Hash::repeat_byte(6);
const OPENING: OpeningId = OpeningId(7);
const KEY: KeyId = KeyId(0);
const FIRST: RecordPointer = RecordPointer { height: 1, index: 0 };
/// The hospital of the record.
const HOME: HospitalId = HospitalId(0);
/// The hash of the body with the wraps.
const BODY: Hash = Hash::repeat_byte(1);

/// The members of the key in one epoch, with all that they know.
struct Members {
    epoch: Epoch,
    polynomial: Polynomial,
    mixing: MixingSecret,
}

impl Members {
    /// Members 0 to `count - 1` with a new key.
    fn new(count: u16) -> Self {
        let needed = threshold(usize::from(count));
        Self::of(EpochId(0), count, Polynomial::generate(&[3; 32], needed).unwrap())
    }

    /// The same key in a later epoch, with other shares. The mixing secret is that of the wraps, as each member finds
    /// it.
    fn renewed(&self) -> Self {
        let needed = usize::from(self.epoch.threshold);
        let shares: Vec<_> = (0..)
            .take(needed)
            .map(|hospital| (Index::of_hospital(hospital), self.share(HospitalId(hospital))))
            .collect();
        let constant = Share::interpolate(&shares).unwrap();
        let polynomial = Polynomial::sharing(&constant, &[4; 32], needed).unwrap();
        let count = u16::try_from(self.epoch.members.len()).unwrap();
        let renewed = Self::of(EpochId(self.epoch.id.0 + 1), count, polynomial);
        assert_eq!(renewed.public(), self.public());
        renewed
    }

    fn of(id: EpochId, count: u16, polynomial: Polynomial) -> Self {
        let mixing = MixingSecret::from_bytes([5; 32]);
        let members: Vec<_> = (0..count).map(HospitalId).collect();
        let epoch = Epoch {
            id,
            key: KEY,
            ceremony: CeremonyId(id.0),
            threshold: u8::try_from(threshold(members.len())).unwrap(),
            faulty: u8::try_from(faulty(members.len())).unwrap(),
            confirmed: SeatSet::first(members.len()),
            members: Seats::truncate_from(members),
            commitments: CommitmentList::truncate_from(polynomial.commitments().encode()),
            mixing: mixing.hash().into(),
            link: None,
            since: 1,
        };
        Self { epoch, polynomial, mixing }
    }

    fn share(&self, hospital: HospitalId) -> Share {
        self.polynomial.share(Index::of_hospital(hospital.0))
    }

    fn public(&self) -> Point {
        self.polynomial.commitments().constant()
    }

    fn context(&self, hospital: HospitalId) -> PartialContext {
        let (epoch, wraps) = (self.epoch.id, wraps_hash(&[BODY; NUMBERS.len()]));
        PartialContext { genesis: GENESIS, opening: OPENING, hospital, epoch, wraps }
    }

    /// What an honest hospital hands out in a context.
    fn content(&self, context: &PartialContext, sections: &[WrappedSection]) -> PartialContent {
        let points: Vec<_> = sections.iter().map(|section| section.point).collect();
        let proved = context.proof_context(requester().sealing.public().hash());
        let share = self.share(context.hospital);
        let partial = Partial::make(&share, &points, &proved, &[9; 32]).unwrap();
        let mixing = |section: &WrappedSection| *Wrap::mixing_of(&self.mixing, &section.label);
        PartialContent {
            values: partial.values().iter().map(Point::encode).collect(),
            proof: partial.encode()[..64].try_into().unwrap(),
            mixing: sections.iter().map(mixing).collect(),
        }
    }

    /// An honest hospital's part, changed by a test before the hospital's agent seals it.
    fn part(
        &self,
        hospital: HospitalId,
        sections: &[WrappedSection],
        change: impl FnOnce(&mut PartialContent),
    ) -> SealedPartial {
        let context = self.context(hospital);
        let mut content = self.content(&context, sections);
        change(&mut content);
        sealed(&context, &content, hospital)
    }
}

/// Sealed to the requester by a hospital's agent.
fn sealed(context: &PartialContext, content: &PartialContent, signer: HospitalId) -> SealedPartial {
    let recipient = requester();
    SealedPartial::seal(context, content, recipient.sealing.public(), &agent(signer)).unwrap()
}

fn requester() -> ActorKeys {
    development::keys("//Researcher").unwrap()
}

fn agent(hospital: HospitalId) -> ActorKeys {
    development::keys(&format!("//Hospital{hospital}")).unwrap()
}

fn content_key(section: u16) -> ContentKey {
    ContentKey::from_bytes([40 + u8::try_from(section).unwrap(); 32])
}

fn set(sections: &[u16]) -> SectionSet {
    let mut set = SectionSet::default();
    assert!(sections.iter().all(|section| set.insert(*section)));
    set
}

fn wrapped_set(sections: &[u16]) -> Wrapped {
    Wrapped {
        sections: set(sections),
        key: KEY,
        epoch: EpochId(0),
        hospital: HOME,
        body: BODY,
        block: 3,
    }
}

fn label_of(section: u16) -> WrapLabel {
    let opening = Opening {
        requester: UserId([2; 32]),
        hospital: HospitalId(1),
        patient: UserId([1; 32]),
        records: Default::default(),
        purpose: Purpose::Research,
        emergency: None,
        slots: SlotSet(1),
        audience: requester().account(),
        sealing_key: requester().sealing.public().hash(),
        block: 5,
        at: 6,
    };
    label(GENESIS, &opening, FIRST, section, (SlotId(0), &wrapped_set(&[section])))
}

/// The body in which the record's hospital published its wraps of these sections.
fn body(members: &Members, mixing: &MixingSecret, sections: &[u16]) -> Vec<u8> {
    let wrap = |section: &u16| {
        let (label, key) = (label_of(*section).bytes(), content_key(*section));
        Wrap::make(&members.public(), mixing, &label, key.as_bytes()).encode()
    };
    sections.iter().flat_map(wrap).collect()
}

fn sections_with(members: &Members, mixing: &MixingSecret, numbers: &[u16]) -> Vec<WrappedSection> {
    let (body, wrapped) = (body(members, mixing, numbers), wrapped_set(numbers));
    let of = |section: &u16| section_of(&label_of(*section), &wrapped, &body).unwrap();
    numbers.iter().map(of).collect()
}

const NUMBERS: [u16; 3] = [0, 2, 5];

fn sections(members: &Members) -> Vec<WrappedSection> {
    sections_with(members, &members.mixing, &NUMBERS)
}

/// Parts that are collected for the requester.
struct Desk<'a> {
    collected: Collected<'a>,
}

fn expected<'a>(keys: &'a ActorKeys, sections: &'a [WrappedSection]) -> Desk<'a> {
    let sealing = &keys.sealing;
    let expected = Expected { genesis: GENESIS, opening: OPENING, key: KEY, sealing, sections };
    Desk { collected: Collected::new(expected) }
}

impl Desk<'_> {
    /// Adds what a hospital sent. The chain has the hospital's record of the same epoch.
    fn add(
        &mut self,
        hospital: HospitalId,
        epoch: &Epoch,
        sealed: &SealedPartial,
    ) -> Result<(), PartFault> {
        self.add_recorded(hospital, epoch, sealed, Some(sealed.epoch()))
    }

    fn add_recorded(
        &mut self,
        hospital: HospitalId,
        epoch: &Epoch,
        sealed: &SealedPartial,
        recorded: Option<EpochId>,
    ) -> Result<(), PartFault> {
        let agent = agent(hospital).account();
        let handed_out = recorded.map(|epoch| HandedOut { epoch, block: 8, at: 9 });
        let (agent, handed_out) = (&agent, handed_out.as_ref());
        self.collected.add(&Answer { hospital, agent, handed_out, epoch: Some(epoch), sealed })
    }

    /// Honest parts of these hospitals.
    fn honest(&mut self, members: &Members, sections: &[WrappedSection], hospitals: &[u16]) {
        for hospital in hospitals.iter().copied().map(HospitalId) {
            let part = members.part(hospital, sections, |_| {});
            assert_eq!(self.add(hospital, &members.epoch, &part), Ok(()));
        }
    }

    /// What is opened is the content keys, and who lied.
    fn opens(&self) -> Vec<(HospitalId, PartFault)> {
        let unwrapped = self.collected.unwrapped().unwrap();
        assert!(unwrapped.is_complete());
        for (number, key) in NUMBERS.iter().zip(&unwrapped.keys) {
            let key = key.as_ref().ok().unwrap();
            assert_eq!(key.as_bytes(), content_key(*number).as_bytes(), "{number}");
        }
        unwrapped.liars
    }

    /// The fault of the section at a position.
    fn fault(&self, position: usize) -> OpeningFault {
        let unwrapped = self.collected.unwrapped().unwrap();
        assert!(!unwrapped.is_complete());
        unwrapped.keys[position].as_ref().err().unwrap().clone()
    }
}

#[test]
fn as_many_hospitals_as_the_threshold_open_every_section_and_fewer_open_none() {
    let (members, keys) = (Members::new(4), requester());
    let sections = sections(&members);
    for chosen in [[0, 1, 2], [1, 2, 3], [0, 1, 3], [3, 0, 2]] {
        let mut desk = expected(&keys, &sections);
        for (before, hospital) in chosen.iter().enumerate() {
            assert!(desk.collected.unwrapped().is_none(), "{before} parts open nothing");
            desk.honest(&members, &sections, &[*hospital]);
        }
        assert!(desk.opens().is_empty());
        let mut used = chosen.map(HospitalId);
        used.sort();
        assert_eq!(desk.collected.unwrapped().unwrap().hospitals, used);
    }
}

#[test]
fn the_same_hospital_twice_counts_once() {
    let (members, keys) = (Members::new(4), requester());
    let sections = sections(&members);
    let mut desk = expected(&keys, &sections);
    desk.honest(&members, &sections, &[1, 2, 2, 1]);
    assert!(desk.collected.unwrapped().is_none());
    assert_eq!(desk.collected.most(), Some((2, 3)));
}

#[test]
fn values_that_are_wrong_cancel_or_are_no_points_are_dropped_and_the_others_open() {
    let (members, keys) = (Members::new(4), requester());
    let sections = sections(&members);
    let liar = HospitalId(3);
    let other = members.share(HospitalId(2)).public().unwrap().encode();
    let changes: [&dyn Fn(&mut PartialContent); 6] = [
        &|content| content.values[1] = other,
        // Their sum is as before.
        &|content| content.values.swap(0, 2),
        &|content| content.values[0] = [0xff; 32],
        // The identity.
        &|content| content.values[2] = [0; 32],
        &|content| content.proof[40] ^= 1,
        &|content| content.proof = [0xff; 64],
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut desk = expected(&keys, &sections);
        let part = members.part(liar, &sections, change);
        let refused = desk.add(liar, &members.epoch, &part);
        assert_eq!(refused, Err(PartFault::Proof), "{number}");
        desk.honest(&members, &sections, &[1, 2]);
        assert!(desk.collected.unwrapped().is_none(), "{number}");
        desk.honest(&members, &sections, &[0]);
        assert!(desk.opens().is_empty());
    }
}

#[test]
fn a_part_that_the_hospital_did_not_record_on_the_chain_is_never_used() {
    let (members, keys) = (Members::new(4), requester());
    let sections = sections(&members);
    let mut desk = expected(&keys, &sections);
    let part = members.part(HospitalId(3), &sections, |_| {});
    let refused = desk.add_recorded(HospitalId(3), &members.epoch, &part, None);
    assert_eq!(refused, Err(PartFault::NotHandedOut { after: RECEIPT_LIMIT }));
    desk.honest(&members, &sections, &[0, 1]);
    assert!(desk.collected.unwrapped().is_none());
    desk.honest(&members, &sections, &[2]);
    assert!(desk.opens().is_empty());
}

#[test]
fn a_part_for_another_number_of_sections_is_dropped() {
    let (members, keys) = (Members::new(4), requester());
    let sections = sections(&members);
    let fewer = members.part(HospitalId(1), &sections[..2], |_| {});
    let mut desk = expected(&keys, &sections);
    let refused = desk.add(HospitalId(1), &members.epoch, &fewer);
    assert_eq!(refused, Err(PartFault::Count { found: 2, expected: 3 }));
}

#[test]
fn a_part_of_another_opening_hospital_or_requester_is_dropped_whoever_seals_it() {
    let (members, keys) = (Members::new(4), requester());
    let sections = sections(&members);
    let (liar, honest) = (HospitalId(3), HospitalId(2));
    let here = members.context(liar);
    let other_opening = PartialContext { opening: OpeningId(6), ..here };
    let replayed = members.content(&other_opening, &sections);
    let of_other_hospital = members.content(&members.context(honest), &sections);
    let rival = development::keys("//Rival").unwrap();
    let good = members.content(&here, &sections);
    let for_rival =
        SealedPartial::seal(&here, &good, rival.sealing.public(), &agent(liar)).unwrap();
    for (name, part, fault) in [
        ("as it was sent", sealed(&other_opening, &replayed, liar), PartFault::Signature),
        ("sealed again", sealed(&here, &replayed, liar), PartFault::Proof),
        ("misattributed", sealed(&here, &of_other_hospital, liar), PartFault::Proof),
        ("of another agent", sealed(&here, &good, honest), PartFault::Signature),
        ("to another requester", for_rival, PartFault::Signature),
    ] {
        let mut desk = expected(&keys, &sections);
        assert_eq!(desk.add(liar, &members.epoch, &part), Err(fault), "{name}");
    }
    // Whoever intercepts the part cannot pass it off as the own one.
    let intercepted = members.part(honest, &sections, |_| {});
    let mut desk = expected(&keys, &sections);
    let refused = desk.add(liar, &members.epoch, &intercepted);
    assert_eq!(refused, Err(PartFault::Signature));
    let mut desk = expected(&rival, &sections);
    let refused = desk.add(honest, &members.epoch, &intercepted);
    assert_eq!(refused, Err(PartFault::Signature), "it opens for nobody else");
}

#[test]
fn parts_of_different_epochs_do_not_count_together() {
    let (old, keys) = (Members::new(4), requester());
    let new = old.renewed();
    let sections = sections(&old);
    let mut desk = expected(&keys, &sections);
    desk.honest(&old, &sections, &[0, 1]);
    desk.honest(&new, &sections, &[2]);
    assert!(desk.collected.unwrapped().is_none());
    assert_eq!(desk.collected.most(), Some((2, 3)));
    // What was wrapped in the first epoch opens in the second.
    desk.honest(&new, &sections, &[1, 3]);
    assert!(desk.opens().is_empty());
    // A share of an earlier epoch proves nothing in a later one.
    let (hospital, mut context) = (HospitalId(1), old.context(HospitalId(1)));
    context.epoch = new.epoch.id;
    let part = sealed(&context, &old.content(&context, &sections), hospital);
    assert_eq!(desk.add(hospital, &new.epoch, &part), Err(PartFault::Proof));
}

#[test]
fn a_part_of_another_epoch_than_the_recorded_one_or_without_a_share_is_dropped() {
    let (members, keys) = (Members::new(4), requester());
    let sections = sections(&members);
    let mut desk = expected(&keys, &sections);
    let part = members.part(HospitalId(1), &sections, |_| {});
    let (sent, recorded) = (EpochId(0), EpochId(1));
    let refused = desk.add_recorded(HospitalId(1), &members.epoch, &part, Some(recorded));
    assert_eq!(refused, Err(PartFault::OtherEpoch { sent, recorded }));

    let stranger = members.part(HospitalId(4), &sections, |_| {});
    let refused = desk.add(HospitalId(4), &members.epoch, &stranger);
    assert_eq!(refused, Err(PartFault::NoShare(EpochId(0))));
    let other_key = Epoch { key: KeyId(1), ..members.epoch.clone() };
    let refused = desk.add(HospitalId(1), &other_key, &part);
    assert_eq!(refused, Err(PartFault::NoShare(EpochId(0))));
    let later = Epoch { id: EpochId(2), ..members.epoch.clone() };
    let refused = desk.add(HospitalId(1), &later, &part);
    assert_eq!(refused, Err(PartFault::NoShare(EpochId(0))));
    // The hospitals may have made a new key meanwhile.
    assert!(!PartFault::NoShare(EpochId(0)).is_breach());
}

#[test]
fn a_hospital_that_lies_about_a_mixing_value_is_named_and_the_section_opens() {
    let (members, keys) = (Members::new(4), requester());
    let sections = sections(&members);
    let lies = |content: &mut PartialContent| content.mixing[1] = [8; 32];
    let mixing = PartFault::Mixing { pointer: FIRST, section: 2 };
    // One of four may be malicious. With two that agree, the honest value still is the only one that opens the wrap.
    for liars in [&[3][..], &[2, 3]] {
        let mut desk = expected(&keys, &sections);
        for liar in liars.iter().copied().map(HospitalId) {
            let part = members.part(liar, &sections, lies);
            assert_eq!(desk.add(liar, &members.epoch, &part), Ok(()));
        }
        desk.honest(&members, &sections, &[0, 1]);
        let named: Vec<_> = liars.iter().map(|liar| (HospitalId(*liar), mixing.clone())).collect();
        assert_eq!(desk.opens(), named);
    }
}

#[test]
fn if_every_hospital_lies_differently_nobody_is_accused_and_other_sections_open() {
    let (members, keys) = (Members::new(4), requester());
    let sections = sections(&members);
    assert_eq!(faulty(4), 1);
    let mut desk = expected(&keys, &sections);
    for liar in [0, 1, 2].map(HospitalId) {
        let value = [liar.0 as u8; 32];
        let part = members.part(liar, &sections, |content| content.mixing[1] = value);
        assert_eq!(desk.add(liar, &members.epoch, &part), Ok(()));
    }
    assert_eq!(desk.fault(1), OpeningFault::Undecided { pointer: FIRST, section: 2 });
    let unwrapped = desk.collected.unwrapped().unwrap();
    assert!(unwrapped.keys[0].is_ok() && unwrapped.keys[2].is_ok());
    assert!(unwrapped.liars.is_empty());
    // One honest hospital is enough to open it, and then the liars are named.
    desk.honest(&members, &sections, &[3]);
    assert_eq!(desk.opens().len(), 3);
}

/// The chain checks that a wrap has its label. It cannot check the mixing value or the key in it.
#[test]
fn a_wrap_that_does_not_open_exposes_the_hospital_that_made_it() {
    let (members, keys) = (Members::new(4), requester());
    let other = MixingSecret::from_bytes([6; 32]);
    let mut sections = sections(&members);
    sections[2] = sections_with(&members, &other, &NUMBERS)[2].clone();
    let mut desk = expected(&keys, &sections);
    desk.honest(&members, &sections, &[1, 2, 3]);
    let wrong = OpeningFault::WrongWrap { hospital: HOME, pointer: FIRST, section: 5 };
    assert_eq!(desk.fault(2), wrong);
    let said = wrong.to_string();
    assert!(said.contains("hospital 0 wrapped a wrong key for section 5 of record 1/0"), "{said}");
    assert!(desk.collected.unwrapped().unwrap().keys[0].is_ok());
}

#[test]
fn a_key_that_opens_the_wrap_and_not_the_section_exposes_the_hospital_too() {
    let failed = ReadError::Open { pointer: FIRST, section: 2, source: OpenError };
    let wrong = OpeningFault::WrongWrap { hospital: HOME, pointer: FIRST, section: 2 };
    assert_eq!(exposed(failed, HOME).to_string(), wrong.to_string());
    let other = ReadError::NothingGranted { pointer: FIRST };
    assert!(matches!(exposed(other, HOME), ReadError::NothingGranted { .. }));
}

#[test]
fn a_wrap_counts_for_its_own_section_only() {
    let members = Members::new(4);
    let body = body(&members, &members.mixing, &NUMBERS);
    let wrapped = wrapped_set(&NUMBERS);
    assert_eq!(body.len(), NUMBERS.len() * WRAP_BYTES);
    for number in NUMBERS {
        let found = section_of(&label_of(number), &wrapped, &body).unwrap();
        assert_eq!((found.section, found.hospital), (number, HOME));
    }
    let label = label_of(2);
    // A section that is not wrapped; the wrap of another section; a body that is too short; a flipped bit.
    assert_eq!(section_of(&label_of(1), &wrapped, &body), None);
    assert_eq!(section_of(&label, &wrapped_set(&[2, 5]), &body), None);
    assert_eq!(section_of(&label, &wrapped, &body[..2 * WRAP_BYTES - 1]), None);
    let mut flipped = body.clone();
    flipped[WRAP_BYTES + 130] ^= 1;
    assert_eq!(section_of(&label, &wrapped, &flipped), None);
    // Into the record of a puppet patient.
    let puppet = WrapLabel { patient: UserId([9; 32]), ..label };
    assert_eq!(section_of(&puppet, &wrapped, &body), None);
}

#[test]
fn too_few_parts_name_each_hospital_and_why() {
    let faults = PartFaults(vec![
        (HospitalId(0), PartFault::NoAnswer("connection refused".into())),
        (HospitalId(2), PartFault::NotHandedOut { after: RECEIPT_LIMIT }),
        (HospitalId(3), PartFault::Proof),
    ]);
    let breaches: Vec<_> = faults.0.iter().map(|(_, fault)| fault.is_breach()).collect();
    assert_eq!(breaches, [false, true, true]);
    let fault = OpeningFault::TooFew { opening: OPENING, needed: 3, found: 1, faults };
    let said = fault.to_string();
    for part in [
        "1 of the 3 hospitals",
        "hospital 0: gave no part: connection refused",
        "hospital 2: the chain has no record that it hands out its part, 30 s after",
        "hospital 3: the proof that it made its part with its share is wrong",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

/// The hospital of the record published new wraps between the parts of two honest members.
#[test]
fn a_part_of_renewed_wraps_is_no_wrong_part() {
    let (members, keys) = (Members::new(4), requester());
    let (before, other) = (sections(&members), Hash::repeat_byte(2));
    let mut renewed = sections_with(&members, &MixingSecret::from_bytes([6; 32]), &NUMBERS);
    renewed.iter_mut().for_each(|section| section.body = other);
    let honest = HospitalId(3);
    let wraps = wraps_hash(&[other; NUMBERS.len()]);
    let context = PartialContext { wraps, ..members.context(honest) };
    let part = sealed(&context, &members.content(&context, &renewed), honest);

    let mut desk = expected(&keys, &before);
    assert!(desk.collected.is_about(&before) && !desk.collected.is_about(&renewed));
    assert!(desk.collected.is_under(KEY) && !desk.collected.is_under(KeyId(1)));
    assert_eq!(desk.add(honest, &members.epoch, &part), Err(PartFault::OtherWraps));
    assert!(!PartFault::OtherWraps.is_breach());
    desk.honest(&members, &before, &[0, 1, 2]);
    assert!(desk.opens().is_empty());
    // It counts for a requester who has the new wraps, for whom the earlier parts are of other ones.
    let mut desk = expected(&keys, &renewed);
    assert_eq!(desk.add(honest, &members.epoch, &part), Ok(()));
    let earlier = members.part(HospitalId(0), &before, |_| {});
    assert_eq!(desk.add(HospitalId(0), &members.epoch, &earlier), Err(PartFault::OtherWraps));
    // Who says that it is of the earlier wraps lies.
    let context = members.context(honest);
    let part = sealed(&context, &members.content(&context, &renewed), honest);
    let mut desk = expected(&keys, &before);
    assert_eq!(desk.add(honest, &members.epoch, &part), Err(PartFault::Proof));
    assert!(PartFault::Proof.is_breach());
}
