//! What `epione-proofs` assumes about the runtime: where values are stored, and how authorities change.

#[path = "../../../client/src/chain/verified/keys.rs"]
mod keys;
#[path = "../../../client/src/chain/verified/numbers.rs"]
mod numbers;

use std::collections::BTreeMap;

use codec::Encode;
use epione_primitives::{
    AccountId, AnnouncementId, Hash, QueryId, RecordPointer,
    access::RelationshipKind,
    consortium::{CeremonyId, EpochId},
    credential::AttributeId,
    custody::ClaimId,
    opening::OpeningId,
    release::ReviewId,
    sharing::SlotId,
};
use epione_proofs::{Authorities, FinalizedHead, HandOverError, HeadError, StorageKey};
use epione_runtime::{
    Grandpa, Header, Hospitals, Runtime, RuntimeOrigin, System, council_root, genesis,
};
use frame_support::{__private::metadata::v14::RuntimeMetadataV14, traits::Get};
use pallet_collective::Instance1;
use scale_info::TypeDef;
use sp_consensus_grandpa::localized_payload;
use sp_core::{Pair, ed25519};
use sp_runtime::{BuildStorage, Digest, traits::Header as _};

use crate::{
    chain::{A, B, configuration, council, local, record, user},
    metadata::metadata,
};

/// The justification of a block by all hospitals of the preset `local` in set 0, as GRANDPA's types encode it.
fn justification(header: &Header) -> Vec<u8> {
    const PRECOMMIT: u8 = 1;
    const ROUND: u64 = 1;
    const SET: u64 = 0;
    let target = (header.hash(), header.number);
    let message = localized_payload(ROUND, SET, &(PRECOMMIT, target));
    let votes: Vec<_> = ["//Alice", "//Bob", "//Charlie", "//Dave"]
        .into_iter()
        .map(|seed| {
            let key = ed25519::Pair::from_string(seed, None).unwrap();
            (target, key.sign(&message), key.public())
        })
        .collect();
    (ROUND, target, votes, Vec::<Header>::new()).encode()
}

#[test]
fn the_versions_that_a_client_knows_are_those_of_the_runtime() {
    let known = (numbers::SPEC_VERSION, numbers::TRANSACTION_VERSION);
    let version = epione_runtime::VERSION;
    assert_eq!(known, (version.spec_version, version.transaction_version));
}

#[test]
fn the_keys_that_a_client_computes_are_those_of_the_runtime() {
    assert_eq!(Authorities::key().as_bytes(), pallet_grandpa::Authorities::<Runtime>::hashed_key());
    assert_eq!(
        FinalizedHead::time_key().as_bytes(),
        pallet_timestamp::Now::<Runtime>::hashed_key()
    );
    assert_eq!(
        StorageKey::value("LiteBlocks", "Headers").twox_64_concat(&7u32).as_bytes(),
        pallet_lite_blocks::Headers::<Runtime>::hashed_key_for(7u32)
    );
    let body = Hash::repeat_byte(1);
    assert_eq!(
        StorageKey::value("LiteBlocks", "AnnouncementOf")
            .twox_64_concat(&A)
            .blake2_128_concat(&body)
            .as_bytes(),
        pallet_lite_blocks::AnnouncementOf::<Runtime>::hashed_key_for(A, body)
    );
    let (record, pointer) = (record(1, 0), RecordPointer { height: 7, index: 1 });
    assert_eq!(
        StorageKey::value("LiteBlocks", "AnnouncementWith")
            .twox_64_concat(&A)
            .blake2_128_concat(&record)
            .as_bytes(),
        pallet_lite_blocks::AnnouncementWith::<Runtime>::hashed_key_for(A, record)
    );
    assert_eq!(
        StorageKey::value("Sharing", "Placed").twox_64_concat(&pointer).as_bytes(),
        pallet_sharing::Placed::<Runtime>::hashed_key_for(pointer)
    );
    assert_eq!(
        StorageKey::value("Queries", "Queries").twox_64_concat(&QueryId(7)).as_bytes(),
        pallet_queries::Queries::<Runtime>::hashed_key_for(QueryId(7))
    );
}

/// Compares a key of the client with the key of a storage item of the runtime.
macro_rules! same {
    ($key:expr, $pallet:ident::$item:ident) => {
        assert_eq!($key.as_bytes(), $pallet::$item::<Runtime>::hashed_key(), stringify!($item))
    };
    ($key:expr, $pallet:ident::$item:ident, $($part:expr),+) => {
        assert_eq!(
            $key.as_bytes(),
            $pallet::$item::<Runtime>::hashed_key_for($($part),+),
            stringify!($item)
        )
    };
}

#[test]
fn the_client_computes_the_keys_of_the_sdks_pallets() {
    let account = AccountId::new([7; 32]);
    same!(keys::account(&account), frame_system::Account, account.clone());
    same!(keys::block_hash(9), frame_system::BlockHash, 9_u32);
    same!(keys::current_set(), pallet_grandpa::CurrentSetId);
    same!(keys::now(), pallet_timestamp::Now);
    same!(keys::queued_validators(), pallet_session::QueuedKeys);
    same!(keys::session_keys(B), pallet_session::NextKeys, B);
    same!(keys::validators(), pallet_session::Validators);
    // The pallet's events are private.
    let events = "0x26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7";
    assert_eq!(keys::events().to_string(), events);
}

#[test]
fn the_client_computes_the_keys_of_hospitals_users_and_policies() {
    let (account, patient, doctor) = (AccountId::new([7; 32]), user(7), user(8));
    same!(keys::active_periods(B), pallet_hospitals::ActivePeriods, B);
    same!(keys::admitted(), pallet_hospitals::Admitted);
    same!(keys::benched(), pallet_hospitals::Benched);
    same!(keys::hospital(B), pallet_hospitals::Hospitals, B);
    same!(keys::replacement(B), pallet_hospitals::Replacements, B);
    same!(keys::unready(), pallet_hospitals::Unready);
    same!(keys::hospital_account(&account), pallet_hospitals::Accounts, account.clone());

    same!(keys::earlier_pages(patient, B), pallet_profiles::EarlierPages, patient, B);
    let page = (patient, B, 3_u32);
    same!(keys::earlier_periods(patient, B, 3), pallet_profiles::EarlierPeriods, page);
    same!(keys::member(B, patient), pallet_profiles::Members, B, patient);
    assert!(keys::member(B, patient).as_bytes().starts_with(keys::members(B).as_bytes()));
    same!(keys::profile(patient), pallet_profiles::Profiles, patient);
    same!(keys::recovery(patient), pallet_profiles::Recoveries, patient);
    assert!(keys::recovery(patient).as_bytes().starts_with(keys::recoveries().as_bytes()));
    same!(keys::registration(B, patient), pallet_profiles::Registrations, patient, B);
    same!(keys::user_account(&account), pallet_profiles::Accounts, account.clone());

    let (parties, kind) = ((patient, doctor, B), RelationshipKind::Treating);
    let earlier = (patient, doctor, B, (kind, 4_u32));
    same!(
        keys::earlier_relationship(parties, kind, 4),
        pallet_role_policies::EarlierRelationships,
        earlier
    );
    let counted = (patient, doctor, B, kind);
    same!(keys::earlier_relationships(parties, kind), pallet_role_policies::EarlierCount, counted);
    same!(keys::latest_policies(B), pallet_role_policies::LatestVersion, B);
    same!(keys::policy_set(B, 5), pallet_role_policies::PolicySets, B, 5_u32);
    same!(keys::relationships(parties), pallet_role_policies::Relationships, parties);
    let (attribute, credential) = (AttributeId(3), (doctor, AttributeId(3), B));
    same!(keys::attribute(attribute), pallet_credentials::Attributes, attribute);
    same!(keys::attributes(), pallet_credentials::AttributeCount);
    same!(keys::credential(credential), pallet_credentials::Credentials, credential);
    let of_user = keys::credentials_of(doctor);
    assert!(keys::credential(credential).as_bytes().starts_with(of_user.as_bytes()));
    same!(keys::earlier_credentials(credential), pallet_credentials::EarlierCount, credential);
    let earlier = (doctor, attribute, B, 4_u32);
    same!(keys::earlier_credential(credential, 4), pallet_credentials::EarlierCredentials, earlier);
    let of_patient = keys::relationships_of(patient);
    assert!(keys::relationships(parties).as_bytes().starts_with(of_patient.as_bytes()));
}

#[test]
fn the_client_computes_the_keys_of_records_and_receipts() {
    let (id, hash, patient, doctor) = (AnnouncementId(6), Hash::repeat_byte(1), user(7), user(8));
    let pointer = RecordPointer { height: 7, index: 1 };
    same!(keys::announcement(id), pallet_lite_blocks::Announcements, id);
    same!(keys::announcement_of(B, hash), pallet_lite_blocks::AnnouncementOf, B, hash);
    let record = record(1, 0);
    same!(keys::announcement_with(B, record), pallet_lite_blocks::AnnouncementWith, B, record);
    same!(keys::ballot(id), pallet_approvals::Ballots, id);
    same!(keys::entries(7), pallet_lite_blocks::Entries, 7_u32);
    same!(keys::hashes(7), pallet_lite_blocks::Hashes, 7_u32);
    same!(keys::header(7), pallet_lite_blocks::Headers, 7_u32);
    same!(keys::height(), pallet_lite_blocks::Height);
    same!(keys::latest_record(patient), pallet_index_links::Latest, patient);
    same!(keys::next_announcement(), pallet_lite_blocks::NextId);
    same!(keys::pending_entries(id), pallet_lite_blocks::PendingEntries, id);
    assert!(keys::pending_entries(id).as_bytes().starts_with(keys::pending().as_bytes()));

    same!(keys::answer(hash), pallet_releases::ByRequest, hash);
    same!(keys::by_grant(hash), pallet_releases::ByGrant, hash);
    same!(keys::of_departed(hash), pallet_releases::OfDeparted, hash);
    same!(keys::emergencies(patient), pallet_releases::EmergencyCount, patient);
    same!(keys::emergency(patient, 2), pallet_releases::Emergencies, patient, 2_u32);
    same!(keys::next_review(), pallet_releases::NextReview);
    same!(keys::own_read(patient, 2), pallet_releases::OwnReads, patient, 2_u32);
    same!(keys::own_reads(patient), pallet_releases::OwnReadCount, patient);
    same!(keys::receipt(patient, 2), pallet_releases::Receipts, patient, 2_u32);
    same!(keys::receipts(patient), pallet_releases::ReceiptCount, patient);
    same!(keys::refusal(patient, 2), pallet_releases::Refusals, patient, 2_u32);
    same!(keys::refusals(patient), pallet_releases::RefusalCount, patient);
    same!(keys::review(ReviewId(2)), pallet_releases::Reviews, ReviewId(2));
    same!(keys::tally(B, doctor), pallet_releases::Tallies, B, doctor);
    same!(keys::representative(patient, doctor), pallet_mandates::Representatives, patient, doctor);
    let of_patient = keys::representatives(patient);
    assert!(keys::representative(patient, doctor).as_bytes().starts_with(of_patient.as_bytes()));
    let (earlier, count) = (
        keys::earlier_representation(patient, doctor, 2),
        keys::earlier_representations(patient, doctor),
    );
    same!(earlier, pallet_mandates::EarlierRepresentations, (patient, doctor, 2_u32));
    same!(count, pallet_mandates::EarlierRepresentationCount, patient, doctor);
    same!(keys::authorization(patient, B), pallet_mandates::Authorizations, patient, B);
    let (earlier, count) =
        (keys::earlier_authorization(patient, B, 2), keys::earlier_authorizations(patient, B));
    same!(earlier, pallet_mandates::EarlierAuthorizations, (patient, B, 2_u32));
    same!(count, pallet_mandates::EarlierAuthorizationCount, patient, B);
    let slot = SlotId(3);
    same!(keys::consent(patient, slot), pallet_sharing::Consents, patient, slot);
    let earlier = (patient, slot, 2_u32);
    same!(keys::earlier_consent(patient, slot, 2), pallet_sharing::EarlierConsents, earlier);
    same!(keys::placements(pointer), pallet_sharing::Placed, pointer);
    let placed_in = (patient, slot, pointer);
    same!(keys::placed_in(patient, slot, pointer), pallet_sharing::PlacedIn, placed_in);
    let of_slot = keys::placed_in_slot(patient, slot);
    let in_slot = keys::placed_in(patient, slot, pointer);
    assert!(in_slot.as_bytes().starts_with(of_slot.as_bytes()));
    same!(keys::slot_height(patient, slot), pallet_sharing::SlotHeights, patient, slot);
    same!(keys::shared_change(2), pallet_sharing::Changes, 2_u64);
    same!(keys::shared_head(), pallet_sharing::Head);
    same!(keys::query(QueryId(7)), pallet_queries::Queries, QueryId(7));
    same!(keys::query_terms(QueryId(7)), pallet_queries::Terms, QueryId(7));
    same!(keys::transfer(QueryId(7)), pallet_queries::Transfers, QueryId(7));
    same!(keys::pending_of_patient(patient), pallet_queries::PendingOfPatient, patient);
    same!(keys::patient_queries(patient), pallet_queries::PatientQueryCount, patient);
    same!(keys::patient_query(patient, 2), pallet_queries::PatientQueries, patient, 2_u32);
    same!(keys::requester_queries(doctor), pallet_queries::RequesterQueryCount, doctor);
    same!(keys::requester_query(doctor, 2), pallet_queries::RequesterQueries, doctor, 2_u32);
}

#[test]
fn the_client_computes_the_keys_of_the_consortium_key() {
    same!(keys::consortium_schedule(), pallet_consortium_key::Schedule);
    same!(keys::ceremony(), pallet_consortium_key::Ceremony);
    same!(keys::kept_ceremony(), pallet_consortium_key::Kept);
    let id = CeremonyId(8);
    same!(keys::enrolment(id, 3), pallet_consortium_key::Enrolments, id, 3_u8);
    same!(keys::dealing(id, 3), pallet_consortium_key::Dealings, id, 3_u8);
    same!(keys::answers_of(id, 3), pallet_consortium_key::AnswersOf, id, 3_u8);
    same!(keys::joined(), pallet_consortium_key::Joined);
    same!(keys::confirmations(), pallet_consortium_key::Confirmed);
    same!(keys::epoch(EpochId(7)), pallet_consortium_key::Epochs, EpochId(7));
    same!(keys::current_epoch(), pallet_consortium_key::Current);
    same!(keys::past_ceremonies(), pallet_consortium_key::Past);
    same!(keys::committee(), pallet_consortium_key::Committee);
    same!(keys::refresh_requested(), pallet_consortium_key::RefreshRequested);
    same!(keys::renewal_decided(), pallet_consortium_key::RenewalDecided);
    same!(keys::last_begun(), pallet_consortium_key::LastBegun);
    same!(keys::last_ended(), pallet_consortium_key::LastEnded);
}

#[test]
fn the_client_computes_the_keys_of_openings() {
    let (id, patient, requester, slot) = (OpeningId(7), user(7), user(8), SlotId(3));
    let pointer = RecordPointer { height: 7, index: 1 };
    same!(keys::opening(id), pallet_openings::Openings, id);
    same!(keys::handed_out_by(id, B), pallet_openings::HandedOutBy, id, B);
    let of_opening = keys::handed_out(id);
    assert!(keys::handed_out_by(id, B).as_bytes().starts_with(of_opening.as_bytes()));
    same!(keys::patient_openings(patient), pallet_openings::PatientOpeningCount, patient);
    same!(keys::patient_opening(patient, 2), pallet_openings::PatientOpenings, patient, 2_u32);
    same!(keys::requester_openings(requester), pallet_openings::RequesterOpeningCount, requester);
    let of_requester = keys::requester_opening(requester, 2);
    same!(of_requester, pallet_openings::RequesterOpenings, requester, 2_u32);
    same!(keys::wraps(pointer, slot), pallet_openings::Wraps, pointer, slot);
}

#[test]
fn the_client_computes_the_keys_of_custody() {
    let (id, patient) = (ClaimId(7), user(7));
    same!(keys::entrusted_by(B, patient), pallet_mandates::Custodies, B, patient);
    let at_hospital = keys::entrusted(B);
    assert!(keys::entrusted_by(B, patient).as_bytes().starts_with(at_hospital.as_bytes()));
    same!(keys::kept_key(B, patient), pallet_custody::KeptKeys, B, patient);
    same!(keys::appointment(B), pallet_custody::Appointments, B);
    same!(keys::claim(id), pallet_custody::Claims, id);
    same!(keys::custodian_delay(), pallet_custody::Delay);
    same!(keys::claims(), pallet_custody::ClaimCount);
    same!(keys::claim_part(id, B), pallet_custody::HandedOutBy, id, B);
}

#[test]
fn the_client_computes_the_keys_of_the_council() {
    type Members = pallet_collective::Members<Runtime, Instance1>;
    type Motions = pallet_collective::Proposals<Runtime, Instance1>;
    type Calls = pallet_collective::ProposalOf<Runtime, Instance1>;
    type Proposers = pallet_collective::CostOf<Runtime, Instance1>;
    type Votes = pallet_collective::Voting<Runtime, Instance1>;
    let motion = Hash::repeat_byte(7);
    assert_eq!(keys::council_members().as_bytes(), Members::hashed_key());
    assert_eq!(keys::motions().as_bytes(), Motions::hashed_key());
    assert_eq!(keys::motion_call(motion).as_bytes(), Calls::hashed_key_for(motion));
    assert_eq!(keys::motion_proposer(motion).as_bytes(), Proposers::hashed_key_for(motion));
    assert_eq!(keys::motion_votes(motion).as_bytes(), Votes::hashed_key_for(motion));
    same!(keys::authorized_at(), council_root::AuthorizedAt);
    same!(keys::upgrade_delay(), council_root::UpgradeDelay);
    same!(keys::quota_limits(), pallet_quotas::CurrentLimits);
    // The authorized upgrade is private.
    local(|_| {
        let authorized = || sp_io::storage::get(keys::authorized_upgrade().as_bytes());
        assert_eq!(authorized(), None);
        System::authorize_upgrade(RuntimeOrigin::root(), motion).unwrap();
        assert_eq!(authorized().unwrap().to_vec(), (motion, true).encode());
    });
}

/// `KNOWN_ANCESTORS` of the client.
#[test]
fn a_state_has_the_hashes_of_at_least_2048_earlier_blocks() {
    type Count = <Runtime as frame_system::Config>::BlockHashCount;
    let count = <Count as Get<u32>>::get();
    assert!(count >= 2_048, "{count}");
}

/// The numbers of the variants of an enum, by their names.
fn variants(metadata: &RuntimeMetadataV14, ty: u32) -> BTreeMap<String, u8> {
    let TypeDef::Variant(def) = &metadata.types.resolve(ty).unwrap().type_def else {
        panic!("type {ty} is not an enum")
    };
    def.variants.iter().map(|variant| (variant.name.to_string(), variant.index)).collect()
}

#[test]
fn the_numbers_that_a_client_knows_are_those_of_the_runtime() {
    let metadata = metadata();
    let pallet = |name: &str| metadata.pallets.iter().find(|it| it.name == name).unwrap();
    for (name, call, numbers) in numbers::CALLS {
        let pallet = pallet(name);
        let calls = variants(&metadata, pallet.calls.as_ref().unwrap().ty.id);
        assert_eq!([pallet.index, calls[call]], numbers, "{name}.{call}");
    }
    for (name, event, numbers) in numbers::EVENTS {
        let pallet = pallet(name);
        let events = variants(&metadata, pallet.event.as_ref().unwrap().ty.id);
        assert_eq!([pallet.index, events[event]], numbers, "{name}.{event}");
    }
}

#[test]
fn the_genesis_state_proves_the_first_authorities() {
    let storage = configuration(genesis::LOCAL).build_storage().unwrap();
    let mut state = sp_io::TestExternalities::new(storage);
    let root = *state.backend.root();
    let (authorities, proof) = state.execute_and_prove(Grandpa::grandpa_authorities);
    let header = Header::new(0, Hash::zero(), root, Hash::zero(), Digest::default());
    let proof = proof.into_iter_nodes().collect();
    let first = Authorities::genesis(header.hash(), &header, proof).unwrap();
    assert_eq!(first, Authorities::restore(0, 0, authorities).unwrap());
}

#[test]
fn a_client_follows_the_change_after_a_suspension() {
    local(|chain| {
        let first = Authorities::restore(0, 0, Grandpa::grandpa_authorities()).unwrap();
        Hospitals::suspend(council(), B).unwrap();
        while Grandpa::current_set_id() == 0 {
            chain.next_block();
        }
        let header = chain.next_block();
        let next = first.follow(&header, &justification(&header)).unwrap();
        let expected = Authorities::restore(1, header.number, Grandpa::grandpa_authorities());
        assert_eq!(next, expected.unwrap());
        assert_eq!(next.list().len(), 3);
    });
}

/// Why a checkpoint has two numbers of its set: the state also counts a set that was announced while nothing became
/// final. Nodes do not: a change by force replaces what they have not finalized, and their set has the next number after
/// the one that stalled.
#[test]
fn the_state_counts_a_set_that_a_change_by_force_replaces() {
    local(|chain| {
        let stalled = Authorities::restore(0, 0, Grandpa::grandpa_authorities()).unwrap();
        Hospitals::suspend(council(), B).unwrap();
        while Grandpa::current_set_id() == 0 {
            chain.next_block();
        }
        let in_vain = chain.next_block();
        let refused = stalled.follow(&in_vain, &[]).unwrap_err();
        assert!(
            matches!(refused, HandOverError::Head(HeadError::NotJustified { .. })),
            "{refused}"
        );

        Grandpa::note_stalled(RuntimeOrigin::root(), 40, 7).unwrap();
        while Grandpa::stalled().is_some() {
            chain.next_block();
        }
        let forced = chain.next_block();
        let refused = stalled.follow(&forced, &[]).unwrap_err();
        assert_eq!(refused, HandOverError::Forced { number: forced.number });
        assert_eq!((stalled.set() + 1, Grandpa::current_set_id()), (1, 2));
    });
}
