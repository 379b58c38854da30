//! The defaults of arguments, which protect a node whose operator sets none.

use std::net::IpAddr;

use clap::{CommandFactory, FromArgMatches};
use epione_node_service::cli::{Arguments, Cli};
use sc_cli::SubstrateCli;

fn parsed(arguments: &[&str]) -> Arguments {
    let command = Cli::setup_command(Arguments::command());
    let matches = command.try_get_matches_from(arguments).unwrap();
    Arguments::from_arg_matches(&matches).unwrap()
}

#[test]
fn a_caller_on_another_machine_cannot_flood_the_rpc_by_default() {
    let rpc = parsed(&["epione-node"]).run.rpc_params;
    assert_eq!(rpc.rpc_rate_limit.map(|limit| limit.get()), Some(6_000));
    assert!(!rpc.rpc_external && !rpc.unsafe_rpc_external);
    assert_eq!((rpc.rpc_max_request_size, rpc.rpc_max_response_size), (32, 32));
    assert!(!rpc.rpc_rate_limit_trust_proxy_headers, "a caller can write these headers");
    let is_unlimited = |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        rpc.rpc_rate_limit_whitelisted_ips.iter().any(|network| network.contains(address))
    };
    assert!(is_unlimited("127.0.0.1") && is_unlimited("::1"));
    assert!(!is_unlimited("10.0.0.1") && !is_unlimited("2001:db8::1"));
}

#[test]
fn an_operator_can_set_another_rate_limit() {
    let rpc = parsed(&["epione-node", "--rpc-rate-limit", "60"]).run.rpc_params;
    assert_eq!(rpc.rpc_rate_limit.map(|limit| limit.get()), Some(60));
}
