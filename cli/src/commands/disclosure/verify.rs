//! `epione verify-disclosure`: verifies a disclosure without a node and without a key, and shows it.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use epione_client::disclosure::{
    self, FILE_NAME, ShownContent, ShownSection, Verified, media_name,
};
use epione_primitives::{
    Hash, HospitalId, Moment, RecordId, RecordPointer, UserId, block::SignedAt, profile::Role,
};
use humantime::format_duration;
use serde::Serialize;

use crate::{
    commands::{offline, relation::span},
    context::{Context, GenesisFrom, Output},
    failure::Failure,
    progress,
    wording::{bytes_column, counted, legible, moment, word},
};

/// An older proof brings a warning.
const OLD: Duration = Duration::from_secs(30 * 86_400);

#[derive(Debug, Args)]
pub struct VerifyDisclosureArgs {
    /// The folder of the disclosure, or the file disclosure.epione in it
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Your name, exactly as the patient wrote it: refuse a disclosure that was made for somebody else
    #[arg(long = "for", value_name = "TEXT")]
    pub recipient: Option<String>,
    /// Refuse a proof that is older, such as 30d, 12h, 45m or 90s. A thief of a key that the patient has replaced can
    /// only use a proof from before the replacement [default: warn if it is older than 30 days]
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub max_age: Option<Duration>,
}

/// A disclosure that verifies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Examined {
    /// The first block of the chain from which everything is proven, and who said that it is the hospitals' chain.
    pub genesis: Hash,
    pub genesis_from: GenesisFrom,
    pub record: RecordPointer,
    pub record_id: RecordId,
    pub patient: UserId,
    pub hospital: HospitalId,
    pub hospital_name: String,
    pub author: UserId,
    pub author_role: Role,
    /// The nurse who signed the record, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nurse: Option<UserId>,
    /// Whether the patient signed the record, too.
    pub cosigned: bool,
    /// The chain block that the author named, and its time. The author signed after it, and before the record was
    /// committed.
    pub signed_at: SignedAt,
    pub signed_time: Moment,
    pub committed_time: Moment,
    /// Who made the disclosure: the patient.
    pub disclosed_by: UserId,
    pub recipient: String,
    /// Whether the recipient is the one that --for names.
    pub recipient_checked: bool,
    pub purpose: String,
    /// Until when the patient permits the recipient to use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// Whether this time is over.
    pub over: bool,
    /// The final chain block of the proof, and its time. The disclosure was made after it.
    pub proven_at: SignedAt,
    pub proven_time: Moment,
    /// How old the proof is, by this machine's clock.
    pub proven_seconds_ago: u64,
    pub sections: Vec<ExaminedSection>,
    /// Number of sections that are not shown.
    pub hidden: usize,
}

/// A section that is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExaminedSection {
    pub index: u16,
    pub kind: String,
    pub media_type: String,
    pub bytes: u64,
    /// BLAKE3 of the content, in hexadecimal.
    pub blake3: String,
    /// The content of a text section.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The verified file of a media section, if the disclosure has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// BLAKE3 of the segments in which hospitals store the sealed media.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<String>,
}

impl Output for Examined {
    /// Fails if the time until which the recipient may use it is over.
    fn passed(&self) -> bool {
        !self.over
    }
}

impl fmt::Display for Examined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record, patient, hospital, hospital_name, .. } = self;
        writeln!(f, "record {record} of patient {patient}, at {hospital_name} ({hospital})")?;
        writeln!(
            f,
            "  written by {} {}, signed after {} (chain block {}), committed {}",
            word(&self.author_role),
            self.author,
            moment(self.signed_time),
            self.signed_at.number,
            moment(self.committed_time)
        )?;
        writeln!(f, "  the signed chain block is {:?}", self.signed_at.hash)?;
        if let Some(nurse) = self.nurse {
            writeln!(f, "  also signed by nurse {nurse}")?;
        }
        if self.cosigned {
            writeln!(f, "  also signed by the patient")?;
        }
        let Self { recipient, purpose, .. } = self;
        write!(f, "disclosed by the patient for {recipient:?}, purpose: {purpose:?}, ")?;
        match self.until {
            Some(until) => writeln!(f, "until {}", moment(until))?,
            None => writeln!(f, "no end")?,
        }
        let block = self.proven_at.number;
        let age = format_duration(Duration::from_secs(self.proven_seconds_ago));
        let proven = moment(self.proven_time);
        writeln!(f, "  made after {proven} (chain block {block}), {age} ago")?;
        writeln!(f, "  the chain block of the proof is {:?}", self.proven_at.hash)?;
        for section in &self.sections {
            section.fmt(f)?;
        }
        let hidden = counted(self.hidden, "section is", "sections are");
        writeln!(f, "{hidden} hidden")?;
        writeln!(f, "proven from the genesis block {:?} ({})", self.genesis, self.genesis_from)?;
        write!(f, "the author signed all that is shown, and permits this choice of sections")?;
        if let Some(until) = self.until.filter(|_| self.over) {
            write!(f, "\nOVER: the patient permitted its use until {}", moment(until))?;
        }
        if !self.recipient_checked {
            write!(
                f,
                "\nthis result counts only for {recipient:?}: check the name, or give yours with --for"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for ExaminedSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, media_type) = (bytes_column(self.bytes), legible(self.media_type.as_bytes()));
        write!(f, "  {:>2}  {:<13} {bytes}  {media_type}", self.index, self.kind)?;
        match (&self.text, &self.file) {
            (Some(text), _) => {
                writeln!(f)?;
                // No line of a text can be mistaken for a line of this result.
                text.lines().try_for_each(|line| writeln!(f, "      | {line}"))
            }
            (None, Some(file)) => writeln!(f, "  {}", legible(file.as_bytes())),
            (None, None) => writeln!(f, "  (the file is not included)"),
        }
    }
}

/// Verifies a disclosure, and the media files next to it.
pub async fn verify(args: &VerifyDisclosureArgs, context: &Context) -> Result<Examined, Failure> {
    let bundle = args.bundle.clone();
    let verify = move |known| examined(&bundle, known);
    let (verified, from) = offline::verified(context, "verifying the disclosure", verify).await?;
    let now = offline::now()?;
    if let Some(warning) = judge_age(verified.age(now), args.max_age)? {
        progress::warn(context, &warning);
    }
    let attribution = &verified.attribution;
    if let Some(until) = attribution.until().filter(|_| attribution.is_over(now)) {
        let until = moment(until);
        progress::warn(
            context,
            &format!(
                "all is proven, but the patient permitted the use of this disclosure until {until}"
            ),
        );
    }
    let recipient_checked = judge_recipient(attribution.recipient(), args.recipient.as_deref())?;
    Ok(Examined { recipient_checked, ..shown(verified, from, now) })
}

/// Whether the recipient was compared with the one that is expected. Fails if they differ.
fn judge_recipient(recipient: &str, expected: Option<&str>) -> Result<bool, Failure> {
    match expected {
        Some(expected) if expected != recipient => Err(Failure::new(
            format!("the patient made it for {recipient:?}, and --for names {expected:?}"),
            "do not use it: ask the patient for a disclosure that is made for you",
        )),
        expected => Ok(expected.is_some()),
    }
}

/// A warning about an old proof. Fails if it is older than the recipient permits.
fn judge_age(age: Duration, max: Option<Duration>) -> Result<Option<String>, Failure> {
    offline::check_age(
        age,
        max,
        "ask the patient for a new disclosure: whoever made this one had the patient's key then, and perhaps has not \
         today",
    )?;
    let is_old = max.is_none() && age > OLD;
    Ok(is_old.then(|| {
        format!(
            "the proof is {} old: a thief of a key that the patient has replaced since then could have made it; ask \
             the patient for a new disclosure, and refuse old ones with --max-age",
            offline::in_seconds(age)
        )
    }))
}

fn examined(
    bundle: &Path,
    known: Option<(Hash, GenesisFrom)>,
) -> Result<(Verified, GenesisFrom), Failure> {
    let file = disclosure::read(bundle)?;
    let Some((genesis, from)) = known else {
        return Err(offline::unknown_chain(FILE_NAME, disclosure::claimed_genesis(&file)?));
    };
    let verified = disclosure::verify(&file, genesis)?;
    verified.check_media(&folder(bundle))?;
    if bundle.is_dir() {
        verified.check_folder(bundle)?;
    }
    Ok((verified, from))
}

/// The folder of a disclosure, which may be named by its file.
fn folder(bundle: &Path) -> PathBuf {
    match bundle.parent() {
        _ if bundle.is_dir() => bundle.to_owned(),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("."),
    }
}

fn shown(verified: Verified, genesis_from: GenesisFrom, now: Moment) -> Examined {
    let attribution = &verified.attribution;
    let proven_seconds_ago = verified.age(now).as_secs();
    Examined {
        genesis: verified.genesis,
        genesis_from,
        record: verified.pointer,
        record_id: verified.record_id,
        patient: verified.patient,
        hospital: verified.hospital,
        hospital_name: legible(&verified.hospital_name),
        author: verified.author,
        author_role: verified.author_role,
        nurse: verified.nurse,
        cosigned: verified.cosigned,
        signed_at: verified.signed_at,
        signed_time: verified.signed_time,
        committed_time: verified.committed_time,
        disclosed_by: verified.patient,
        recipient: attribution.recipient().to_owned(),
        recipient_checked: false,
        purpose: attribution.purpose().to_owned(),
        until: attribution.until(),
        over: attribution.is_over(now),
        proven_at: verified.proven_at,
        proven_time: verified.proven_time,
        proven_seconds_ago,
        sections: verified.shown.iter().map(section).collect(),
        hidden: verified.hidden,
    }
}

fn section(shown: &ShownSection) -> ExaminedSection {
    let ShownSection { section, description, content } = shown;
    let (text, file, segments) = match content {
        ShownContent::Text(text) => (Some(text.clone()), None, Vec::new()),
        ShownContent::Media { segments, included } => {
            let file = included.then(|| media_name(*section, description));
            (None, file, segments.iter().map(hex::encode).collect())
        }
    };
    ExaminedSection {
        index: *section,
        kind: description.kind.to_string(),
        media_type: description.media_type.clone(),
        bytes: description.content_length,
        blake3: hex::encode(description.content_root),
        text,
        file,
        segments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examined() -> Examined {
        let section = |index, text: Option<&str>, file: Option<&str>| ExaminedSection {
            index,
            kind: if text.is_some() { "report" } else { "media" }.into(),
            media_type: "text/plain".into(),
            bytes: 9,
            blake3: String::new(),
            text: text.map(Into::into),
            file: file.map(Into::into),
            segments: Vec::new(),
        };
        Examined {
            genesis: Hash::repeat_byte(7),
            genesis_from: GenesisFrom::Pin("wss://node.example/".into()),
            record: RecordPointer { height: 1, index: 0 },
            record_id: RecordId([1; 16]),
            patient: UserId([1; 32]),
            hospital: HospitalId(0),
            hospital_name: "Alice".into(),
            author: UserId([2; 32]),
            author_role: Role::Doctor,
            nurse: Some(UserId([3; 32])),
            cosigned: true,
            signed_at: SignedAt { number: 12, hash: Hash::repeat_byte(8) },
            signed_time: 1,
            committed_time: 2,
            disclosed_by: UserId([1; 32]),
            recipient: "Insurance".into(),
            recipient_checked: true,
            purpose: "claim 7".into(),
            until: Some(9),
            over: false,
            proven_at: SignedAt { number: 40, hash: Hash::repeat_byte(9) },
            proven_time: 3,
            proven_seconds_ago: 93_600,
            sections: vec![
                section(0, Some("all well\n1 section is hidden"), None),
                section(2, None, Some("02-scan.dcm")),
                section(3, None, None),
            ],
            hidden: 2,
        }
    }

    #[test]
    fn who_wrote_it_for_whom_it_is_and_what_is_hidden_is_printed() {
        let text = examined().to_string();
        for said in [
            "record 1/0 of patient 0x0101",
            "at Alice (0)\n  written by doctor 0x0202",
            "signed after 1970-01-01",
            "(chain block 12), committed 1970-01-01",
            "also signed by nurse 0x0303",
            "also signed by the patient\ndisclosed by the patient for \"Insurance\", purpose: \"claim 7\", until 1970",
            "(chain block 40), 1day 2h ago\n",
            "      | all well\n      | 1 section is hidden\n",
            "02-scan.dcm\n",
            "(the file is not included)\n2 sections are hidden\n",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        for (said, byte, after) in [
            ("the signed chain block is ", 8, "\n"),
            ("the chain block of the proof is ", 9, "\n"),
            ("genesis block ", 7, " (your pin of wss://node.example/)\n"),
        ] {
            let said = format!("{said}{:?}{after}", Hash::repeat_byte(byte));
            assert!(text.contains(&said), "{said}: {text}");
        }
        assert!(examined().passed() && !text.contains("OVER"), "{text}");
    }

    #[test]
    fn a_disclosure_without_an_end_says_so() {
        let text = Examined { until: None, ..examined() }.to_string();
        assert!(text.contains("purpose: \"claim 7\", no end\n"), "{text}");
    }

    #[test]
    fn a_disclosure_whose_time_is_over_says_so_and_fails() {
        let over = Examined { over: true, ..examined() };
        assert!(!over.passed());
        assert!(
            over.to_string().contains("\nOVER: the patient permitted its use until "),
            "{over}"
        );
    }

    #[test]
    fn a_disclosure_counts_only_for_the_recipient_for_whom_it_was_made() {
        assert!(!judge_recipient("Insurance", None).unwrap());
        assert!(judge_recipient("Insurance", Some("Insurance")).unwrap());
        for other in ["insurance", "Insurance ", "", "Employer"] {
            let refused = judge_recipient("Insurance", Some(other)).unwrap_err();
            assert!(refused.error.contains("made it for \"Insurance\""), "{refused}");
            assert_eq!(refused.status(), 1);
        }
        let text = Examined { recipient_checked: false, ..examined() }.to_string();
        let last = text.lines().last().unwrap();
        assert!(last.contains("counts only for \"Insurance\"") && last.contains("--for"), "{text}");
        assert!(!examined().to_string().contains("counts only for"));
    }

    #[test]
    fn an_old_proof_is_refused_if_the_recipient_says_so_and_brings_a_warning_otherwise() {
        let second = Duration::from_secs(1);
        assert_eq!(judge_age(OLD, None).unwrap(), None);
        let warning = judge_age(OLD + second, None).unwrap().unwrap();
        assert!(warning.contains("--max-age") && warning.contains("30days"), "{warning}");
        assert_eq!(judge_age(OLD + second, Some(OLD + second)).unwrap(), None);
        let refused = judge_age(second * 2, Some(second)).unwrap_err();
        assert!(refused.error.contains("2s old") && refused.status() == 1, "{refused}");
    }
}
