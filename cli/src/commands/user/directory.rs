//! `epione user list` and `show`: the users on the chain, where they are registered, and since when.

use std::{collections::BTreeMap, fmt};

use clap::Args;
use epione_client::chain::Snapshot;
use epione_primitives::{
    AccountId, HospitalId, UserId,
    profile::{Period, Profile, Registration, RegistrationStatus, Role},
};
use serde::Serialize;

use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    names::{AddressBook, Bearer, Name},
    progress, table,
    wording::{legible, moment, word},
    words::argument,
};

/// Minimum number of digits of an id in a list; more if two users would look the same.
const MIN_DIGITS: usize = 8;
/// Number of profiles that are requested together.
const AT_ONCE: usize = 512;

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only users who are or were registered at this hospital
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
    /// Only users with this role
    #[arg(long, value_parser = argument::<Role>())]
    pub role: Option<Role>,
    /// Only users whose registration is in force, at any hospital or at the one of --hospital
    #[arg(long)]
    pub active: bool,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The user: user id, its first digits, or a name that you set
    #[arg(value_name = "USER")]
    pub user: UserId,
}

/// A user on the chain. Without the person's name, which only hospitals have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    pub user: UserId,
    /// The reader's own name for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    pub role: Role,
    pub account: AccountId,
    pub registrations: Vec<Registered>,
}

/// A registration, and the periods in which it was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    pub hospital: HospitalId,
    pub hospital_name: String,
    pub status: RegistrationStatus,
    /// Oldest first, in Unix time in milliseconds.
    pub periods: Vec<Period>,
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hospital, hospital_name, status, .. } = self;
        write!(f, "{} at {hospital_name} ({hospital})", word(status))
    }
}

/// Users, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Directory {
    pub users: Vec<Listed>,
}

impl Output for Directory {}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.users.is_empty() {
            return write!(f, "no registered user matches");
        }
        let heading = ["USER", "NAME", "ROLE", "REGISTRATIONS"].map(String::from);
        let ids: Vec<_> = self.users.iter().map(|listed| listed.user).collect();
        let rows = self.users.iter().zip(shortened(&ids)).map(|(listed, id)| {
            let registrations = listed.registrations.iter().map(Registered::to_string);
            [
                id,
                listed.name.as_ref().map_or("-".into(), Name::to_string),
                word(&listed.role),
                registrations.collect::<Vec<_>>().join(", "),
            ]
        });
        let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
        f.write_str(&table::lines(&rows).join("\n"))
    }
}

/// The first digits of sorted ids, enough to distinguish each id from its neighbors.
fn shortened(ids: &[UserId]) -> Vec<String> {
    let digits: Vec<_> = ids.iter().map(|id| hex::encode(id.0)).collect();
    let common = |one: &str, other: &str| {
        one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
    };
    let length = digits.windows(2).map(|pair| common(&pair[0], &pair[1]) + 1).max();
    let length = length.unwrap_or_default().clamp(MIN_DIGITS, 64);
    digits.iter().map(|digits| format!("0x{}…", &digits[..length])).collect()
}

/// Everything that the chain has about one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Shown(pub Listed);

impl Output for Shown {}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listed { user, name, role, account, registrations } = &self.0;
        writeln!(f, "user     {user}")?;
        if let Some(name) = name {
            writeln!(f, "name     {name} (set by you)")?;
        }
        writeln!(f, "role     {}", word(role))?;
        writeln!(f, "account  {account}")?;
        for registered in registrations {
            writeln!(f, "{registered}")?;
            for Period { since, until } in &registered.periods {
                match until {
                    Some(until) => writeln!(f, "  {} to {}", moment(*since), moment(*until))?,
                    None => writeln!(f, "  since {}", moment(*since))?,
                }
            }
        }
        Ok(())
    }
}

/// The names of hospitals, and the reader's own names.
struct Names {
    hospitals: BTreeMap<HospitalId, String>,
    own: AddressBook,
}

impl Names {
    async fn open(snapshot: &Snapshot, context: &Context) -> Result<Self, Failure> {
        let hospitals = snapshot.hospitals().await?;
        let hospitals = hospitals.iter().map(|(id, known)| (*id, legible(&known.name))).collect();
        Ok(Self { hospitals, own: context.address_book().await? })
    }

    fn listed(
        &self,
        user: UserId,
        profile: Profile,
        registrations: impl IntoIterator<Item = (HospitalId, Registration)>,
    ) -> Listed {
        let registered = |(hospital, registration): (HospitalId, Registration)| Registered {
            hospital,
            hospital_name: self.hospitals.get(&hospital).cloned().unwrap_or_default(),
            status: registration.status,
            periods: registration.periods.into_inner(),
        };
        Listed {
            user,
            name: self.own.name_of(Bearer::User(user)).cloned(),
            role: profile.role,
            account: profile.account,
            registrations: registrations.into_iter().map(registered).collect(),
        }
    }
}

/// Lists all users.
pub async fn list(args: &ListArgs, context: &Context) -> Result<Directory, Failure> {
    let only = match &args.hospital {
        Some(hospital) => Some(context.hospital(hospital).await?),
        None => None,
    };
    let snapshot = context.chain().await?.finalized().await?;
    let names = Names::open(&snapshot, context).await?;
    let spinner = progress::waiting(context, "reading the registered users");
    let users = users(args, only, &snapshot, &names).await;
    spinner.finish_and_clear();
    Ok(Directory { users: users? })
}

async fn users(
    args: &ListArgs,
    only: Option<HospitalId>,
    snapshot: &Snapshot,
    names: &Names,
) -> Result<Vec<Listed>, Failure> {
    let mut members: BTreeMap<UserId, Vec<(HospitalId, Registration)>> = BTreeMap::new();
    for hospital in names.hospitals.keys().filter(|id| only.is_none_or(|only| only == **id)) {
        let see = |user, registration: Registration| {
            if !args.active || registration.status == RegistrationStatus::Active {
                members.entry(user).or_default().push((*hospital, registration));
            }
        };
        snapshot.for_each_member(*hospital, see).await?;
    }
    let role = args.role;
    let ids: Vec<_> = members.keys().copied().collect();
    let mut users = Vec::new();
    for ids in ids.chunks(AT_ONCE) {
        let profiles = snapshot.profiles(ids).await?;
        for (user, profile) in ids.iter().zip(profiles) {
            let registrations = members.remove(user).unwrap_or_default();
            match profile {
                Some(profile) if role.is_none_or(|role| role == profile.role) => {
                    users.push(names.listed(*user, profile, registrations));
                }
                _ => {}
            }
        }
    }
    Ok(users)
}

/// Shows one user.
pub async fn show(args: &ShowArgs, context: &Context) -> Result<Shown, Failure> {
    let snapshot = context.chain().await?.finalized().await?;
    let Some(profile) = snapshot.profile(args.user).await? else {
        let error = format!("the chain has no user {}", args.user);
        return Err(Failure::new(error, "use the id of a registered user")
            .with_command(context.command(["user", "list"])));
    };
    let registrations = snapshot.registrations(args.user).await?;
    let names = Names::open(&snapshot, context).await?;
    Ok(Shown(names.listed(args.user, profile, registrations)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortened_ids_are_distinct() {
        let id = |byte: u8, at: usize| {
            let mut id = [0; 32];
            id[at] = byte;
            UserId(id)
        };
        assert!(shortened(&[]).is_empty());
        assert_eq!(shortened(&[id(0, 0)]), ["0x00000000…"]);
        assert_eq!(
            shortened(&[id(1, 9), id(2, 9)]),
            ["0x00000000000000000001…", "0x00000000000000000002…"]
        );
        let last = shortened(&[id(1, 31), id(2, 31)]);
        assert_ne!(last[0], last[1]);
    }
}
