//! The HTTP API for clients and other workers. Shapes are those of `epione_client::api`; what only workers exchange is
//! in `transfer::wire`. The router is a function, so that tests run it in process.

mod accounts;
mod answered;
mod asked;
mod caller;
mod connections;
mod counts;
mod deliverable;
mod delivery;
mod governance;
mod grants;
mod held;
mod ingest;
mod intake;
mod issued;
mod limits;
mod links;
mod observe;
mod offers;
mod openapi;
mod partials;
mod problem;
mod queries;
mod range;
mod reach;
mod recipient;
mod recoveries;
mod refusals;
mod registrations;
mod renewals;
mod repairs;
mod rights;
mod segments;
mod serve;
mod status;
mod users;
mod visits;

pub use openapi::description;
pub use problem::ApiError;
pub use queries::{follow as follow_queries, notify as notify_of_queries};
pub use renewals::run as seal_waiting_profiles;
pub use serve::{ServeError, serve};

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post, put},
};
use epione_primitives::HospitalId;
use url::Url;

use crate::{
    chain::{ChainCalls, ChainView},
    config::{Discovery, Limits, Transfer},
    heard::Heard,
    hospital_keys::HospitalKeys,
    journal::{Journal, Nonces},
    maintenance::Maintenance,
    metrics::Metrics,
    repair::Repair,
    store::{Reserve, Store},
    transfer::Holdings,
};

/// What the API works with.
pub struct Services {
    /// URL at which clients reach this API.
    pub public_url: Url,
    pub view: Arc<dyn ChainView>,
    pub calls: Arc<dyn ChainCalls>,
    pub store: Store,
    /// What offers leave free for this hospital's own visits.
    pub reserve: Reserve,
    pub journal: Journal,
    pub nonces: Nonces,
    pub hospital_keys: Arc<HospitalKeys>,
    pub repair: Arc<dyn Repair>,
    pub metrics: Metrics,
    pub limits: Limits,
    pub discovery: Discovery,
    /// How long a user's new keys wait before a profile is sealed to them, unless the governance confirms them.
    pub renewal_delay: Duration,
    /// Which segments are stored here, for other hospitals.
    pub holdings: Holdings,
    pub transfer: Transfer,
    pub maintenance: Maintenance,
    /// Which hospitals' workers sent requests.
    pub heard: Heard,
}

/// The state of every handler. Clones share it.
#[derive(Clone)]
pub struct AppState {
    shared: Arc<Shared>,
}

struct Shared {
    services: Services,
    links: links::Links,
    slots: limits::Slots,
    refusals: Arc<refusals::Underway>,
    repairs: Arc<repairs::Repairs>,
    issued: issued::IssuedGrants,
    rates: issued::Rates,
    emergencies: issued::Rates,
    claim_parts: issued::Rates<HospitalId>,
    unavailable: deliverable::Unavailable,
    readiness: status::Readiness,
    peers: held::KnownPeers,
    reaches: reach::Reaches,
    accounts: accounts::Accounts,
    uploads: visits::Uploads,
    query_news: queries::news::Newsroom,
    followed: partials::FollowedSecrets,
}

impl AppState {
    pub fn new(services: Services) -> Self {
        let links = links::Links::new(services.hospital_keys.derived_key(links::PURPOSE));
        let slots = limits::Slots::new(&services.limits, services.transfer.serve_parallel);
        let Limits { grants_per_minute, grants_per_day, .. } = services.limits;
        let rates = issued::Rates::new(grants_per_minute, grants_per_day);
        let emergencies = issued::Rates::of_emergencies();
        let claim_parts = issued::Rates::of_claim_parts();
        let (refusals, repairs, issued, readiness, peers) = Default::default();
        let unavailable = Default::default();
        let (reaches, accounts, uploads, query_news, followed) = Default::default();
        let shared = Shared {
            services,
            links,
            slots,
            refusals,
            repairs,
            issued,
            rates,
            emergencies,
            claim_parts,
            unavailable,
            readiness,
            peers,
            reaches,
            accounts,
            uploads,
            query_news,
            followed,
        };
        Self { shared: Arc::new(shared) }
    }
}

impl std::ops::Deref for AppState {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.shared.services
    }
}

/// All routes for clients and other workers.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/v1/visits", post(visits::submit::submit))
        .route("/v1/visits/{record}", get(visits::status::status))
        .route("/v1/visits/{record}/media/{section}", put(visits::uploads::put))
        .route("/v1/grants", post(grants::grant))
        .route("/v1/counts", post(counts::count))
        .route("/v1/queries", get(queries::list::list))
        .route("/v1/queries/events", get(queries::events::events))
        .route("/v1/queries/{id}/grant", put(queries::mailbox::put))
        .route("/v1/queries/{id}/collect", post(queries::collect::collect))
        .route("/v1/partials", post(partials::partial))
        .route("/v1/claims/part", post(partials::claims::part))
        .route("/v1/segments/held", post(held::held))
        .route("/v1/segments/{hash}", get(segments::serve))
        .route("/v1/offers", post(offers::offer))
        .route("/v1/reach", post(reach::reach))
        .route("/v1/users", post(users::register))
        .route("/v1/users/suspend", post(registrations::suspend))
        .route("/v1/users/reinstate", post(registrations::reinstate))
        .route("/v1/users/end", post(registrations::end))
        .route("/v1/users/keys", post(registrations::renew_key))
        .route("/v1/users/keys/confirm", post(registrations::confirm_keys))
        .route("/v1/users/recovery/propose", post(recoveries::propose))
        .route("/v1/users/recovery/complete", post(recoveries::complete))
        .route("/v1/users/recovery/object", post(recoveries::object))
        .route("/v1/relations", post(users::relate))
        .route("/v1/relations/close", post(users::unrelate))
        .route("/v1/info", get(status::info))
        .route("/v1/openapi.json", get(openapi::serve))
        .route("/healthz", get(status::alive))
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        // Every handler bounds what it reads.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(state.clone(), observe::observe))
        .with_state(state)
}

/// What only operators need, for their own listener. The reports tell how busy the hospital is.
pub(crate) fn operators_router(state: AppState) -> Router {
    Router::new()
        .route("/healthz", get(status::alive))
        .route("/readyz", get(status::ready))
        .route("/metrics", get(status::metrics))
        .with_state(state)
}

#[cfg(test)]
pub(crate) mod tests;
