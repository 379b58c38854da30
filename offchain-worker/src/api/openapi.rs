//! The OpenAPI description, generated from the handlers and shapes. `docs/openapi.json` is its output.

use axum::Json;
use epione_client::api::Problem;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, SecurityScheme},
};

use super::{
    counts, grants, held, offers, partials, queries, reach, recoveries, registrations, segments,
    status, users, visits,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Epione off-chain worker",
        description = "The API of a hospital's worker, for clients and for the workers of other hospitals."
    ),
    paths(
        visits::submit::submit,
        visits::status::status,
        visits::uploads::put,
        grants::grant,
        counts::count,
        queries::list::list,
        queries::events::events,
        queries::mailbox::put,
        queries::collect::collect,
        partials::partial,
        partials::claims::part,
        segments::serve,
        held::held,
        offers::offer,
        reach::reach,
        users::register,
        registrations::suspend,
        registrations::reinstate,
        registrations::end,
        registrations::renew_key,
        registrations::confirm_keys,
        recoveries::propose,
        recoveries::complete,
        recoveries::object,
        users::relate,
        users::unrelate,
        status::info,
        status::alive,
    ),
    components(schemas(Problem)),
    modifiers(&Signed)
)]
struct Description;

/// Adds the description of how requests are signed.
struct Signed;

impl Modify for Signed {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let explained = "SCALE of a MultiSignature, in hexadecimal, over genesis hash, hospital, method, path with \
                         query, and the values of the headers epione-digest, epione-time and epione-nonce. The \
                         header epione-account names the signer. See epione_client::request.";
        let header = ApiKeyValue::with_description("epione-signature", explained);
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("signed", SecurityScheme::ApiKey(ApiKey::Header(header)));
    }
}

/// The description of the API.
pub fn description() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// `GET /v1/openapi.json`
pub(super) async fn serve() -> Json<utoipa::openapi::OpenApi> {
    Json(description())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_description_is_current() {
        let committed = include_str!("../../../docs/openapi.json");
        let current = description().to_pretty_json().unwrap();
        assert!(
            committed.trim_end() == current,
            "docs/openapi.json is out of date: run `epione-worker openapi > docs/openapi.json`"
        );
    }
}
