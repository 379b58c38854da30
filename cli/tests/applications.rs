//! Keys, settings and applications of new hospitals, and chains that are made of them; no chain runs.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    process::Command,
};

use epione_devnet::Binaries;
use network::place::{PASSWORD, Place, flags};

#[test]
fn keys_and_settings_are_the_hospitals_own_and_nothing_is_overwritten() {
    let place = Place::new();
    let made = place.init("North", "https://north.example", &[]);
    assert_eq!(made["application"]["statement"]["name"], "North");
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("North"), mode("North/keystore")), (0o700, 0o700));
    let files = [
        "governance.json",
        "agent.json",
        "agent.password",
        "node.key",
        "node.env",
        "worker.toml",
        "application.json",
    ];
    for file in files {
        assert_eq!(mode(&format!("North/{file}")), 0o600, "{file}");
    }
    let keys: Vec<_> = fs::read_dir(place.path("North/keystore")).unwrap().collect();
    assert_eq!(keys.len(), 2);
    for key in keys {
        assert_eq!(key.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    // No secret is in what the command prints.
    let password = fs::read_to_string(place.path("North/agent.password")).unwrap();
    let node_key = fs::read_to_string(place.path("North/node.key")).unwrap();
    for secret in [password.trim(), node_key.trim(), PASSWORD] {
        assert!(!made.to_string().contains(secret));
    }

    // The worker reads its configuration, and proves the TLS key of the application.
    let worker = Binaries::find(None).unwrap().worker;
    let config = place.path("North/worker.toml");
    let printed = Command::new(worker).args(["tls-key", "--config"]).arg(&config).output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let tls = made["application"]["statement"]["tlsKey"].as_str().unwrap();
    let said = String::from_utf8(printed.stdout).unwrap();
    assert!(said.contains(tls.trim_start_matches("0x")), "{said}");

    // The node has the id that the others expect.
    let node = Binaries::find(None).unwrap().node;
    let printed = Command::new(node)
        .args(["key", "inspect-node-key", "--file"])
        .arg(place.path("North/node.key"))
        .output()
        .unwrap();
    let id = String::from_utf8(printed.stdout).unwrap();
    assert!(made["peer"].as_str().unwrap().ends_with(id.trim()) && !id.trim().is_empty(), "{made}");

    let before = fs::read(place.path("North/governance.json")).unwrap();
    let dir = place.text("North");
    let again =
        ["hospital", "init", "--dir", &dir, "--name", "N", "--worker-url", "https://n.example"];
    let refused = place.refusal(&again);
    assert!(refused.contains("not empty"), "{refused}");
    assert_eq!(fs::read(place.path("North/governance.json")).unwrap(), before);
}

/// What root writes in the folder of the services' account, the services could not read.
#[test]
fn only_the_account_of_a_folder_uses_it() {
    let place = Place::new();
    place.init("North", "https://north.example", &[]);
    fs::create_dir(place.path("Empty")).unwrap();
    let is_root = fs::metadata(place.path("North")).unwrap().uid() == 0;
    // Only root can give a folder away; everybody else has none of root's.
    let [foreign, empty] = ["North", "Empty"].map(|name| {
        if !is_root {
            return "/".to_owned();
        }
        chown(place.path(name), Some(65_534), None).unwrap();
        place.text(name)
    });
    let before = fs::read(place.path("North/application.json")).unwrap();
    let application = place.application("North");
    for words in [
        &["hospital", "join", "--chain", "chain.json", "--yes", "--dir", &foreign][..],
        &["hospital", "peers", "add", &application, "--dir", &foreign],
        &["hospital", "rotate", "session", "--yes", "--dir", &foreign],
        &["hospital", "init", "--name", "N", "--worker-url", "https://n.example", "--dir", &empty],
    ] {
        let refused = place.refusal(words);
        assert!(refused.contains("belongs to the account with the number"), "{refused}");
    }
    assert_eq!(fs::read(place.path("North/application.json")).unwrap(), before);
}

#[test]
fn a_chain_is_not_made_of_applications_that_do_not_fit() {
    let place = Place::new();
    for name in ["North", "South"] {
        place.init(name, &format!("https://{}.example", name.to_lowercase()), &[]);
    }
    place.init("Copy", "https://north.example", &["--node-address", "/dns/copy.example/tcp/1"]);
    let [north, south, copy] = ["North", "South", "Copy"].map(|name| place.application(name));
    let refused = |applications: &[String]| {
        let failure = place.assemble("chain.json", applications).unwrap_err().to_string();
        assert!(!place.path("chain.json").exists(), "{failure}");
        failure
    };
    let twice = refused(&[north.clone(), north.clone()]);
    assert!(twice.contains("the same key"), "{twice}");
    let address = refused(&[north.clone(), copy]);
    assert!(address.contains("the same worker's address"), "{address}");

    let text = fs::read_to_string(&south).unwrap();
    let damaged = place.path("damaged.json");
    for (wrong, reason) in [
        (text.replace("https://south.example", "https://north.example"), "signature"),
        (text.replace("\"version\": 1", "\"version\": 2"), "version 2"),
        (text.replace("\"statement\"", "\"state\""), "not an application"),
        (text[..text.len() / 2].to_owned(), "not an application"),
        (String::new(), "not an application"),
    ] {
        assert_ne!(wrong, text);
        fs::write(&damaged, wrong).unwrap();
        let failure = refused(&[north.clone(), damaged.to_str().unwrap().to_owned()]);
        assert!(failure.contains(reason) && failure.contains("damaged.json"), "{failure}");
    }
    let absent = refused(&[place.text("absent.json")]);
    assert!(absent.contains("absent.json"), "{absent}");

    // What was made is not overwritten.
    fs::write(place.path("taken.json"), "mine").unwrap();
    let taken = place.assemble("taken.json", &[north, south]).unwrap_err().to_string();
    assert!(taken.contains("not overwritten"), "{taken}");
    assert_eq!(fs::read_to_string(place.path("taken.json")).unwrap(), "mine");
}

#[test]
fn a_chain_is_installed_after_its_hash_was_compared() {
    let place = Place::new();
    for name in ["North", "South"] {
        place.init(name, &format!("https://{}.example", name.to_lowercase()), &[]);
    }
    let [north, south] = ["North", "South"].map(|name| place.application(name));
    let made = place.assemble("chain.json", &[north.clone(), south]).unwrap();
    let genesis = made["genesis"].as_str().unwrap();
    let other = place.assemble("other.json", &[north]).unwrap();
    let (dir, chain, another) =
        (place.text("North"), place.text("chain.json"), place.text("other.json"));

    let without = place.refusal(&["hospital", "join", "--dir", &dir]);
    assert!(without.contains("--chain"), "{without}");
    let unread = place.refusal(&["hospital", "join", "--dir", &dir, "--chain", &chain]);
    assert!(unread.contains(genesis) && unread.contains("compare"), "{unread}");
    assert!(unread.contains(made["sha256"].as_str().unwrap()), "{unread}");
    let swapped = ["hospital", "join", "--dir", &dir, "--chain", &another, "--genesis", genesis];
    let swapped = place.refusal(&swapped);
    assert!(swapped.contains(other["genesis"].as_str().unwrap()), "{swapped}");
    assert!(!place.path("North/chain.json").exists() && !place.path("North/peers.env").exists());

    // The hash of the first block does not cover the nodes that the file names.
    let text = fs::read_to_string(place.path("chain.json")).unwrap();
    let forged = place.text("forged.json");
    for (from, to, reason) in [
        ("/tcp/30333/p2p/", "/tcp/30333;reboot/p2p/", "not the address of a node"),
        ("\"Live\"", "\"Local\"", "for development only"),
        (
            "\"codeSubstitutes\": {}",
            "\"codeSubstitutes\": {\"7\": \"0x00\"}",
            "replaces the runtime",
        ),
        ("\"id\": \"epione\"", "\"id\": \"../../keystore\"", "apart from those"),
        ("\"protocolId\": \"epione\"", "\"protocolId\": null", "apart from those"),
        ("\"protocolId\"", "\"forkId\": \"other\", \"protocolId\"", "apart from those"),
        (": \"epione\"", ": \"../../keystore\"", "into another folder"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        fs::write(&forged, changed).unwrap();
        let join = ["hospital", "join", "--dir", &dir, "--chain", &forged, "--genesis", genesis];
        let refused = place.refusal(&join);
        assert!(refused.contains(reason), "{refused}");
    }

    let install = ["hospital", "join", "--dir", &dir, "--chain", &chain, "--genesis", genesis];
    assert_eq!(place.run(&install)["stage"], "installed");
    let config = fs::read_to_string(place.path("North/worker.toml")).unwrap();
    assert!(config.contains(genesis), "{config}");
    let peers = flags(&place.path("North/peers.env"));
    assert_eq!((peers.len(), peers[0].as_str()), (2, "--reserved-only"));
    assert!(peers[1].contains("/dns/south.example/tcp/30333/p2p/"), "{peers:?}");

    // Later runs need neither, and accept no others.
    let join = ["hospital", "join", "--dir", &dir, "--node", "ws://127.0.0.1:1"];
    let no_node = place.refusal(&join);
    assert!(no_node.contains("127.0.0.1:1"), "{no_node}");

    // What `peers list` says about a damaged or missing list works.
    let env = place.path("North/peers.env");
    let list = ["hospital", "peers", "list", "--dir", &dir];
    fs::write(&env, "EPIONE_NODE_PEERS=\"\"\n").unwrap();
    let damaged = place.refusal(&list);
    let again = format!("epione hospital join --dir {dir}");
    assert!(damaged.contains("delete it") && damaged.contains(&again), "{damaged}");
    fs::remove_file(&env).unwrap();
    let missing = place.refusal(&list);
    assert!(missing.contains(&again), "{missing}");
    place.refusal(&join);
    assert_eq!(flags(&env), peers);
    let another = ["hospital", "join", "--dir", &dir, "--chain", &another];
    let another = place.refusal(&another);
    assert!(another.contains("another file"), "{another}");
    let wrong = format!("0x{}", "07".repeat(32));
    let wrong = place.refusal(&["hospital", "join", "--dir", &dir, "--genesis", &wrong]);
    assert!(wrong.contains(genesis), "{wrong}");

    // Votes do not name the chain: the keys are for one chain, also if somebody deletes its file to try again.
    fs::remove_file(place.path("North/chain.json")).unwrap();
    let (second, hash) = (place.text("other.json"), other["genesis"].as_str().unwrap());
    let again = ["hospital", "join", "--dir", &dir, "--chain", &second, "--genesis", hash];
    let again = place.refusal(&again);
    assert!(again.contains(genesis) && again.contains("in another folder"), "{again}");
    assert!(!place.path("North/chain.json").exists());
    assert_eq!(place.run(&install)["stage"], "installed");
}
