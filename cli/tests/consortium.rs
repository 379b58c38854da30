//! The consortium key on a real network of two hospitals, with the program itself: the workers make the key on their
//! own, and the commands show it.

#![allow(clippy::unwrap_used)]

mod network;

use network::{Network, epione, eventually, stderr};
use serde_json::json;

const STATUS: [&str; 3] = ["consortium", "key", "status"];

#[test]
fn the_workers_make_a_key_and_its_commands_show_and_renew_it() {
    let network = Network::of(2);
    eventually("the workers have made a key", || {
        let status = network.run(&STATUS);
        if status["key"].is_null() { Err(status) } else { Ok(()) }
    });
    let status = network.run(&STATUS);
    let key = &status["key"];
    assert_eq!((&key["key"], &key["epoch"], &key["threshold"]), (&json!(0), &json!(0), &json!(2)));
    assert_eq!(key["members"].as_array().unwrap().len(), 2);
    assert_eq!((&key["usable"], &key["members"][0]["name"]), (&json!(true), &json!("Alice")));
    assert_eq!(key["publicKey"].as_str().unwrap().len(), 64);
    assert_eq!(status["seatsWithoutShare"], json!([]));

    let history = network.run(&["consortium", "key", "history"]);
    let last = history["ceremonies"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["outcome"], &last["epoch"]), (&json!("activated"), &json!(0)));
    assert_eq!((&last["members"], &last["threshold"]), (&json!(2), &json!(2)));

    // A person confirms; a program says so on the command line.
    let refresh = ["consortium", "key", "refresh", "--hospital", "1"];
    let unconfirmed = network.try_run(&refresh).unwrap_err();
    assert!(unconfirmed["help"].as_str().unwrap().contains("--yes"), "{unconfirmed}");
    let agent = network.state().unwrap().hospitals[1].agent.clone();
    let by_agent = ["consortium", "key", "refresh", "--as", &agent, "--yes"];
    let refused = network.try_run(&by_agent).unwrap_err();
    assert!(refused["error"].as_str().unwrap().contains("not the governance"), "{refused}");

    // The first ceremony has just begun: the chain refuses another one so soon, and says what to look at.
    let too_soon = network.try_run(&[&refresh[..], &["--yes"]].concat()).unwrap_err();
    assert!(too_soon["error"].as_str().unwrap().contains("TooSoon"), "{too_soon}");
    let [command] = &too_soon["commands"].as_array().unwrap()[..] else { panic!("{too_soon}") };
    let shown = network.run_printed(command.as_str().unwrap());
    assert_eq!(shown["key"]["publicKey"], key["publicKey"]);
    assert_eq!(shown["refreshRequested"], false);

    let text = epione().arg("--devnet").arg(network.path()).args(STATUS).output().unwrap();
    let (said, warned) = (String::from_utf8(text.stdout.clone()).unwrap(), stderr(&text));
    assert!(text.status.success(), "{warned}");
    assert!(said.starts_with("consortium key 0, epoch 0, since block"), "{said}");
    assert!(said.contains("2 of 2 members open what is sealed to it"), "{said}");
}
