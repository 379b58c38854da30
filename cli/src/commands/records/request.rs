//! The arguments of `epione records get`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use epione_client::reader::Intent;
use epione_primitives::{RecordPointer, UserId, access, release};

use super::PartArgs;
use crate::{context::HospitalRef, identity::KeySource};

#[derive(Debug, Args)]
pub struct GetArgs {
    /// The reader's key file
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// The patient: user id, its first digits, or a name that you set
    #[arg(long, value_name = "USER")]
    pub patient: UserId,
    /// A record, by block height and index, as in 12/0; may be repeated
    #[arg(long = "pointer", value_name = "HEIGHT/INDEX", required_unless_present_any = ["all", "opening"])]
    pub pointers: Vec<RecordPointer>,
    /// Every record of the patient
    #[arg(long, conflicts_with = "pointers")]
    pub all: bool,
    // Clap does not require --all where another argument excludes it: --pointer is to be excluded, too.
    /// With --all: maximum number, newest first [default: all]
    #[arg(long, value_name = "NUMBER", conflicts_with = "pointers", requires = "all",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Instead of --pointer: the number of an opening of yours (`epione opening ask`). The hospitals open its sections
    /// together, so no hospital's policies are needed
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["pointers", "all", "limit", "purpose", "emergency",
        "own_key", "note", "earlier_keys", "from", "range", "frame", "section"])]
    pub opening: Option<u32>,
    /// Folder to write to; each record gets its own folder in it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Purpose of the access [default: patient-request for the patient, treatment for others]
    #[arg(long, value_enum)]
    pub purpose: Option<Purpose>,
    /// Emergency access (break the glass), if the hospital's policies allow it. The patient's list of accesses shows it
    /// first, and the other hospitals review it
    #[arg(long, value_enum, value_name = "REASON", conflicts_with = "purpose")]
    pub emergency: Option<Emergency>,
    /// For the patient only: read with the patient's own key, which needs no permission of a hospital
    #[arg(long, conflicts_with_all = ["purpose", "emergency"])]
    pub own_key: bool,
    /// With --own-key: note on the chain that you read these records, for your own records. Everybody can see the
    /// note. Nothing depends on it, and it proves nothing to others
    #[arg(long, requires = "own_key", conflicts_with_all = ["purpose", "emergency", "range", "frame"])]
    pub note: bool,
    /// With --own-key: the key file from before a rotation, if a hospital's profile of the patient is still sealed to
    /// the earlier key; may be repeated
    #[arg(long, value_name = "FILE", requires = "own_key", conflicts_with_all = ["purpose", "emergency"])]
    pub earlier_keys: Vec<KeySource>,
    /// Hospital whose worker to use [default: the record's hospital, or its custodian if it was removed; with
    /// --own-key, any hospital whose worker answers]
    #[arg(long, value_name = "HOSPITAL")]
    pub from: Option<HospitalRef>,
    #[command(flatten)]
    pub part: PartArgs,
}

impl GetArgs {
    /// The help that is printed when a signal ends the command. `again` is the same command.
    pub(crate) fn when_interrupted(&self, again: &str) -> String {
        let out = self.out.display();
        if self.part.is_some() {
            return format!("no part was saved in {out}; to read it, run: {again}");
        }
        if !self.out.exists() {
            return format!("nothing was read yet; to read it, run: {again}");
        }
        format!("the data read so far is saved in {out}; to resume, run: {again}")
    }

    /// Why this user requests access; the receipt records it.
    pub(super) fn intent(&self, user: UserId) -> Intent {
        let own = user == self.patient;
        let usual = if own { access::Purpose::PatientRequest } else { access::Purpose::Treatment };
        let emergency = self.emergency.map(release::EmergencyReason::from);
        let purpose = match emergency {
            Some(_) => access::Purpose::Emergency,
            None => self.purpose.map_or(usual, access::Purpose::from),
        };
        Intent { purpose, emergency }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    Treatment,
    PatientRequest,
    Research,
    Audit,
    Payment,
    PublicHealth,
}

impl From<Purpose> for access::Purpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Treatment => Self::Treatment,
            Purpose::PatientRequest => Self::PatientRequest,
            Purpose::Research => Self::Research,
            Purpose::Audit => Self::Audit,
            Purpose::Payment => Self::Payment,
            Purpose::PublicHealth => Self::PublicHealth,
        }
    }
}

/// The reason for emergency access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Emergency {
    /// The patient's life or health is in immediate danger
    LifeThreatening,
    /// The patient cannot consent, and the treatment cannot wait
    UnableToConsent,
    /// The professionals who treat the patient cannot be reached
    CareTeamUnreachable,
    /// An outbreak, a disaster, or a danger to others
    PublicHealth,
}

impl From<Emergency> for release::EmergencyReason {
    fn from(reason: Emergency) -> Self {
        match reason {
            Emergency::LifeThreatening => Self::LifeThreatening,
            Emergency::UnableToConsent => Self::UnableToConsent,
            Emergency::CareTeamUnreachable => Self::CareTeamUnreachable,
            Emergency::PublicHealth => Self::PublicHealth,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        get: GetArgs,
    }

    fn parse(more: &[&str]) -> Result<GetArgs, clap::Error> {
        let user = format!("0x{}", "01".repeat(32));
        let begin = ["get", "--as", "//A", "--patient", &user, "--out"];
        Line::try_parse_from([&begin[..], more].concat()).map(|line| line.get)
    }

    #[test]
    fn an_interruption_does_not_name_a_folder_that_does_not_exist() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let get = parse(&[out.to_str().unwrap(), "--all"]).unwrap();
        assert_eq!(get.when_interrupted("again"), "nothing was read yet; to read it, run: again");
        std::fs::create_dir(&out).unwrap();
        assert!(get.when_interrupted("again").contains("saved in"));
    }

    #[test]
    fn an_argument_that_would_be_ignored_is_refused() {
        assert!(parse(&["out", "--all", "--limit", "3"]).is_ok());
        assert!(parse(&["out", "--all", "--own-key", "--note"]).unwrap().note);
        for ignored in [
            &["out", "--pointer", "6/0", "--limit", "3"][..],
            &["out", "--all", "--earlier-keys", "//B"],
            &["out", "--all", "--earlier-keys", "//B", "--purpose", "audit"],
            &["out", "--all", "--note"],
            &["out", "--pointer", "6/0", "--own-key", "--note", "--frame", "1"],
            &["out", "--opening", "7", "--pointer", "6/0"],
            &["out", "--opening", "7", "--all"],
            &["out", "--opening", "7", "--purpose", "research"],
            &["out", "--opening", "7", "--emergency", "life-threatening"],
            &["out", "--opening", "7", "--own-key"],
            &["out", "--opening", "7", "--from", "2"],
            &["out", "--opening", "7", "--frame", "1"],
        ] {
            assert!(parse(ignored).is_err(), "{ignored:?}");
        }
    }

    #[test]
    fn an_opening_names_the_records_itself() {
        let get = parse(&["out", "--opening", "7"]).unwrap();
        assert_eq!((get.opening, get.pointers), (Some(7), Vec::new()));
        assert!(parse(&["out"]).is_err(), "one of --pointer, --all and --opening is needed");
    }
}
