//! `epione consent give`: the patient signs whom a slot is for, and places what the consent covers.

use std::time::Duration;

use clap::{ArgGroup, Args};
use epione_client::consent::set_of;
use epione_envelope::record::SectionKind;
use epione_primitives::{
    Moment,
    access::{PolicyList, Purpose},
    limits::MAX_POLICY_LIST,
    sharing::{Consent, RecordedPeriod, SlotId},
};

use super::{
    audience::AudienceArgs,
    choosing::Wanted,
    giving::{self, Given, Giver},
    shown::names,
};
use crate::{
    commands::{query::time, relation::span},
    context::Context,
    failure::Failure,
    identity::KeySource,
    words::argument,
};

/// Two runs of a command with --for do not begin at the same time: the consent of the earlier one may end earlier by
/// this time.
const SAME_END: Moment = 3_600_000;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("end").required(true).args(["until", "span"])))]
pub struct GiveArgs {
    /// Your key file: the patient's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    #[command(flatten)]
    pub audience: AudienceArgs,
    /// What the sections may be read for; may be repeated. With emergency, which needs --standing and excludes other
    /// purposes: doctors among the requesters open the sections in an emergency, and other hospitals review it
    #[arg(long = "purpose", value_name = "PURPOSE", required = true, value_parser = argument::<Purpose>())]
    pub purposes: Vec<Purpose>,
    /// Kind of the sections that are placed in the slot: those of earlier records by this command, those of new records
    /// by their hospital; may be repeated [default: you place each section with `epione section share`]
    #[arg(long = "kind", value_name = "KIND", value_parser = argument::<SectionKind>())]
    pub kinds: Vec<SectionKind>,
    /// With --kind: only of records signed from this day or time in UTC on, as 2025-01-01 or 2025-01-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time, requires = "kinds")]
    pub recorded_from: Option<Moment>,
    /// With --kind: only of records signed before this day or time
    #[arg(long, value_name = "TIME", value_parser = time, requires = "kinds")]
    pub recorded_to: Option<Moment>,
    /// Day or time in UTC at which the consent ends, as 2027-01-31 or 2027-01-31T12:00:00Z; a day means its beginning,
    /// 00:00 UTC. At most 366 days from now
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Moment>,
    /// Instead of --until: time from now by the chain's clock, such as 30d, 12h or 45m; at most 366d
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub span: Option<Duration>,
    /// Lets the hospitals together open the sections for the requesters while you and the hospital of the record are
    /// away. Enough hospitals for that can then also open them together without the chain's decision
    #[arg(long)]
    pub standing: bool,
    #[command(flatten)]
    pub slot: SlotArgs,
}

/// The slot, and how the patient signs for it.
#[derive(Debug, Args)]
pub struct SlotArgs {
    /// Number of the slot, from 0 to 15. Its sections stay in it: a new consent for a slot changes who may read all of
    /// them [default: the first slot without sections and without a consent in force]
    #[arg(long, value_name = "SLOT", value_parser = slot)]
    pub slot: Option<SlotId>,
    /// Key file from before a rotation, if a hospital's profile of you is still sealed to the earlier key; may be
    /// repeated
    #[arg(long, value_name = "FILE")]
    pub earlier_keys: Vec<KeySource>,
    /// Signs without asking you to confirm
    #[arg(long)]
    pub yes: bool,
}

impl SlotArgs {
    pub(super) fn giver<'a>(&'a self, signer: &'a KeySource) -> Giver<'a> {
        Giver { signer, earlier: &self.earlier_keys, yes: self.yes }
    }
}

/// Parses the number of a slot.
pub(in crate::commands) fn slot(text: &str) -> Result<SlotId, String> {
    let most = epione_primitives::limits::MAX_SLOTS.saturating_sub(1);
    let number = text.parse::<u8>().ok().filter(|number| *number <= most);
    number.map(SlotId).ok_or_else(|| format!("a slot is a number from 0 to {most}"))
}

/// Gives a consent, after the patient has confirmed what it means.
pub async fn give(args: &GiveArgs, context: &Context) -> Result<Given, Failure> {
    let state = context.chain().await?.finalized().await?;
    let (until, same_end) = end(args, state.time().await?)?;
    let purposes = PolicyList::try_from(args.purposes.clone()).map_err(|_| {
        Failure::usage(
            format!("a consent has at most {MAX_POLICY_LIST} purposes"),
            "name each purpose once",
        )
    })?;
    let names = names(&state, context).await?;
    let formula = args.audience.formula(&names, context).await?;
    let audience = formula
        .audience()
        .map_err(|error| Failure::from(epione_client::consent::ConsentError::Audience(error)))?;
    let consent = Consent {
        audience,
        purposes,
        kinds: set_of(&args.kinds),
        recorded: RecordedPeriod { from: args.recorded_from, to: args.recorded_to },
        until,
        standing: args.standing,
    };
    let wanted = Wanted { slot: args.slot.slot, proposed: None, consent, same_end };
    giving::give(&args.slot.giver(&args.signer), wanted, context).await
}

/// The end of the consent, and by how much that of an earlier run may be before it. `now` is the chain's time, which
/// also decides whether the end is too late: by another clock, the longest span would be refused.
fn end(args: &GiveArgs, now: Moment) -> Result<(Moment, Moment), Failure> {
    let too_far = || Failure::from(epione_client::consent::ConsentError::WrongEnd);
    match (args.until, args.span) {
        (Some(until), _) => Ok((until, 0)),
        (None, Some(span)) => {
            let span = Moment::try_from(span.as_millis()).map_err(|_| too_far())?;
            let until = now.checked_add(span).ok_or_else(too_far)?;
            Ok((until, SAME_END.min(span)))
        }
        (None, None) => Err(too_far()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use epione_policies::{Facts, evaluate, language::compile};
    use epione_primitives::{
        HospitalId,
        access::{Action, PolicySet, SectionClass},
    };

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        give: GiveArgs,
    }

    fn parse(more: &[&str]) -> Result<GiveArgs, clap::Error> {
        let begin = ["give", "--as", "//Patient", "--role", "insurer"];
        Line::try_parse_from([&begin[..], more].concat()).map(|line| line.give)
    }

    #[test]
    fn a_consent_names_an_audience_a_purpose_and_an_end() {
        let line = [
            "--hospital",
            "2",
            "--purpose",
            "payment",
            "--kind",
            "diagnosis",
            "--recorded-from",
            "2025-01-01",
            "--for",
            "30d",
            "--slot",
            "15",
        ];
        let args = parse(&line).unwrap();
        assert_eq!((args.slot.slot, args.kinds.len()), (Some(SlotId(15)), 1));
        assert_eq!(args.recorded_from, Some(1_735_689_600_000));
        assert_eq!(args.audience.hospitals.len(), 1);
        for wrong in [
            &["--purpose", "payment"][..],
            &["--for", "30d"],
            &["--purpose", "payment", "--for", "30d", "--until", "2027-01-31"],
            &["--purpose", "fun", "--for", "30d"],
            &["--purpose", "payment", "--for", "30d", "--kind", "poem"],
            &["--purpose", "payment", "--for", "30d", "--recorded-to", "2025-01-01"],
            &["--purpose", "payment", "--for", "30d", "--slot", "16"],
            &["--purpose", "payment", "--for", "30d", "--slot", "-1"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_span_counts_from_now_and_a_rerun_may_come_later() {
        let now = 1_000_000;
        let line = |more: &[&str]| parse(&[&["--purpose", "audit"][..], more].concat()).unwrap();
        let day = 86_400_000;
        assert_eq!(end(&line(&["--for", "1d"]), now).unwrap(), (day + 1_000_000, SAME_END));
        assert_eq!(end(&line(&["--for", "60s"]), now).unwrap(), (1_060_000, 60_000));
        assert_eq!(end(&line(&["--until", "1970-01-02"]), now).unwrap(), (day, 0));
        assert!(end(&line(&["--for", "200000000000000d"]), now).is_err());
    }

    /// The first example of a consent must let somebody read at a hospital that uses the sample of policies.
    #[test]
    fn the_samples_policies_allow_what_the_readmes_consent_is_for() {
        let readme = include_str!("../../../../README.md");
        let line = readme.lines().find(|line| line.starts_with("epione consent give"));
        let words = line.unwrap().split('#').next().unwrap().split_whitespace();
        let crate::commands::Command::Consent(super::super::Command::Give(args)) =
            crate::Cli::try_parse_from(words).unwrap().command
        else {
            panic!("the line gives no consent")
        };
        let policies = compile("hospital.toml", crate::samples::HOSPITAL_POLICIES, 0).unwrap();
        let set = PolicySet { since: 0, policies };
        let decide = |class, role, purpose| {
            let facts = Facts {
                role,
                action: Action::ReadText,
                class,
                purpose,
                cosigned: false,
                at: 1,
                hospital: HospitalId(0),
                requester_is_patient: false,
                requester_at: Vec::new(),
                patient_registered: true,
                credentials: Vec::new(),
                represents_patient: false,
                related: Vec::new(),
            };
            evaluate(&facts, 1, &set).is_allowed()
        };
        assert!(!args.audience.roles.is_empty() && !args.purposes.is_empty());
        for role in args.audience.roles.iter().copied() {
            for purpose in args.purposes.iter().copied() {
                assert!(decide(SectionClass::Shared, role, purpose), "{role:?}, {purpose:?}");
                assert!(!decide(SectionClass::Private, role, purpose), "{role:?}, {purpose:?}");
            }
        }
    }

    #[test]
    fn the_longest_span_is_one_that_the_chain_accepts() {
        let now = 1_796_083_200_123;
        let args = parse(&["--purpose", "audit", "--for", "366d"]).unwrap();
        let (until, _) = end(&args, now).unwrap();
        assert_eq!(until, now + epione_primitives::limits::MAX_SHARING_MILLIS);
        let longer = parse(&["--purpose", "audit", "--for", "367d"]).unwrap();
        assert!(end(&longer, now).unwrap().0 > until);
    }
}
