//! Grants that patients bring: which ones the worker accepts, how many, and how long it keeps them.

use base64::{Engine, engine::general_purpose::STANDARD};
use codec::Encode;
use epione_envelope::{
    grant::GrantedSection,
    keys::ContentKey,
    query::{QueryGrant, QueryTerms},
};
use epione_primitives::{
    Hash, RecordId, RecordPointer, UserId,
    access::Purpose,
    limits::MAX_QUERY_ACCESS_MILLIS,
    query::{Acceptance, Answer, QueryId},
};

use super::{
    fake::{ELSEWHERE, HOSPITAL},
    grants::{POINTER, committed},
    queries::{
        EXPIRES, HOUR, QUERY, acceptance, accepted, answer, ask, bring, bring_bytes, collect_own,
        grant, refusal, reply_of, seal, terms, withdrawal,
    },
    query_news::{changed, tell},
    world::World,
};
use crate::{
    api::queries::mailbox,
    chain::QueryChange,
    journal::query_grants::{self, EACH_BRINGER, EACH_QUERY, KeptGrant, PENDING_EACH},
};

async fn is_kept(world: &World, id: QueryId) -> bool {
    let kept = world.journal.read(move |connection| query_grants::hashes_of(connection, id));
    !kept.await.unwrap().is_empty()
}

#[tokio::test]
async fn only_a_grant_that_agrees_with_the_query_is_kept() {
    let (world, _) = committed().await;
    ask(&world, QUERY);
    let good = terms(&world, QUERY);
    let far = crate::now() + MAX_QUERY_ACCESS_MILLIS + HOUR;
    let bad = [
        QueryTerms { genesis: Hash::zero(), ..good.clone() },
        QueryTerms { query: QueryId(6), ..good.clone() },
        QueryTerms { patient: UserId([1; 32]), ..good.clone() },
        QueryTerms { requester: UserId([1; 32]), ..good.clone() },
        QueryTerms { audience: world.doctor.account().id(), ..good.clone() },
        QueryTerms { purpose: Purpose::Treatment, ..good.clone() },
        QueryTerms { issued: 1, until: crate::now() - 1, ..good.clone() },
        QueryTerms { until: far, ..good.clone() },
    ];
    let mut grants: Vec<_> =
        bad.into_iter().map(|terms| seal(&world, terms, &[(POINTER, 0)]).encode()).collect();
    let elsewhere = RecordPointer { height: 2, index: 0 };
    for sections in [&[(POINTER, 0), (POINTER, 2)][..], &[(elsewhere, 0)]] {
        grants.push(seal(&world, good.clone(), sections).encode());
    }
    // The same section twice, as of two records.
    let keys = [RecordId([7; 16]), RecordId([8; 16])].map(|record| {
        (GrantedSection { pointer: POINTER, record, section: 0 }, ContentKey::generate())
    });
    let recipient = world.stranger.keys.sealing.public();
    let twice = QueryGrant::seal(good.clone(), &keys, recipient, &world.patient.keys).unwrap();
    grants.push(twice.encode());
    grants.push(Vec::new());
    grants.push(vec![1; 5_000]);
    for (case, bytes) in grants.into_iter().enumerate() {
        let refused = bring_bytes(&world, &world.patient, "5", bytes).await;
        assert_eq!(refused.refusal(), (400, "query-grant".into()), "case {case}");
    }
    assert!(!is_kept(&world, QUERY).await);
    let brought = bring(&world, &world.patient, QUERY, &grant(&world, QUERY)).await;
    assert_eq!(brought.status, 204);
    assert!(is_kept(&world, QUERY).await);
}

#[tokio::test]
async fn a_grant_is_brought_before_the_query_is_answered_or_expires() {
    let (world, _) = committed().await;
    ask(&world, QUERY);
    let grant = grant(&world, QUERY);
    // The first block that can include the acceptance is the next one.
    world.chain.facts().head = EXPIRES - 1;
    let late = bring(&world, &world.patient, QUERY, &grant).await;
    assert_eq!(late.refusal(), (409, "not-pending".into()));
    world.chain.facts().head = EXPIRES - 2;
    let other = seal(&world, terms(&world, QUERY), &[(POINTER, 0)]);
    for grant in [&other, &grant] {
        assert_eq!(bring(&world, &world.patient, QUERY, grant).await.status, 204);
    }
    let accepted = acceptance(&world, &grant);
    let elsewhere = Acceptance { mailbox: ELSEWHERE, ..accepted.clone() };
    let withdrawn = withdrawal(Some(accepted.clone()));
    for given in [refusal(), withdrawal(None), withdrawn, Answer::Accepted(elsewhere)] {
        answer(&mut world.chain.facts(), QUERY, given);
        let refused = bring(&world, &world.patient, QUERY, &grant).await;
        assert_eq!(refused.refusal(), (409, "not-pending".into()));
    }
    // After the acceptance, the accepted grant can be brought again, if the journal was lost; no other one can.
    answer(&mut world.chain.facts(), QUERY, Answer::Accepted(accepted));
    let refused = bring(&world, &world.patient, QUERY, &other).await;
    assert_eq!(refused.refusal(), (409, "not-pending".into()));
    assert_eq!(bring(&world, &world.patient, QUERY, &grant).await.status, 204);
    assert_eq!(collect_own(&world).await.status, 200);
}

#[tokio::test]
async fn a_grant_that_an_interrupted_acceptance_named_is_not_lost_when_the_patient_brings_others() {
    let (world, _) = committed().await;
    ask(&world, QUERY);
    let grants: Vec<_> = (0..EACH_QUERY).map(|_| grant(&world, QUERY)).collect();
    for grant in &grants {
        assert_eq!(bring(&world, &world.patient, QUERY, grant).await.status, 204);
    }
    answer(&mut world.chain.facts(), QUERY, Answer::Accepted(acceptance(&world, &grants[0])));
    tell(&world, &[changed(&world, QUERY, QueryChange::Accepted)]).await;
    let kept = world.journal.read(|c| query_grants::hashes_of(c, QUERY)).await.unwrap();
    assert_eq!(kept, [grants[0].hash()]);
    let reply = reply_of(&collect_own(&world).await);
    assert_eq!(STANDARD.decode(&reply.grant).unwrap(), grants[0].encode());
}

#[tokio::test]
async fn acceptances_that_ended_or_were_withdrawn_make_room() {
    let (world, _, _) = accepted().await;
    let keep = |id: u32, bringer: UserId| KeptGrant {
        query: QueryId(id),
        bringer,
        hospital: HOSPITAL,
        hash: Hash::from_low_u64_be(id.into()),
        bytes: vec![1],
        ends: crate::now() + HOUR,
    };
    // All are accepted, as far as the journal knows.
    let (patient, until) = (world.patient.user, crate::now() + HOUR);
    let others: Vec<_> = (100..100 + EACH_BRINGER).map(|id| keep(id, patient)).collect();
    world
        .journal
        .write(move |tx| {
            for grant in &others {
                query_grants::keep(tx, grant, 1)?;
                query_grants::accept(tx, grant.query, grant.hash, until, 1)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    // The chain knows none of the others: they were withdrawn.
    let next = QueryId(6);
    ask(&world, next);
    let grant = grant(&world, next);
    assert_eq!(bring(&world, &world.patient, next, &grant).await.status, 204);
    let kept = world.journal.read(move |c| query_grants::of_bringer(c, patient)).await.unwrap();
    assert_eq!(kept, [QUERY, next]);
    // One whose acceptance ended goes first when it uses up the hospital's part of the bytes.
    let ended = move |tx: &rusqlite::Transaction<'_>| {
        tx.execute("UPDATE query_grants SET ends = 1, accepted = 1 WHERE query = 5", [])?;
        tx.execute("UPDATE query_grants SET size = ?1 WHERE query = 5", [1_i64 << 40])
    };
    world.journal.write(ended).await.unwrap();
    assert_eq!(bring(&world, &world.patient, next, &grant).await.status, 204);
    assert!(!is_kept(&world, QUERY).await);
}

#[tokio::test]
async fn accepted_grants_are_compared_with_the_chain_in_rounds() {
    let (world, _, _) = accepted().await;
    tell(&world, &[changed(&world, QUERY, QueryChange::Accepted)]).await;
    mailbox::look_after(&world.state).await.unwrap();
    assert!(is_kept(&world, QUERY).await);
    // Nobody tells the worker of the withdrawal.
    answer(&mut world.chain.facts(), QUERY, withdrawal(None));
    mailbox::look_after(&world.state).await.unwrap();
    assert!(!is_kept(&world, QUERY).await);
}

#[tokio::test]
async fn a_patient_has_few_grants_for_pending_queries_and_answered_ones_make_room() {
    let (world, _) = committed().await;
    for id in (0..=PENDING_EACH).map(QueryId) {
        ask(&world, id);
        let reply = bring(&world, &world.patient, id, &grant(&world, id)).await;
        if id.0 < PENDING_EACH {
            assert_eq!(reply.status, 204);
        } else {
            assert_eq!(reply.refusal(), (409, "too-many-query-grants".into()));
        }
    }
    answer(&mut world.chain.facts(), QueryId(0), refusal());
    let last = QueryId(PENDING_EACH);
    assert_eq!(bring(&world, &world.patient, last, &grant(&world, last)).await.status, 204);
    assert!(!is_kept(&world, QueryId(0)).await);
    assert!(is_kept(&world, QueryId(1)).await);
}

#[tokio::test]
async fn changes_on_the_chain_decide_which_grants_are_kept() {
    let (world, _, _) = accepted().await;
    let refused = QueryId(6);
    ask(&world, refused);
    bring(&world, &world.patient, refused, &grant(&world, refused)).await;
    answer(&mut world.chain.facts(), refused, refusal());
    let changes = [
        changed(&world, QUERY, QueryChange::Accepted),
        changed(&world, refused, QueryChange::Refused),
    ];
    tell(&world, &changes).await;
    assert!(!is_kept(&world, refused).await);
    assert!(is_kept(&world, QUERY).await);
    let pending = world.journal.read(query_grants::pending).await.unwrap();
    assert_eq!(pending, []);
    // The patient withdraws.
    let withdrawn = withdrawal(None);
    answer(&mut world.chain.facts(), QUERY, withdrawn);
    tell(&world, &[changed(&world, QUERY, QueryChange::Withdrawn)]).await;
    assert!(!is_kept(&world, QUERY).await);
}
