//! Parses the command line into a command and its context.
//!
//! Commands receive user ids, but the command line may name users in shorter ways. The arguments are therefore parsed
//! twice: first to find the named users and the node, and again, after the node was asked, with the ids in their place.
//! Without such a name no node is needed.

use std::{
    any::TypeId,
    collections::{BTreeMap, btree_map::Entry},
    ffi::OsString,
    sync::Arc,
};

use clap::{
    Arg, ArgMatches, Command, CommandFactory, FromArgMatches,
    builder::ValueParser,
    error::{ContextKind, ContextValue, ErrorKind},
};
use epione_client::endpoint::without_userinfo;
use epione_primitives::UserId;

use crate::{
    Cli,
    context::{Common, Context},
    failure::Failure,
    users::{self, UserRef},
};

/// Why there is no command to run.
pub enum Refused {
    /// The arguments are wrong, or request help or the version.
    Misused(clap::Error),
    /// A user whom they name was not found, or the command failed.
    Failed(Box<Failure>),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.into())
    }
}

impl From<clap::Error> for Refused {
    fn from(error: clap::Error) -> Self {
        Self::Misused(error)
    }
}

/// A command line that was parsed for the first time.
pub struct Arguments {
    words: Vec<OsString>,
    users: Vec<(String, UserRef)>,
    context: Context,
}

impl Arguments {
    /// Parses the command line; asks no node.
    pub fn read(words: Vec<OsString>) -> Result<Self, clap::Error> {
        let named = with_users(Cli::command(), &ValueParser::new(str::parse::<UserRef>));
        let matches = match named.clone().try_get_matches_from(&words) {
            Ok(matches) => matches,
            Err(error) => return Err(without_environment(named, &words, error)),
        };
        let context = Context::new(Common::from_arg_matches(&matches)?);
        let users = users_in(&named, &matches);
        Ok(Self { words, users, context })
    }

    /// What the common options say.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Finds the named users, and parses the command line with their ids.
    pub async fn resolve(self) -> Result<(Cli, Context), Refused> {
        let Self { words, users: named, mut context } = self;
        let mut users = BTreeMap::new();
        for (text, user) in named {
            if let Entry::Vacant(place) = users.entry(text) {
                if matches!(user, UserRef::Named(_)) {
                    context = context.with_devnet()?;
                }
                place.insert(users::resolve(&user, &context).await?);
            }
        }
        let users = Arc::new(users);
        let found = move |text: &str| users.get(text).copied().ok_or("it does not name a user");
        let known = with_users(Cli::command(), &ValueParser::new(found));
        let matches = known.try_get_matches_from(words)?;
        Ok((Cli::from_arg_matches(&matches)?, context))
    }
}

/// The command, with another parser for users.
fn with_users(command: Command, parser: &ValueParser) -> Command {
    command
        .mut_args(|arg| if is_user(&arg) { arg.value_parser(parser.clone()) } else { arg })
        .mut_subcommands(|command| with_users(command, parser))
}

fn is_user(arg: &Arg) -> bool {
    let kind = arg.get_value_parser().type_id();
    kind == TypeId::of::<UserId>() || kind == TypeId::of::<UserRef>()
}

/// Every user that the arguments name, with the text of the argument.
fn users_in(command: &Command, matches: &ArgMatches) -> Vec<(String, UserRef)> {
    let mut users = Vec::new();
    for arg in command.get_arguments().filter(|arg| is_user(arg)) {
        let id = arg.get_id().as_str();
        let texts = matches.get_raw(id).into_iter().flatten();
        let read = matches.get_many::<UserRef>(id).into_iter().flatten();
        users.extend(texts.map(|text| text.to_string_lossy().into_owned()).zip(read.cloned()));
    }
    if let Some((name, matches)) = matches.subcommand()
        && let Some(command) = command.find_subcommand(name)
    {
        users.extend(users_in(command, matches));
    }
    users
}

/// The same error, with a usage line without the options that only the environment sets.
fn without_environment(command: Command, words: &[OsString], error: clap::Error) -> clap::Error {
    let shows_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if is_answer(&error) || shows_help {
        return error;
    }
    let quiet = hiding_environment(command);
    quiet.try_get_matches_from(words).err().filter(|it| it.kind() == error.kind()).unwrap_or(error)
}

fn hiding_environment(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let is_set = arg.get_env().is_some_and(|name| std::env::var_os(name).is_some());
            if is_set { arg.hide(true) } else { arg }
        })
        .mut_subcommands(hiding_environment)
}

/// Whether it is the requested help or version, and not misuse.
pub fn is_answer(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// What clap says, without the passwords of addresses.
fn printable(error: &clap::Error) -> String {
    without_userinfo(&error.render().to_string())
}

/// Whether the text of clap can be printed as it is: it has no password of an address.
pub fn is_printable(error: &clap::Error) -> bool {
    printable(error) == error.render().to_string()
}

/// Misuse in the form of every other failure: one line says what is wrong, with the names of missing arguments; the
/// help has suggestions and the usage.
pub fn misuse(error: &clap::Error) -> Failure {
    let text = printable(error);
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let usage = text.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or_default();
        return Failure::usage("a subcommand is missing", format!("usage: {usage}; or --help"));
    }
    let mut paragraphs = text.split("\n\n").map(str::trim);
    let first = paragraphs.next().unwrap_or_default().trim_start_matches("error: ");
    let mut what = first.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    if let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) {
        let heading = first.lines().next().unwrap_or_default();
        what = format!("{heading} {}", missing.join(", "));
    }
    let mut help: Vec<_> = paragraphs
        .filter(|paragraph| !paragraph.starts_with("For more information"))
        .flat_map(str::lines)
        .map(str::trim)
        .map(|line| line.trim_start_matches("tip: ").replacen("Usage: ", "usage: ", 1))
        .filter(|line| !line.is_empty())
        .collect();
    if help.is_empty() {
        help.push("run the command with --help".into());
    }
    Failure::usage(what, help.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    async fn parse(words: Vec<OsString>) -> Result<(Cli, Context), Refused> {
        Arguments::read(words)?.resolve().await
    }

    async fn failure(line: &str) -> Failure {
        match parse(words(line)).await {
            Err(Refused::Misused(error)) => misuse(&error),
            Err(Refused::Failed(failure)) => *failure,
            Ok(_) => panic!("{line} is understood"),
        }
    }

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[tokio::test]
    async fn an_id_is_understood_without_a_chain() {
        let id = "0a".repeat(32);
        let line = format!("epione records list --patient 0x{id} --node ws://127.0.0.1:1 --json");
        let (cli, context) = parse(words(&line)).await.unwrap_or_else(|_| panic!());
        assert!(context.common().json);
        let crate::commands::Command::Records(crate::commands::records::Command::List(list)) =
            cli.command
        else {
            panic!()
        };
        assert_eq!(list.patient, UserId([10; 32]));
    }

    #[tokio::test]
    async fn a_name_needs_the_chain() {
        let line = "epione records list --patient ada --node ws://127.0.0.1:1";
        let failure = failure(line).await;
        assert!(failure.error.contains("127.0.0.1:1"), "{failure}");
    }

    #[tokio::test]
    async fn what_is_missing_is_named_in_one_line() {
        let missing = failure("epione visit submit").await;
        for name in ["--as <FILE>", "--patient <USER>", "--hospital <HOSPITAL>"] {
            assert!(missing.error.contains(name), "{missing}");
        }
        assert!(
            !missing.error.contains('\n') && missing.help.contains("usage: epione visit submit")
        );
        let group = failure("epione audit who-looked").await;
        assert!(group.error.contains("--patient") && group.error.contains("--as"), "{group}");
        let bare = failure("epione visit").await;
        assert!(bare.error.contains("subcommand") && bare.help.contains("epione visit"), "{bare}");
    }

    #[tokio::test]
    async fn misuse_does_not_show_the_password_of_an_address() {
        for line in [
            "epione hospital list --worker https://ada:secret@worker.example:x",
            "epione hospital list wss://ada:secret@node.example",
        ] {
            let Err(Refused::Misused(error)) = parse(words(line)).await else { panic!("{line}") };
            assert!(!is_printable(&error), "{line}");
            let misused = misuse(&error).to_string();
            assert!(misused.contains(".example") && !misused.contains("secret"), "{misused}");
        }
        let Err(Refused::Misused(error)) = parse(words("epione vist")).await else { panic!() };
        assert!(is_printable(&error));
    }

    #[tokio::test]
    async fn a_mistyped_word_has_a_suggestion() {
        for (line, meant) in [
            ("epione vist submit", "'visit'"),
            ("epione visit submit --patent x", "'--patient'"),
            ("epione relate --kind famly-doctor", "'family-doctor'"),
            ("epione visit submit --text diagnosys=x", "did you mean diagnosis?"),
            ("epione visit submit --text report:sharred=x", "did you mean report?"),
            ("epione policy explain --action read-txt", "'read-text'"),
        ] {
            let failure = failure(line).await;
            assert!(failure.to_string().contains(meant), "{line}: {failure}");
        }
    }
}
