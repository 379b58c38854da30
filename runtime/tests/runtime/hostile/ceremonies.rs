//! Makes the calls about the consortium key from small numbers. Only this file knows their arguments.

use epione_primitives::{
    HospitalId,
    consortium::{CeremonyId, CeremonyResult, Schedule, SeatSet, Seats},
};
use epione_runtime::{Hospitals, Runtime, RuntimeCall};
use pallet_consortium_key::{Call, EnrolmentKey, NextCeremony};

use super::calls::Deed;
use crate::{
    chain::{account, key},
    consortium,
};

/// The call of a deed, with arguments chosen by three numbers.
pub fn make(deed: Deed, signer: &str, [a, b, c]: [u8; 3]) -> RuntimeCall {
    let ceremony = ceremony(c);
    let call: Call<Runtime> = match deed {
        Deed::BeginCeremony => Call::begin { key: sealing_key(a) },
        Deed::Enrol => Call::enrol { ceremony, key: sealing_key(a) },
        Deed::Deal => dealing(signer, ceremony, a),
        Deed::JudgeDealings => {
            // Most honest members complain about nobody.
            let complaints = if a.is_multiple_of(4) { u32::from(b) } else { 0 };
            Call::judge { ceremony, complaints: SeatSet(complaints) }
        }
        Deed::AnswerComplaint => answer(signer, ceremony, a, b),
        Deed::ConfirmCeremony => Call::confirm { ceremony, result: result(a) },
        Deed::RefreshKey => Call::refresh {},
        Deed::RenewKey => Call::renew {},
        Deed::ChooseSeats => {
            let chosen = (0..a % 6).map(|seat| HospitalId(u16::from(seat.wrapping_mul(b) % 5)));
            let committee = Seats::truncate_from(chosen.collect());
            Call::seat { committee: (!c.is_multiple_of(3)).then_some(committee) }
        }
        _ => Call::schedule { schedule: Schedule { phase: a.into(), refresh: u32::from(b) * 50 } },
    };
    call.into()
}

/// The newest ceremony mostly, or an earlier or a later one.
fn ceremony(number: u8) -> CeremonyId {
    let next = NextCeremony::<Runtime>::get().0;
    let newest = next.saturating_sub(1);
    CeremonyId(match number % 8 {
        0 => next,
        1 => newest.saturating_sub(1),
        _ => newest,
    })
}

/// Bytes of a sealing key, or none.
fn sealing_key(number: u8) -> EnrolmentKey {
    let length = if number.is_multiple_of(8) { 0 } else { 1_217 };
    EnrolmentKey::truncate_from(vec![number; length])
}

/// The signer's own hospital, or another one.
fn dealer(signer: &str, number: u8) -> HospitalId {
    let own = Hospitals::hospital_of(account(&key(signer))).map(|(hospital, _)| hospital);
    let other = HospitalId(u16::from(number % 4));
    own.filter(|_| !number.is_multiple_of(8)).unwrap_or(other)
}

/// A valid dealing for a new key, or a copied or a damaged one.
fn dealing(signer: &str, of_ceremony: CeremonyId, number: u8) -> Call<Runtime> {
    let mut call = consortium::dealing(dealer(signer, number));
    if let Call::deal { ceremony, commitments, proof, part, shares } = &mut call {
        *ceremony = of_ceremony;
        match number % 16 {
            1 => commitments.truncate(1),
            2 => commitments.iter_mut().for_each(|point| point[0] ^= 1),
            3 => proof[0] ^= 1,
            4 => part.0[0] ^= 1,
            5 => shares.truncate(0),
            _ => {}
        }
    }
    call
}

fn answer(signer: &str, of_ceremony: CeremonyId, a: u8, b: u8) -> Call<Runtime> {
    let mut call = consortium::answer(dealer(signer, a), b % 5);
    if let Call::answer { ceremony, share, part, .. } = &mut call {
        *ceremony = of_ceremony;
        match a % 8 {
            1 => share[0] ^= 1,
            2 => part[0] ^= 1,
            _ => {}
        }
    }
    call
}

fn result(number: u8) -> CeremonyResult {
    let mut result = consortium::result();
    match number % 8 {
        0 => result.link = Some([number; 40]),
        1 => result.mixing.0[0] ^= 1,
        _ => {}
    }
    result
}
