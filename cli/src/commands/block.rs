//! `epione block`: shows and verifies committed lite blocks.

use std::fmt;

use clap::{Args, Subcommand};
use epione_client::verify::{self, Check, Verification};
use epione_primitives::{
    HospitalId,
    approval::Ballot,
    block::{BlockHashes, Entry, Header},
};
use serde::Serialize;

use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::{self, KeySource},
    progress, show,
    wording::{counted, moment, word},
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows header, hashes, entries and approvals
    Show(ShowArgs),
    /// Recomputes hashes and links, and verifies the signatures of the announcing and the approving hospitals, and of
    /// each record's author, nurse and patient; with --segments, also recomputes every segment's hash
    Verify(VerifyArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Show(args) => show(&block(args, context).await?, json),
            Self::Verify(args) => show(&verified(args, context).await?, json),
        }
    }
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Height of the lite block; the first has height 1
    pub height: u32,
}

/// A committed block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    pub header: Header,
    pub hashes: BlockHashes,
    pub entries: Vec<Entry>,
    /// Component C; absent only if the node no longer has it.
    pub ballot: Option<Ballot>,
}

impl Output for Block {}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = &self.header;
        writeln!(
            f,
            "block {} of hospital {}, at {}",
            header.height,
            header.announcer,
            moment(header.time)
        )?;
        writeln!(f, "lite hash       {:?}", self.hashes.lite)?;
        writeln!(f, "cloud hash      {:?}", self.hashes.cloud)?;
        writeln!(f, "previous lite   {:?}", header.previous_lite)?;
        writeln!(f, "previous cloud  {:?}", header.previous_cloud)?;
        writeln!(f, "body            {} bytes, {:?}", header.body_bytes, header.body_hash)?;
        writeln!(
            f,
            "segments        {}, {} bytes, root {:?}",
            header.segments.count, header.segments.bytes, header.segments.root
        )?;
        if let Some(ballot) = &self.ballot {
            let electorate: Vec<_> = ballot.electorate.iter().map(HospitalId::to_string).collect();
            match ballot.approvals.len() {
                0 => writeln!(f, "approved by     no other hospital: no approval was needed")?,
                _ => writeln!(
                    f,
                    "approved by     {} (could vote: {})",
                    approvals(ballot),
                    electorate.join(", ")
                )?,
            }
            for (hospital, reason) in &ballot.rejections {
                writeln!(f, "rejected by     {hospital}: {}", word(reason))?;
            }
        }
        for (index, entry) in self.entries.iter().enumerate() {
            writeln!(
                f,
                "record {}/{index}  patient {}  {} bytes, {}, previous record {}",
                header.height,
                entry.patient,
                entry.text.length,
                counted(entry.media.length, "segment", "segments"),
                entry.previous.map_or("none".into(), |pointer| pointer.to_string())
            )?;
        }
        Ok(())
    }
}

/// The hospitals that approved, with the chain blocks of their votes.
fn approvals(ballot: &Ballot) -> String {
    let approvals = ballot.approvals.iter();
    let voted = approvals.map(|it| format!("{} in chain block {}", it.hospital, it.block));
    voted.collect::<Vec<_>>().join(", ")
}

/// Reads a committed block from finalized state.
pub async fn block(args: &ShowArgs, context: &Context) -> Result<Block, Failure> {
    let snapshot = context.chain().await?.finalized().await?;
    let Some((header, hashes)) = snapshot.header(args.height).await? else {
        let newest = snapshot.height().await?;
        return Err(Failure::new(
            format!("there is no committed block of height {}", args.height),
            match newest {
                0 => "no block is committed yet".into(),
                newest => format!("choose a height between 1 and {newest}"),
            },
        ));
    };
    let entries = snapshot.entries(args.height).await?;
    let ballot = snapshot.ballot(header.announcement).await?;
    Ok(Block { header, hashes, entries, ballot })
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Height of the lite block; the first has height 1
    pub height: u32,
    /// Also fetch every segment from a hospital's worker, and check its hash
    #[arg(long)]
    pub segments: bool,
    /// With --segments: the hospital from whose worker to fetch [default: the announcer]
    #[arg(long, value_name = "HOSPITAL", requires = "segments")]
    pub hospital: Option<HospitalRef>,
    /// With --segments: key file of an active hospital's agent [default: the devnet's]
    #[arg(long = "as", value_name = "FILE", requires = "segments")]
    pub signer: Option<KeySource>,
}

/// The checks and their results.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    pub height: u32,
    pub passed: bool,
    pub checks: Vec<Check>,
}

impl Output for Verified {
    fn passed(&self) -> bool {
        self.passed
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            writeln!(f, "{}  {}", if check.passed { "ok    " } else { "FAILED" }, check.name)?;
            if check.passed {
                continue;
            }
            for (label, value) in [("expected", &check.expected), ("found", &check.found)] {
                if let Some(value) = value {
                    writeln!(f, "        {label} {value}")?;
                }
            }
        }
        let failed = self.checks.iter().filter(|check| !check.passed).count();
        let checks = counted(self.checks.len(), "check", "checks");
        match failed {
            0 => write!(f, "block {} passes all {checks}", self.height),
            _ => write!(f, "block {} FAILS {failed} of {checks}", self.height),
        }
    }
}

/// Verifies a committed block.
pub async fn verified(args: &VerifyArgs, context: &Context) -> Result<Verified, Failure> {
    let evidence = verify::gather(context.chain().await?, args.height).await?;
    let mut report = verify::check(&evidence);
    if args.segments {
        let hospital = match &args.hospital {
            Some(hospital) => context.hospital(hospital).await?,
            None => evidence.header.announcer,
        };
        let source =
            match (&args.signer, context.devnet().and_then(|state| state.hospital(hospital))) {
                (Some(source), _) => source.clone(),
                (None, Some(hospital)) => KeySource::Development(hospital.agent.clone()),
                (None, None) => {
                    return Err(Failure::usage(
                        "workers serve segments to hospitals' agents only",
                        "give an agent's key file with --as FILE",
                    ));
                }
            };
        let worker = context.worker(hospital, identity::account(&context.keys(&source)?)).await?;
        let segments = verify::segments(&evidence)?;
        let number = counted(segments.len(), "segment", "segments");
        let spinner = progress::waiting(context, format!("checking {number}"));
        verify::check_segments(&mut report, &segments, |segment| {
            let worker = worker.clone();
            async move { worker.segment(&segment).await }
        })
        .await;
        spinner.finish_and_clear();
    }
    Ok(from(report))
}

fn from(report: Verification) -> Verified {
    Verified { height: report.height, passed: report.passed(), checks: report.checks }
}
