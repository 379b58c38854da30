//! The council on a real network of four hospitals, with the program itself: what one proposes, the others list, vote
//! for and close.

#![allow(clippy::unwrap_used)]

mod network;

use std::{panic::resume_unwind, thread};

use epione_client::{
    Account,
    chain::{
        Chain,
        calls::{council, lite_blocks},
    },
};
use epione_envelope::development;
use epione_primitives::AnnouncementId;
use network::{Network, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A call about which no council decides, so that `epione` does not know it as a proposal: `liteBlocks.withdraw`.
const UNKNOWN: [u8; 2] = [12, 1];

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Runs commands at the same time, because each waits for a final block. Each is of another hospital.
fn at_once<const N: usize>(network: &Network, commands: [Vec<&str>; N]) -> [Value; N] {
    thread::scope(|scope| {
        let begun = commands.map(|words| scope.spawn(move || network.outcome(&words).1));
        begun.map(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

fn propose<'a>(hospital: &'a str, what: &[&'a str]) -> Vec<&'a str> {
    [&["council", "propose"][..], what, &["--hospital", hospital, "--yes"]].concat()
}

fn refused(network: &Network, words: &[&str], why: &str) {
    let failure = network.try_run(words).unwrap_err();
    assert!(failure.to_string().contains(why), "{words:?}: {why}: {failure}");
}

fn motions(network: &Network) -> Vec<Value> {
    network.run(&["council", "list"])["motions"].as_array().unwrap().clone()
}

/// The votes of three hospitals about these motions.
fn three_vote(network: &Network, motions: &[String], side: &str) {
    let all = |hospital: &str| {
        for motion in motions {
            let vote = ["council", "vote", motion, side, "--hospital", hospital, "--yes"];
            let voted = network.run(&vote);
            assert_eq!(
                (&voted["hospital"], &voted["final"]),
                (&json!(number(hospital)), &json!(true))
            );
        }
    };
    thread::scope(|scope| {
        let begun = ["0", "1", "2"].map(|hospital| scope.spawn(move || all(hospital)));
        begun.map(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
}

fn number(text: &str) -> u32 {
    text.parse().unwrap()
}

/// A member proposes with another program.
fn propose_unknown(network: &Network) {
    let url = network.state().unwrap().hospitals[0].node_url.clone();
    let withdraw = lite_blocks::withdraw(AnnouncementId(7)).arguments;
    let call = [&UNKNOWN[..], &withdraw].concat();
    let account = Account::from(&development::keys("//Dave").unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proposed = runtime.block_on(async {
        let chain = Chain::connect(&url).await.unwrap();
        chain.submit(&council::propose(3, &call), &account).await.unwrap()
    });
    assert!(proposed.proposed_motion().is_some());
}

#[test]
fn hospitals_propose_vote_and_close_and_learn_what_their_calls_came_to() {
    let network = Network::of(4);
    let list = network.run(&["council", "list"]);
    assert_eq!((list["members"].as_array().unwrap().len(), &list["motions"]), (4, &json!([])));

    // Who is no member, does not confirm, or wants another threshold proposes nothing.
    let agent = network.state().unwrap().hospitals[1].agent.clone();
    let suspend = ["council", "propose", "suspend", "2"];
    refused(&network, &suspend, "--yes");
    refused(&network, &[&suspend[..], &["--as", &agent, "--yes"]].concat(), "not the governance");
    refused(&network, &[&suspend[..], &["--as", "//Mallory", "--yes"]].concat(), "not the account");
    let (status, _) = network.outcome(&[&suspend[..], &["--threshold", "1", "--yes"]].concat());
    assert_eq!(status, 2);

    let [named, dismissed, reinstated] = at_once(
        &network,
        [
            propose("0", &["name-attribute", "genetics"]),
            propose("1", &["custodian", "dismiss", "--departed", "2"]),
            propose("2", &["reinstate", "1"]),
        ],
    );
    for proposed in [&named, &dismissed, &reinstated] {
        assert_eq!(
            (&proposed["threshold"], &proposed["members"]),
            (&json!(3), &json!(4)),
            "{proposed}"
        );
    }
    assert_eq!(named["call"]["arguments"]["name"], json!("genetics"));
    let numbers = [&named, &dismissed, &reinstated].map(|proposed| proposed["number"].to_string());
    let listed = motions(&network);
    assert_eq!(listed.len(), 3);
    let shown = network.run(&["council", "show", text(&named["hash"])]);
    assert_eq!((&shown["standing"], &shown["missing"]), (&json!("open"), &json!(3)), "{shown}");
    assert_eq!(shown["silent"][0]["name"], json!("Alice"));
    assert_eq!(shown["call"], named["call"]);

    // Neither twice the same, nor before enough votes.
    refused(&network, &propose("3", &["name-attribute", "genetics"]), "proposed already");
    let close = |motion: &str| -> Value {
        network.finding(&["council", "close", motion, "--hospital", "3", "--yes"])
    };
    assert!(text(&close(&numbers[0])["error"]).contains("not decided"));

    // The printed command votes for it.
    let voted = network.run_printed(&format!("{} --yes", text(&named["next"])));
    assert_eq!((&voted["hospital"], &voted["approve"]), (&json!(0), &json!(true)), "{voted}");
    let vote = ["council", "vote", numbers[0].as_str(), "--approve", "--yes"];
    refused(&network, &[&vote[..], &["--hospital", "0"]].concat(), "already voted for");
    refused(&network, &[&vote[..], &["--as", &agent]].concat(), "not the governance");

    // A member may change the vote.
    network.run(&["council", "vote", &numbers[0], "--reject", "--hospital", "0", "--yes"]);
    three_vote(&network, &numbers, "--approve");
    let approved = motions(&network);
    assert!(approved.iter().all(|motion| motion["standing"] == "approved"), "{approved:?}");

    let [named, dismissed, reinstated] = at_once(
        &network,
        [
            vec!["council", "close", &numbers[0], "--hospital", "3", "--yes"],
            vec!["council", "close", &numbers[1], "--hospital", "1", "--yes"],
            vec!["council", "close", &numbers[2], "--hospital", "2", "--yes"],
        ],
    );
    assert_eq!((&named["outcome"], &named["ayes"]), (&json!("executed"), &json!(3)), "{named}");
    assert_eq!(named.get("leftOver"), None, "{named}");
    let attributes = network.run(&["credential", "attributes"]);
    assert!(attributes.to_string().contains("genetics"), "{attributes}");
    // What root dispatched failed, and what the council itself dispatched.
    for (closed, error) in [(&dismissed, "NoCustodian"), (&reinstated, "NotSuspended")] {
        assert_eq!(closed["outcome"], json!("failed"), "{closed}");
        assert!(text(&closed["error"]).contains(error), "{closed}");
        assert!(!text(&closed["help"]).is_empty(), "{closed}");
    }
    assert!(motions(&network).is_empty());
    refused(&network, &["council", "show", &numbers[0]], "no live motion");

    unknown_calls_are_shown_as_bytes(&network);
    blocks_that_are_not_final_are_read_from_a_trusted_node(&network);
    a_reinstated_hospital_says_that_it_is_ready(&network);
}

fn unknown_calls_are_shown_as_bytes(network: &Network) {
    propose_unknown(network);
    let live = motions(network);
    let [motion] = &live[..] else { panic!("{live:?}") };
    assert_eq!((&motion["call"], &motion["needed"]), (&Value::Null, &json!(3)), "{motion}");
    assert!(text(&motion["encoded"]).starts_with("0x0c01"), "{motion}");
    assert!(text(&motion["summary"]).contains("does not know"), "{motion}");
    let number = motion["number"].to_string();
    let reject = |hospital| {
        vec!["council", "vote", number.as_str(), "--reject", "--hospital", hospital, "--yes"]
    };
    let [_, _] = at_once(network, [reject("1"), reject("2")]);
    let closed = network.run(&["council", "close", &number, "--hospital", "1", "--yes"]);
    assert_eq!(
        (&closed["outcome"], &closed["nays"]),
        (&json!("disapproved"), &json!(2)),
        "{closed}"
    );
}

fn blocks_that_are_not_final_are_read_from_a_trusted_node(network: &Network) {
    let best = ["--era-from", "best"];
    refused(network, &[&["council", "list"][..], &best].concat(), "--trust-node");
    let trusting = [&best[..], &["--trust-node"]].concat();
    let remark = [&propose("1", &["remark", "finality stalls"])[..], &trusting].concat();
    let proposed = network.run(&remark);
    assert_eq!(proposed["final"], json!(false), "{proposed}");
    assert!(text(&proposed["next"]).contains("--era-from best"), "{proposed}");
    let number = proposed["number"].to_string();
    let shown = network.run(&[&["council", "show", &number][..], &trusting].concat());
    assert_eq!(shown["call"]["arguments"]["remark"], json!("0x66696e616c697479207374616c6c73"));
    eventually("the motion is final", || network.try_run(&["council", "show", &number]).map(drop));
}

/// A motion that three hospitals pass.
fn pass(network: &Network, what: &[&str]) {
    let proposed = network.run(&propose("0", what));
    let number = proposed["number"].to_string();
    three_vote(network, std::slice::from_ref(&number), "--approve");
    let closed = network.run(&["council", "close", &number, "--hospital", "1", "--yes"]);
    assert_eq!(closed["outcome"], json!("executed"), "{closed}");
}

fn is_unready(network: &Network, hospital: usize) -> bool {
    network.run(&["hospital", "list"])["hospitals"][hospital]["unready"] == json!(true)
}

/// While finality stalls, its worker does not say it. Here, the worker does not run.
fn a_reinstated_hospital_says_that_it_is_ready(network: &Network) {
    let last = network.state().unwrap().hospitals.remove(3);
    let worker = last.worker.unwrap();
    let pid = Pid::from_raw(i32::try_from(worker.pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    eventually("the worker ends", || if worker.is_running() { Err(worker.pid) } else { Ok(()) });
    pass(network, &["suspend", "3"]);
    pass(network, &["reinstate", "3"]);
    assert!(is_unready(network, 3));

    let another = network.state().unwrap().hospitals[1].agent.clone();
    for (signer, why) in [("//Alice", "hospital's agent"), (another.as_str(), "not unready")] {
        refused(network, &["hospital", "ready", "--as", signer, "--yes"], why);
    }
    let best = ["--era-from", "best", "--trust-node"];
    let said =
        network.run(&[&["hospital", "ready", "--as", &last.agent, "--yes"][..], &best].concat());
    assert_eq!((&said["hospital"], &said["final"]), (&json!(3), &json!(false)), "{said}");
    eventually("the hospital is ready", || match is_unready(network, 3) {
        true => Err("unready"),
        false => Ok(()),
    });
}
