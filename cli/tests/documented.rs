//! The commands of guides are commands that the program understands, and what is deployed fits what it writes. Without
//! a network.

#![allow(clippy::unwrap_used)]

use std::ffi::OsString;

use clap::CommandFactory;
use epione_cli::{Cli, arguments::Arguments};

const GUIDE: &str = include_str!("../../docs/sharing.md");
const OPERATIONS: &str = include_str!("../../docs/operations.md");
const DEPLOYING: &str = include_str!("../../deploy/README.md");
const NODE_UNIT: &str = include_str!("../../deploy/systemd/epione-node.service");
const WORKER_UNIT: &str = include_str!("../../deploy/systemd/epione-worker.service");
const START: &str = include_str!("../../deploy/container/node");
const COMPOSE: &str = include_str!("../../deploy/container/compose.yaml");
const NGINX: &str = include_str!("../../deploy/nginx/epione-worker.conf");
const PROMETHEUS: &str = include_str!("../../deploy/prometheus/prometheus.yml");

/// The commands in a document's blocks of shell commands. A line that ends with a backslash continues in the next one.
fn commands(document: &str) -> Vec<String> {
    let blocks = document.split("```sh\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    blocks
        .flat_map(|block| {
            block.replace("\\\n", " ").lines().map(|it| it.trim().to_owned()).collect::<Vec<_>>()
        })
        .filter(|line| line.starts_with("epione "))
        .collect()
}

/// The words of a command, as a shell reads them: without a comment and without a file for the output.
fn words(command: &str) -> Vec<OsString> {
    let genesis = format!("0x{}", "0a".repeat(32));
    let mut words: Vec<String> = Vec::new();
    for (number, part) in command.split('"').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
            continue;
        }
        for word in part.split_whitespace() {
            if matches!(word, "#" | ">") {
                return words.into_iter().map(OsString::from).collect();
            }
            words.push(word.replace("0x...", &genesis));
        }
    }
    words.into_iter().map(OsString::from).collect()
}

#[test]
fn the_program_understands_every_command_of_the_guide_to_sharing() {
    let commands = commands(GUIDE);
    assert!(commands.len() > 40, "{commands:?}");
    for command in &commands {
        if let Err(error) = Arguments::read(words(command)) {
            panic!("{command}: {error}");
        }
    }
    // Each part of the guide has commands of its own.
    for about in
        ["query", "mandate", "consent", "section", "opening", "audit", "discover", "disclose"]
    {
        let begins = format!("epione {about} ");
        assert!(commands.iter().any(|it| it.starts_with(&begins)), "{about}");
    }
    for custody in ["epione mandate entrust ", "epione mandate end-custody "] {
        assert!(commands.iter().any(|it| it.starts_with(custody)), "{custody}");
    }
}

#[test]
fn the_program_understands_the_council_commands_of_the_operators_guide() {
    let commands = commands(OPERATIONS);
    let council: Vec<_> =
        commands.iter().filter(|command| command.starts_with("epione council ")).collect();
    assert!(council.len() > 6, "{council:?}");
    for command in council {
        if let Err(error) = Arguments::read(words(command)) {
            panic!("{command}: {error}");
        }
    }
}

/// The table in "The council" has everything that can be proposed.
#[test]
fn the_operators_guide_lists_what_can_be_proposed() {
    let program = Cli::command();
    let council = program.find_subcommand("council").unwrap();
    let propose = council.find_subcommand("propose").unwrap();
    let table = OPERATIONS.split("| `epione council propose` |").nth(1).unwrap();
    let table = table.split("\n\n").next().unwrap();
    let mut listed = 0;
    for what in propose.get_subcommands() {
        let below: Vec<_> = what.get_subcommands().map(|it| it.get_name()).collect();
        let names = match below.is_empty() {
            true => vec![what.get_name().to_owned()],
            false => below.iter().map(|it| format!("{} {it}", what.get_name())).collect(),
        };
        for name in names {
            let is_named =
                table.contains(&format!("`{name} ")) || table.contains(&format!("`{name}`"));
            assert!(is_named, "docs/operations.md does not list `{name}`");
            listed += 1;
        }
    }
    assert_eq!(listed, 18);
}

#[test]
fn the_program_understands_every_command_of_the_guide_to_deploying() {
    let commands = commands(DEPLOYING);
    for command in &commands {
        if let Err(error) = Arguments::read(words(command)) {
            panic!("{command}: {error}");
        }
    }
    for step in ["hospital init", "genesis assemble", "hospital join", "hospital peers add"] {
        let begins = format!("epione {step} ");
        assert!(commands.iter().any(|it| it.starts_with(&begins)), "{step}");
    }
}

#[test]
fn what_is_deployed_fits_what_init_writes() {
    let cli = Cli::command();
    let hospital = cli.find_subcommand("hospital").unwrap();
    let init = hospital.find_subcommand("init").unwrap();
    let usual = |name: &str| {
        let option = init.get_arguments().find(|it| it.get_long() == Some(name)).unwrap();
        option.get_default_values()[0].to_str().unwrap().to_owned()
    };
    assert!(NGINX.contains(&format!("server {};", usual("listen"))));
    assert!(PROMETHEUS.contains(&format!("\"{}\"", usual("operators-listen"))));
    assert!(PROMETHEUS.contains(&format!("127.0.0.1:{}\"", usual("node-metrics-port"))));
    let peers = usual("node-listen");
    let port = peers.rsplit('/').next().unwrap();
    assert!(COMPOSE.contains(&format!("\"{port}:{port}\"")));
    // Neither the node's RPC nor metrics leave the machine.
    for private in [usual("rpc-port"), usual("node-metrics-port"), "8601".into()] {
        assert!(!COMPOSE.contains(&private) && !NGINX.contains(&format!("listen {private}")));
    }
    for start in [NODE_UNIT, START] {
        assert!(start.contains("epione-node $EPIONE_NODE_FLAGS $EPIONE_NODE_PEERS\n"), "{start}");
        assert!(start.contains("node.env") && start.contains("peers.env"), "{start}");
    }
    for unit in [NODE_UNIT, WORKER_UNIT] {
        for hardened in ["User=epione", "NoNewPrivileges=yes", "ProtectSystem=strict"] {
            assert!(unit.contains(hardened), "{hardened}: {unit}");
        }
    }
    assert!(WORKER_UNIT.contains("epione-worker run --config /var/lib/epione/worker.toml"));
}

#[test]
fn misuse_is_refused_and_words_end_where_a_shell_ends_them() {
    for wrong in [
        "epione query accept --as patient.json",
        "epione query ask --as researcher.json --patient pat --purpose research --terms x",
        "epione consent give --as patient.json --purpose payment --for 30d",
        "epione verify-evidence evidence.epione --genesis first",
        "epione opening ask --as researcher.json --patient pat --record 1/0 --purpose emergency",
    ] {
        assert!(Arguments::read(words(wrong)).is_err(), "{wrong}");
    }
    assert_eq!(words("a --for \"b c\" 0x... # d").len(), 4);
    assert_eq!(words("a b > c"), ["a", "b"].map(OsString::from));
}
