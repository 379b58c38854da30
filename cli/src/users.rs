//! Users as the command line names them: by id, by its first digits, or by a name of the user's own.

use std::{collections::BTreeSet, str::FromStr};

use epione_primitives::UserId;

use crate::{
    context::Context,
    failure::Failure,
    names::{AddressBook, Bearer, Name},
    progress,
};

/// Longest argument for a user, in characters.
const MAX_CHARS: usize = 128;
/// Minimum number of digits to identify a user.
const MIN_DIGITS: usize = 4;
/// Maximum number of users that are listed when digits are ambiguous.
const SHOWN: usize = 8;

/// A user as the command line names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserRef {
    Id(UserId),
    /// The first digits of their id, or a name from the address book.
    Named(String),
}

impl FromStr for UserRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        if text.trim().is_empty() || text.chars().count() > MAX_CHARS {
            return Err("give a user id, its first digits, or a name that you set".into());
        }
        Ok(Self::Named(text.into()))
    }
}

/// Finds the user: in the address book first, then on the chain.
pub async fn resolve(user: &UserRef, context: &Context) -> Result<UserId, Failure> {
    let text = match user {
        UserRef::Id(id) => return Ok(*id),
        UserRef::Named(text) => text,
    };
    let book = context.address_book().await?;
    match book.bearer(text) {
        Some(Bearer::User(id)) => return Ok(id),
        Some(Bearer::Hospital(id)) => {
            return Err(Failure::usage(
                format!("{text} is your name for hospital {id}, not for a user"),
                "give a user",
            ));
        }
        None => {}
    }
    match digits(text) {
        Some(digits) if digits.len() >= MIN_DIGITS => beginning(&digits, &book, context).await,
        Some(_) => Err(unknown(
            format!(
                "{text:?} is too short to identify a user: give at least {MIN_DIGITS} digits of the id"
            ),
            context,
        )),
        None => Err(unknown(
            format!(
                "{text:?} is neither a user id nor a name that you set{}",
                book.did_you_mean(text)
            ),
            context,
        )),
    }
}

fn unknown(error: String, context: &Context) -> Failure {
    Failure::usage(error, "choose one of your names, or a registered user")
        .with_command(context.command(["name", "list"]))
        .with_command(context.command(["user", "list"]))
}

/// The digits of a shortened id, in the form in which it is printed.
fn digits(text: &str) -> Option<String> {
    let text = text.trim_end_matches(['…', '.']);
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let is_hex = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit());
    (is_hex && digits.len() <= 64).then(|| digits.to_ascii_lowercase())
}

/// The only user on the chain whose id begins with these digits.
async fn beginning(digits: &str, book: &AddressBook, context: &Context) -> Result<UserId, Failure> {
    let spinner = progress::waiting(context, format!("searching for the user 0x{digits}…"));
    let found = all_beginning(digits, context).await;
    spinner.finish_and_clear();
    let found = found?;
    if found.is_empty() {
        let meant = book.did_you_mean(digits);
        return Err(unknown(format!("no user's id begins with 0x{digits}{meant}"), context));
    }
    the_one(&found, digits, |user| book.name_of(Bearer::User(*user)).map(Name::to_string))
}

/// The only user that was found; if there are several, the failure lists them.
fn the_one(
    found: &BTreeSet<UserId>,
    digits: &str,
    name_of: impl Fn(&UserId) -> Option<String>,
) -> Result<UserId, Failure> {
    if let (Some(user), 1) = (found.first(), found.len()) {
        return Ok(*user);
    }
    let line = |user: &UserId| match name_of(user) {
        Some(name) => format!("{user} ({name})"),
        None => user.to_string(),
    };
    let mut candidates: Vec<_> = found.iter().take(SHOWN).map(line).collect();
    if found.len() > SHOWN {
        candidates.push(format!("and {} more", found.len() - SHOWN));
    }
    Err(Failure::usage(
        format!("the ids of {} users begin with 0x{digits}", found.len()),
        format!("give more digits: {}", candidates.join(", ")),
    ))
}

async fn all_beginning(digits: &str, context: &Context) -> Result<BTreeSet<UserId>, Failure> {
    let snapshot = context.chain().await?.finalized().await?;
    let mut found = BTreeSet::new();
    for (hospital, _) in snapshot.hospitals().await? {
        let members = snapshot.for_each_member(hospital, |user, _| {
            if hex::encode(user.0).starts_with(digits) {
                found.insert(user);
            }
        });
        members.await?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_needs_no_address_book() {
        let digits = "0a".repeat(32);
        for text in [digits.clone(), format!("0x{digits}")] {
            assert_eq!(text.parse(), Ok(UserRef::Id(UserId([10; 32]))));
        }
        for text in ["ada", "0x0a0a", &digits[..62]] {
            assert_eq!(text.parse(), Ok(UserRef::Named(text.into())));
        }
        assert!("".parse::<UserRef>().is_err());
        assert!("x".repeat(129).parse::<UserRef>().is_err());
    }

    #[test]
    fn a_shortened_id_is_read_as_it_is_printed() {
        for text in ["0x9078ba2b…", "9078BA2B", "0x9078ba2b..."] {
            assert_eq!(digits(text).as_deref(), Some("9078ba2b"), "{text}");
        }
        for text in ["ada!", "0x", "…", "0x9078...5ba7"] {
            assert_eq!(digits(text), None, "{text}");
        }
    }

    #[test]
    fn several_users_are_listed_by_id_and_name() {
        let users: BTreeSet<_> = (0..10)
            .map(|last| {
                let mut id = [0xab; 32];
                id[31] = last;
                UserId(id)
            })
            .collect();
        let name_of = |user: &UserId| (user.0[31] == 1).then(|| "ada".to_owned());
        let several = the_one(&users, "abab", name_of).unwrap_err();
        assert!(several.error.contains("10 users begin with 0xabab"), "{several}");
        assert!(several.help.contains("01 (ada), 0xab") && several.help.ends_with("and 2 more"));
        let one: BTreeSet<_> = users.into_iter().take(1).collect();
        assert_eq!(the_one(&one, "abab", name_of).unwrap(), *one.first().unwrap());
    }
}
