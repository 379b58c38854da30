//! Tells a program of the hospital about changes of its patients' queries, such as a program that sends patients an
//! e-mail. The program learns who, which query and what kind of change, and no health data.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use epione_primitives::{UserId, profile::RegistrationStatus, query::QueryId};
use reqwest::{Client, redirect::Policy};
use serde::Serialize;
use tokio::{sync::broadcast::error::RecvError, time::sleep};
use url::Url;

use crate::{
    api::AppState,
    backoff::Backoff,
    chain::{QueryChange, QueryNews, ViewError},
};

/// How long the program may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The label of a change that the program acknowledged.
const TOLD: &str = "told";
/// Attempts to tell one change.
const ATTEMPTS: u32 = 4;
const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));

/// How long no further question of the same requester to the same patient is told.
const QUIET: Duration = Duration::from_secs(600);

/// When the program was told, for each patient and requester, that the requester asked: a requester who asks again and
/// again does not fill the patient's inbox.
#[derive(Default)]
struct Asked(HashMap<(UserId, UserId), Instant>);

impl Asked {
    /// Whether the change is one of many for which one notification is enough.
    fn is_enough(&mut self, news: &QueryNews, now: Instant) -> bool {
        self.0.retain(|_, told| now.duration_since(*told) < QUIET);
        news.change == QueryChange::Asked && self.0.contains_key(&(news.patient, news.requester))
    }

    fn told(&mut self, news: &QueryNews, now: Instant) {
        if news.change == QueryChange::Asked {
            self.0.insert((news.patient, news.requester), now);
        }
    }
}

/// What the program gets, as JSON.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    patient: UserId,
    query: QueryId,
    kind: QueryChange,
}

/// Tells the webhook every change, from now on, that a patient of this hospital did not make; of several questions of
/// one requester to one patient, one in ten minutes. Never returns. A change that the program does not acknowledge in a
/// few attempts is not told again.
pub fn notify(state: AppState, webhook: Url) -> impl Future<Output = ()> + Send {
    let mut news = state.shared.query_news.subscribe();
    async move {
        let client = match client() {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(error = %error.without_url(), "the webhook cannot be told anything");
                return std::future::pending().await;
            }
        };
        let mut asked = Asked::default();
        loop {
            let result = match news.recv().await {
                Ok(change) => notified(&state, &client, &webhook, &mut asked, &change).await,
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "changes of queries came too fast for the webhook");
                    Some("missed")
                }
                // The worker is stopping, which ends this task too.
                Err(RecvError::Closed) => return std::future::pending().await,
            };
            if let Some(result) = result {
                state.metrics.query_notifications.with_label_values(&[result]).inc();
            }
        }
    }
}

fn client() -> reqwest::Result<Client> {
    // The webhook is a program of the hospital: a proxy would learn who is asked.
    Client::builder().redirect(Policy::none()).no_proxy().timeout(ANSWER).build()
}

/// Tells a change, if the patient is registered here and did not make it. Returns the label of the result.
async fn notified(
    state: &AppState,
    client: &Client,
    webhook: &Url,
    asked: &mut Asked,
    news: &QueryNews,
) -> Option<&'static str> {
    // A representative's answer is not the patient's own.
    if news.by == Some(news.patient) {
        return None;
    }
    for attempt in 1..=ATTEMPTS {
        match is_here(state, news.patient).await {
            Ok(true) if asked.is_enough(news, Instant::now()) => return Some("merged"),
            Ok(true) => {
                let result = tell(client, webhook, news).await;
                if result == TOLD {
                    asked.told(news, Instant::now());
                }
                return Some(result);
            }
            Ok(false) => return None,
            Err(error) => tracing::debug!(%error, "a patient's registration could not be read"),
        }
        sleep(RETRY.after(attempt)).await;
    }
    tracing::warn!(query = %news.query, "the webhook was not told a change: the node did not answer");
    Some("failed")
}

async fn is_here(state: &AppState, patient: UserId) -> Result<bool, ViewError> {
    let here = state.view.identity().await?.hospital;
    let registration = state.view.finalized().await?.registration(here, patient).await?;
    Ok(registration.is_some_and(|it| it.status == RegistrationStatus::Active))
}

/// Tells one change. Returns the label of the result. The log does not contain the URL, which may be secret.
async fn tell(client: &Client, webhook: &Url, news: &QueryNews) -> &'static str {
    let QueryNews { query, change: kind, patient, .. } = *news;
    let notification = Notification { patient, query, kind };
    for attempt in 1..=ATTEMPTS {
        let sent = client.post(webhook.clone()).json(&notification).send().await;
        match sent.and_then(|response| response.error_for_status()) {
            // Redirects are not followed.
            Ok(response) if response.status().is_success() => return TOLD,
            Ok(response) => {
                tracing::debug!(status = response.status().as_u16(), "the webhook did not accept");
            }
            Err(error) => {
                tracing::debug!(error = %error.without_url(), "the webhook did not accept");
            }
        }
        if attempt < ATTEMPTS {
            sleep(RETRY.after(attempt)).await;
        }
    }
    tracing::warn!(%query, "the webhook did not accept a change of a query in {ATTEMPTS} attempts");
    "failed"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_in_ten_minutes_is_told_of_each_requester_and_patient() {
        let news = |change, patient: u8, requester: u8| QueryNews {
            query: QueryId(1),
            change,
            patient: UserId([patient; 32]),
            requester: UserId([requester; 32]),
            by: Some(UserId([requester; 32])),
        };
        let (mut asked, begun) = (Asked::default(), Instant::now());
        let question = news(QueryChange::Asked, 1, 2);
        assert!(!asked.is_enough(&question, begun));
        // A question of which the program did not learn is told with the next one.
        assert!(!asked.is_enough(&question, begun));
        asked.told(&question, begun);
        let last = begun + QUIET - Duration::from_millis(1);
        assert!(asked.is_enough(&question, last));
        for other in [
            news(QueryChange::Asked, 1, 3),
            news(QueryChange::Asked, 3, 2),
            news(QueryChange::Withdrawn, 1, 2),
            news(QueryChange::Transferred, 1, 2),
        ] {
            assert!(!asked.is_enough(&other, last), "{other:?}");
            asked.told(&news(QueryChange::Withdrawn, 5, 5), last);
        }
        assert!(!asked.is_enough(&question, begun + QUIET));
        assert!(asked.0.is_empty());
    }

    #[test]
    fn no_proxy_of_the_environment_learns_who_is_asked() {
        // A client without `no_proxy` has the system's proxies, and shows them.
        assert!(format!("{:?}", Client::new()).contains("proxies"));
        assert!(!format!("{:?}", client().unwrap()).contains("proxies"));
    }
}
