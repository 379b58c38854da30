//! Calls of the council and of root.

use codec::{Decode, Encode};
use epione_primitives::{Hash, HospitalId, consortium::Seats, hospital::Duty};
use epione_runtime::{Runtime, RuntimeCall};
use frame_support::weights::Weight;
use pallet_collective::Instance1;

use super::{Deed, HOSTILE_HOSPITAL, hospital, named, profiles::complete_recovery};

/// A motion to suspend a hospital.
pub fn propose_suspension(hospital: HospitalId, threshold: u32) -> RuntimeCall {
    let suspend: RuntimeCall = pallet_hospitals::Call::suspend { hospital }.into();
    let length_bound = suspend.encoded_size() as u32;
    let proposal = Box::new(suspend);
    RuntimeCall::Council(pallet_collective::Call::propose { threshold, proposal, length_bound })
}

/// The index of a motion; 0 if there is none. The field of pallet-collective's votes is private.
pub fn motion_index(motion: Hash) -> u32 {
    pallet_collective::Voting::<Runtime, Instance1>::get(motion)
        .and_then(|votes| u32::decode(&mut &votes.encode()[..]).ok())
        .unwrap_or_default()
}

/// Calls of the council. Motions are about what the honest members would not do, and about suspensions, so that they
/// are in the way of an honest motion.
pub(super) fn motion(deed: Deed, a: u8, b: u8, c: u8) -> RuntimeCall {
    let motions = pallet_collective::Proposals::<Runtime, Instance1>::get();
    let motion = motions.get(usize::from(a) % motions.len().max(1)).copied().unwrap_or_default();
    RuntimeCall::Council(match deed {
        Deed::Vote => pallet_collective::Call::vote {
            proposal: motion,
            index: motion_index(motion),
            approve: b.is_multiple_of(2),
        },
        Deed::Close => pallet_collective::Call::close {
            proposal_hash: motion,
            index: motion_index(motion),
            proposal_weight_bound: Weight::from_parts(u64::from(b) << 32, u64::from(b) << 32),
            length_bound: u32::from(c) * 100,
        },
        Deed::Execute => pallet_collective::Call::execute {
            proposal: Box::new(act_on_hospital(b, c)),
            length_bound: 10_000,
        },
        _ => pallet_collective::Call::propose {
            threshold: u32::from(a % 6) * u32::from(1 + b % 30),
            proposal: Box::new(if b.is_multiple_of(2) {
                act_on_hospital(b, c)
            } else {
                act_as_root(b, c)
            }),
            length_bound: 10_000,
        },
    })
}

/// What only the council may do to a hospital.
pub(super) fn act_on_hospital(a: u8, b: u8) -> RuntimeCall {
    let hospital = hospital(b);
    let call: pallet_hospitals::Call<Runtime> = match a % 4 {
        0 => pallet_hospitals::Call::suspend { hospital },
        1 => pallet_hospitals::Call::reinstate { hospital },
        2 => pallet_hospitals::Call::remove { hospital },
        _ => pallet_hospitals::Call::admit {
            name: b"Sybil".to_vec().try_into().unwrap_or_default(),
            governance: named(0, Duty::Governance),
            agent: named(1, Duty::Agent),
            worker_url: b"https://sybil.example".to_vec().try_into().unwrap_or_default(),
            sealing_key: vec![1; 33].try_into().unwrap_or_default(),
            tls_key: [b; 32],
        },
    };
    call.into()
}

/// What only root may do, as root or by the signer.
pub(super) fn act_as_root(a: u8, b: u8) -> RuntimeCall {
    let call: RuntimeCall = match a % 11 {
        0 => frame_system::Call::set_code { code: vec![b; 100] }.into(),
        1 => frame_system::Call::kill_prefix { prefix: vec![b % 2; 1], subkeys: 1_000 }.into(),
        2 => frame_system::Call::authorize_upgrade { code_hash: Hash::repeat_byte(b) }.into(),
        3 => {
            let name = vec![b'a' + b % 26].try_into().unwrap_or_default();
            RuntimeCall::Credentials(pallet_credentials::Call::name_attribute { name })
        }
        4 => complete_recovery(b, b),
        5 => pallet_consortium_key::Call::renew {}.into(),
        6 => {
            let seats = (0..u16::from(b % 5)).map(HospitalId).collect();
            let committee = (!b.is_multiple_of(6)).then(|| Seats::truncate_from(seats));
            pallet_consortium_key::Call::seat { committee }.into()
        }
        7 => {
            let (departed, custodian) = (hospital(b), HOSTILE_HOSPITAL);
            pallet_custody::Call::appoint { departed, custodian }.into()
        }
        8 => pallet_custody::Call::dismiss { departed: hospital(b) }.into(),
        9 => {
            let (hospital, governance) = (hospital(b), named(b, Duty::Governance));
            pallet_hospitals::Call::replace_governance { hospital, governance }.into()
        }
        _ => frame_system::Call::remark { remark: vec![b; 1_000] }.into(),
    };
    if b.is_multiple_of(2) {
        epione_runtime::council_root::Call::<Runtime>::dispatch { call: Box::new(call) }.into()
    } else {
        call
    }
}
