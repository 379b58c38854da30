//! `epione query ask`: a requester asks a patient.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgGroup, Args};
use epione_client::{
    api::WantedRecord,
    chain::Snapshot,
    query::{NewQuery, Queries},
};
use epione_envelope::query::MAX_TERMS_BYTES;
use epione_primitives::{
    BlockNumber, HospitalId, QueryId, UserId, access,
    limits::{MAX_QUERY_BLOCKS, SLOT_MILLIS},
};
use serde::Serialize;

use super::part::{self, Part};
use crate::{
    commands::{records::Purpose, relation::span},
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::{self, KeySource},
    progress,
    wording::word,
};

/// A patient who is offline for a moment must not miss a query: shortest time to answer, in milliseconds.
const MIN_EXPIRY_MILLIS: u64 = 60_000;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("reason").required(true).args(["terms", "terms_file"])))]
pub struct AskArgs {
    /// Your key file: the requester's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Hospital for which you ask: your registration must be in force there, and the patient sees it [default: the only
    /// one at which it is]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
    /// The patient: user id, its first digits, or a name that you set
    #[arg(long, value_name = "USER")]
    pub patient: UserId,
    /// A record, by block height and index, and the numbers of sections, as in 1/0:3,5 or 1/0:0-2; without numbers,
    /// every section. May be repeated
    #[arg(long = "record", value_name = "HEIGHT/INDEX[:SECTIONS]", required = true)]
    pub records: Vec<Part>,
    /// What you want to read it for
    #[arg(long, value_enum)]
    pub purpose: Purpose,
    /// What the patient should know, such as what you do with the content and how long you keep it; at most 1,024
    /// bytes. Sealed to the patient
    #[arg(long, value_name = "TEXT")]
    pub terms: Option<String>,
    /// Instead of --terms: a file with the text
    #[arg(long, value_name = "FILE")]
    pub terms_file: Option<PathBuf>,
    /// Time from now until which the patient can accept, such as 7d, 12h or 45m; from 1m to 30d
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "7d")]
    pub expires: Duration,
}

/// A query that is on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    pub query: QueryId,
    /// The hospital for which the requester asks.
    pub hospital: HospitalId,
    pub patient: UserId,
    pub records: Vec<WantedRecord>,
    pub purpose: access::Purpose,
    /// The chain block that has it.
    pub block: BlockNumber,
    /// The patient can accept before this chain block.
    pub expires: BlockNumber,
    /// Shows whether the patient has answered.
    pub show: String,
}

impl Output for Asked {}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, hospital, patient, records, purpose, block, expires, show } = self;
        let (records, purpose) = (part::in_words(records), word(purpose));
        writeln!(f, "query {query}, chain block {block}: you ask {patient} for {purpose}")?;
        writeln!(f, "  as a user of hospital {hospital}")?;
        writeln!(f, "  {records}")?;
        writeln!(f, "the patient can answer before chain block {expires}")?;
        write!(f, "to see the answer: {show}")
    }
}

/// Puts a query on the chain.
pub async fn ask(args: &AskArgs, context: &Context) -> Result<Asked, Failure> {
    let records = part::merged(&args.records)?;
    let terms = terms(args)?;
    let blocks = blocks(args.expires)?;
    let account = identity::account(&context.keys(&args.signer)?);
    let chain = context.chain().await?;
    let head = chain.finalized_head().await?;
    let expires = head.number.saturating_add(blocks);
    let user = context.user_of(&account).await?;
    let state = chain.at(head.hash);
    let hospital = asking_hospital((args.hospital.as_ref(), user), &state, context).await?;
    let (patient, purpose) = (args.patient, args.purpose.into());
    let query = NewQuery { hospital, patient, records, purpose, expires, terms: &terms };
    let spinner = progress::waiting(context, "waiting until the query is finalized");
    let asked = Queries::new(chain.clone()).ask(&query, &account).await;
    spinner.finish_and_clear();
    let (id, block) = asked?;
    Ok(Asked {
        query: id,
        hospital,
        patient,
        records: part::wanted(&query.records),
        purpose,
        block: block.number,
        expires,
        show: context.command(["query", "show"]).with([id.to_string()]).to_string(),
    })
}

/// The hospital for which a requester asks: the named one, or the only one that is possible.
pub(in crate::commands) async fn asking_hospital(
    (named, user): (Option<&HospitalRef>, UserId),
    state: &Snapshot,
    context: &Context,
) -> Result<HospitalId, Failure> {
    match named {
        Some(named) => context.hospital(named).await,
        None => only(&in_force(state, user).await?),
    }
}

/// The active and leaving hospitals at which a registration of the user is in force.
async fn in_force(state: &Snapshot, user: UserId) -> Result<Vec<HospitalId>, Failure> {
    let (time, hospitals) = (state.time().await?, state.hospitals().await?);
    let serves = |wanted: HospitalId| {
        let found = hospitals.iter().find(|(id, _)| *id == wanted);
        found.is_some_and(|(_, hospital)| hospital.status.serves())
    };
    let registrations = state.registrations(user).await?;
    let in_force = registrations.iter().filter(|(id, it)| it.in_force(time) && serves(*id));
    Ok(in_force.map(|(id, _)| *id).collect())
}

/// The hospital for which a requester asks who names none.
fn only(in_force: &[HospitalId]) -> Result<HospitalId, Failure> {
    match in_force {
        [only] => Ok(*only),
        [] => Err(Failure::new(
            "none of your registrations is in force at an active hospital",
            "ask your hospital to register you, or to reinstate your registration",
        )),
        several => {
            let several: Vec<_> = several.iter().map(HospitalId::to_string).collect();
            Err(Failure::usage(
                format!("your registration is in force at hospitals {}", several.join(", ")),
                "choose the one for which you ask with --hospital",
            ))
        }
    }
}

/// The text of --terms or --terms-file, without spaces around it.
fn terms(args: &AskArgs) -> Result<String, Failure> {
    let text = match (&args.terms, &args.terms_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => read(path).map_err(|error| Failure::file(path, &error))?,
        (None, None) => {
            return Err(Failure::usage("the terms are missing", "give --terms or --terms-file"));
        }
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::usage(
            "the terms are empty",
            "tell the patient what you want to do with the content",
        ));
    }
    if text.len() > MAX_TERMS_BYTES {
        return Err(Failure::usage(
            format!("the terms have {} bytes; at most {MAX_TERMS_BYTES} are possible", text.len()),
            "shorten them",
        ));
    }
    Ok(text.into())
}

/// Reads no more than what shows that a file is too long.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(4 * MAX_TERMS_BYTES as u64).read_to_string(&mut text)?;
    Ok(text)
}

/// The number of chain blocks in a time, which must be within the limits.
fn blocks(span: Duration) -> Result<BlockNumber, Failure> {
    let least = MIN_EXPIRY_MILLIS / SLOT_MILLIS;
    let blocks = span.as_millis() / u128::from(SLOT_MILLIS);
    let blocks = BlockNumber::try_from(blocks).ok();
    let blocks = blocks.filter(|it| u64::from(*it) >= least && *it <= MAX_QUERY_BLOCKS);
    blocks.ok_or_else(|| {
        Failure::usage(
            "a query can wait for an answer from 1 minute to 30 days",
            "choose another --expires; nothing was signed, nothing was sent",
        )
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        ask: AskArgs,
    }

    fn parse(more: &[&str]) -> Result<AskArgs, clap::Error> {
        let patient = format!("0x{}", "01".repeat(32));
        let begin = ["ask", "--as", "//R", "--patient", &patient, "--purpose", "research"];
        Line::try_parse_from([&begin[..], more].concat()).map(|line| line.ask)
    }

    #[test]
    fn a_query_needs_a_record_and_terms() {
        assert!(parse(&["--record", "1/0:3,5", "--terms", "a study"]).is_ok());
        for wrong in [
            &["--record", "1/0"][..],
            &["--terms", "a study"],
            &["--record", "1/0", "--terms", "a", "--terms-file", "b"],
            &["--record", "1/0", "--terms", "a", "--purpose", "emergency"],
            &["--record", "1", "--terms", "a"],
            &["--record", "1/0", "--terms", "a", "--expires", "soon"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_requester_who_could_ask_for_several_hospitals_names_one() {
        let [first, second] = [1, 2].map(HospitalId);
        assert_eq!(only(&[second]), Ok(second));
        assert!(only(&[]).unwrap_err().error.contains("none of your registrations"));
        let failure = only(&[first, second]).unwrap_err();
        assert!(failure.error.contains("hospitals 1, 2"), "{failure}");
        assert!(failure.help.contains("--hospital"), "{failure}");
        let named = parse(&["--record", "1/0", "--terms", "a", "--hospital", "2"]).unwrap();
        assert_eq!(named.hospital, Some(HospitalRef::Id(second)));
    }

    #[test]
    fn terms_come_from_the_line_or_a_file_and_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terms.txt");
        let from_file = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            terms(&parse(&["--record", "1/0", "--terms-file", path.to_str().unwrap()]).unwrap())
        };
        assert_eq!(from_file("für eine Studie\n".as_bytes()).unwrap(), "für eine Studie");
        for wrong in [&b"\n \n"[..], &[b'x'; 1_025], &[b'x'; 1_000_000], &[0xff, 0xfe]] {
            assert!(from_file(wrong).is_err(), "{}", wrong.len());
        }
        let long = "x".repeat(MAX_TERMS_BYTES);
        let line = parse(&["--record", "1/0", "--terms", &long]).unwrap();
        assert_eq!(terms(&line).unwrap(), long);
        assert!(terms(&parse(&["--record", "1/0", "--terms", "  "]).unwrap()).is_err());
    }

    #[test]
    fn a_patient_has_from_a_minute_to_thirty_days_to_answer() {
        let seconds = |seconds| blocks(Duration::from_secs(seconds)).ok();
        assert_eq!(seconds(60), Some(20));
        assert_eq!(seconds(63), Some(21));
        assert_eq!(seconds(30 * 86_400), Some(MAX_QUERY_BLOCKS));
        for wrong in [0, 3, 59, 30 * 86_400 + 3, u64::MAX] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
