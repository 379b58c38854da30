//! Key files, and the form of failures.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn epione() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epione"));
    for setting in
        ["EPIONE_NODE", "EPIONE_GENESIS", "EPIONE_WORKER", "EPIONE_DEVNET", "EPIONE_PASSWORD_FILE"]
    {
        command.env_remove(setting);
    }
    command
}

/// The output of a command that must succeed.
fn succeeds(command: &mut Command) -> Output {
    ends(command, 0)
}

/// The output of a command that must end with this exit status.
fn ends(command: &mut Command, status: i32) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{command:?} ended otherwise: {output:?}");
    output
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn directory_with_password() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, "correct horse battery staple\n").unwrap();
    (directory, path.to_str().unwrap().to_owned())
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn a_new_key_file_shows_the_keys_it_was_made_with() {
    let (directory, password) = directory_with_password();
    let file = directory.path().join("doctor.json");
    let made = succeeds(
        epione().args(["--json", "keys", "new", "--password-file", &password, "--out"]).arg(&file),
    );
    let shown = succeeds(epione().args(["--json", "keys", "show"]).arg(&file));
    let (made, shown) = (json(&made.stdout), json(&shown.stdout));
    assert_eq!(made, shown);
    assert!(shown["account"].as_str().unwrap().len() > 40);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("correct horse"));

    let again =
        ends(epione().args(["keys", "new", "--password-file", &password, "--out"]).arg(&file), 1);
    let said = said(&again);
    assert!(said.starts_with("error: ") && said.contains("\nhelp: "), "{said}");
    assert!(said.contains("exists"), "{said}");
}

#[test]
fn development_keys_are_the_same_everywhere() {
    let (directory, password) = directory_with_password();
    let file = directory.path().join("alice.json");
    succeeds(
        epione()
            .env("EPIONE_PASSWORD_FILE", &password)
            .args(["keys", "new", "--development", "//Alice", "--out"])
            .arg(&file),
    );
    let from_file = succeeds(epione().args(["--json", "keys", "show"]).arg(&file));
    let from_seed = succeeds(epione().args(["--json", "keys", "show", "//Alice"]));
    let (from_file, from_seed) = (json(&from_file.stdout), json(&from_seed.stdout));
    assert_eq!(from_file["account"], from_seed["account"]);
    assert_eq!(from_seed["account"], "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
}

#[test]
fn a_password_prompt_needs_a_terminal() {
    let (directory, _) = directory_with_password();
    let file = directory.path().join("doctor.json");
    let refused = ends(epione().args(["keys", "new", "--out"]).arg(&file), 2);
    let said = said(&refused);
    assert!(said.contains("--password-file"), "{said}");
    assert!(!file.exists());
}

#[test]
fn a_wrong_password_is_refused() {
    let (directory, password) = directory_with_password();
    let file = directory.path().join("doctor.json");
    succeeds(epione().args(["keys", "new", "--password-file", &password, "--out"]).arg(&file));
    let wrong = directory.path().join("wrong");
    std::fs::write(&wrong, "guess\n").unwrap();
    let source: epione_cli::identity::KeySource = file.to_str().unwrap().parse().unwrap();
    let failure = source.open(Some(&wrong)).err().unwrap();
    assert!(failure.error.contains("password is wrong or the file is damaged"), "{failure}");
    assert!(source.open(Some(std::path::Path::new(&password))).is_ok());
}

#[test]
fn errors_are_json_when_results_are() {
    let refused = ends(epione().args(["--json", "keys", "show", "/nowhere/keys.json"]), 1);
    let failure = json(&refused.stderr);
    assert!(failure["error"].as_str().unwrap().contains("/nowhere/keys.json"), "{failure}");
    assert!(failure["help"].is_string());

    let misused = ends(epione().args(["--json", "records", "get"]), 2);
    let failure = json(&misused.stderr);
    assert!(failure["error"].is_string() && failure["help"].is_string(), "{failure}");
}

#[test]
fn misuse_has_another_exit_status_than_failure() {
    let id = format!("0x{}", "11".repeat(32));
    for arguments in [
        &["frobnicate"][..],
        &["keys"],
        &["devnet", "up", "--hospitals", "0"],
        &["devnet", "up", "--hospitals", "17"],
        &["visit", "submit", "--as", "x", "--hospital", "0", "--patient", ""],
        &["visit", "submit", "--as", "x", "--hospital", "0", "--patient", &id, "--text", "poem=x"],
        &["visit", "submit", "--as", "x", "--hospital", "0", "--patient", &id, "--never", "x"],
        &["records", "get", "--as", "x", "--patient", &id, "--out", "y", "--pointer", "1"],
        &["disclose", "--as", "x", "--record", "1/0", "--sections", "0", "--out", "y"],
        &["verify-disclosure"],
        &["verify-evidence"],
        &["verify-evidence", "file", "--receipt", "0"],
        &["audit", "proof-chain"],
        &["audit", "proof-chain", "--record", "1/0", "--query", "0"],
        &["audit", "proof-chain", "--record", "1"],
        &["audit", "proof-chain", "--receipt", "0"],
        &["user", "confirm-keys", "--as", "x"],
        &["user", "recover", "propose", "--user", &id, "--consent", "00", "--until", "9"],
        &["user", "recover", "propose", "--user", &id, "--keys", "x", "--until", "9"],
        &["user", "recover", "propose", "--user", &id, "--keys", "x", "--consent", "00"],
        &["user", "recover", "complete"],
        &["user", "recovery"],
        &["records", "get", "--as", "x", "--patient", &id, "--out", "y"],
        &["relate", "--patient", &id, "--professional", &id, "--expires", "soon"],
        &["block", "verify", "minus-one"],
        &["relate", "--patient", &id, "--professional", &id, "--as-user", "x"],
        &["audit", "who-looked"],
        &["audit", "who-looked", "--patient", &id, "--as", "x"],
        &["audit", "who-looked", "--patient", &id, "--limit", "0"],
        &["audit", "judge", "--review", "0"],
        &["audit", "judge", "--review", "0", "--justified", "--unjustified"],
        &["council", "vote", "3"],
        &["council", "propose", "suspend"],
        &["council", "propose", "upgrade"],
        &["council", "list", "--era-from", "best"],
        &["query", "ask", "--as", "x", "--patient", &id, "--record", "1/0", "--purpose", "audit"],
        &["query", "accept", "7", "--as", "x"],
        &["query", "show", "seven"],
        &["mandate", "appoint", "--as", "x", "--representative", &id],
        &["mandate", "authorize", "--as", "x", "--hospital", "0", "--for", "soon"],
        &["mandate", "dismiss", "--as", "x"],
        &["mandate", "entrust", "--as", "x", "--hospital", "0"],
        &["mandate", "end-custody", "--as", "x"],
        &["mandate", "list"],
        &["query", "collect", "7", "--as", "x"],
        &["opening", "ask", "--as", "x", "--patient", &id, "--record", "1/0"],
        &["opening", "list"],
        &["opening", "show", "seven"],
        &["records", "get", "--as", "x", "--patient", &id, "--out", "y", "--opening", "7", "--all"],
        &["consent", "list"],
        &["consent", "show", "--patient", &id],
        &["consent", "history", "--patient", &id, "--slot", "16"],
        &["consent", "give", "--as", "x", "--purpose", "research", "--for", "30d"],
        &["consent", "give", "--as", "x", "--role", "doctor", "--for", "30d"],
        &["consent", "give", "--as", "x", "--role", "doctor", "--purpose", "research"],
        &["consent", "withdraw", "--as", "x"],
        &["consent", "export", "--patient", &id, "--slot", "0", "--format", "xml"],
        &["consent", "import", "--as", "x"],
        &["section", "share", "--as", "x", "--record", "1/0"],
        &["section", "unshare", "--as", "x", "--slot", "0"],
        &["section", "list", "--slot", "0"],
        &["section", "history", "--from", "0"],
        &["user", "suspend"],
        &["user", "rotate-keys", "--as", "x"],
        &["keys", "renew-sealing", "x"],
        &["hospital", "set-sealing-key"],
        &["hospital", "init", "--dir", "x", "--name", "N", "--worker-url", "worker.example"],
        &["hospital", "init", "--dir", "a b", "--name", "N", "--worker-url", "https://n.example"],
        &["hospital", "join", "--dir", "/nowhere"],
        &["hospital", "rotate", "session"],
        &["hospital", "ready"],
        &["hospital", "rotate", "governance", "--dir", "x"],
        &["hospital", "peers", "add", "--dir", "x"],
        &["genesis", "assemble", "application.json"],
        &["genesis", "assemble", "--out", "x", "--id", "A B", "application.json"],
        &["doctor", "--json"],
        &["credential", "issue", "--user", &id, "--attribute", "cardiology"],
        &["credential", "revoke", "--user", &id, "--attribute", "Cardiology"],
        &["credential", "list"],
        &["consortium", "key"],
        &["consortium", "key", "refresh", "--as"],
        &["discover", "--as", "x", "--kind", "diagnosis"],
        &["discover", "--as", "x", "--purpose", "research", "--from", "January"],
    ] {
        let refused = ends(epione().args(arguments), 2);
        assert!(!refused.stderr.is_empty(), "{arguments:?}");
    }
    succeeds(epione().arg("--help"));
    succeeds(epione().arg("--version"));
}

#[test]
fn an_emergency_needs_a_reason_and_the_patients_own_key_none() {
    let id = format!("0x{}", "11".repeat(32));
    for more in [
        &["--emergency"][..],
        &["--emergency", "curiosity"],
        &["--emergency", "public-health", "--purpose", "audit"],
        &["--emergency", "public-health", "--own-key"],
        &["--purpose", "audit", "--own-key"],
        &["--purpose", "emergency"],
        &["--earlier-keys", "x"],
    ] {
        let mut command = epione();
        command.args(["records", "get", "--as", "x", "--patient", &id, "--all", "--out", "y"]);
        let refused = ends(command.args(more), 2);
        assert!(!refused.stderr.is_empty(), "{more:?}");
    }
}

#[test]
fn a_referral_without_an_end_is_refused_before_any_request() {
    let id = format!("0x{}", "11".repeat(32));
    let mut command = epione();
    command.args(["relate", "--patient", &id, "--professional", &id, "--kind", "referral"]);
    let refused = ends(&mut command, 2);
    let said = said(&refused);
    assert!(said.contains("--expires"), "{said}");
}

#[test]
fn a_renewed_key_file_keeps_its_account_and_changes_its_sealing_key() {
    let (directory, password) = directory_with_password();
    let file = directory.path().join("agent.json");
    let renew = |from: &str, status| {
        let mut command = epione();
        command.args(["--json", "keys", "renew-sealing", from, "--password-file", &password]);
        command.arg("--out").arg(&file);
        ends(&mut command, status)
    };
    let renewed = json(&renew("//Alice//agent", 0).stdout);
    let before = succeeds(epione().args(["--json", "keys", "show", "//Alice//agent"]));
    let before = json(&before.stdout);
    assert_eq!(renewed["account"], before["account"]);
    assert_ne!(renewed["sealingKeyHash"], before["sealingKeyHash"]);
    let shown = succeeds(epione().args(["--json", "keys", "show"]).arg(&file));
    assert_eq!(json(&shown.stdout), renewed);

    let again = json(&renew("//Alice//agent", 1).stderr);
    assert!(again["error"].as_str().unwrap().contains("exists"), "{again}");
    let absent = json(&renew("/nowhere/agent.json", 1).stderr);
    assert!(absent["error"].as_str().unwrap().contains("/nowhere/agent.json"), "{absent}");
}

#[test]
fn the_address_of_an_unreachable_node_is_reported() {
    let refused = ends(epione().args(["--node", "ws://127.0.0.1:9", "block", "show", "1"]), 1);
    let said = said(&refused);
    assert!(said.contains("ws://127.0.0.1:9") && said.contains("--node"), "{said}");
}

#[test]
fn development_keys_are_for_devnets() {
    let id = format!("0x{}", "11".repeat(32));
    let refused = ends(
        epione()
            .args(["visit", "submit", "--as", "//Doctor", "--hospital", "0", "--patient", &id])
            .args(["--text", "report=Cargo.toml"]),
        2,
    );
    let said = said(&refused);
    assert!(said.contains("--devnet"), "{said}");
}
