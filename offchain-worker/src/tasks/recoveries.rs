//! Watches for new keys that are proposed for users of this hospital. If another hospital proposed them and the user
//! did not lose the keys, the proposal is an attack, and the staff can object before the keys become the user's. It is
//! an attack, too, if this hospital proposed them and its staff knows nothing of it: somebody has the worker's
//! keystore.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use epione_primitives::{
    AccountId, BlockNumber, HospitalId, UserId,
    limits::{MAX_HOSPITALS, MAX_PAGE, MAX_STANDING_RECOVERIES},
    profile::{Recovery, RegistrationStatus},
};

use crate::{
    backoff::Backoff,
    chain::{ChainView, FinalState, ViewError},
    metrics::Metrics,
};

/// How often the chain is read.
const POLL: Duration = Duration::from_secs(60);
const RETRY: Backoff = Backoff::new(Duration::from_secs(2), POLL);
/// Pages that one look reads, at most: those of ten times as many hospitals as take part at a time, because proposals
/// of removed hospitals may stay, and one that is empty.
const MAX_PAGES: u32 = 10 * MAX_HOSPITALS * MAX_STANDING_RECOVERIES.div_ceil(MAX_PAGE) + 1;

/// Counts the proposals, and logs each once. Never returns.
pub async fn run(view: Arc<dyn ChainView>, metrics: Metrics) {
    let (mut reported, mut failures) = (Reported::new(), 0);
    loop {
        let pause = match look(view.as_ref(), &mut reported, &metrics).await {
            Ok(()) => {
                failures = 0;
                POLL
            }
            Err(error) => {
                failures += 1;
                // Other tasks report that the node does not answer.
                if !matches!(error, ViewError::Away) {
                    metrics.task_failures.with_label_values(&["recoveries"]).inc();
                    tracing::warn!(?error, "the proposals of new keys could not be read; retrying");
                }
                RETRY.after(failures)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// The open proposals that were logged: the user, and the account that a hospital proposed.
type Reported = BTreeSet<(UserId, AccountId)>;

async fn look(
    view: &dyn ChainView,
    reported: &mut Reported,
    metrics: &Metrics,
) -> Result<(), ViewError> {
    let (hospital, head) = (view.identity().await?.hospital, view.head().await?);
    let state = view.finalized().await?;
    let (mut open, mut own, mut anothers) = (Reported::new(), 0_i64, 0_i64);
    for (user, recovery) in open_proposals(state.as_ref(), head, MAX_PAGES).await? {
        let count = if recovery.hospital == hospital {
            &mut own
        } else if is_registered(state.as_ref(), hospital, user).await? {
            &mut anothers
        } else {
            continue;
        };
        *count = count.saturating_add(1);
        let proposal = (user, recovery.account.clone());
        if !reported.contains(&proposal) {
            report(hospital, user, &recovery);
        }
        open.insert(proposal);
    }
    metrics.recoveries_open.with_label_values(&["another"]).set(anothers);
    metrics.recoveries_open.with_label_values(&["own"]).set(own);
    *reported = open;
    Ok(())
}

/// The proposals to which nobody has objected, on at most so many pages. Fails if there are more pages.
async fn open_proposals(
    state: &dyn FinalState,
    head: BlockNumber,
    most_pages: u32,
) -> Result<Vec<(UserId, Recovery)>, ViewError> {
    let (mut open, mut after) = (Vec::new(), None);
    for _ in 0..most_pages {
        let page = state.recoveries(after, MAX_PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(open) };
        after = Some(*last);
        open.extend(page.into_iter().filter(|(_, recovery)| recovery.is_open(head)));
    }
    Err(ViewError::Failed("the node shows more proposals of new keys than hospitals make".into()))
}

async fn is_registered(
    state: &dyn FinalState,
    hospital: HospitalId,
    user: UserId,
) -> Result<bool, ViewError> {
    let registration = state.registration(hospital, user).await?;
    Ok(registration.is_some_and(|it| it.status != RegistrationStatus::Ended))
}

fn report(hospital: HospitalId, user: UserId, recovery: &Recovery) {
    if recovery.hospital == hospital {
        tracing::warn!(
            %user, due = recovery.due,
            "this hospital proposed new keys for a user. If the staff did not, object (epione user recover object), and \
             replace the keystore"
        );
    } else {
        tracing::error!(
            %user, by = %recovery.hospital, due = recovery.due,
            "ANOTHER HOSPITAL PROPOSED NEW KEYS FOR A USER OF THIS HOSPITAL: ask the user. If the user did not lose \
             the keys, object before the block in which the keys are due: epione user recover object"
        );
    }
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        Hash,
        profile::{Objection, Registration},
    };

    use super::*;
    use crate::api::tests::fake::{ELSEWHERE, FakeChain, HOSPITAL};

    fn proposed(hospital: HospitalId) -> Recovery {
        Recovery {
            hospital,
            account: AccountId::new([7; 32]),
            sealing_key_hash: Hash::zero(),
            version: 1,
            due: 50,
            lapses: 100,
            objection: None,
        }
    }

    fn registered(status: RegistrationStatus) -> Registration {
        Registration { status, periods: Default::default(), version: 1, body_hash: Hash::zero() }
    }

    /// The open proposals by another hospital, and by this one.
    fn counted(metrics: &Metrics) -> (i64, i64) {
        let by = |who| metrics.recoveries_open.with_label_values(&[who]).get();
        (by("another"), by("own"))
    }

    #[tokio::test]
    async fn open_proposals_of_other_hospitals_for_own_users_are_counted() {
        let (chain, metrics) = (FakeChain::default(), Metrics::new().unwrap());
        let (mut reported, account) = (Reported::new(), AccountId::new([7; 32]));
        chain.facts().head = 99;
        let users: Vec<_> = (1..=6).map(|byte| UserId([byte; 32])).collect();
        let [victim, own, foreign, ended, objected, lapsed] = users[..] else { unreachable!() };
        for user in [victim, own, objected, lapsed] {
            let registration = registered(RegistrationStatus::Suspended);
            chain.facts().registrations.insert((HOSPITAL, user), registration);
        }
        let registration = registered(RegistrationStatus::Ended);
        chain.facts().registrations.insert((HOSPITAL, ended), registration);
        for user in [victim, foreign, ended] {
            chain.facts().recoveries.insert(user, proposed(ELSEWHERE));
        }
        chain.facts().recoveries.insert(own, proposed(HOSPITAL));
        let objection = Some(Objection::User);
        let with_objection = Recovery { objection, ..proposed(ELSEWHERE) };
        chain.facts().recoveries.insert(objected, with_objection);
        chain.facts().recoveries.insert(lapsed, Recovery { lapses: 99, ..proposed(ELSEWHERE) });

        look(&chain, &mut reported, &metrics).await.unwrap();
        assert_eq!(counted(&metrics), (1, 1));
        assert_eq!(reported, Reported::from([victim, own].map(|user| (user, account.clone()))));

        chain.facts().head = 100;
        look(&chain, &mut reported, &metrics).await.unwrap();
        assert_eq!((counted(&metrics), reported.len()), ((0, 0), 0));
    }

    #[tokio::test]
    async fn every_page_is_counted() {
        let (chain, metrics) = (FakeChain::default(), Metrics::new().unwrap());
        for byte in 0..200 {
            let (user, mut facts) = (UserId([byte; 32]), chain.facts());
            let registration = registered(RegistrationStatus::Active);
            facts.registrations.insert((HOSPITAL, user), registration);
            facts.recoveries.insert(user, proposed(ELSEWHERE));
        }
        look(&chain, &mut Reported::new(), &metrics).await.unwrap();
        assert_eq!(counted(&metrics), (200, 0));
    }

    /// Somebody has the keystore of the worker. The user is registered here no more, or never was.
    #[tokio::test]
    async fn own_proposals_are_reported_whoever_made_them() {
        let (chain, metrics) = (FakeChain::default(), Metrics::new().unwrap());
        for byte in 0..3 {
            chain.facts().recoveries.insert(UserId([byte; 32]), proposed(HOSPITAL));
        }
        let mut reported = Reported::new();
        look(&chain, &mut reported, &metrics).await.unwrap();
        assert_eq!((counted(&metrics), reported.len()), ((0, 3), 3));
    }

    #[tokio::test]
    async fn more_proposals_than_hospitals_make_are_an_error_and_no_proposal_is_overlooked() {
        let chain = FakeChain::default();
        for byte in 0..128 {
            chain.facts().recoveries.insert(UserId([byte; 32]), proposed(ELSEWHERE));
        }
        let state = chain.finalized().await.unwrap();
        let open = open_proposals(state.as_ref(), 0, 3).await.unwrap();
        assert_eq!(open.len(), 128);
        let error = open_proposals(state.as_ref(), 0, 2).await.unwrap_err();
        assert!(matches!(error, ViewError::Failed(_)), "{error}");
    }
}
