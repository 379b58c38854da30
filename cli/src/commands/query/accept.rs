//! `epione query accept`: the patient lets the requester read some or all of what is asked for.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{ArgGroup, Args};
use epione_client::query::{
    Found, Queries, QueryError, Status, UnsentGrants, answer_in_words, check_end,
};
use epione_primitives::{
    BlockNumber, HospitalId, Moment, QueryId, RecordPointer,
    query::Acceptance,
    release::{ReleasedRecord, SectionSet},
};
use serde::Serialize;

use super::{
    explained, mailbox,
    part::Part,
    show::{Asker, Described},
    statement::{self, Statement},
};
use crate::{
    commands::relation::span,
    confirmation::confirm,
    context::{Context, HospitalRef, Output},
    failure::Failure,
    home::{self, Kind},
    identity::{self, KeySource},
    invocation::Invocation,
    progress,
};

/// Two runs of a command with --for do not begin at the same time: their ends may differ by this time.
const SAME_END: Moment = 3_600_000;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("end").required(true).args(["until", "span"])))]
pub struct AcceptArgs {
    /// The query's number
    #[arg(value_name = "QUERY")]
    pub query: u32,
    /// Your key file: the patient's, or a representative's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// A record, and the numbers of sections, as in 1/0:3,5; without numbers, all that is asked for of it. May be
    /// repeated [default: all that is asked for]
    #[arg(long = "record", value_name = "HEIGHT/INDEX[:SECTIONS]")]
    pub records: Vec<Part>,
    /// Day or time in UTC at which the acceptance ends, as 2027-01-31 or 2027-01-31T12:00:00Z; a day means its
    /// beginning, 00:00 UTC. At most 366 days from now
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Moment>,
    /// Instead of --until: time from now, such as 30d, 12h or 45m; at most 366d
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub span: Option<Duration>,
    /// Hospital whose worker keeps the sealed keys for the requester [default: that of the first record that
    /// you accept; if its worker does not answer, another one at which you are registered]. A representative accepts
    /// records of one hospital at a time
    #[arg(long, value_name = "HOSPITAL")]
    pub mailbox: Option<HospitalRef>,
    /// Key file from before a rotation, if a hospital's profile or the terms are sealed to the earlier key; may be
    /// repeated
    #[arg(long, value_name = "FILE")]
    pub earlier_keys: Vec<KeySource>,
    /// Signs without asking you to confirm
    #[arg(long)]
    pub yes: bool,
}

/// An acceptance that is on the chain, and whose sealed keys the mailbox has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Accepted {
    Now(Box<NewlyAccepted>),
    /// An earlier run signed it.
    Before(Box<AcceptedBefore>),
}

/// What this run signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewlyAccepted {
    #[serde(flatten)]
    pub statement: Statement,
    /// The chain block that has it.
    pub block: BlockNumber,
    /// The command that ends it.
    pub undo: String,
}

/// What an earlier run signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AcceptedBefore {
    #[serde(flatten)]
    pub described: Described,
    /// Whether this run brought the sealed keys to the mailbox, because an earlier one was interrupted.
    pub brought: bool,
    /// The command that ends it.
    pub undo: String,
}

impl Output for Accepted {}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(accepted) => {
                let Statement { query, until, mailbox, .. } = &accepted.statement;
                writeln!(f, "{}", accepted.statement)?;
                writeln!(
                    f,
                    "you accepted query {query} in chain block {}; the requester can collect from hospital {mailbox} \
                     until {until}",
                    accepted.block
                )?;
                write!(f, "to end this: {}", accepted.undo)
            }
            Self::Before(accepted) => {
                writeln!(f, "{}", accepted.described)?;
                let keys = match accepted.brought {
                    true => "the hospital has the sealed keys now",
                    false => "no sealed keys wait on this machine",
                };
                writeln!(f, "you had accepted this query before, so nothing was signed; {keys}")?;
                write!(f, "to end this: {}", accepted.undo)
            }
        }
    }
}

/// Accepts a query, after the patient has confirmed what it means. If an earlier run was interrupted after the chain
/// had accepted, brings the sealed keys to the mailbox.
pub async fn accept(args: &AcceptArgs, context: &Context) -> Result<Accepted, Failure> {
    let until = end(args)?;
    let chain = context.chain().await?;
    let unsent = unsent(context).await?;
    let queries = Queries::new(chain.clone());
    let id = QueryId(args.query);
    let explained = |error: QueryError| explained(error, id, Some(&args.signer), context);
    let found = queries.show(id).await.map_err(explained)?;
    let named = match &args.mailbox {
        Some(named) => Some(context.hospital(named).await?),
        None => None,
    };
    if matches!(found.status, Status::Accepted | Status::Collected) {
        return resume(args, (found, named, until), &unsent, context).await;
    }
    let user = context.user_with(&args.signer.public()?.account).await?;
    // A record that was not asked for is refused below.
    let is_asked =
        |pointer: &RecordPointer| found.query.records.iter().any(|it| it.pointer == *pointer);
    let first = args.records.first().map(|part| part.0.pointer).filter(is_asked);
    let asked: HospitalId = match named {
        Some(named) if user == found.query.patient => named,
        // A representative needs a grant of the hospital of the records.
        _ => statement::hospital_of(&found, first, context).await?,
    };
    let sources = (&args.signer, &args.earlier_keys[..]);
    let mut reader = statement::reader(sources, asked, context).await?;
    let spinner = progress::waiting(context, "opening what is asked for");
    let considered = queries.consider(id, &reader).await;
    spinner.finish_and_clear();
    let considered = considered.map_err(explained)?;
    considered.check_mandate(until).map_err(explained)?;
    let parts: Vec<ReleasedRecord> = args.records.iter().map(|part| part.0).collect();
    let accepted = considered.choose(&parts)?;
    let mailbox = match named {
        Some(named) => named,
        None => {
            let first = accepted.first().and_then(|it| considered.hospital_of(it.pointer));
            let account = reader.worker().account();
            mailbox::reachable(first.unwrap_or(asked), &considered, account, context).await?
        }
    };
    if mailbox != asked {
        reader = statement::reader(sources, mailbox, context).await?;
    }
    let statement = Statement::of(&considered, &accepted, (until, mailbox), context).await?;
    confirm(context, &statement.to_string(), args.yes).await?;
    let spinner = progress::waiting(context, "waiting until the acceptance is finalized");
    let block = queries.accept(&considered, &accepted, until, &reader, &unsent).await;
    spinner.finish_and_clear();
    let block = block.map_err(explained)?.number;
    let undo = undo(args, context).to_string();
    Ok(Accepted::Now(Box::new(NewlyAccepted { statement, block, undo })))
}

/// Brings the sealed keys of an acceptance to the mailbox, if they still are on this machine. Fails if the acceptance
/// is not what the arguments name.
async fn resume(
    args: &AcceptArgs,
    (found, mailbox, until): (Found, Option<HospitalId>, Moment),
    unsent: &UnsentGrants,
    context: &Context,
) -> Result<Accepted, Failure> {
    let (chain, id) = (context.chain().await?, found.id);
    let queries = Queries::new(chain.clone());
    let explained = |error: QueryError| explained(error, id, Some(&args.signer), context);
    let account = identity::account(&context.keys(&args.signer)?);
    let user = context.user_of(&account).await?;
    let acceptance = found.acceptance()?;
    if user != found.query.patient && user != acceptance.by {
        return Err(explained(QueryError::NotPatient { query: id, user }));
    }
    if !is_wanted(args, (mailbox, until), acceptance) {
        let how = answer_in_words(&found.query).unwrap_or_default();
        return Err(explained(QueryError::Answered { query: id, how }));
    }
    let grant = unsent.find(id, acceptance.grant);
    let grant = grant.map_err(|error| explained(QueryError::Unkept(error)))?;
    let brought = grant.is_some();
    if let Some(grant) = grant {
        let worker = context.worker(acceptance.mailbox, account).await?;
        queries.bring(&grant, &worker, unsent).await.map_err(explained)?;
    }
    let asker = Asker::of(&found.query, &chain.finalized().await?).await?;
    let described = Described::new(found, asker);
    let undo = undo(args, context).to_string();
    Ok(Accepted::Before(Box::new(AcceptedBefore { described, brought, undo })))
}

/// Whether an acceptance is the one that the arguments name.
fn is_wanted(
    args: &AcceptArgs,
    (mailbox, until): (Option<HospitalId>, Moment),
    acceptance: &Acceptance,
) -> bool {
    let ends_then = match args.span {
        None => acceptance.until == until,
        Some(span) => {
            let span = Moment::try_from(span.as_millis()).unwrap_or(Moment::MAX);
            acceptance.until.abs_diff(acceptance.at.saturating_add(span)) <= SAME_END.min(span)
        }
    };
    let is_named = |record: &ReleasedRecord| {
        let of_record = |part: &&Part| part.0.pointer == record.pointer;
        let mut named = SectionSet::default();
        args.records.iter().filter(of_record).for_each(|part| named = named.union(part.0.sections));
        // Without numbers, all that was asked for of the record is accepted.
        named == SectionSet::ALL || named == record.sections
    };
    let is_accepted =
        |part: &Part| acceptance.records.iter().any(|it| it.pointer == part.0.pointer);
    let names_them = args.records.is_empty()
        || (acceptance.records.iter().all(is_named) && args.records.iter().all(is_accepted));
    ends_then && names_them && mailbox.is_none_or(|mailbox| mailbox == acceptance.mailbox)
}

fn undo(args: &AcceptArgs, context: &Context) -> Invocation {
    let undo = context.command(["query", "withdraw"]).with([args.query.to_string()]);
    undo.with(["--as"]).with([&args.signer])
}

/// The sealed grants of this chain that no mailbox has yet: in the devnet's data, or in the user's own folder.
async fn unsent(context: &Context) -> Result<UnsentGrants, Failure> {
    let genesis = context.chain().await?.genesis_hash();
    let folder = match &context.common().devnet {
        Some(devnet) => Some(devnet.join("data/grants")),
        None => home::folder(Kind::State).map(|folder| folder.join("grants")),
    };
    let folder = folder.ok_or_else(|| {
        Failure::new(
            "there is no place to keep the sealed keys until the hospital has them",
            "set HOME or XDG_STATE_HOME; nothing was signed, nothing was sent",
        )
    })?;
    Ok(UnsentGrants::in_folder(folder.join(hex::encode(genesis))))
}

/// The end of the acceptance, which must be within the chain's limits.
fn end(args: &AcceptArgs) -> Result<Moment, Failure> {
    let wrong = || Failure::usage(QueryError::WrongEnd.to_string(), super::OTHER_END);
    let now = SystemTime::now();
    let end = match (args.until, args.span) {
        (Some(until), _) => Some(until),
        (None, Some(span)) => now.checked_add(span).and_then(moment),
        (None, None) => None,
    };
    let end = end.ok_or_else(wrong)?;
    check_end(end, moment(now).unwrap_or_default()).map_err(|_| wrong())?;
    Ok(end)
}

/// A day or a time in UTC.
pub(in crate::commands) fn time(text: &str) -> Result<Moment, String> {
    let wrong = || {
        format!("{text:?} is not a time: write it in UTC, as in 2027-01-31 or 2027-01-31T12:00:00Z")
    };
    let midnight = format!("{text}T00:00:00Z");
    let time = humantime::parse_rfc3339(&midnight)
        .or_else(|_| humantime::parse_rfc3339_weak(text))
        .map_err(|_| wrong())?;
    moment(time).ok_or_else(wrong)
}

fn moment(time: SystemTime) -> Option<Moment> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Moment::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        accept: AcceptArgs,
    }

    fn parse(more: &[&str]) -> Result<AcceptArgs, clap::Error> {
        let begin = ["accept", "7", "--as", "//Patient"];
        Line::try_parse_from([&begin[..], more].concat()).map(|line| line.accept)
    }

    #[test]
    fn an_acceptance_has_an_end() {
        assert!(parse(&[]).is_err());
        assert!(parse(&["--for", "30d", "--until", "2027-01-31"]).is_err());
        let line = parse(&["--for", "30d", "--record", "1/0:3"]).unwrap();
        let now = moment(SystemTime::now()).unwrap();
        let span = end(&line).unwrap() - now;
        assert!(span.abs_diff(30 * 86_400_000) < 60_000, "{span}");
        assert_eq!((line.query, line.records.len(), line.yes), (7, 1, false));
        assert!(end(&parse(&["--for", "200000000000000d"]).unwrap()).is_err());
    }

    #[test]
    fn an_end_is_a_day_or_a_time_in_utc() {
        assert_eq!(time("1970-01-02"), Ok(86_400_000));
        assert_eq!(time("1970-01-01T00:00:02Z"), Ok(2_000));
        let far = moment(SystemTime::now()).unwrap() + 367 * 86_400_000;
        let far = UNIX_EPOCH + Duration::from_millis(far);
        let far = humantime::format_rfc3339(far).to_string();
        for wrong in ["1970-01-02", far.as_str()] {
            let refused = end(&parse(&["--until", wrong]).unwrap()).unwrap_err();
            assert!(refused.error.contains("at most 366 days"), "{refused}");
        }
        assert!(end(&parse(&["--for", "367d"]).unwrap()).is_err());
        for wrong in ["", "tomorrow", "2027-13-01", "2027-01-31T12:00:00+01:00", "31.1.2027"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rerun_resumes_only_the_acceptance_that_it_names() {
        let record = |height, sections| ReleasedRecord {
            pointer: epione_primitives::RecordPointer { height, index: 0 },
            sections: SectionSet(sections),
        };
        let day = 86_400_000;
        let acceptance = Acceptance {
            by: epione_primitives::UserId([1; 32]),
            records: vec![record(1, 0b100), record(2, 0b1)].try_into().unwrap(),
            grant: epione_primitives::Hash::repeat_byte(1),
            until: 31 * day,
            audience: epione_primitives::AccountId::new([5; 32]),
            sealing_key: epione_primitives::Hash::repeat_byte(9),
            mailbox: HospitalId(3),
            block: 20,
            at: day,
        };
        let is_wanted = |more: &[&str], mailbox: Option<u16>, until| {
            is_wanted(&parse(more).unwrap(), (mailbox.map(HospitalId), until), &acceptance)
        };
        let spans =
            |more: &[&str], mailbox| is_wanted(&[&["--for", "30d"][..], more].concat(), mailbox, 0);
        assert!(spans(&[], None) && spans(&[], Some(3)) && !spans(&[], Some(4)));
        assert!(spans(&["--record", "1/0:2", "--record", "2/0"], None));
        for other in [&["--record", "1/0:2"][..], &["--record", "1/0:2,3", "--record", "2/0"]] {
            assert!(!spans(other, None), "{other:?}");
        }
        assert!(!spans(&["--record", "1/0", "--record", "2/0", "--record", "3/0"], None));
        assert!(!is_wanted(&["--for", "29d"], None, 0));
        assert!(is_wanted(&["--until", "2027-01-31"], None, 31 * day));
        assert!(!is_wanted(&["--until", "2027-01-31"], None, 30 * day));
    }
}
