//! The node's stand-in for the runtime's API.

use epione_node_service::runtime_api::RUNTIME_API_VERSIONS;
use epione_runtime::VERSION;

#[test]
fn the_runtime_has_every_api_that_the_node_calls_in_the_same_version() {
    let missing: Vec<_> =
        RUNTIME_API_VERSIONS.iter().copied().filter(|api| !VERSION.apis.contains(api)).collect();
    assert!(missing.is_empty(), "ids and versions that the runtime does not have: {missing:?}");
}
