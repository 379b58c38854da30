//! Calls of pallet-custody, and those of pallet-mandates about entrusted keys.

use epione_primitives::{
    Hash, HospitalId, UserId,
    custody::{ClaimId, ClaimedPatients, Kept},
    limits::MAX_CLAIMED_PATIENTS,
    opening::WRAP_BYTES,
    ports::{ConsortiumKey as _, Users as _},
};
use epione_runtime::{ConsortiumKey, Hospitals, Profiles, Runtime, RuntimeCall, System};
use epione_threshold::{MixingSecret, Share, Wrap};

use super::{Deed, HOSTILE_HOSPITAL, end, hospital, key, patients, user};
use crate::chain::account;

/// The call of a deed about custody.
pub(super) fn make(deed: Deed, signer: &str, [a, b, c]: [u8; 3]) -> RuntimeCall {
    match deed {
        Deed::Entrust => {
            let (hospital, until) = (hospital(a), end(b));
            pallet_mandates::Call::entrust { hospital, until }.into()
        }
        Deed::EndCustody => pallet_mandates::Call::end_custody { hospital: hospital(a) }.into(),
        Deed::KeepKey => keep(signer, a, b, c),
        Deed::ClaimKeys => claim(a, b, c),
        _ => pallet_custody::Call::hand_out { claim: recent(a) }.into(),
    }
}

/// A wrap for the right label, for the label of another hospital or profile body, or no wrap.
fn keep(signer: &str, a: u8, b: u8, c: u8) -> RuntimeCall {
    let own = Hospitals::hospital_of(account(&key(signer))).map(|(hospital, _)| hospital);
    let at = own.filter(|_| !c.is_multiple_of(4)).unwrap_or(hospital(b));
    let patient = user(a);
    let newest = Profiles::profile_body(at, patient);
    let profile = newest.filter(|_| !c.is_multiple_of(5)).unwrap_or(Hash::repeat_byte(c));
    let wrap = if c.is_multiple_of(3) { [b; WRAP_BYTES] } else { wrap(at, patient, profile) };
    pallet_custody::Call::keep { patient, profile, wrap }.into()
}

/// A wrap of some key for the label of a patient's key at a hospital. The chain cannot see under which key it is.
fn wrap(hospital: HospitalId, patient: UserId, profile: Hash) -> [u8; WRAP_BYTES] {
    let (key, epoch) = ConsortiumKey::current().unwrap_or_default();
    let kept = Kept { profile, key, epoch, wrap: [0; WRAP_BYTES], block: 0 };
    let label = kept.label(System::block_hash(0), hospital, patient).bytes();
    let mut secret = [0; 32];
    secret[0] = 7;
    let public = Share::decode(&secret).and_then(|it| it.public()).expect("7 is a share");
    Wrap::make(&public, &MixingSecret::from_bytes([1; 32]), &label, &[3; 32]).encode()
}

/// Claims some patients, in order or not, or as many as one claim may name.
fn claim(a: u8, b: u8, c: u8) -> RuntimeCall {
    let mut named = patients(b);
    if c.is_multiple_of(2) {
        named.sort();
        named.dedup();
    }
    if c.is_multiple_of(7) {
        named = (0..MAX_CLAIMED_PATIENTS as u8).map(|number| UserId([number; 32])).collect();
    }
    let departed = if c.is_multiple_of(3) { HOSTILE_HOSPITAL } else { hospital(a) };
    let patients = ClaimedPatients::truncate_from(named);
    pallet_custody::Call::claim { departed, patients }.into()
}

/// One of the newest claims, or the next one.
fn recent(number: u8) -> ClaimId {
    let next = pallet_custody::ClaimCount::<Runtime>::get();
    ClaimId(next.saturating_sub(u32::from(number % 4)))
}
