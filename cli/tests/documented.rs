//! The commands of the guide to sharing are commands that the program understands. Without a network.

#![allow(clippy::unwrap_used)]

use std::ffi::OsString;

use epione_cli::arguments::Arguments;

const GUIDE: &str = include_str!("../../docs/sharing.md");

/// The commands in a document's blocks of shell commands. A line that ends with a backslash continues in the next one.
fn commands(document: &str) -> Vec<String> {
    let blocks = document.split("```sh\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    blocks
        .flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>())
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
