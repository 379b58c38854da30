//! Profile bodies open for the hospital and the patient only.

use codec::Encode;
use epione_envelope::{
    OpenError, SealError,
    account::Signer,
    keys::PatientKeys,
    keystore::ActorKeys,
    profile::{ProfileBody, ProfileContext, Recipient, SwappedKey},
    sealing_keys::SealingSuite,
};
use epione_primitives::{HospitalId, UserId, limits::MAX_PROFILE_BODY_BYTES};

use crate::fixture::{HOSPITAL, PATIENT, account, account_id, genesis, sealing_keys};

const NAME: &str = "Amélie Łukasz-Nguyễn";

fn context() -> ProfileContext {
    ProfileContext { genesis: genesis(), hospital: HOSPITAL, user: PATIENT }
}

fn patient(name: &str, patient_keys: &PatientKeys) -> Result<ProfileBody, SealError> {
    let (user, hospital) = (sealing_keys("patient"), sealing_keys("hospital"));
    let account_id = account_id("patient");
    let user = Recipient { account: &account_id, key: user.public() };
    let agent = account("agent");
    ProfileBody::for_patient(&context(), name, patient_keys, user, hospital.public(), &agent)
}

fn professional() -> ProfileBody {
    let (user, hospital) = (sealing_keys("doctor"), sealing_keys("hospital"));
    let account_id = account_id("doctor");
    let user = Recipient { account: &account_id, key: user.public() };
    let agent = account("agent");
    ProfileBody::for_professional(&context(), NAME, user, hospital.public(), &agent).unwrap()
}

/// The bytes of all versions.
fn all(keys: &PatientKeys) -> Vec<[u8; 32]> {
    (1..=keys.versions()).map(|version| *keys.get(version).unwrap().as_bytes()).collect()
}

#[test]
fn hospital_and_patient_open_the_patient_keys_and_the_name() {
    let (patient_keys, agent) = (PatientKeys::generate(), account_id("agent"));
    let patient_keys = patient_keys.renewed().unwrap().renewed().unwrap();
    let encoded = patient(NAME, &patient_keys).unwrap().encode();
    assert!(encoded.len() <= MAX_PROFILE_BODY_BYTES as usize);
    let body = ProfileBody::decode_exactly(&encoded).unwrap();
    let hospital = sealing_keys("hospital");
    let by_hospital = body.patient_keys_for_hospital(&context(), &hospital, &agent).unwrap();
    let own = sealing_keys("patient");
    let by_patient = body.patient_keys_for_patient(&context(), &own, &agent).unwrap();
    assert_eq!(all(&by_hospital), all(&patient_keys));
    assert_eq!(all(&by_patient), all(&patient_keys));
    assert_eq!(body.name_with_patient_keys(&context(), &by_patient).unwrap(), NAME);
    assert_eq!(body.name_for_hospital(&context(), &hospital, &agent).unwrap(), NAME);
    assert!(body.is_patient());
    assert_eq!((body.sealer(), body.account()), (&agent, &account_id("patient")));
}

#[test]
fn a_professionals_profile_has_a_name_for_the_hospital_and_no_patient_key() {
    let body = ProfileBody::decode_exactly(&professional().encode()).unwrap();
    let (hospital, agent) = (sealing_keys("hospital"), account_id("agent"));
    assert_eq!(body.name_for_hospital(&context(), &hospital, &agent).unwrap(), NAME);
    assert!(body.patient_keys_for_hospital(&context(), &hospital, &agent).is_err());
    assert!(!body.is_patient());
}

#[test]
fn a_profile_opens_only_with_the_sealing_key_of_its_time() {
    let (patient_keys, agent) = (PatientKeys::generate(), account_id("agent"));
    let before = ActorKeys { account: account("patient"), sealing: sealing_keys("patient") };
    let after = before.with_new_sealing_key(SealingSuite::XWing);
    let seal = |keys: &ActorKeys| {
        let account = keys.account();
        let user = Recipient { account: &account, key: keys.sealing.public() };
        let (hospital, agent) = (sealing_keys("hospital"), crate::fixture::account("agent"));
        let hospital = hospital.public();
        ProfileBody::for_patient(&context(), NAME, &patient_keys, user, hospital, &agent).unwrap()
    };
    for (then, later) in [(&before, &after), (&after, &before)] {
        let body = seal(then);
        let opened = body.patient_keys_for_patient(&context(), &then.sealing, &agent).unwrap();
        assert_eq!(all(&opened), all(&patient_keys));
        let refused = body.patient_keys_for_patient(&context(), &later.sealing, &agent);
        assert_eq!(refused.err(), Some(OpenError));
        assert!(body.sealing_key(&later.sealing.public().hash()).is_err());
    }
}

#[test]
fn a_withheld_profile_opens_for_the_hospital_and_for_no_key_of_the_patient() {
    let (keys, account) = (PatientKeys::generate().renewed().unwrap(), account_id("patient"));
    let (hospital, own) = (sealing_keys("hospital"), sealing_keys("patient"));
    let user = Recipient { account: &account, key: own.public() };
    let agent = crate::fixture::account("agent");
    let body = ProfileBody::withheld(&context(), NAME, &keys, user, hospital.public(), &agent);
    let body = ProfileBody::decode_exactly(&body.unwrap().encode()).unwrap();
    let agent = account_id("agent");
    let opened = body.patient_keys_for_hospital(&context(), &hospital, &agent).unwrap();
    assert_eq!(all(&opened), all(&keys));
    assert_eq!(body.name_for_hospital(&context(), &hospital, &agent).unwrap(), NAME);
    for key in [&own, &hospital] {
        let refused = body.patient_keys_for_patient(&context(), key, &agent);
        assert_eq!(refused.err(), Some(OpenError));
    }
    assert!(body.is_withheld() && body.is_patient());
    assert_eq!(body.recipient().key, own.public());
    assert!(!patient(NAME, &keys).unwrap().is_withheld() && !professional().is_withheld());

    let place = crate::oracle::Place {
        genesis: genesis(),
        hospital: HOSPITAL,
        user: PATIENT,
        keys: sealing_keys("hospital"),
    };
    let (opened, name) = crate::oracle::open_profile(&body.encode(), &place).unwrap();
    assert_eq!((opened, name.as_slice()), (all(&keys), NAME.as_bytes()));
}

#[test]
fn a_profile_does_not_open_in_another_context_or_for_others() {
    let (patient_keys, agent) = (PatientKeys::generate(), account_id("agent"));
    let body = patient(NAME, &patient_keys).unwrap();
    let (hospital, own) = (sealing_keys("hospital"), sealing_keys("patient"));
    let elsewhere = [
        ProfileContext { genesis: Default::default(), ..context() },
        ProfileContext { hospital: HospitalId(9), ..context() },
        ProfileContext { user: UserId([9; 32]), ..context() },
    ];
    for context in elsewhere {
        assert!(body.patient_keys_for_hospital(&context, &hospital, &agent).is_err());
        assert!(body.patient_keys_for_patient(&context, &own, &agent).is_err());
        assert_eq!(body.name_with_patient_keys(&context, &patient_keys), Err(OpenError));
        assert!(professional().name_for_hospital(&context, &hospital, &agent).is_err());
    }
    assert!(body.patient_keys_for_hospital(&context(), &own, &agent).is_err());
    assert!(body.patient_keys_for_patient(&context(), &hospital, &agent).is_err());
    let other = account_id("other");
    assert!(body.patient_keys_for_hospital(&context(), &hospital, &other).is_err());
}

#[test]
fn a_sealing_key_that_differs_from_the_chain_is_refused() {
    let body = patient(NAME, &PatientKeys::generate()).unwrap();
    let own = sealing_keys("patient");
    assert_eq!(body.sealing_key(&own.public().hash()), Ok(own.public()));
    let swapped = sealing_keys("swapped").public().hash();
    assert_eq!(body.sealing_key(&swapped), Err(SwappedKey));
}

#[test]
fn names_are_bounded_and_not_visible() {
    let patient_keys = PatientKeys::generate();
    assert!(patient(&"x".repeat(256), &patient_keys).is_err());
    for encoded in [patient(NAME, &patient_keys).unwrap().encode(), professional().encode()] {
        assert!(!encoded.windows(6).any(|window| window == &NAME.as_bytes()[..6]));
    }
}
