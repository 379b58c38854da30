use epione_client::signer::Account;
use epione_envelope::record::{Description, Draft, SectionKind};
use epione_primitives::profile::Profile;

use super::*;
use crate::api::tests::fake::{FakeChain, HOSPITAL, genesis};

const DOCTOR: UserId = UserId([1; 32]);
const NURSE: UserId = UserId([2; 32]);
const PATIENT: UserId = UserId([3; 32]);

fn account(name: &str) -> Account {
    Account::development(&format!("//{name}")).unwrap()
}

/// A chain with a doctor, a nurse and a patient, whose accounts have their names.
fn chain() -> FakeChain {
    let chain = FakeChain::default();
    for (user, role, name) in [
        (DOCTOR, Role::Doctor, "Doctor"),
        (NURSE, Role::Nurse, "Nurse"),
        (PATIENT, Role::Patient, "Patient"),
    ] {
        let account = account(name).id();
        let profile =
            Profile { role, account, sealing_key_hash: Hash::zero(), version: 1, since: 0 };
        chain.register(HOSPITAL, user, profile, name.into());
    }
    chain
}

fn set_status(chain: &FakeChain, user: UserId, status: RegistrationStatus) {
    chain.facts().registrations.get_mut(&(HOSPITAL, user)).unwrap().status = status;
}

fn set_account(chain: &FakeChain, user: UserId, name: &str) {
    chain.facts().profiles.get_mut(&user).unwrap().account = account(name).id();
}

fn draft(signed_at: SignedAt) -> Draft {
    let text = Description::of(SectionKind::Summary, "text/plain", "", b"all well").unwrap();
    Draft::new(PATIENT, HOSPITAL, DOCTOR, signed_at, vec![text]).unwrap()
}

fn signed(signed_at: SignedAt, by: &str) -> SignedDraft {
    draft(signed_at).sign(genesis(), &account(by))
}

async fn check(chain: &FakeChain, record: &SignedDraft) -> Result<AccountId, Fault> {
    Signers::new(genesis(), HOSPITAL, chain).check(record).await.unwrap()
}

async fn assert_fault(chain: &FakeChain, record: &SignedDraft, fault: Fault) {
    assert_eq!(check(chain, record).await, Err(fault));
}

#[test]
fn a_hospital_that_holds_a_record_back_for_over_a_day_is_rejected() {
    let day = MAX_SIGNING_AGE_BLOCKS;
    assert!(is_in_time(100, 100) && is_in_time(100, 100 + day));
    assert!(!is_in_time(100, 101 + day));
    // Nobody knows the hash of a later block.
    assert!(!is_in_time(100, 99));
    assert!(!is_in_time(BlockNumber::MAX, 0) && !is_in_time(0, BlockNumber::MAX));
}

#[tokio::test]
async fn a_record_signed_by_its_author_counts() {
    let chain = chain();
    let record = signed(chain.newest(), "Doctor");
    assert_eq!(check(&chain, &record).await, Ok(account("Doctor").id()));
}

#[tokio::test]
async fn a_record_signed_at_a_block_of_another_fork_or_a_later_one_does_not_count() {
    let chain = chain();
    chain.facts().head = 50;
    let forked = SignedAt { hash: Hash::repeat_byte(0xf0), ..chain.block(40) };
    let renumbered = SignedAt { number: 41, ..chain.block(40) };
    for at in [forked, renumbered, chain.block(51), SignedAt::default()] {
        assert_fault(&chain, &signed(at, "Doctor"), Fault::Block).await;
    }
    assert!(check(&chain, &signed(chain.block(40), "Doctor")).await.is_ok());
}

#[tokio::test]
async fn an_account_that_was_replaced_before_the_signed_block_does_not_count() {
    let chain = chain();
    let before = chain.next_block();
    set_account(&chain, DOCTOR, "Doctor anew");
    let after = chain.newest();
    assert_fault(&chain, &signed(after, "Doctor"), Fault::AuthorSignature).await;
    // Nor does the next account, before it was the author's.
    assert_fault(&chain, &signed(before, "Doctor anew"), Fault::AuthorSignature).await;
    assert_eq!(check(&chain, &signed(before, "Doctor")).await, Ok(account("Doctor").id()));
    assert!(check(&chain, &signed(after, "Doctor anew")).await.is_ok());
}

#[tokio::test]
async fn author_and_patient_may_be_suspended_after_the_signed_block_but_not_before_it() {
    for (user, fault) in [(DOCTOR, Fault::Author), (PATIENT, Fault::Patient)] {
        for status in [RegistrationStatus::Suspended, RegistrationStatus::Ended] {
            let chain = chain();
            let before = chain.next_block();
            set_status(&chain, user, status);
            let after = chain.next_block();
            set_status(&chain, user, RegistrationStatus::Active);
            assert!(check(&chain, &signed(before, "Doctor")).await.is_ok());
            assert_fault(&chain, &signed(after, "Doctor"), fault).await;
            assert!(check(&chain, &signed(chain.newest(), "Doctor")).await.is_ok());
        }
    }
}

#[tokio::test]
async fn a_user_who_is_registered_elsewhere_only_signs_nothing_here() {
    let chain = chain();
    for (user, fault) in [(DOCTOR, Fault::Author), (PATIENT, Fault::Patient)] {
        let registration = chain.facts().registrations.remove(&(HOSPITAL, user)).unwrap();
        let elsewhere = crate::api::tests::fake::ELSEWHERE;
        chain.facts().registrations.insert((elsewhere, user), registration.clone());
        assert_fault(&chain, &signed(chain.newest(), "Doctor"), fault).await;
        chain.facts().registrations.insert((HOSPITAL, user), registration);
    }
}

#[tokio::test]
async fn only_doctors_and_nurses_write_records() {
    let chain = chain();
    let record = signed(chain.newest(), "Doctor");
    for (role, may_write) in [
        (Role::Doctor, true),
        (Role::Nurse, true),
        (Role::Patient, false),
        (Role::Researcher, false),
        (Role::Auditor, false),
        (Role::Insurer, false),
        (Role::Pharmacist, false),
        (Role::PublicAuthority, false),
        (Role::AlliedProfessional, false),
    ] {
        chain.facts().profiles.get_mut(&DOCTOR).unwrap().role = role;
        assert_eq!(check(&chain, &record).await.is_ok(), may_write, "{role:?}");
    }
}

#[tokio::test]
async fn the_signature_of_a_named_nurse_is_checked() {
    let chain = chain();
    let at = chain.newest();
    let named = |nurse| draft(at).with_nurse(nurse).sign(genesis(), &account("Doctor"));
    assert_fault(&chain, &named(NURSE), Fault::NurseSignature).await;
    let by = |name: &str| named(NURSE).sign_as_nurse(genesis(), &account(name));
    assert!(check(&chain, &by("Nurse")).await.is_ok());
    for other in ["Doctor", "Patient", "Nobody"] {
        assert_fault(&chain, &by(other), Fault::NurseSignature).await;
    }
    // The nurse's signature of another record.
    let stolen = SignedDraft { nurse_signature: by("Nurse").nurse_signature, ..named(NURSE) };
    assert_fault(&chain, &stolen, Fault::NurseSignature).await;
    // A user of another role, and one whom the chain does not know.
    let doctor = named(DOCTOR).sign_as_nurse(genesis(), &account("Doctor"));
    assert_fault(&chain, &doctor, Fault::Nurse).await;
    let unknown = named(UserId([9; 32])).sign_as_nurse(genesis(), &account("Nobody"));
    assert_fault(&chain, &unknown, Fault::Nurse).await;
    // A nurse who was suspended before, and one who was suspended after.
    let record = by("Nurse");
    chain.next_block();
    set_status(&chain, NURSE, RegistrationStatus::Suspended);
    assert!(check(&chain, &record).await.is_ok());
    let late = draft(chain.newest()).with_nurse(NURSE).sign(genesis(), &account("Doctor"));
    let late = late.sign_as_nurse(genesis(), &account("Nurse"));
    assert_fault(&chain, &late, Fault::Nurse).await;
}

#[tokio::test]
async fn the_patient_cosigns_with_the_account_of_the_signed_block() {
    let chain = chain();
    let before = chain.next_block();
    set_account(&chain, PATIENT, "Patient anew");
    let cosigned = |at, by: &str| signed(at, "Doctor").cosign(genesis(), &account(by));
    assert!(check(&chain, &cosigned(before, "Patient")).await.is_ok());
    assert!(check(&chain, &cosigned(chain.newest(), "Patient anew")).await.is_ok());
    for (at, by) in [(before, "Patient anew"), (chain.newest(), "Patient"), (before, "Doctor")] {
        assert_fault(&chain, &cosigned(at, by), Fault::PatientSignature).await;
    }
}

#[tokio::test]
async fn each_state_is_read_once_for_all_records_that_were_signed_at_its_block() {
    let chain = chain();
    chain.facts().head = 50;
    let (first, second) = (chain.next_block(), chain.next_block());
    let mut signers = Signers::new(genesis(), HOSPITAL, &chain);
    // One request for the newest block, one for each block that is not known yet, and none for the others.
    chain.facts().leaves_after = Some(3);
    for at in [first, second, first, second] {
        signers.check(&signed(at, "Doctor")).await.unwrap().unwrap();
    }
    let unknown = chain.block(7);
    assert!(signers.check(&signed(unknown, "Doctor")).await.is_err());
    chain.facts().away = true;
    signers.check(&signed(second, "Doctor")).await.unwrap().unwrap();
}
