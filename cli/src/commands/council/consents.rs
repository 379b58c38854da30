//! Consents of accounts that a motion names: `epione hospital consent --json` signs them. The chain verifies them when
//! the motion's call is dispatched, days later. So the proposer's client verifies them before, and every member's shows
//! whether they are valid.

use std::path::Path;

use codec::DecodeAll;
use epione_client::application::Application;
use epione_primitives::{
    HospitalId, Signature,
    hospital::Duty,
    naming::{NamedAccount, Naming, NamingConsent},
};

use super::{read_file, state::Council};
use crate::{
    commands::hospital::AccountConsent, failure::Failure, invocation::Invocation, wording::word,
};

/// Bytes of a file with a consent, at most.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// The consent in a file, for this hospital and duty.
pub(super) fn read(
    path: &Path,
    hospital: HospitalId,
    duty: Duty,
    council: &Council,
) -> Result<NamedAccount, Failure> {
    let bytes = read_file(path, MAX_FILE_BYTES)?;
    named(&bytes, hospital, duty, council).map_err(|reason| {
        let (number, duty) = (hospital.to_string(), word(&duty));
        let sign = ["hospital", "consent", "--json", "--hospital", &number, "--duty", &duty];
        Failure::new(
            format!("{}: {reason}; nothing was sent", path.display()),
            "let the holder of the key sign again",
        )
        .with_command(Invocation::new(sign).with(["--as", "FILE"]))
    })
}

/// The consents of governance and agent in an application, for this hospital.
pub(super) fn of(
    application: &Application,
    path: &Path,
    hospital: HospitalId,
    council: &Council,
) -> Result<[NamedAccount; 2], Failure> {
    let refused = |reason: String| {
        Failure::new(
            format!("{}: {reason}; nothing was sent", path.display()),
            "let the hospital renew it: `epione hospital join --help`",
        )
    };
    let consents = application.statement().consents.as_ref();
    let (Some(consents), Some((governance, agent))) = (consents, application.admitted_accounts())
    else {
        return Err(refused("its accounts have not consented to join a chain".into()));
    };
    if consents.genesis != council.genesis {
        return Err(refused(format!(
            "its accounts consented to join another chain, whose first block is {:?}",
            consents.genesis
        )));
    }
    if consents.hospital != hospital {
        return Err(refused(format!(
            "its accounts consented to be hospital {}, and the next one is hospital {hospital}",
            consents.hospital
        )));
    }
    for (duty, named) in [(Duty::Governance, &governance), (Duty::Agent, &agent)] {
        if let Some(fault) = fault(council, hospital, duty, named) {
            return Err(refused(fault));
        }
    }
    Ok([governance, agent])
}

fn named(
    bytes: &[u8],
    hospital: HospitalId,
    duty: Duty,
    council: &Council,
) -> Result<NamedAccount, String> {
    let consent: AccountConsent = serde_json::from_slice(bytes)
        .map_err(|error| format!("it is no consent of `hospital consent --json` ({error})"))?;
    if (consent.hospital, consent.duty) != (hospital, duty) {
        return Err(format!(
            "it is the consent to be the {} of hospital {}, not the {} of hospital {hospital}",
            word(&consent.duty),
            consent.hospital,
            word(&duty)
        ));
    }
    let signature = hex::decode(consent.consent.trim_start_matches("0x"))
        .map_err(|error| format!("its signature is not hexadecimal ({error})"))?;
    let signature = Signature::decode_all(&mut &signature[..])
        .map_err(|error| format!("its signature cannot be read ({error})"))?;
    let (account, until) = (consent.account, consent.until);
    let named = NamedAccount { account, until, consent: signature };
    match fault(council, hospital, duty, &named) {
        Some(fault) => Err(fault),
        None => Ok(named),
    }
}

/// Why the chain would not accept a consent now.
fn fault(
    council: &Council,
    hospital: HospitalId,
    duty: Duty,
    named: &NamedAccount,
) -> Option<String> {
    let NamedAccount { account, until, consent } = named;
    let naming = Naming::Hospital { hospital, duty, until: *until };
    if !NamingConsent::new(council.genesis, naming).is_signed_by(account, consent) {
        return Some(format!(
            "the key of {account} did not sign that it becomes the {} of hospital {hospital}",
            word(&duty)
        ));
    }
    (*until < council.at.number).then(|| format!("the consent was valid until block {until}"))
}

/// A consent in words.
pub(super) fn stated(
    council: &Council,
    hospital: HospitalId,
    duty: Duty,
    named: &NamedAccount,
) -> String {
    match fault(council, hospital, duty, named) {
        Some(fault) => format!("THE CHAIN WILL REFUSE IT: {fault}"),
        None => format!("its holder consents, until block {}", named.until),
    }
}
