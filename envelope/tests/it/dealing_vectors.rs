//! The committed test vector of the shares that a dealer of the consortium key seals.

use codec::Encode;
use epione_envelope::{
    dealing::{DealingContext, SealedShares, SharePart},
    sealing_keys::{SealingKeyPair, SealingSuite},
};
use epione_primitives::{AccountId, HospitalId, consortium::CeremonyId};
use serde_json::{Value, json};

use crate::{
    fixture::genesis,
    oracle,
    vectors::{array, bytes, signers, vector},
};

const CEREMONY: CeremonyId = CeremonyId(0x0102_0304);
const DEALER: HospitalId = HospitalId(0);
const SEATS: [HospitalId; 2] = [HospitalId(0), HospitalId(0x0506)];

/// The seed of the key with which a seat enrols: its position's byte, 32 times.
fn seed(position: usize) -> [u8; 32] {
    [0xf1 + position as u8; 32]
}

/// For new shares with the earlier mixing secret, and for a new key without.
fn given(seat: HospitalId, has_earlier: bool) -> SharePart {
    let share = if seat == SEATS[0] { [0x07; 32] } else { [0x08; 32] };
    SharePart { share, part: [0x09; 32], earlier: has_earlier.then_some([0x0a; 32]) }
}

fn keys(position: usize) -> SealingKeyPair {
    SealingKeyPair::from_seed(SealingSuite::XWing, &seed(position))
}

#[test]
fn sealed_shares() {
    let make = || {
        let [agent, ..] = signers();
        let seats = [0, 1].map(|position| (SEATS[position], keys(position).public().clone()));
        let sealed = |has_earlier: bool| {
            let given = |seat| given(seat, has_earlier);
            let sealed = SealedShares::seal(&seats, genesis(), CEREMONY, DEALER, given, &agent);
            hex::encode(sealed.unwrap().encode())
        };
        let first = given(SEATS[0], true);
        let seeds = [0, 1].map(seed);
        json!({
            "genesis": hex::encode(genesis()), "ceremony": CEREMONY, "dealer": DEALER,
            "agent": hex::encode(agent.public()), "seats": SEATS,
            "seeds": seeds.map(hex::encode),
            "shares": SEATS.map(|seat| hex::encode(given(seat, true).share)),
            "part": hex::encode(first.part),
            "earlier": hex::encode(first.earlier.unwrap()),
            "newKey": sealed(false), "newShares": sealed(true),
        })
    };
    let vector = vector("sealed-shares.json", make);
    for (sealed, has_earlier) in [("newKey", false), ("newShares", true)] {
        check(&vector, &bytes(&vector[sealed]), has_earlier);
    }
}

/// Opens what is sealed, and compares each byte of it.
fn check(vector: &Value, encoded: &[u8], has_earlier: bool) {
    let sealed = SealedShares::decode_exactly(encoded).unwrap();
    assert_eq!(sealed.encode(), encoded);
    assert_eq!(json!(sealed.seats().collect::<Vec<_>>()), vector["seats"]);
    let account = AccountId::new(array(&vector["agent"]));
    let (ceremony, dealer) = (CEREMONY, DEALER);
    let mut rest = encoded;
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at(count);
        rest = left;
        taken
    };
    // The suite, and two seats.
    assert_eq!(take(2), [1_u8, 2 << 2]);
    for (position, seat) in SEATS.into_iter().enumerate() {
        let seed: [u8; 32] = array(&vector["seeds"][position]);
        let keys = SealingKeyPair::from_seed(SealingSuite::XWing, &seed);
        let context = DealingContext { genesis: genesis(), ceremony, dealer, seat };
        let opened = sealed.open(&context, &keys, &account).unwrap();
        assert_eq!(opened.share, array::<32>(&vector["shares"][position]));
        assert_eq!(opened.part, array::<32>(&vector["part"]));
        assert_eq!(opened.earlier, has_earlier.then(|| array::<32>(&vector["earlier"])));

        assert_eq!(take(2), seat.0.to_le_bytes());
        let by_hand =
            [&genesis().0[..], &[4, 3, 2, 1], &dealer.0.to_le_bytes(), &seat.0.to_le_bytes()];
        // Suite, encapsulated key, length, share, part and earlier secret with tag, signature.
        let wrap = take(1 + 1120 + 2 + if has_earlier { 112 } else { 80 } + 65);
        let by_oracle = oracle::open_wrap(&keys, &by_hand.concat(), &account, wrap).unwrap();
        let earlier = opened.earlier.map(Vec::from).unwrap_or_default();
        assert_eq!(by_oracle, [&opened.share[..], &opened.part, &earlier].concat());
    }
    assert!(rest.is_empty());
}
