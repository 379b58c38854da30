//! Key files, and how the program says no.

#![allow(clippy::unwrap_used)]

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

fn epione() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epione"));
    for setting in ["EPIONE_NODE", "EPIONE_WORKER", "EPIONE_DEVNET", "EPIONE_PASSWORD_FILE"] {
        command.env_remove(setting);
    }
    command
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
    let made = epione()
        .args(["--json", "keys", "new", "--password-file", &password, "--out"])
        .arg(&file)
        .assert()
        .success();
    let shown = epione().args(["--json", "keys", "show"]).arg(&file).assert().success();
    let (made, shown) = (json(&made.get_output().stdout), json(&shown.get_output().stdout));
    assert_eq!(made, shown);
    assert!(shown["account"].as_str().unwrap().len() > 40);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("correct horse"));

    let again =
        epione().args(["keys", "new", "--password-file", &password, "--out"]).arg(&file).assert();
    let again = again.failure().code(1);
    let said = String::from_utf8_lossy(&again.get_output().stderr).into_owned();
    assert!(said.starts_with("error: ") && said.contains("\nhelp: "), "{said}");
    assert!(said.contains("exists"), "{said}");
}

#[test]
fn development_keys_are_the_same_everywhere() {
    let (directory, password) = directory_with_password();
    let file = directory.path().join("alice.json");
    epione()
        .env("EPIONE_PASSWORD_FILE", &password)
        .args(["keys", "new", "--development", "//Alice", "--out"])
        .arg(&file)
        .assert()
        .success();
    let from_file = epione().args(["--json", "keys", "show"]).arg(&file).assert().success();
    let from_seed = epione().args(["--json", "keys", "show", "//Alice"]).assert().success();
    let (from_file, from_seed) =
        (json(&from_file.get_output().stdout), json(&from_seed.get_output().stdout));
    assert_eq!(from_file["account"], from_seed["account"]);
    assert_eq!(from_seed["account"], "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
}

#[test]
fn a_password_is_asked_for_on_a_terminal_only() {
    let (directory, _) = directory_with_password();
    let file = directory.path().join("doctor.json");
    let refused = epione().args(["keys", "new", "--out"]).arg(&file).assert().failure().code(2);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(said.contains("--password-file"), "{said}");
    assert!(!file.exists());
}

#[test]
fn a_wrong_password_is_refused_without_saying_more() {
    let (directory, password) = directory_with_password();
    let file = directory.path().join("doctor.json");
    epione()
        .args(["keys", "new", "--password-file", &password, "--out"])
        .arg(&file)
        .assert()
        .success();
    let wrong = directory.path().join("wrong");
    std::fs::write(&wrong, "guess\n").unwrap();
    let source: epione_cli::identity::KeySource = file.to_str().unwrap().parse().unwrap();
    let failure = source.open(Some(&wrong)).err().unwrap();
    assert!(failure.error.contains("password is wrong or the file is damaged"), "{failure}");
    assert!(source.open(Some(std::path::Path::new(&password))).is_ok());
}

#[test]
fn errors_are_json_when_results_are() {
    let refused =
        epione().args(["--json", "keys", "show", "/nowhere/keys.json"]).assert().failure().code(1);
    let failure = json(&refused.get_output().stderr);
    assert!(failure["error"].as_str().unwrap().contains("/nowhere/keys.json"), "{failure}");
    assert!(failure["help"].is_string());

    let misused = epione().args(["--json", "records", "get"]).assert().failure().code(2);
    let failure = json(&misused.get_output().stderr);
    assert!(failure["error"].is_string() && failure["help"].is_string(), "{failure}");
}

#[test]
fn misuse_is_told_apart_from_failure() {
    let id = format!("0x{}", "11".repeat(32));
    for arguments in [
        &["frobnicate"][..],
        &["keys"],
        &["devnet", "up", "--hospitals", "0"],
        &["devnet", "up", "--hospitals", "17"],
        &["visit", "submit", "--as", "x", "--hospital", "0", "--patient", "xyz"],
        &["visit", "submit", "--as", "x", "--hospital", "0", "--patient", &id, "--text", "poem=x"],
        &["records", "get", "--as", "x", "--patient", &id, "--out", "y", "--pointer", "1"],
        &["records", "get", "--as", "x", "--patient", &id, "--out", "y"],
        &["relate", "--patient", &id, "--professional", &id, "--expires", "soon"],
        &["block", "verify", "minus-one"],
        &["relate", "--patient", &id, "--professional", &id, "--as-user", "x"],
        &["audit", "who-looked"],
        &["audit", "who-looked", "--patient", &id, "--as", "x"],
        &["audit", "who-looked", "--patient", &id, "--limit", "0"],
        &["audit", "judge", "--review", "0"],
        &["audit", "judge", "--review", "0", "--justified", "--unjustified"],
        &["user", "suspend"],
        &["user", "rotate-keys", "--as", "x"],
        &["keys", "renew-sealing", "x"],
        &["hospital", "set-sealing-key"],
    ] {
        let refused = epione().args(arguments).assert().failure().code(2);
        assert!(!refused.get_output().stderr.is_empty(), "{arguments:?}");
    }
    epione().arg("--help").assert().success();
    epione().arg("--version").assert().success();
}

#[test]
fn an_emergency_has_a_reason_and_ones_own_key_needs_none() {
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
        let refused = command.args(more).assert().failure().code(2);
        assert!(!refused.get_output().stderr.is_empty(), "{more:?}");
    }
}

#[test]
fn a_referral_without_an_end_is_refused_before_anybody_is_asked() {
    let id = format!("0x{}", "11".repeat(32));
    let mut command = epione();
    command.args(["relate", "--patient", &id, "--professional", &id, "--kind", "referral"]);
    let refused = command.assert().failure().code(2);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(said.contains("--expires"), "{said}");
}

#[test]
fn a_renewed_key_file_keeps_its_account_and_changes_its_sealing_key() {
    let (directory, password) = directory_with_password();
    let file = directory.path().join("agent.json");
    let renew = |from: &str| {
        let mut command = epione();
        command.args(["--json", "keys", "renew-sealing", from, "--password-file", &password]);
        command.arg("--out").arg(&file);
        command.assert()
    };
    let renewed = json(&renew("//Alice//agent").success().get_output().stdout);
    let before = epione().args(["--json", "keys", "show", "//Alice//agent"]).assert().success();
    let before = json(&before.get_output().stdout);
    assert_eq!(renewed["account"], before["account"]);
    assert_ne!(renewed["sealingKeyHash"], before["sealingKeyHash"]);
    let shown = epione().args(["--json", "keys", "show"]).arg(&file).assert().success();
    assert_eq!(json(&shown.get_output().stdout), renewed);

    let again = json(&renew("//Alice//agent").failure().code(1).get_output().stderr);
    assert!(again["error"].as_str().unwrap().contains("exists"), "{again}");
    let absent = json(&renew("/nowhere/agent.json").failure().code(1).get_output().stderr);
    assert!(absent["error"].as_str().unwrap().contains("/nowhere/agent.json"), "{absent}");
}

#[test]
fn without_a_node_the_user_hears_where_it_was_looked_for() {
    let refused = epione()
        .args(["--node", "ws://127.0.0.1:9", "block", "show", "1"])
        .assert()
        .failure()
        .code(1);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(said.contains("ws://127.0.0.1:9") && said.contains("--node"), "{said}");
}

#[test]
fn development_keys_are_for_devnets() {
    let id = format!("0x{}", "11".repeat(32));
    let refused = epione()
        .args(["visit", "submit", "--as", "//Doctor", "--hospital", "0", "--patient", &id])
        .args(["--text", "report=/dev/null"])
        .assert()
        .failure()
        .code(2);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(said.contains("--devnet"), "{said}");
}
