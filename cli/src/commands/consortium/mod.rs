//! `epione consortium`: the key of which the hospitals have shares.

mod history;
mod refresh;
mod status;

pub use history::{History, Past, history};
pub use refresh::{RefreshArgs, Requested, refresh};
pub use status::{CeremonyShown, KeyShown, Makes, Member, Status, status};

use clap::Subcommand;
use epione_primitives::{BlockNumber, HospitalId, limits::SLOT_MILLIS};

use crate::{context::Context, failure::Failure, show, wording::counted};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows the consortium key and its ceremonies, and requests new shares
    ///
    /// The workers of the hospitals make the key, and renew its shares, on their own.
    #[command(subcommand)]
    Key(KeyCommand),
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Shows which hospitals have a share, how old the shares are, and for whom a ceremony waits
    Status,
    /// Requests new shares of the same key for all members, as a hospital
    ///
    /// Do so after a share leaked, or may have leaked: the earlier shares open nothing together with the new ones. The
    /// workers make the new shares on their own. What was sealed to the key stays readable.
    Refresh(RefreshArgs),
    /// Lists the ceremonies that are over, and the epochs that they began
    History,
}

impl Command {
    /// Whether the command changes nothing.
    pub(super) fn is_reading(&self) -> bool {
        let Self::Key(command) = self;
        !matches!(command, KeyCommand::Refresh(_))
    }

    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        let Self::Key(command) = self;
        match command {
            KeyCommand::Status => show(&status(context).await?, json),
            KeyCommand::Refresh(args) => show(&refresh(args, context).await?, json),
            KeyCommand::History => show(&history(context).await?, json),
        }
    }
}

/// How many minutes this many blocks take, rounded up.
fn minutes(blocks: BlockNumber) -> u64 {
    u64::from(blocks).saturating_mul(SLOT_MILLIS).div_ceil(60_000)
}

/// How long this many blocks take: `7 blocks, about 1 minute`.
pub(super) fn lasting(blocks: BlockNumber) -> String {
    let minutes = minutes(blocks);
    let time = match minutes {
        0..=120 => counted(minutes, "minute", "minutes"),
        121..=2_880 => counted(minutes.div_ceil(60), "hour", "hours"),
        _ => counted(minutes / 1_440, "day", "days"),
    };
    format!("{}, about {time}", counted(blocks, "block", "blocks"))
}

/// `hospital 2`, `hospitals 0, 2`.
fn listed(hospitals: &[HospitalId]) -> String {
    let noun = if hospitals.len() == 1 { "hospital" } else { "hospitals" };
    let numbers: Vec<_> = hospitals.iter().map(HospitalId::to_string).collect();
    format!("{noun} {}", numbers.join(", "))
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
        let line = ["consortium"].iter().chain(words).copied();
        Line::try_parse_from(line).map(|line| line.command)
    }

    #[test]
    fn only_a_request_for_new_shares_changes_the_chain() {
        for (words, reads) in [
            (&["key", "status"][..], true),
            (&["key", "history"], true),
            (&["key", "refresh"], false),
            (&["key", "refresh", "--as", "governance.json", "--hospital", "Alice", "--yes"], false),
        ] {
            assert_eq!(parse(words).unwrap().is_reading(), reads, "{words:?}");
        }
        for wrong in [&[][..], &["key"], &["status"], &["key", "status", "3"], &["key", "renew"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_number_of_blocks_is_also_a_time() {
        assert_eq!(lasting(1), "1 block, about 1 minute");
        assert_eq!(lasting(40), "40 blocks, about 2 minutes");
        assert_eq!(lasting(4_000), "4000 blocks, about 4 hours");
        assert_eq!(lasting(30 * 28_800), "864000 blocks, about 30 days");
        assert_eq!((minutes(0), minutes(20), minutes(21)), (0, 1, 2));
    }

    #[test]
    fn one_hospital_is_singular() {
        assert_eq!(listed(&[HospitalId(2)]), "hospital 2");
        assert_eq!(listed(&[HospitalId(0), HospitalId(2)]), "hospitals 0, 2");
    }
}
