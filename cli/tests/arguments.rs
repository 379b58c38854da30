//! Arguments without a network: misuse is explained, and printed commands can be run.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use clap::{CommandFactory, Parser};
use epione_cli::Cli;
use network::{epione, stderr};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    epione().args(arguments).output().unwrap()
}

fn failure(output: &Output) -> Value {
    serde_json::from_str(&stderr(output)).unwrap_or_else(|_| panic!("{}", stderr(output)))
}

#[test]
fn what_is_missing_is_named_in_json_too() {
    let output = run(&["--json", "visit", "submit", "--hospital", "0"]);
    assert_eq!(output.status.code(), Some(2));
    let failure = failure(&output);
    let error = failure["error"].as_str().unwrap();
    assert!(error.contains("--as <FILE>") && error.contains("--patient <USER>"), "{failure}");
    assert!(!error.contains("--hospital"), "{failure}");
    assert!(failure["help"].as_str().unwrap().contains("usage: epione visit submit"), "{failure}");
}

#[test]
fn a_usage_line_does_not_list_what_the_environment_has_set() {
    let mut command = epione();
    command.env("EPIONE_DEVNET", "net").env("EPIONE_PASSWORD_FILE", "password");
    let output = command.args(["visit", "submit", "--hospital", "0"]).output().unwrap();
    let said = stderr(&output);
    let usage = said.lines().find(|line| line.starts_with("Usage:")).unwrap();
    assert!(usage.contains("--as <FILE>") && usage.contains("--patient <USER>"), "{said}");
    assert!(!usage.contains("--devnet") && !usage.contains("--password-file"), "{said}");

    let mut command = epione();
    let help = command.env("EPIONE_DEVNET", "net").args(["visit", "submit", "--help"]).output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    assert!(help.contains("--devnet <DIR>"), "{help}");
}

#[test]
fn neither_help_nor_misuse_shows_the_password_in_an_address() {
    let addresses = [
        ("EPIONE_NODE", "wss://ada:secret@node.example"),
        ("EPIONE_WORKER", "https://ada:secret@worker.example"),
    ];
    let foreign = ["hospital", "list", "wss://ada:secret@node.example"];
    let invalid = ["hospital", "list", "--worker", "https://ada:secret@worker.example:x"];
    for (words, status) in
        [(&["hospital", "list", "--help"][..], 0), (&foreign[..], 2), (&invalid[..], 2)]
    {
        for json in [None, Some("--json")] {
            let output = epione().envs(addresses).args(json).args(words).output().unwrap();
            assert_eq!(output.status.code(), Some(status), "{words:?}: {output:?}");
            let said = String::from_utf8(output.stdout.clone()).unwrap() + &stderr(&output);
            assert!(!said.is_empty() && !said.contains("secret"), "{words:?}: {said}");
        }
    }
}

#[test]
fn a_mistyped_word_has_a_suggestion() {
    for (line, meant) in [
        (&["vist"][..], "visit"),
        (&["visit", "submit", "--patent", "x"], "--patient"),
        (&["visit", "submit", "--text", "diagnosys=x"], "did you mean diagnosis?"),
        (&["relate", "--kind", "famly-doctor"], "family-doctor"),
    ] {
        for json in [false, true] {
            let output = epione().args(json.then_some("--json")).args(line).output().unwrap();
            assert_eq!(output.status.code(), Some(2));
            assert!(stderr(&output).contains(meant), "{line:?}: {}", stderr(&output));
        }
    }
}

#[test]
fn standard_input_is_read_once() {
    let user = format!("0x{}", "01".repeat(32));
    let submit =
        ["--json", "visit", "submit", "--as", "//A", "--hospital", "0", "--patient", &user];
    for sections in [
        &["--text", "report=-", "--text", "summary=-"][..],
        &["--text", "report=-", "--media", "-"],
        &["--media", "-", "--media", "-"],
    ] {
        let output = run(&[&submit[..], sections].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let failure = failure(&output);
        assert!(failure["error"].as_str().unwrap().contains("only once"), "{failure}");
    }
}

#[test]
fn an_author_who_chooses_a_class_is_told_that_the_patient_shares() {
    let user = format!("0x{}", "01".repeat(32));
    let submit =
        ["--json", "visit", "submit", "--as", "//A", "--hospital", "0", "--patient", &user];
    for section in [
        ["--text", "report:shared=note.txt"],
        ["--text", "report/shared=note.txt"],
        ["--text", "report/private=note.txt"],
        ["--media", "shared=scan.dcm"],
    ] {
        let output = run(&[&submit[..], &section].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let said = failure(&output).to_string();
        assert!(said.contains("the patient shares it"), "{said}");
        assert!(said.contains("epione section share"), "{said}");
    }
}

#[test]
fn rules_about_sections_that_cannot_hold_are_refused_before_anything_is_read() {
    let user = format!("0x{}", "01".repeat(32));
    let submit =
        ["--json", "visit", "submit", "--as", "//A", "--hospital", "0", "--patient", &user];
    let sections = ["--text", "report=absent.txt", "--media", "absent.dcm"];
    for rules in [
        &["--never", "2"][..],
        &["--mandatory", "64"],
        &["--mandatory", "0", "--never", "0"],
        &["--together", "1"],
        &["--together", "0,1", "--mandatory", "0", "--never", "1"],
        &["--together", "first"],
    ] {
        let output = run(&[&submit[..], &sections, rules].concat());
        assert_eq!(output.status.code(), Some(2), "{rules:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("absent"), "{}", stderr(&output));
    }
}

#[test]
fn the_rules_about_disclosures_name_the_commands_that_enforce_them() {
    let help = epione().args(["visit", "submit", "--help"]).output().unwrap();
    // Lines are wrapped.
    let help = String::from_utf8(help.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let commands = Cli::command();
    for name in ["disclose", "verify-disclosure"] {
        assert!(help.contains(&format!("`epione {name}`")), "{name}: {help}");
        assert!(commands.get_subcommands().any(|it| it.get_name() == name), "{name}");
    }
}

#[test]
fn a_flawed_extraction_template_is_refused_before_anything_is_read() {
    let user = format!("0x{}", "01".repeat(32));
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("rules.toml");
    fs::write(&template, "never = [\"diagnosys\"]").unwrap();
    let template = template.to_str().unwrap();
    let submit =
        ["--json", "visit", "submit", "--as", "//A", "--hospital", "0", "--patient", &user];
    let sections = ["--text", "report=absent.txt", "--extraction-template", template];
    let output = run(&[&submit[..], &sections].concat());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let failure = failure(&output);
    let error = failure["error"].as_str().unwrap();
    assert!(error.contains("rules.toml") && error.contains("did you mean diagnosis?"), "{error}");
    // A template stands for all rules.
    let output = run(&[&submit[..], &sections, &["--never", "0"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--never"), "{}", stderr(&output));
}

#[test]
fn a_file_that_is_no_evidence_is_refused_without_a_node() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = format!("0x{}", "07".repeat(32));
    let verify = |path: &Path| {
        let mut command = epione();
        command.args(["--json", "verify-evidence", "--genesis", &genesis]).arg(path);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        failure(&output)["error"].as_str().unwrap().to_owned()
    };
    assert!(verify(folder.path()).contains("is a link, a folder or a pipe"));
    let file = folder.path().join("evidence.epione");
    assert!(verify(&file).contains("cannot be read"));
    for (bytes, flaw) in [
        (&b""[..], "this is not evidence"),
        (&[1; 5_000], "this is not evidence"),
        // A disclosure.
        (b"\x8aEPIONE\n\x01", "this is not evidence"),
        (b"\x8aEVIDNC\n\x01", "is damaged"),
        (b"\x8aEVIDNC\n\xff", "update epione"),
    ] {
        fs::write(&file, bytes).unwrap();
        let error = verify(&file);
        assert!(error.contains(flaw), "{error}");
    }
}

#[test]
fn a_file_that_is_no_disclosure_is_refused_without_a_node() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = format!("0x{}", "07".repeat(32));
    let verify = |path: &Path| {
        let mut command = epione();
        command.args(["--json", "verify-disclosure", "--genesis", &genesis]).arg(path);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        failure(&output)["error"].as_str().unwrap().to_owned()
    };
    assert!(verify(folder.path()).contains("disclosure.epione cannot be read"));
    let file = folder.path().join("disclosure.epione");
    for (bytes, flaw) in [
        (&b""[..], "this is not a disclosure"),
        (b"\x01", "this is not a disclosure"),
        (&[1; 5_000], "this is not a disclosure"),
        (b"%PDF-1.7", "this is not a disclosure"),
        (b"\x8aEPIONE\n\x01", "is damaged"),
        (b"\x8aEPIONE\n\xff", "update epione"),
    ] {
        fs::write(&file, bytes).unwrap();
        for path in [folder.path(), &file] {
            let error = verify(path);
            assert!(error.contains(flaw), "{error}");
        }
    }
}

#[test]
fn a_limit_belongs_to_all_records() {
    let user = format!("0x{}", "01".repeat(32));
    let get = ["--json", "records", "get", "--as", "//A", "--patient", &user, "--out", "out"];
    let output = run(&[&get[..], &["--pointer", "6/0", "--limit", "3"]].concat());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let failure = failure(&output);
    assert!(failure["error"].as_str().unwrap().contains("--limit"), "{failure}");
}

#[test]
fn a_node_that_does_not_run_is_reported_at_once_with_the_ways_to_reach_one() {
    let begun = Instant::now();
    let output = run(&["--json", "hospital", "list", "--node", "ws://127.0.0.1:1"]);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let failure = failure(&output);
    assert!(failure["error"].as_str().unwrap().contains("ws://127.0.0.1:1"), "{failure}");
    let help = failure["help"].as_str().unwrap();
    assert!(help.contains("--node") && help.contains("--devnet"), "{failure}");
}

#[test]
fn the_wait_for_a_node_that_accepts_and_does_not_answer_names_the_node_and_the_time() {
    let node = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", node.local_addr().unwrap());
    let mut command = epione();
    command.args(["hospital", "list", "--node", &url]).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    // It would wait until its time limit.
    child.kill().unwrap();
    child.wait().unwrap();
    for said in ["waiting for the node", "since 20", &url] {
        assert!(line.contains(said), "{line}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_does_not_change_the_exit_status() {
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let nowhere = ["block", "show", "1", "--node", "ws://127.0.0.1:1"];
    let output = epione().args(nowhere).stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    for answer in [&["completions", "bash"][..], &["--help"]] {
        let output = epione().args(answer).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{answer:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("standard output"), "{answer:?}: {}", stderr(&output));
    }
}

#[test]
fn hostile_arguments_control_neither_the_terminal_nor_the_lines() {
    let user = format!("0x{}", "01".repeat(32));
    let hostile = "a\nb\u{202e}gpj\x1b[31m.dcm";
    let submit = ["visit", "submit", "--as", "//A", "--hospital", "0", "--patient", &user];
    for words in [&submit[..], &["visit", hostile], &["block", "show", "1", hostile]] {
        let named = words.contains(&hostile);
        let media: &[&str] = if named { &[] } else { &["--media", hostile] };
        for json in [false, true] {
            let mut command = epione();
            let output = command.args(json.then_some("--json")).args(words).args(media).output();
            let said = stderr(&output.unwrap());
            let controls = |c: char| c != '\n' && epione_cli::wording::controls(c);
            assert!(!said.contains(controls) && !said.contains("a\nb"), "{said:?}");
        }
    }
}

#[test]
fn a_patients_name_need_not_be_an_argument_that_other_accounts_see() {
    let mut command = epione();
    command.args(["user", "register", "--role", "patient", "--name", "-", "--keys", "//Pat"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("name on standard input is empty"), "{}", stderr(&output));
    let help = epione().args(["user", "register", "--help"]).output().unwrap();
    // Lines are wrapped.
    let help = String::from_utf8(help.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("reads the name from standard input"), "{help}");
}

/// A node that accepts connections and does not answer, and a command that waits for it.
#[test]
fn a_signal_ends_a_command_whose_standard_error_cannot_be_written() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let node = format!("ws://{}", silent.local_addr().unwrap());
    for (full, user) in [(true, None), (false, Some("ada"))] {
        let mut command = epione();
        command.args(["block", "show", "1", "--node", &node]);
        if let Some(user) = user {
            // A name that only the node can resolve.
            command = epione();
            command.args(["records", "list", "--patient", user, "--node", &node]);
        }
        command.stderr(match full {
            true => Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap()),
            false => Stdio::piped(),
        });
        let child = command.spawn().unwrap();
        // It is connected, so that it handles signals.
        let _connection = silent.accept().unwrap();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        assert!(full || stderr(&output).contains("to try again, run: epione"), "{output:?}");
    }
}

#[test]
fn a_signal_ends_a_command_that_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("policies.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = epione();
    let child =
        command.args(["policy", "check"]).arg(&pipe).stderr(Stdio::piped()).spawn().unwrap();
    // It has opened the pipe, and reads from it as long as this end is open.
    let _writer = fs::File::options().write(true).open(&pipe).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    let said = stderr(&output);
    assert_eq!(said.matches("interrupted").count(), 1, "{said}");
    assert!(said.contains("run: epione policy check /"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_at_a_password_prompt_restores_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!(
        "trap : INT; '{}' keys new --out '{}'; echo status=$?; stty -a",
        env!("CARGO_BIN_EXE_epione"),
        folder.path().join("keys.json").display()
    );
    let mut terminal = Command::new("script")
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .env_remove("EPIONE_PASSWORD_FILE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = terminal.stdin.take().unwrap();
    let mut shown = terminal.stdout.take().unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"New password: ") {
        let mut byte = [0];
        shown.read_exact(&mut byte).unwrap();
        said.extend(byte);
    }
    typed.write_all(b"\x03").unwrap();
    shown.read_to_end(&mut said).unwrap();
    terminal.wait().unwrap();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("status=130"), "{said}");
    assert_eq!(said.matches("error: interrupted").count(), 1, "{said}");
    let (_, settings) = said.split_once("status=").unwrap();
    for setting in ["isig", "icanon", "echo"] {
        assert!(settings.split_whitespace().any(|word| word == setting), "{setting}: {settings}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn arguments_that_are_not_utf_8_are_reported_like_any_other_error() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let odd = OsStr::from_bytes(b"gr\xf6\xdfer");
    let output = epione().arg("--json").arg(odd).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    failure(&output);
}

#[test]
fn a_shell_completes_commands() {
    let script = |shell| {
        let output = run(&["completions", shell]);
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("epione.bash");
    fs::write(&path, script("bash")).unwrap();
    let ask = r#"source "$1"; COMP_WORDS=(epione visit sub); COMP_CWORD=2
        _epione epione sub visit; printf '%s\n' "${COMPREPLY[@]}""#;
    let output = Command::new("bash").args(["-c", ask, "bash"]).arg(&path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "submit\n", "{}", stderr(&output));
    assert!(script("zsh").starts_with("#compdef epione"));
    assert!(script("fish").contains("complete -c epione"));
}

/// Messages build their commands from values (`Invocation`). A command that is written out in a source file must be
/// complete, or request help.
#[test]
fn a_command_in_a_message_can_be_run_as_it_is_printed() {
    let verbs: Vec<_> =
        Cli::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let mut commands = 0;
    for path in sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
        let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", "");
        for (at, _) in joined.match_indices("epione ") {
            let command = joined[at..].split(['"', '`', ')', '(', ',', ';', '\n', ':']).next();
            let words: Vec<_> = command.unwrap().trim_end_matches('.').split(' ').collect();
            if words.len() < 3 || !verbs.iter().any(|verb| verb == words[1]) {
                continue;
            }
            // A usage line, with the names of its values.
            if words.iter().any(|word| word.starts_with('<')) {
                continue;
            }
            commands += 1;
            let asks = words.last() == Some(&"--help");
            let runs = match Cli::try_parse_from(&words) {
                Ok(_) => !asks,
                Err(error) => asks && error.kind() == clap::error::ErrorKind::DisplayHelp,
            };
            assert!(runs, "{}: {}", path.display(), words.join(" "));
        }
    }
    assert!(commands > 3, "{commands}");
}

/// The source files of a folder, without files of tests.
fn sources(folder: PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(path));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_name().is_some_and(|name| name != "tests.rs")
        {
            found.push(path);
        }
    }
    found
}
