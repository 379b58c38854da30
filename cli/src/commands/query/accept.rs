//! `epione query accept`: the patient lets the requester read some or all of what is asked for.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{ArgGroup, Args};
use epione_client::query::Queries;
use epione_primitives::{BlockNumber, HospitalId, Moment, QueryId, release::ReleasedRecord};
use serde::Serialize;

use super::{
    part::Part,
    statement::{self, Statement},
};
use crate::{
    commands::relation::span,
    confirmation::confirm,
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::KeySource,
    progress,
};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("end").required(true).args(["until", "span"])))]
pub struct AcceptArgs {
    /// The query's number
    #[arg(value_name = "QUERY")]
    pub query: u32,
    /// Your key file: the patient's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// A record, and the numbers of sections, as in 1/0:3,5; without numbers, all that is asked for of it. May be
    /// repeated [default: all that is asked for]
    #[arg(long = "record", value_name = "HEIGHT/INDEX[:SECTIONS]")]
    pub records: Vec<Part>,
    /// Day or time in UTC at which the acceptance ends, as 2027-01-31 or 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Moment>,
    /// Instead of --until: time from now, such as 30d, 12h or 45m
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub span: Option<Duration>,
    /// Hospital whose worker keeps the sealed keys for the requester [default: that of the first record]
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

/// An acceptance that is on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accepted {
    #[serde(flatten)]
    pub statement: Statement,
    /// The chain block that has it.
    pub block: BlockNumber,
    /// The command that ends it.
    pub undo: String,
}

impl Output for Accepted {}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Statement { query, until, mailbox, .. } = &self.statement;
        writeln!(f, "{}", self.statement)?;
        writeln!(
            f,
            "query {query} is accepted in chain block {}; the requester can collect from hospital {mailbox} until \
             {until}",
            self.block
        )?;
        write!(f, "to end this: {}", self.undo)
    }
}

/// Accepts a query, after the patient has confirmed what it means.
pub async fn accept(args: &AcceptArgs, context: &Context) -> Result<Accepted, Failure> {
    let queries = Queries::new(context.chain().await?.clone());
    let found = queries.show(QueryId(args.query)).await?;
    let mailbox: HospitalId = match &args.mailbox {
        Some(named) => context.hospital(named).await?,
        None => statement::hospital_of(&found, context).await?,
    };
    let sources = (&args.signer, &args.earlier_keys[..]);
    let reader = statement::reader(sources, mailbox, context).await?;
    let spinner = progress::waiting(context, "opening what is asked for");
    let considered = queries.consider(found.id, &reader).await;
    spinner.finish_and_clear();
    let considered = considered?;
    let named: Vec<ReleasedRecord> = args.records.iter().map(|part| part.0).collect();
    let accepted = considered.choose(&named)?;
    let until = end(args)?;
    let statement = Statement::of(&considered, &accepted, (until, mailbox), context).await?;
    confirm(context, &statement.to_string(), args.yes).await?;
    let spinner = progress::waiting(context, "waiting until the acceptance is finalized");
    let block = queries.accept(&considered, &accepted, until, &reader).await;
    spinner.finish_and_clear();
    let undo = context.command(["query", "withdraw"]).with([args.query.to_string()]);
    let undo = undo.with(["--as"]).with([&args.signer]).to_string();
    Ok(Accepted { statement, block: block?.number, undo })
}

/// The end of the acceptance.
fn end(args: &AcceptArgs) -> Result<Moment, Failure> {
    let wrong = || Failure::usage("no end is given, or it is too far", "give --until or --for");
    let end = match (args.until, args.span) {
        (Some(until), _) => return Ok(until),
        (None, Some(span)) => SystemTime::now().checked_add(span),
        (None, None) => None,
    };
    moment(end.ok_or_else(wrong)?).ok_or_else(wrong)
}

/// A day or a time in UTC.
fn time(text: &str) -> Result<Moment, String> {
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
        assert_eq!(end(&parse(&["--until", "1970-01-02"]).unwrap()).unwrap(), 86_400_000);
        for wrong in ["", "tomorrow", "2027-13-01", "2027-01-31T12:00:00+01:00", "31.1.2027"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
