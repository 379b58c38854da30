//! `epione user confirm-keys`: a hospital's governance confirms that a user's new keys are the user's.

use std::fmt;

use clap::{ArgGroup, Args};
use epione_primitives::{Hash, HospitalId, UserId};
use serde::Serialize;

use super::read_sealing_key;
use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::KeySource,
    progress,
};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("new_key").required(true).args(["keys", "sealing_key"])))]
pub struct ConfirmArgs {
    /// The user who rotated their keys
    #[arg(long, value_name = "USER")]
    pub user: UserId,
    /// The user's new key file; only its public half is read
    #[arg(long, value_name = "FILE")]
    pub keys: Option<KeySource>,
    /// Instead of --keys: the user's new public sealing key in hexadecimal, as `epione keys show --json` prints it
    #[arg(long, value_name = "HEX")]
    pub sealing_key: Option<String>,
    /// Key file of the hospital's governance [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

/// Keys that are confirmed: the hospital has sealed the profile to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Confirmed {
    pub user: UserId,
    pub hospital: HospitalId,
    pub sealing_key_hash: Hash,
}

impl Output for Confirmed {}

impl fmt::Display for Confirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, hospital, sealing_key_hash } = self;
        write!(
            f,
            "hospital {hospital} has sealed the profile of {user} to the new sealing key {sealing_key_hash:?}"
        )
    }
}

/// Confirms keys that the chain names for the user; returns when the new profile is final.
pub async fn confirm(args: &ConfirmArgs, context: &Context) -> Result<Confirmed, Failure> {
    let key = match (&args.keys, &args.sealing_key) {
        (Some(keys), _) => keys.public()?.sealing,
        (None, Some(text)) => read_sealing_key(text)?,
        (None, None) => {
            return Err(Failure::usage(
                "the user's new sealing key is not given",
                "pass --keys FILE or --sealing-key HEX",
            ));
        }
    };
    let (hospital, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let (user, sealing_key_hash) = (args.user, key.hash());
    let on_chain = context.chain().await?.finalized().await?.profile(user).await?;
    match on_chain {
        Some(profile) if profile.sealing_key_hash == sealing_key_hash => {}
        Some(_) => {
            return Err(Failure::new(
                "the chain names another sealing key for this user: nothing was confirmed",
                "ask the user which key file is the newest; if the user did not rotate keys, suspend the user's \
                 registration at once",
            )
            .with_command(context.command(["user", "suspend", "--help"])));
        }
        None => {
            return Err(Failure::new(
                format!("the chain has no user {user}"),
                "use the id of a registered user",
            )
            .with_command(context.command(["user", "list"])));
        }
    }
    let worker = context.worker(hospital, governance).await?;
    let spinner = progress::waiting(context, "waiting until the new profile is finalized");
    let confirmed = worker.confirm_key(user, &key).await;
    spinner.finish_and_clear();
    confirmed?;
    Ok(Confirmed { user, hospital, sealing_key_hash })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        confirm: ConfirmArgs,
    }

    #[test]
    fn no_keys_are_confirmed_that_the_staff_did_not_get_from_the_user() {
        let user = format!("0x{}", "01".repeat(32));
        let parse = |more: &[&str]| {
            Line::try_parse_from([&["confirm-keys", "--user", &user][..], more].concat())
        };
        // What the chain names may be a thief's.
        assert!(parse(&[]).is_err());
        assert!(parse(&["--keys", "new.json", "--sealing-key", "00"]).is_err());
        let line = parse(&["--keys", "new.json"]).unwrap();
        assert_eq!(line.confirm.keys, Some(KeySource::File("new.json".into())));
        assert!(read_sealing_key("00").is_err());
    }
}
