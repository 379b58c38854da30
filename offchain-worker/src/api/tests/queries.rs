//! Queries: patients bring sealed grants, and requesters collect them after the transfer is on the chain. Nobody else
//! learns anything.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use codec::Encode;
use epione_client::api::GrantReply;
use epione_envelope::{
    grant::{GrantError, GrantedSection, MAX_GRANT_BYTES},
    keys::ContentKey,
    query::{ExpectedQuery, QueryGrant, QueryTerms},
    record::Record,
};
use epione_primitives::{
    BlockNumber, Hash, Moment, RecordId, RecordPointer, UserId,
    access::Purpose,
    hospital::HospitalStatus,
    profile::{Profile, RegistrationStatus},
    query::{Acceptance, Answer, Query, QueryId},
    release::{ReleasedRecord, SectionSet},
};
use http::Method;
use object_store::memory::InMemory;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::{
    fake::{ELSEWHERE, Facts, HOSPITAL, genesis},
    grants::{POINTER, committed_in},
    registrations::rotated,
    signed_requests::lose_segments,
    world::{Actor, Raw, Reply, World},
};
use crate::{
    api::limits::Holder,
    config::Limits,
    journal::query_grants::{self, KeptGrant},
};

pub const QUERY: QueryId = QueryId(5);
pub const EXPIRES: BlockNumber = 100;
pub const HOUR: Moment = 3_600_000;

/// The stranger asks the patient for all sections of the record but the last.
pub fn ask(world: &World, id: QueryId) {
    let record = ReleasedRecord { pointer: POINTER, sections: SectionSet(0b011) };
    let query = Query {
        requester: world.stranger.user,
        hospital: HOSPITAL,
        patient: world.patient.user,
        patient_key: world.patient.keys.sealing.public().hash(),
        records: vec![record].try_into().unwrap(),
        purpose: Purpose::Research,
        terms: Hash::repeat_byte(1),
        expires: EXPIRES,
        block: 0,
        at: crate::now(),
        answer: None,
    };
    world.chain.facts().queries.insert(id, query);
}

pub fn terms(world: &World, query: QueryId) -> QueryTerms {
    let issued = crate::now();
    QueryTerms {
        genesis: genesis(),
        query,
        patient: world.patient.user,
        requester: world.stranger.user,
        audience: world.stranger.account().id(),
        purpose: Purpose::Research,
        issued,
        until: issued + HOUR,
    }
}

pub fn seal(world: &World, terms: QueryTerms, sections: &[(RecordPointer, u16)]) -> QueryGrant {
    let keys: Vec<_> = sections
        .iter()
        .map(|(pointer, section)| {
            let record = RecordId([7; 16]);
            let granted = GrantedSection { pointer: *pointer, record, section: *section };
            (granted, ContentKey::generate())
        })
        .collect();
    let recipient = world.stranger.keys.sealing.public();
    QueryGrant::seal(terms, &keys, recipient, &world.patient.keys).unwrap()
}

/// The patient's grant of all sections that were asked.
pub fn grant(world: &World, query: QueryId) -> QueryGrant {
    seal(world, terms(world, query), &[(POINTER, 0), (POINTER, 1)])
}

pub async fn bring(world: &World, by: &Actor, id: QueryId, grant: &QueryGrant) -> Reply {
    bring_bytes(world, by, &id.to_string(), grant.encode()).await
}

pub async fn bring_bytes(world: &World, by: &Actor, id: &str, bytes: Vec<u8>) -> Reply {
    Raw::new(Method::PUT, &format!("/v1/queries/{id}/grant"), bytes).send(world, by).await
}

async fn collect(world: &World, by: &Actor, id: &str) -> Reply {
    Raw::new(Method::POST, &format!("/v1/queries/{id}/collect"), Bytes::new()).send(world, by).await
}

pub async fn collect_own(world: &World) -> Reply {
    collect(world, &world.stranger, &QUERY.to_string()).await
}

pub fn acceptance(world: &World, grant: &QueryGrant) -> Acceptance {
    let record = ReleasedRecord { pointer: POINTER, sections: SectionSet(0b011) };
    Acceptance {
        by: world.patient.user,
        records: vec![record].try_into().unwrap(),
        grant: grant.hash(),
        until: grant.terms().until,
        audience: world.stranger.account().id(),
        sealing_key: world.stranger.keys.sealing.public().hash(),
        mailbox: HOSPITAL,
        block: 1,
        at: crate::now(),
    }
}

pub fn answer(facts: &mut Facts, id: QueryId, answer: Answer) {
    facts.queries.get_mut(&id).unwrap().answer = Some(answer);
}

pub fn refusal() -> Answer {
    Answer::Refused { by: UserId([1; 32]), block: 1, at: 1 }
}

pub fn withdrawal(acceptance: Option<Acceptance>) -> Answer {
    Answer::Withdrawn { by: UserId([1; 32]), block: 2, at: 2, acceptance }
}

/// A world in which the patient has brought a grant for the stranger's query, and accepted with it.
pub async fn accepted() -> (World, Record, QueryGrant) {
    accepted_in(World::new().await).await
}

pub async fn accepted_in(world: World) -> (World, Record, QueryGrant) {
    let (world, record) = committed_in(world).await;
    ask(&world, QUERY);
    let grant = grant(&world, QUERY);
    assert_eq!(bring(&world, &world.patient, QUERY, &grant).await.status, 204);
    let accepted = Answer::Accepted(acceptance(&world, &grant));
    answer(&mut world.chain.facts(), QUERY, accepted);
    (world, record, grant)
}

pub fn transfers(world: &World) -> usize {
    world.chain.facts().calls.iter().filter(|call| call.name == "transfer").count()
}

pub fn reply_of(reply: &Reply) -> GrantReply {
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice(&reply.body).unwrap()
}

pub async fn follow_link(world: &World, url: &str) -> Reply {
    let target = url.strip_prefix(world.base.as_str().trim_end_matches('/')).unwrap();
    Raw::get(target).send_with(world, Default::default()).await
}

#[tokio::test]
async fn the_requester_gets_the_grant_and_links_after_the_chain_recorded_the_transfer() {
    let (world, record, grant) = accepted().await;
    let reply = reply_of(&collect_own(&world).await);
    let transfer = world.chain.facts().transfers[&QUERY].clone();
    assert_eq!((transfer.hospital, transfer.grant), (HOSPITAL, grant.hash()));
    let bytes = STANDARD.decode(&reply.grant).unwrap();
    assert_eq!(bytes, grant.encode());
    let expected = ExpectedQuery {
        genesis: genesis(),
        query: QUERY,
        patient: world.patient.user,
        acceptor: &world.patient.account().id(),
        audience: &world.stranger.account().id(),
        purpose: Purpose::Research,
        until: grant.terms().until,
        now: crate::now(),
    };
    let received = QueryGrant::decode_exactly(&bytes).unwrap();
    let opened = received.open(&expected, &world.stranger.keys.sealing).map(|keys| keys.len());
    assert_eq!(opened, Ok::<_, GrantError>(2));
    // Section 0 is a text, which the chain has.
    let segments = record.sections()[1].segments();
    let named: Vec<_> = reply.links.iter().map(|link| link.segment.clone()).collect();
    assert_eq!(named, segments.iter().map(|it| hex::encode(it.hash)).collect::<Vec<_>>());
    for link in &reply.links {
        assert_eq!(follow_link(&world, &link.url).await.status, 200);
    }

    // Again: the same grant, and no second transfer.
    let again = reply_of(&collect_own(&world).await);
    assert_eq!((again.grant, transfers(&world)), (reply.grant, 1));
    assert_eq!((world.metrics.transfers.get(), world.metrics.grants.get()), (1, 2));
}

#[tokio::test]
async fn strangers_and_unknown_queries_get_the_same_answer() {
    let (world, _, grant) = accepted().await;
    let mut answers = Vec::new();
    for (by, id) in [
        (&world.doctor, "5"),
        (&world.patient, "5"),
        (&world.stranger, "6"),
        (&world.stranger, "five"),
        (&world.stranger, "99999999999"),
    ] {
        answers.push(collect(&world, by, id).await);
    }
    for (by, id) in
        [(&world.doctor, "5"), (&world.stranger, "5"), (&world.patient, "6"), (&world.patient, "x")]
    {
        answers.push(bring_bytes(&world, by, id, grant.encode()).await);
    }
    for reply in &answers {
        assert_eq!(reply.refusal(), (404, "not-found".into()));
        assert_eq!(reply.body, answers[0].body);
    }
    for hospital in [&world.agent, &world.governance, &world.other_agent] {
        assert_eq!(collect(&world, hospital, "5").await.refusal(), (403, "forbidden".into()));
        let brought = bring(&world, hospital, QUERY, &grant).await;
        assert_eq!(brought.refusal(), (403, "forbidden".into()));
    }
    assert_eq!(transfers(&world), 0);
}

#[tokio::test]
async fn nothing_is_handed_out_without_an_acceptance_in_force() {
    let (world, _, grant) = accepted().await;
    let good = acceptance(&world, &grant);
    let other_key = Hash::repeat_byte(9);
    let accepted = |acceptance| Some(Answer::Accepted(acceptance));
    for (given, kind) in [
        (None, "not-accepted"),
        (Some(refusal()), "not-accepted"),
        (Some(withdrawal(None)), "not-accepted"),
        (Some(withdrawal(Some(good.clone()))), "not-accepted"),
        (accepted(Acceptance { mailbox: ELSEWHERE, ..good.clone() }), "other-mailbox"),
        (accepted(Acceptance { until: crate::now(), ..good.clone() }), "acceptance-over"),
        (accepted(Acceptance { sealing_key: other_key, ..good.clone() }), "requester-changed"),
        (
            accepted(Acceptance { audience: world.doctor.account().id(), ..good.clone() }),
            "requester-changed",
        ),
    ] {
        world.chain.facts().queries.get_mut(&QUERY).unwrap().answer = given.clone();
        assert_eq!(collect_own(&world).await.refusal(), (409, kind.into()), "{given:?}");
    }
    // The patient accepted with another grant than the one that is kept.
    let other = Acceptance { grant: other_key, ..good.clone() };
    answer(&mut world.chain.facts(), QUERY, Answer::Accepted(other));
    let lost = collect_own(&world).await;
    assert_eq!(lost.refusal(), (404, "not-found".into()));
    let said = String::from_utf8_lossy(&lost.body);
    assert!(said.contains("The patient withdraws the acceptance, and you ask again"), "{said}");
    answer(&mut world.chain.facts(), QUERY, Answer::Accepted(good));
    let key = (HOSPITAL, world.stranger.user);
    let set = |status| {
        world.chain.facts().registrations.get_mut(&key).unwrap().status = status;
    };
    set(RegistrationStatus::Suspended);
    assert_eq!(collect_own(&world).await.refusal(), (403, "forbidden".into()));
    set(RegistrationStatus::Active);
    assert_eq!(transfers(&world), 0);
    assert_eq!(collect_own(&world).await.status, 200);
}

fn set_registration(facts: &mut Facts, user: UserId, status: RegistrationStatus) {
    facts.registrations.get_mut(&(HOSPITAL, user)).unwrap().status = status;
}

/// The user is registered at another hospital, too.
fn register_elsewhere(world: &World, user: UserId) {
    let profile = world.chain.facts().profiles[&user].clone();
    world.chain.register(ELSEWHERE, user, profile, Vec::new());
}

#[tokio::test]
async fn a_requester_whose_registration_ended_gets_nothing_although_another_hospital_has_one() {
    let (world, _, _) = accepted().await;
    let requester = world.stranger.user;
    register_elsewhere(&world, requester);
    let url = reply_of(&collect_own(&world).await).links[0].url.clone();
    set_registration(&mut world.chain.facts(), requester, RegistrationStatus::Ended);
    assert_eq!(collect_own(&world).await.refusal(), (403, "forbidden".into()));
    assert_eq!(follow_link(&world, &url).await.refusal(), (403, "forbidden".into()));
    // The query may be for the other hospital, which is active until the council suspends it.
    world.chain.facts().queries.get_mut(&QUERY).unwrap().hospital = ELSEWHERE;
    assert_eq!(collect_own(&world).await.status, 200);
    let set = |status| {
        world.chain.facts().hospitals.get_mut(&ELSEWHERE).unwrap().status = status;
    };
    set(HospitalStatus::Leaving);
    assert_eq!(collect_own(&world).await.status, 200);
    set(HospitalStatus::Suspended);
    assert_eq!(collect_own(&world).await.refusal(), (403, "forbidden".into()));
    assert_eq!(transfers(&world), 1);
}

#[tokio::test]
async fn a_registration_that_ends_before_the_transfer_is_recorded_wins() {
    let (world, _, _) = accepted().await;
    let requester = world.stranger.user;
    register_elsewhere(&world, requester);
    world.chain.facts().meanwhile = Some(Box::new(move |facts| {
        set_registration(facts, requester, RegistrationStatus::Ended);
    }));
    assert_eq!(collect_own(&world).await.refusal(), (403, "forbidden".into()));
    assert_eq!(world.chain.facts().transfers.len(), 0);
}

#[tokio::test]
async fn a_requester_who_rotated_keys_after_the_acceptance_gets_nothing() {
    let (world, _, _) = accepted().await;
    let requester = rotated(&world, &world.stranger, 0);
    let refused = collect(&world, &requester, "5").await;
    assert_eq!(refused.refusal(), (409, "requester-changed".into()));
    assert_eq!(transfers(&world), 0);
}

#[tokio::test]
async fn a_withdrawal_before_the_transfer_is_recorded_wins() {
    let (world, _, grant) = accepted().await;
    let withdrawn = withdrawal(Some(acceptance(&world, &grant)));
    world.chain.facts().meanwhile = Some(Box::new(move |facts| answer(facts, QUERY, withdrawn)));
    assert_eq!(collect_own(&world).await.refusal(), (409, "not-accepted".into()));
    assert_eq!(world.chain.facts().transfers.len(), 0);
    assert_eq!((world.metrics.transfers.get(), world.metrics.grants.get()), (0, 0));
}

#[tokio::test]
async fn a_withdrawal_after_the_transfer_was_recorded_wins_over_the_reply() {
    let (world, _, grant) = accepted().await;
    let withdrawn = withdrawal(Some(acceptance(&world, &grant)));
    world.chain.facts().afterwards = Some(Box::new(move |facts| answer(facts, QUERY, withdrawn)));
    assert_eq!(collect_own(&world).await.refusal(), (409, "not-accepted".into()));
    assert_eq!((transfers(&world), world.metrics.grants.get()), (1, 0));
}

#[tokio::test]
async fn what_changes_while_a_recorded_grant_is_prepared_wins() {
    let (world, _, grant) = accepted().await;
    assert_eq!(collect_own(&world).await.status, 200);
    let good = acceptance(&world, &grant);
    let over = Acceptance { until: crate::now(), ..good.clone() };
    let other_grant = Acceptance { grant: Hash::repeat_byte(9), ..good.clone() };
    for (change, status, kind) in [
        (withdrawal(Some(good.clone())), 409, "not-accepted"),
        (Answer::Accepted(over), 409, "acceptance-over"),
        (Answer::Accepted(other_grant), 404, "not-found"),
    ] {
        world.chain.facts().while_reading =
            Some(Box::new(move |facts| answer(facts, QUERY, change)));
        assert_eq!(collect_own(&world).await.refusal(), (status, kind.into()));
        answer(&mut world.chain.facts(), QUERY, Answer::Accepted(good.clone()));
    }
    let requester = world.stranger.user;
    world.chain.facts().while_reading = Some(Box::new(move |facts| {
        set_registration(facts, requester, RegistrationStatus::Ended);
    }));
    assert_eq!(collect_own(&world).await.refusal(), (403, "forbidden".into()));
    set_registration(&mut world.chain.facts(), requester, RegistrationStatus::Active);
    world.chain.facts().while_reading = Some(Box::new(move |facts| {
        let profile = facts.profiles.get_mut(&requester).unwrap();
        profile.sealing_key_hash = Hash::repeat_byte(9);
    }));
    assert_eq!(collect_own(&world).await.refusal(), (409, "requester-changed".into()));
    assert_eq!(world.metrics.grants.get(), 1);
}

#[tokio::test]
async fn requests_at_once_send_one_transfer_and_all_get_the_grant() {
    let (world, _, _) = accepted().await;
    let before = world.chain.facts().submitted;
    world.chain.facts().latency = Duration::from_millis(200);
    let all = futures::future::join_all((0..5).map(|_| collect_own(&world))).await;
    let first = reply_of(&all[0]).grant;
    assert!(all.iter().all(|reply| reply_of(reply).grant == first));
    assert_eq!((transfers(&world), world.chain.facts().submitted - before), (1, 1));
    // Those of other queries do not wait for each other.
    let _busy = world.state.transfer_slot(QueryId(6)).await.unwrap();
    world.chain.facts().transfers.clear();
    assert_eq!(collect_own(&world).await.status, 200);
}

async fn limited(limits: Limits) -> World {
    let objects = Arc::new(InMemory::new());
    World::with(objects.clone(), objects, limits).await
}

#[tokio::test]
async fn a_requester_cannot_collect_without_end() {
    let limits = Limits { grants_per_minute: 3, ..Limits::default() };
    let (world, _, _) = accepted_in(limited(limits).await).await;
    for _ in 0..3 {
        assert_eq!(collect_own(&world).await.status, 200);
    }
    let refused = collect_own(&world).await;
    assert_eq!(refused.refusal(), (429, "too-many-grants".into()));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(world.metrics.grants.get(), 3);
}

/// Collects the grant over a connection with small buffers, and reads no more of the response than its status.
async fn unread(world: &World) -> TcpStream {
    let raw = Raw::new(Method::POST, &format!("/v1/queries/{QUERY}/collect"), Bytes::new());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let address = ([127, 0, 0, 1], world.base.port().unwrap()).into();
    let mut stream = socket.connect(address).await.unwrap();
    let mut head = format!("POST {} HTTP/1.1\r\nhost: worker\r\ncontent-length: 0\r\n", raw.target);
    for (name, value) in &raw.signed(&world.stranger) {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

#[tokio::test]
async fn a_requester_who_does_not_read_the_grant_keeps_the_place() {
    let limits = Limits { requests: 1, silence: Duration::from_secs(60), ..Limits::default() };
    let (world, _, grant) = accepted_in(limited(limits).await).await;
    // As long as a grant may be. The worker cannot open it.
    let long = KeptGrant {
        query: QUERY,
        bringer: world.patient.user,
        hospital: HOSPITAL,
        hash: Hash::repeat_byte(9),
        bytes: vec![1; MAX_GRANT_BYTES],
        ends: crate::now() + HOUR,
    };
    let named = Acceptance { grant: long.hash, ..acceptance(&world, &grant) };
    world.journal.write(move |tx| query_grants::keep(tx, &long, 1)).await.unwrap();
    answer(&mut world.chain.facts(), QUERY, Answer::Accepted(named));
    let unread = unread(&world).await;
    let soon = Duration::from_millis(200);
    let other = || world.state.request_slot(Holder::Hospital(HOSPITAL));
    assert!(timeout(soon, other()).await.is_err());
    drop(unread);
    let place = async { while other().await.is_err() {} };
    timeout(Duration::from_secs(20), place).await.unwrap();
}

#[tokio::test]
async fn links_end_with_the_acceptance_and_with_the_requesters_registration() {
    let (world, _, grant) = accepted().await;
    let url = reply_of(&collect_own(&world).await).links[0].url.clone();
    let withdrawn = withdrawal(Some(acceptance(&world, &grant)));
    answer(&mut world.chain.facts(), QUERY, withdrawn);
    assert_eq!(follow_link(&world, &url).await.refusal(), (403, "forbidden".into()));
    let accepted = Answer::Accepted(acceptance(&world, &grant));
    answer(&mut world.chain.facts(), QUERY, accepted);
    assert_eq!(follow_link(&world, &url).await.status, 200);
    // Links are worth nothing without the transfer.
    let transfer = world.chain.facts().transfers.remove(&QUERY).unwrap();
    assert_eq!(follow_link(&world, &url).await.status, 403);
    world.chain.facts().transfers.insert(QUERY, transfer);
    let key = (HOSPITAL, world.stranger.user);
    world.chain.facts().registrations.get_mut(&key).unwrap().status = RegistrationStatus::Ended;
    assert_eq!(follow_link(&world, &url).await.status, 403);
}

#[tokio::test]
async fn links_end_when_the_requester_rotates_keys_or_chain_time_reaches_the_end() {
    let (world, _, grant) = accepted().await;
    let url = reply_of(&collect_own(&world).await).links[0].url.clone();
    let requester = world.stranger.user;
    let before = world.chain.facts().profiles[&requester].clone();
    rotated(&world, &world.stranger, 0);
    assert_eq!(follow_link(&world, &url).await.refusal(), (403, "forbidden".into()));
    let other_account = Profile { account: world.doctor.account().id(), ..before.clone() };
    world.chain.facts().profiles.insert(requester, other_account);
    assert_eq!(follow_link(&world, &url).await.status, 403);
    world.chain.facts().profiles.insert(requester, before);
    assert_eq!(follow_link(&world, &url).await.status, 200);
    // The clock of the machine is behind the chain's.
    let soon = Acceptance { until: crate::now() + HOUR / 2, ..acceptance(&world, &grant) };
    answer(&mut world.chain.facts(), QUERY, Answer::Accepted(soon));
    assert_eq!(follow_link(&world, &url).await.status, 200);
    world.chain.facts().ahead = HOUR;
    assert_eq!(follow_link(&world, &url).await.status, 403);
    assert_eq!(collect_own(&world).await.refusal(), (409, "acceptance-over".into()));
}

#[tokio::test]
async fn no_transfer_is_recorded_for_segments_that_nobody_has() {
    let (world, record, _) = accepted().await;
    lose_segments(&world, &record).await;
    assert_eq!(collect_own(&world).await.refusal(), (503, "segment-unavailable".into()));
    assert_eq!(transfers(&world), 0);
}
