//! What a person confirms before a command signs it.

use std::io::{self, BufRead, IsTerminal, Read};

use crate::{context::Context, failure::Failure, progress};

/// The only answer that is a confirmation.
const YES: &str = "yes";
/// Longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 256;

/// Shows what will be signed, and waits until the person confirms it. With `yes`, the person has done so on the command
/// line, and nothing is shown.
pub async fn confirm(context: &Context, statement: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let terminals = (io::stdin().is_terminal(), io::stderr().is_terminal());
    if !is_read_by_a_person(context.common().json, terminals) {
        return Err(Failure::usage(
            "this command signs only what you have read and confirmed; nothing was signed",
            "run it on a terminal, without --json, and with neither input nor messages (standard error) redirected; or \
             add --yes",
        ));
    }
    progress::line(statement);
    progress::line(&format!("To sign this, type {YES}:"));
    let typed = tokio::task::spawn_blocking(answer).await;
    let typed = typed.map_err(|error| Failure::new(error.to_string(), "try again"))?;
    let typed = typed.map_err(|error| Failure::new(error.to_string(), "add --yes"))?;
    if is_yes(&typed) {
        return Ok(());
    }
    Err(Failure::new(
        "you did not confirm; nothing was signed",
        "rerun the command to decide again",
    ))
}

/// Whether a person sees the statement, which is shown on standard error, and types the answer.
fn is_read_by_a_person(json: bool, (stdin, stderr): (bool, bool)) -> bool {
    !json && stdin && stderr
}

fn answer() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().take(MAX_ANSWER_BYTES).read_line(&mut line)?;
    Ok(line)
}

fn is_yes(typed: &str) -> bool {
    typed.trim().eq_ignore_ascii_case(YES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Common;

    #[test]
    fn only_a_clear_yes_confirms() {
        for yes in ["yes", " Yes\n", "YES"] {
            assert!(is_yes(yes), "{yes}");
        }
        for no in ["", "y", "no", "yes please", "ja", "\n"] {
            assert!(!is_yes(no), "{no}");
        }
    }

    #[test]
    fn nobody_confirms_what_is_shown_in_a_file() {
        assert!(is_read_by_a_person(false, (true, true)));
        for unread in [(true, false), (false, true), (false, false)] {
            assert!(!is_read_by_a_person(false, unread), "{unread:?}");
        }
        assert!(!is_read_by_a_person(true, (true, true)));
    }

    #[tokio::test]
    async fn a_program_confirms_on_the_command_line_only() {
        let context = Context::new(Common { json: true, ..Common::default() });
        confirm(&context, "you let somebody read", true).await.unwrap();
        let refused = confirm(&context, "you let somebody read", false).await.unwrap_err();
        assert!(refused.help.contains("--yes"), "{refused}");
        assert!(refused.error.contains("nothing was signed"), "{refused}");
    }
}
