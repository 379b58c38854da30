//! `epione name`: the user's own names for users and hospitals.

use std::fmt;

use clap::{ArgGroup, Args, Subcommand};
use epione_primitives::UserId;
use serde::Serialize;

use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::KeySource,
    names::{Bearer, Name},
    show, table,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sets your name for a user or a hospital; every command accepts it instead of the id or number
    Set(SetArgs),
    /// Lists your names on this chain
    List,
    /// Removes a name
    Remove(RemoveArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Set(args) => show(&set(args, context).await?, json),
            Self::List => show(&list(context).await?, json),
            Self::Remove(args) => show(&remove(args, context).await?, json),
        }
    }
}

#[derive(Debug, Args)]
#[command(override_usage = "epione name set <NAME> <USER>
       epione name set <NAME> --keys <FILE>
       epione name set <NAME> --hospital <HOSPITAL>")]
#[command(group(ArgGroup::new("bearer").required(true).args(["user", "keys", "hospital"])))]
pub struct SetArgs {
    /// The name; it begins with a letter. If it exists, its earlier meaning is replaced
    pub name: Name,
    /// The user to name
    #[arg(value_name = "USER")]
    pub user: Option<UserId>,
    /// Instead of USER: the user's key file; only its public half is read
    #[arg(long, value_name = "FILE")]
    pub keys: Option<KeySource>,
    /// Number or name of the hospital to name
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The name to remove
    pub name: Name,
}

/// A name, and the user or hospital that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub name: Name,
    #[serde(flatten)]
    pub bearer: Bearer,
}

impl fmt::Display for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Hospital(hospital) => write!(f, "hospital {hospital}"),
        }
    }
}

/// A name that was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    #[serde(flatten)]
    pub entry: Entry,
    /// Its earlier meaning, if that was another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Bearer>,
}

impl Output for Named {}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.entry.name, self.entry.bearer)?;
        self.before.map_or(Ok(()), |before| write!(f, " (before: {before})"))
    }
}

/// Sets a name.
pub async fn set(args: &SetArgs, context: &Context) -> Result<Named, Failure> {
    let bearer = match (args.user, &args.keys, &args.hospital) {
        (Some(user), ..) => Bearer::User(known(user, context).await?),
        (None, Some(keys), _) => Bearer::User(context.user_with(&keys.public()?.account).await?),
        (None, None, Some(hospital)) => Bearer::Hospital(context.hospital(hospital).await?),
        (None, None, None) => {
            return Err(Failure::usage(
                "no user or hospital is given",
                "pass USER, --keys or --hospital",
            ));
        }
    };
    ensure_free(&args.name, bearer, context).await?;
    let before = context.address_book().await?.set(args.name.clone(), bearer)?;
    let entry = Entry { name: args.name.clone(), bearer };
    Ok(Named { entry, before: before.filter(|before| *before != bearer) })
}

async fn known(user: UserId, context: &Context) -> Result<UserId, Failure> {
    match context.chain().await?.finalized().await?.profile(user).await? {
        Some(_) => Ok(user),
        None => Err(Failure::new(
            format!("the chain has no user {user}"),
            "use the id of a registered user",
        )
        .with_command(context.command(["user", "list"]))),
    }
}

/// Refuses a name that is another hospital's own name.
async fn ensure_free(name: &Name, bearer: Bearer, context: &Context) -> Result<(), Failure> {
    let hospitals = context.chain().await?.finalized().await?.hospitals().await?;
    let own = |name: &Name, known: &[u8]| name.as_str().as_bytes().eq_ignore_ascii_case(known);
    let taken = hospitals.into_iter().find(|(_, known)| own(name, &known.name));
    match taken {
        Some((id, _)) if bearer != Bearer::Hospital(id) => Err(Failure::usage(
            format!("{name} is already the name of hospital {id}"),
            "choose another name",
        )),
        _ => Ok(()),
    }
}

/// All names on a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Names {
    pub names: Vec<Entry>,
}

impl Output for Names {}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names.is_empty() {
            return write!(f, "you have no names on this chain yet: see epione name set --help");
        }
        let rows: Vec<_> = self
            .names
            .iter()
            .map(|entry| [entry.name.to_string(), entry.bearer.to_string()])
            .collect();
        f.write_str(&table::lines(&rows).join("\n"))
    }
}

/// Lists the names on the chain.
pub async fn list(context: &Context) -> Result<Names, Failure> {
    let book = context.address_book().await?;
    let entry = |(name, bearer): (&Name, &Bearer)| Entry { name: name.clone(), bearer: *bearer };
    Ok(Names { names: book.names().iter().map(entry).collect() })
}

/// A name that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Removed(pub Entry);

impl Output for Removed {}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no longer a name of {}", self.0.name, self.0.bearer)
    }
}

/// Removes a name.
pub async fn remove(args: &RemoveArgs, context: &Context) -> Result<Removed, Failure> {
    let mut book = context.address_book().await?;
    let name = args.name.clone();
    match book.remove(&name)? {
        Some(bearer) => Ok(Removed(Entry { name, bearer })),
        None => {
            let meant = book.did_you_mean(name.as_str());
            Err(Failure::usage(
                format!("you have not set the name {name}{meant}"),
                "choose one of your names",
            )
            .with_command(context.command(["name", "list"])))
        }
    }
}
