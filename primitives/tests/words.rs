//! The shared types.

use codec::Encode;
use epione_primitives::{
    AccountId, AnnouncementId, Hash, HospitalId, RecordId, RecordPointer, Signature, UserId,
    access::{Purpose, Relationship, RelationshipKind},
    approval::approvals_needed,
    block::{
        AnnouncedEntry, AnnouncedHeader, Entry, Header, Range, Segment, Segments, cloud_hash,
        segments_root,
    },
    hospital::{Duty, Founder},
    limits::{DAY_MILLIS, MAX_SECTIONS, SEGMENT_BYTES},
    naming::{Naming, NamingConsent},
    profile::{Objection, Period, Recovery, Registration, RegistrationStatus},
    release::{EmergencyReason, ReleasedRecord, Request, SectionSet, Tally},
};
use sp_core::{Pair, ed25519};

#[test]
fn identifiers_round_trip_in_hexadecimal() {
    let user = UserId([0xab; 32]);
    assert_eq!(user.to_string(), format!("0x{}", "ab".repeat(32)));
    assert_eq!(user.to_string().parse(), Ok(user));
    assert_eq!("CD".repeat(16).parse(), Ok(RecordId([0xcd; 16])));
    for wrong in ["", "0x", "ab", &"ab".repeat(31), &"ab".repeat(33), &"xy".repeat(32)] {
        assert!(wrong.parse::<UserId>().is_err(), "{wrong:?} was parsed as a user");
    }
}

#[test]
fn a_record_is_written_and_read_as_a_height_and_an_index() {
    let pointer = RecordPointer { height: 12, index: 3 };
    assert_eq!(pointer.to_string(), "12/3");
    assert_eq!("12/3".parse(), Ok(pointer));
    for wrong in ["", "12", "12/", "/0", "a/b", "1/2/3", "-1/0", "1/70000", "4294967296/0"] {
        assert!(wrong.parse::<RecordPointer>().is_err(), "{wrong:?} was taken for a record");
    }
}

#[test]
fn an_entry_was_announced_without_its_link() {
    let (text, media) = (Range { offset: 1, length: 2 }, Range { offset: 3, length: 4 });
    let previous = Some(RecordPointer { height: 1, index: 0 });
    let (record, patient, hash) = (RecordId([2; 16]), UserId([1; 32]), Hash::repeat_byte(5));
    let entry = Entry { record, hash, patient, text, media, previous };
    let announced = AnnouncedEntry { record, hash, patient, text, media };
    assert_eq!(AnnouncedEntry::from(entry), announced);
}

#[test]
fn a_period_includes_its_beginning_and_excludes_its_end() {
    let period = Period { since: 10, until: Some(20) };
    assert_eq!([9, 10, 19, 20].map(|at| period.contains(at)), [false, true, true, false]);
    assert!(Period { since: 10, until: None }.contains(u64::MAX));
}

#[test]
fn a_registration_is_in_force_within_its_periods_only() {
    let periods = vec![Period { since: 1, until: Some(3) }, Period { since: 5, until: None }];
    let registration = Registration {
        status: RegistrationStatus::Active,
        periods: periods.try_into().expect("two periods fit"),
        version: 1,
        body_hash: Hash::zero(),
    };
    let held = [0, 1, 2, 3, 4, 5, 6].map(|at| registration.in_force(at));
    assert_eq!(held, [false, true, true, false, false, true, true]);
}

#[test]
fn a_relationship_ends_when_it_expires_or_is_closed() {
    let relationship = |expires, closed| Relationship {
        kind: RelationshipKind::Referral,
        hospital: HospitalId(0),
        since: 10,
        expires,
        closed,
    };
    assert!(!relationship(None, None).in_force(9));
    assert!(relationship(None, None).in_force(u64::MAX));
    assert!(relationship(Some(20), None).in_force(19));
    assert!(!relationship(Some(20), None).in_force(20));
    assert!(!relationship(Some(20), Some(15)).in_force(15));
}

#[test]
fn half_of_the_hospitals_rounded_up_must_approve_but_at_most_all_others() {
    let needed: Vec<_> = (0..=10).map(approvals_needed).collect();
    assert_eq!(needed, [0, 0, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
}

#[test]
fn a_range_that_overflows_has_no_end() {
    assert_eq!(Range { offset: 3, length: 4 }.end(), Some(7));
    assert_eq!(Range { offset: u32::MAX, length: 1 }.end(), None);
}

#[test]
fn the_segments_root_commits_to_order_length_and_hash() {
    let segment = |byte, length| Segment { hash: [byte; 32], length };
    let root = segments_root(&[segment(1, 5), segment(2, 6)]);
    for other in [
        vec![segment(2, 6), segment(1, 5)],
        vec![segment(1, 6), segment(2, 6)],
        vec![segment(1, 5), segment(3, 6)],
        vec![segment(1, 5)],
        vec![],
    ] {
        assert_ne!(segments_root(&other), root);
    }
    assert!(!segment(0, 0).has_valid_length());
    assert!(segment(0, SEGMENT_BYTES).has_valid_length());
    assert!(!segment(0, SEGMENT_BYTES + 1).has_valid_length());
}

fn header() -> Header {
    Header {
        height: 2,
        previous_lite: Hash::repeat_byte(1),
        previous_cloud: Hash::repeat_byte(2),
        announcer: HospitalId(3),
        announcement: AnnouncementId(4),
        time: 5,
        records: 1,
        body_hash: Hash::repeat_byte(6),
        body_bytes: 7,
        segments: Segments { root: Hash::repeat_byte(8), count: 9, bytes: 10 },
    }
}

#[test]
fn the_lite_hash_covers_header_and_entries() {
    let entry = Entry {
        record: RecordId([2; 16]),
        hash: Hash::repeat_byte(5),
        patient: UserId([1; 32]),
        text: Range { offset: 0, length: 7 },
        media: Range { offset: 0, length: 9 },
        previous: Some(RecordPointer { height: 1, index: 0 }),
    };
    let hash = header().lite_hash(std::slice::from_ref(&entry));
    let relinked = Entry { previous: None, ..entry.clone() };
    assert_ne!(header().lite_hash(&[relinked]), hash);
    let renamed = Entry { record: RecordId([3; 16]), ..entry.clone() };
    assert_ne!(header().lite_hash(&[renamed]), hash);
    let replaced = Entry { hash: Hash::zero(), ..entry.clone() };
    assert_ne!(header().lite_hash(&[replaced]), hash);
    assert_ne!(header().lite_hash(&[]), hash);
    let entries = [entry];
    assert_ne!(Header { time: 6, ..header() }.lite_hash(&entries), hash);
    assert_ne!(Header { previous_cloud: Hash::zero(), ..header() }.lite_hash(&entries), hash);
    assert_ne!(cloud_hash(hash, Hash::zero()), cloud_hash(hash, Hash::repeat_byte(1)));
}

#[test]
fn the_subject_of_a_vote_covers_all_that_the_hospitals_verify() {
    let segments = Segments { root: Hash::repeat_byte(8), count: 9, bytes: 10 };
    let header = AnnouncedHeader { announcer: HospitalId(3), segments };
    let entry = AnnouncedEntry {
        record: RecordId([2; 16]),
        hash: Hash::repeat_byte(5),
        patient: UserId([1; 32]),
        text: Range { offset: 0, length: 7 },
        media: Range { offset: 0, length: 9 },
    };
    let body = Hash::repeat_byte(6);
    let subject = header.subject(std::slice::from_ref(&entry), body);
    let entries = [
        AnnouncedEntry { record: RecordId([3; 16]), ..entry.clone() },
        AnnouncedEntry { hash: Hash::zero(), ..entry.clone() },
        AnnouncedEntry { patient: UserId([3; 32]), ..entry.clone() },
        AnnouncedEntry { text: Range { offset: 0, length: 8 }, ..entry.clone() },
        AnnouncedEntry { media: Range { offset: 1, length: 9 }, ..entry.clone() },
    ];
    for other in entries {
        assert_ne!(header.subject(&[other], body), subject);
    }
    assert_ne!(header.subject(&[], body), subject);
    assert_ne!(header.subject(&[entry.clone(), entry.clone()], body), subject);
    let entries = [entry];
    assert_ne!(header.subject(&entries, Hash::zero()), subject);
    let other = AnnouncedHeader { announcer: HospitalId(4), segments };
    assert_ne!(other.subject(&entries, body), subject);
    let segments = Segments { bytes: 11, ..segments };
    let other = AnnouncedHeader { announcer: HospitalId(3), segments };
    assert_ne!(other.subject(&entries, body), subject);
}

#[test]
fn the_id_of_a_user_follows_from_the_first_account_and_sealing_key() {
    let (account, key) = (AccountId::new([1; 32]), Hash::repeat_byte(2));
    let user = UserId::of(&account, key);
    assert_eq!(user, UserId::of(&account, key));
    assert_ne!(user, UserId::of(&AccountId::new([3; 32]), key));
    assert_ne!(user, UserId::of(&account, Hash::repeat_byte(3)));
    // Account and key cannot be exchanged.
    assert_ne!(user, UserId::of(&AccountId::new([2; 32]), Hash::repeat_byte(1)));
}

fn request() -> Request {
    let record = |height| ReleasedRecord {
        pointer: RecordPointer { height, index: 0 },
        sections: SectionSet::ALL,
    };
    Request {
        requester: UserId([1; 32]),
        patient: UserId([2; 32]),
        hospital: HospitalId(3),
        records: vec![record(4), record(5)].try_into().expect("two records fit"),
        purpose: Purpose::Treatment,
        emergency: None,
        at: 6,
        nonce: [7; 16],
    }
}

/// Every request that differs from `request` in one field.
fn other_requests() -> Vec<Request> {
    let edits: [fn(&mut Request); 10] = [
        |request| request.requester = UserId([9; 32]),
        |request| request.patient = UserId([9; 32]),
        |request| request.hospital = HospitalId(9),
        |request| request.records[0].pointer.height = 3,
        |request| request.records[1].sections = SectionSet(1),
        |request| request.records.truncate(1),
        |request| request.purpose = Purpose::Research,
        |request| request.emergency = Some(EmergencyReason::PublicHealth),
        |request| request.at = 9,
        |request| request.nonce = [9; 16],
    ];
    edits
        .into_iter()
        .map(|edit| {
            let mut other = request();
            edit(&mut other);
            other
        })
        .collect()
}

#[test]
fn a_signed_request_verifies_for_its_requester_on_its_chain_and_unchanged() {
    let genesis = Hash::repeat_byte(8);
    let signer = |seed: u8| ed25519::Pair::from_seed(&[seed; 32]);
    let account = |seed: u8| AccountId::new(signer(seed).public().0);
    let signature: Signature = signer(1).sign(&request().signed_bytes(genesis)).into();
    assert!(request().is_signed_by(genesis, &account(1), &signature));
    assert!(!request().is_signed_by(genesis, &account(2), &signature));
    assert!(!request().is_signed_by(Hash::zero(), &account(1), &signature));
    for other in other_requests() {
        assert!(!other.is_signed_by(genesis, &account(1), &signature), "{other:?}");
        assert_ne!(other.hash(), request().hash());
    }
}

#[test]
fn a_signature_over_another_message_is_not_one_over_a_request() {
    let genesis = Hash::repeat_byte(8);
    let signer = ed25519::Pair::from_seed(&[1; 32]);
    let account = AccountId::new(signer.public().0);
    let bytes = request().signed_bytes(genesis);
    assert!(bytes.starts_with(b"epione/request"));
    // Without the prefix, or in the wrapping of browser extensions.
    let wrapped = [&b"<Bytes>"[..], &bytes, b"</Bytes>"].concat();
    for message in [&bytes[b"epione/request".len()..], &wrapped, &request().encode()] {
        let signature: Signature = signer.sign(message).into();
        assert!(!request().is_signed_by(genesis, &account, &signature));
    }
}

#[test]
fn a_consent_cannot_be_used_as_another_message() {
    let (genesis, user) = (Hash::repeat_byte(1), UserId([2; 32]));
    let registration = |hospital, version| Naming::Registration { hospital, user, version };
    let recovery = |hospital, sealing_key_hash, version, until| Naming::Recovery {
        hospital,
        user,
        sealing_key_hash,
        version,
        until,
    };
    let as_account = |duty, until| Naming::Hospital { hospital: HospitalId(0), duty, until };
    let namings = [
        registration(HospitalId(0), 0),
        registration(HospitalId(0), 1),
        registration(HospitalId(1), 0),
        Naming::Rotation { user, version: 0 },
        Naming::Rotation { user, version: 1 },
        recovery(HospitalId(0), Hash::zero(), 1, 7),
        recovery(HospitalId(1), Hash::zero(), 1, 7),
        recovery(HospitalId(0), Hash::repeat_byte(1), 1, 7),
        recovery(HospitalId(0), Hash::zero(), 2, 7),
        recovery(HospitalId(0), Hash::zero(), 1, 8),
        as_account(Duty::Governance, 0),
        as_account(Duty::Governance, 1),
        as_account(Duty::Agent, 0),
    ];
    let messages = namings.map(|naming| NamingConsent::new(genesis, naming).encode());
    for (position, message) in messages.iter().enumerate() {
        assert!(message.starts_with(b"epione/consent"));
        assert!(!messages[..position].contains(message), "{position}");
    }
}

#[test]
fn the_council_decides_about_both_keys_and_not_about_objections() {
    let recovery = Recovery {
        hospital: HospitalId(1),
        account: AccountId::new([2; 32]),
        sealing_key_hash: Hash::repeat_byte(3),
        version: 4,
        due: 5,
        lapses: 9,
        objection: None,
    };
    let decision = recovery.decision();
    for other in [
        Recovery { hospital: HospitalId(2), ..recovery.clone() },
        Recovery { account: AccountId::new([3; 32]), ..recovery.clone() },
        Recovery { sealing_key_hash: Hash::zero(), ..recovery.clone() },
        Recovery { version: 5, ..recovery.clone() },
    ] {
        assert_ne!(other.decision(), decision, "{other:?}");
    }
    let objection = Some(Objection::User);
    assert_eq!(Recovery { objection, ..recovery }.decision(), decision);
}

#[test]
fn a_users_objection_replaces_a_hospitals_and_no_other() {
    let (user, hospital) = (Objection::User, Objection::Hospital(HospitalId(1)));
    let with = |objection| Recovery {
        hospital: HospitalId(1),
        account: AccountId::new([2; 32]),
        sealing_key_hash: Hash::zero(),
        version: 1,
        due: 5,
        lapses: 9,
        objection,
    };
    for (earlier, next, accepted) in [
        (None, user, true),
        (None, hospital, true),
        (Some(hospital), user, true),
        (Some(hospital), Objection::Hospital(HospitalId(2)), false),
        (Some(user), user, false),
        (Some(user), hospital, false),
    ] {
        assert_eq!(with(earlier).accepts(next), accepted, "{earlier:?} {next:?}");
    }
}

#[test]
fn a_set_contains_the_inserted_sections_within_the_limit() {
    let mut sections = SectionSet::default();
    assert!(sections.is_empty());
    for section in [0, 5, MAX_SECTIONS - 1] {
        assert!(sections.insert(section));
    }
    assert!(!sections.insert(MAX_SECTIONS));
    assert_eq!(sections.iter().collect::<Vec<_>>(), [0, 5, MAX_SECTIONS - 1]);
    assert!(sections.contains(5) && !sections.contains(4) && !sections.contains(u16::MAX));

    let json = serde_json::to_string(&sections).expect("a list of numbers");
    assert_eq!(json, "[0,5,63]");
    assert_eq!(serde_json::from_str::<SectionSet>(&json).expect("the same list"), sections);
    assert!(serde_json::from_str::<SectionSet>("[64]").is_err());
}

#[test]
fn sets_of_sections_are_compared_and_combined() {
    let (one, two) = (SectionSet(0b0011), SectionSet(0b0110));
    assert_eq!(one.union(two), SectionSet(0b0111));
    assert_eq!(one.intersection(two), SectionSet(0b0010));
    assert_eq!(one.without(two), SectionSet(0b0001));
    assert!(one.is_subset_of(SectionSet::ALL) && one.is_subset_of(one));
    assert!(!one.is_subset_of(two) && SectionSet::default().is_subset_of(one));
    assert_eq!(SectionSet::ALL.iter().count(), usize::from(MAX_SECTIONS));
}

#[test]
fn a_tally_is_reset_at_midnight() {
    let noon = 20_000 * DAY_MILLIS + DAY_MILLIS / 2;
    let tally = Tally { day: 20_000, refusals: 3, emergencies: 1 };
    assert_eq!(tally.on(noon), tally);
    assert_eq!(tally.on(20_001 * DAY_MILLIS - 1), tally);
    assert_eq!(tally.on(20_001 * DAY_MILLIS), Tally { day: 20_001, ..Tally::default() });
}

#[test]
fn names_are_text_in_json() {
    let founder = Founder {
        name: "St. Häberle".into(),
        governance: [1; 32].into(),
        agent: [2; 32].into(),
        worker_url: "https://worker.example".into(),
        sealing_key: vec![1, 2],
        tls_key: [3; 32],
        storage_origin: None,
    };
    let json = serde_json::to_value(&founder).expect("text, numbers and keys");
    assert_eq!(json["name"], "St. Häberle");
    assert_eq!(json["workerUrl"], "https://worker.example");
    // A founder without a storage of its own looks as before.
    assert!(json.get("storageOrigin").is_none());
    assert_eq!(serde_json::from_value::<Founder>(json).expect("the same"), founder);
    let founder = Founder { storage_origin: Some("https://s3.example".into()), ..founder };
    let json = serde_json::to_value(&founder).expect("text, numbers and keys");
    assert_eq!(json["storageOrigin"], "https://s3.example");
    assert_eq!(serde_json::from_value::<Founder>(json).expect("the same"), founder);
}
