//! `epione credential`: attributes of users that hospitals confirm.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use clap::{Args, Subcommand};
use epione_client::chain::{Snapshot, calls::credentials};
use epione_primitives::{
    BlockNumber, HospitalId, Moment, UserId,
    credential::{AttributeId, is_attribute_name},
    limits::MAX_ATTRIBUTE_NAME_BYTES,
};
use serde::Serialize;

use super::{
    query::time,
    relation::{from_now, span},
};
use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::KeySource,
    show,
    similar::did_you_mean,
    table,
    wording::{legible, moment},
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the attributes that hospitals can confirm, with the numbers that policy files use
    Attributes,
    /// Lists what hospitals confirm about a user
    List(ListArgs),
    /// Confirms an attribute of a user, as a hospital; a credential in force is replaced
    Issue(IssueArgs),
    /// Ends a credential of the hospital before its time
    Revoke(RevokeArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Attributes => show(&attributes(context).await?, json),
            Self::List(args) => show(&list(args, context).await?, json),
            Self::Issue(args) => show(&issue(args, context).await?, json),
            Self::Revoke(args) => show(&revoke(args, context).await?, json),
        }
    }
}

/// The names of the attributes of a chain.
pub type Names = BTreeMap<AttributeId, String>;

/// Reads the names of all attributes.
pub async fn names(snapshot: &Snapshot) -> Result<Names, Failure> {
    let all = snapshot.all_attributes().await?;
    Ok(all.into_iter().map(|(attribute, name)| (attribute, legible(&name))).collect())
}

/// An attribute on the command line: its number, or its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeRef {
    Id(AttributeId),
    Name(String),
}

impl FromStr for AttributeRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Id(AttributeId(number)));
        }
        let fits = text.len() <= MAX_ATTRIBUTE_NAME_BYTES as usize;
        if fits && is_attribute_name(text.as_bytes()) {
            return Ok(Self::Name(text.to_owned()));
        }
        Err("an attribute is a number from 0 to 65535, or a name such as cardiology".into())
    }
}

impl AttributeRef {
    fn find(&self, names: &Names) -> Result<AttributeId, Failure> {
        let (found, unknown) = match self {
            Self::Id(id) => {
                (names.contains_key(id).then_some(*id), format!("attribute {id} has no name"))
            }
            Self::Name(name) => {
                let found = names.iter().find(|(_, known)| *known == name).map(|(id, _)| *id);
                let similar = did_you_mean(name, names.values().map(String::as_str));
                (found, format!("there is no attribute {name}{similar}"))
            }
        };
        found.ok_or_else(|| Failure::new(unknown, "choose an attribute that the council has named"))
    }
}

/// An attribute that the council named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    pub attribute: AttributeId,
    pub name: String,
}

/// Every attribute, by its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttributeList {
    pub attributes: Vec<Named>,
}

impl Output for AttributeList {}

impl fmt::Display for AttributeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["NUMBER", "NAME"].map(String::from);
        let rows = self.attributes.iter().map(|it| [it.attribute.to_string(), it.name.clone()]);
        let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
        write!(f, "{}", table::lines(&rows).join("\n"))
    }
}

/// Lists the attributes.
pub async fn attributes(context: &Context) -> Result<AttributeList, Failure> {
    let names = names(&context.chain().await?.finalized().await?).await?;
    let attributes = names.into_iter().map(|(attribute, name)| Named { attribute, name }).collect();
    Ok(AttributeList { attributes })
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// The user
    #[arg(long, value_name = "USER")]
    pub user: UserId,
}

/// The newest credential of a user for an attribute and an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    pub attribute: AttributeId,
    pub name: String,
    /// The hospital that confirms it.
    pub issuer: HospitalId,
    /// Unix time in milliseconds.
    pub since: Moment,
    pub until: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Moment>,
    /// Whether it counts now: it is in force, and its issuer is active.
    pub counts: bool,
}

/// What hospitals confirm about a user, by attribute and issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CredentialList {
    pub user: UserId,
    pub credentials: Vec<Listed>,
}

impl Output for CredentialList {}

impl fmt::Display for CredentialList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.credentials.is_empty() {
            return write!(f, "no hospital has confirmed an attribute of {}", self.user);
        }
        let heading = ["ATTRIBUTE", "NAME", "HOSPITAL", "SINCE", "UNTIL", "COUNTS"];
        let rows = self.credentials.iter().map(|it| {
            let until = match it.revoked {
                Some(revoked) => format!("{} (revoked)", moment(revoked)),
                None => moment(it.until),
            };
            let counts = if it.counts { "yes" } else { "no" };
            [
                it.attribute.to_string(),
                it.name.clone(),
                it.issuer.to_string(),
                moment(it.since),
                until,
                counts.into(),
            ]
        });
        let rows: Vec<_> = std::iter::once(heading.map(String::from)).chain(rows).collect();
        write!(f, "{}", table::lines(&rows).join("\n"))
    }
}

/// Lists the newest credentials of a user.
pub async fn list(args: &ListArgs, context: &Context) -> Result<CredentialList, Failure> {
    let snapshot = context.chain().await?.finalized().await?;
    let now = snapshot.time().await?;
    let names = names(&snapshot).await?;
    let serving: Vec<HospitalId> = snapshot
        .hospitals()
        .await?
        .into_iter()
        .filter(|(_, hospital)| hospital.status.serves())
        .map(|(id, _)| id)
        .collect();
    let mut found = snapshot.all_credentials(args.user).await?;
    found.sort_unstable_by_key(|(attribute, issuer, _)| (*attribute, *issuer));
    let credentials = found.into_iter().map(|(attribute, issuer, credential)| Listed {
        attribute,
        name: names.get(&attribute).cloned().unwrap_or_default(),
        issuer,
        since: credential.since,
        until: credential.until,
        revoked: credential.revoked,
        counts: credential.in_force(now) && serving.contains(&issuer),
    });
    Ok(CredentialList { user: args.user, credentials: credentials.collect() })
}

#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The user
    #[arg(long, value_name = "USER")]
    pub user: UserId,
    /// Number or name of the attribute, as `epione credential attributes` lists them
    #[arg(long, value_name = "ATTRIBUTE")]
    pub attribute: AttributeRef,
    /// Key file of the hospital's governance [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

#[derive(Debug, Args)]
pub struct IssueArgs {
    #[command(flatten)]
    pub credential: RevokeArgs,
    /// When it ends, in UTC: 2027-01-31 or 2027-01-31T12:00:00Z; at most 366 days from now
    #[arg(long, value_name = "TIME", value_parser = time, required_unless_present = "span")]
    pub until: Option<Moment>,
    /// Time from now until it ends, such as 365d, 12h or 45m
    #[arg(long = "for", value_name = "TIME", value_parser = span, conflicts_with = "until")]
    pub span: Option<Duration>,
}

/// A credential that was issued or revoked on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    pub user: UserId,
    pub attribute: AttributeId,
    pub name: String,
    pub issuer: HospitalId,
    /// Unix time in milliseconds; none if it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// The chain block of the change.
    pub block: BlockNumber,
}

impl Output for Changed {}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, attribute, name, issuer, until, block } = self;
        match until {
            Some(until) => write!(
                f,
                "from block {block} on, hospital {issuer} confirms {name} (attribute {attribute}) \
                 of {user}, until {}",
                moment(*until)
            ),
            None => write!(
                f,
                "from block {block} on, hospital {issuer} no longer confirms {name} (attribute \
                 {attribute}) of {user}"
            ),
        }
    }
}

/// Confirms an attribute of a user.
pub async fn issue(args: &IssueArgs, context: &Context) -> Result<Changed, Failure> {
    let until = match (args.until, args.span) {
        (Some(until), _) => until,
        (None, Some(span)) => from_now(span, "--for")?,
        (None, None) => {
            return Err(Failure::usage(
                "no end is given",
                "say until when the attribute is confirmed: --until TIME or --for TIME",
            ));
        }
    };
    change(&args.credential, Some(until), context).await
}

/// Ends a credential.
pub async fn revoke(args: &RevokeArgs, context: &Context) -> Result<Changed, Failure> {
    change(args, None, context).await
}

async fn change(
    args: &RevokeArgs,
    until: Option<Moment>,
    context: &Context,
) -> Result<Changed, Failure> {
    let (issuer, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let chain = context.chain().await?;
    let names = names(&chain.finalized().await?).await?;
    let attribute = args
        .attribute
        .find(&names)
        .map_err(|failure| failure.with_command(context.command(["credential", "attributes"])))?;
    let call = match until {
        Some(until) => credentials::issue(args.user, attribute, until),
        None => credentials::revoke(args.user, attribute),
    };
    let block = chain.submit(&call, &governance).await?.block.number;
    let name = names.get(&attribute).cloned().unwrap_or_default();
    Ok(Changed { user: args.user, attribute, name, issuer, until, block })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn parse(words: &[&str]) -> Result<Command, clap::Error> {
        let line = ["credential"].iter().chain(words).copied();
        Line::try_parse_from(line).map(|line| line.command)
    }

    const USER: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

    #[test]
    fn an_attribute_is_a_number_or_a_name() {
        assert_eq!("3".parse::<AttributeRef>(), Ok(AttributeRef::Id(AttributeId(3))));
        assert_eq!(
            "public-health".parse::<AttributeRef>(),
            Ok(AttributeRef::Name("public-health".into()))
        );
        for wrong in ["", "-1", "65536", "Cardiology", "a b", &"a".repeat(33)] {
            assert!(wrong.parse::<AttributeRef>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_attribute_is_found_by_number_and_name_and_a_mistyped_one_gets_a_suggestion() {
        let names: Names =
            (0..).map(AttributeId).zip(["cardiology", "oncology"].map(String::from)).collect();
        let find = |text: &str| text.parse::<AttributeRef>().unwrap().find(&names);
        for text in ["1", "oncology"] {
            assert_eq!(find(text).ok(), Some(AttributeId(1)), "{text}");
        }
        assert!(find("2").is_err());
        let refused = find("cardiologie").unwrap_err();
        assert!(refused.to_string().contains("did you mean cardiology?"), "{refused}");
    }

    #[test]
    fn a_credential_has_one_end() {
        let issue = ["issue", "--user", USER, "--attribute", "cardiology"];
        let with = |more: &[&str]| parse(&[&issue[..], more].concat());
        for more in [&["--for", "30d"][..], &["--until", "2100-01-31"]] {
            let Ok(Command::Issue(args)) = with(more) else { panic!("{more:?}") };
            assert_eq!(args.credential.attribute, AttributeRef::Name("cardiology".into()));
            assert!(args.until.is_some() != args.span.is_some());
        }
        for more in [
            &[][..],
            &["--for", "30"],
            &["--until", "soon"],
            &["--for", "30d", "--until", "2100-01-31"],
        ] {
            assert!(with(more).is_err(), "{more:?}");
        }
        assert!(parse(&["revoke", "--user", USER]).is_err());
        assert!(parse(&["revoke", "--user", USER, "--attribute", "1"]).is_ok());
    }

    #[test]
    fn a_credential_that_was_revoked_or_whose_issuer_is_not_active_does_not_count() {
        let listed = |revoked, counts| Listed {
            attribute: AttributeId(3),
            name: "pharmacy".into(),
            issuer: HospitalId(1),
            since: 0,
            until: 86_400_000,
            revoked,
            counts,
        };
        let credentials = vec![listed(None, true), listed(Some(1_000), false)];
        let text = CredentialList { user: UserId([1; 32]), credentials }.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].contains("1970-01-02T00:00:00Z") && lines[1].ends_with("yes"), "{text}");
        assert!(lines[2].contains("(revoked)") && lines[2].ends_with("no"), "{text}");
        let none = CredentialList { user: UserId([1; 32]), credentials: vec![] }.to_string();
        assert!(none.contains("no hospital has confirmed"), "{none}");
    }
}
