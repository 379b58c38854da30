//! Watches for keys that other hospitals propose for users of this hospital. If the user did not lose the keys, the
//! proposal is an attack, and the staff can object before the keys become the user's.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use epione_primitives::{AccountId, UserId, limits::MAX_PAGE, profile::RegistrationStatus};

use crate::{
    backoff::Backoff,
    chain::{ChainView, ViewError},
    metrics::Metrics,
};

/// How often the chain is read.
const POLL: Duration = Duration::from_secs(60);
const RETRY: Backoff = Backoff::new(Duration::from_secs(2), POLL);
/// Pages that one look reads, at most.
const MAX_PAGES: u32 = 1_024;

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

/// The open proposals that were logged: the user, and the account that another hospital proposed.
type Reported = BTreeSet<(UserId, AccountId)>;

async fn look(
    view: &dyn ChainView,
    reported: &mut Reported,
    metrics: &Metrics,
) -> Result<(), ViewError> {
    let (hospital, head) = (view.identity().await?.hospital, view.head().await?);
    let state = view.finalized().await?;
    let (mut open, mut after) = (Reported::new(), None);
    for _ in 0..MAX_PAGES {
        let page = state.recoveries(after, MAX_PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        for (user, recovery) in page {
            if recovery.hospital == hospital || !recovery.is_open(head) {
                continue;
            }
            let registration = state.registration(hospital, user).await?;
            if registration.is_none_or(|it| it.status == RegistrationStatus::Ended) {
                continue;
            }
            let proposal = (user, recovery.account);
            if !reported.contains(&proposal) {
                tracing::error!(
                    %user, by = %recovery.hospital, due = recovery.due,
                    "ANOTHER HOSPITAL PROPOSED NEW KEYS FOR A USER OF THIS HOSPITAL: ask the user. If the user did not \
                     lose the keys, object before the block in which the keys are due: epione user recover object"
                );
            }
            open.insert(proposal);
        }
    }
    metrics.recoveries_open.set(i64::try_from(open.len()).unwrap_or(i64::MAX));
    *reported = open;
    Ok(())
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        Hash, HospitalId,
        profile::{Objection, Recovery, Registration},
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

    #[tokio::test]
    async fn open_proposals_of_other_hospitals_for_own_users_are_counted() {
        let (chain, metrics) = (FakeChain::default(), Metrics::new().unwrap());
        let mut reported = Reported::new();
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
        assert_eq!(metrics.recoveries_open.get(), 1);
        assert_eq!(reported, Reported::from([(victim, AccountId::new([7; 32]))]));

        chain.facts().head = 100;
        look(&chain, &mut reported, &metrics).await.unwrap();
        assert_eq!((metrics.recoveries_open.get(), reported.len()), (0, 0));
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
        assert_eq!(metrics.recoveries_open.get(), 200);
    }
}
