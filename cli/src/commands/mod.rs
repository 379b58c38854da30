//! The commands, one per file.

mod answering;
pub mod audit;
pub mod block;
pub mod chain;
pub mod completions;
pub mod consent;
pub mod consortium;
pub mod council;
pub mod credential;
mod custodian;
pub mod devnet;
pub mod disclosure;
pub mod discover;
pub mod doctor;
pub mod evidence;
pub mod genesis;
pub mod hospital;
pub mod keys;
pub mod lite;
pub mod mandate;
pub mod name;
mod offline;
pub mod opening;
pub mod policy;
pub mod query;
pub mod records;
pub mod relation;
pub mod section;
pub mod user;
pub mod visit;

use clap::Subcommand;

use crate::{context::Context, failure::Failure, interrupt::this_command, show};

/// The command to run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Creates and shows key files
    #[command(subcommand)]
    Keys(keys::Command),
    /// Registers and lists patients, doctors, nurses and other users; rotates keys
    #[command(subcommand)]
    User(user::Command),
    /// Sets your own names for users and hospitals, to use instead of ids and numbers
    #[command(subcommand)]
    Name(name::Command),
    /// Relates a professional to a patient at a hospital
    Relate(relation::RelateArgs),
    /// Ends a relationship between a professional and a patient
    Unrelate(relation::UnrelateArgs),
    /// Submits visits and shows their status
    #[command(subcommand)]
    Visit(visit::Command),
    /// Lists and reads a patient's records
    #[command(subcommand)]
    Records(records::Command),
    /// Lets others read sections of your records, by standing consents: gives, shows, ends and exchanges them
    #[command(subcommand)]
    Consent(consent::Command),
    /// Places sections of your records in the slots of your consents, and follows what all patients share
    #[command(subcommand)]
    Section(section::Command),
    /// Shows sections of your record to somebody outside, with a proof that needs no node
    ///
    /// The result is a folder for the recipient, who verifies it with `epione verify-disclosure`: who wrote the
    /// sections, when, and that the author permits to show them without the others. The other sections stay hidden. You
    /// sign for whom the disclosure is, and why. Only the patient of a record discloses it, with their own key.
    Disclose(disclosure::DiscloseArgs),
    /// Verifies and shows a disclosure, without a node and without a key
    ///
    /// Give the hash of the chain's first block, as the hospitals publish it, with --genesis. The command fails if
    /// anything is wrong, and says who is responsible if the disclosure shows it.
    VerifyDisclosure(disclosure::VerifyDisclosureArgs),
    /// Verifies and shows evidence about records and queries, without a node and without a key
    ///
    /// Give the hash of the chain's first block, as the hospitals publish it, with --genesis. The command fails if a
    /// proof is missing or wrong, and names who is responsible if the evidence shows it.
    VerifyEvidence(evidence::VerifyEvidenceArgs),
    /// Shows who read a patient's records, reviews of emergencies, and proofs of records and queries
    #[command(subcommand)]
    Audit(audit::Command),
    /// Asks a patient for sections of records, and answers as a patient
    #[command(subcommand)]
    Query(query::Command),
    /// Has the hospitals open sections together that a patient shares by a standing consent, and lists what was opened
    #[command(subcommand)]
    Opening(opening::Command),
    /// Lets others act for you as a patient: representatives, and hospitals that submit without your signature
    #[command(subcommand)]
    Mandate(mandate::Command),
    /// Asks hospitals how many patients share sections with you
    ///
    /// Each hospital answers a number that is rounded down, or that it is smaller than the hospital's floor. Only what
    /// the consents of patients share with you for this purpose is counted. A hospital answers a limited number of
    /// different questions a day.
    Discover(discover::DiscoverArgs),
    /// Checks, sets and shows a hospital's policies, and explains decisions
    #[command(subcommand)]
    Policy(policy::Command),
    /// Confirms attributes of users as a hospital, and lists what hospitals confirm
    #[command(subcommand)]
    Credential(credential::Command),
    /// Founds a hospital, joins it to a chain, changes its entry and its keys, and lets it leave
    #[command(subcommand)]
    Hospital(hospital::Command),
    /// Makes a new chain from the applications of its founders
    #[command(subcommand)]
    Genesis(genesis::Command),
    /// Shows the key of which the hospitals have shares, and requests new shares
    #[command(subcommand)]
    Consortium(consortium::Command),
    /// Proposes, votes and closes motions of the hospitals' council, and applies an upgrade that it authorized
    #[command(subcommand)]
    Council(council::Command),
    /// Shows and verifies committed blocks
    #[command(subcommand)]
    Block(block::Command),
    /// Keeps the chain of lite blocks in a file of your own, to verify, list and search without a node
    #[command(subcommand)]
    Lite(lite::Command),
    /// Stores which chain a node must belong to: the hash of the chain's first block, and a checkpoint if there is one
    #[command(subcommand)]
    Chain(chain::Command),
    /// Checks what a hospital needs to take part, on its worker's machine, and says what to do
    ///
    /// Finds clocks that are wrong, a wrong chain, keys that are not the chain's, a storage of another hospital, full
    /// disks, closed ports, hospitals that cannot be reached in one direction, and programs that are too old. It
    /// changes nothing. What it cannot check, it says. Give --node-data and --keystore on the node's machine.
    Doctor(doctor::DoctorArgs),
    /// Runs a complete network on this machine, for trials and tests
    #[command(subcommand)]
    Devnet(devnet::Command),
    /// Prints a script that makes a shell complete commands and options
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// The help that is printed when a signal ends the command early; none if the command handles signals itself.
    pub(crate) fn when_interrupted(&self) -> Option<String> {
        let again = this_command().to_string();
        let reads = || Some(format!("nothing was changed; to try again, run: {again}"));
        let changes = || {
            Some(format!(
                "the chain may still execute a call that was already sent, but never twice; to \
                 make sure that it is executed, run: {again}"
            ))
        };
        match self {
            Self::Devnet(devnet::Command::Up(_)) => None,
            Self::Keys(_) | Self::Name(_) | Self::Chain(_) | Self::Completions(_) => {
                Some(format!("to try again, run: {again}"))
            }
            Self::Visit(visit::Command::Submit(_)) => {
                Some(format!("nothing was sent; to submit the visit, run: {again}"))
            }
            Self::Disclose(_) => Some(format!("no disclosure was made; to make it, run: {again}")),
            Self::Records(records::Command::Get(args)) => Some(args.when_interrupted(&again)),
            Self::Lite(lite::Command::Sync(_)) => {
                Some(format!("the blocks copied so far are kept; to continue, run: {again}"))
            }
            Self::Query(command) => Some(command.when_interrupted(&again)),
            Self::Opening(command) => Some(command.when_interrupted(&again)),
            Self::Mandate(command) if command.is_reading() => reads(),
            Self::Hospital(command) if command.is_reading() => reads(),
            Self::Hospital(command) => command.when_interrupted(&again).or_else(changes),
            Self::Genesis(_) => Some(format!("to try again, run: {again}")),
            Self::Consortium(command) if command.is_reading() => reads(),
            Self::Council(command) if command.is_reading() => reads(),
            Self::Consent(command) => Some(command.when_interrupted(&again)),
            Self::Section(command) => Some(command.when_interrupted(&again)),
            Self::Devnet(devnet::Command::Down(_)) => Some(format!(
                "some processes of the network may still run; to stop them, run: {again}"
            )),
            Self::User(user::Command::Consent(_) | user::Command::Recovery(_))
            | Self::Visit(visit::Command::Status(_))
            | Self::Records(records::Command::List(_))
            | Self::Audit(
                audit::Command::WhoLooked(_)
                | audit::Command::Reviews(_)
                | audit::Command::ProofChain(_),
            )
            | Self::Policy(
                policy::Command::Check(_) | policy::Command::Show(_) | policy::Command::Explain(_),
            )
            | Self::Credential(credential::Command::Attributes | credential::Command::List(_))
            | Self::VerifyDisclosure(_)
            | Self::VerifyEvidence(_)
            | Self::Discover(_)
            | Self::Doctor(_)
            | Self::Block(_)
            | Self::Lite(_)
            | Self::Devnet(devnet::Command::Status(_)) => reads(),
            Self::User(_)
            | Self::Mandate(_)
            | Self::Relate(_)
            | Self::Unrelate(_)
            | Self::Audit(audit::Command::Judge(_))
            | Self::Policy(policy::Command::Set(_))
            | Self::Credential(_)
            | Self::Consortium(_)
            | Self::Council(_) => changes(),
        }
    }

    /// Runs the command and prints the result; returns whether the result is good.
    pub(crate) async fn run(self, context: Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Keys(command) => command.run(&context),
            Self::Chain(command) => command.run(context).await,
            Self::Devnet(command) => command.run(&context).await,
            Self::Doctor(args) => doctor::doctor(&args, &context).await,
            Self::Completions(args) => show(&completions::completions(&args)?, json),
            Self::Name(command) => command.run(&context.with_devnet()?).await,
            Self::User(command) => command.run(&context.with_devnet()?).await,
            Self::Relate(args) => {
                show(&relation::relate(&args, &context.with_devnet()?).await?, json)
            }
            Self::Unrelate(args) => {
                show(&relation::unrelate(&args, &context.with_devnet()?).await?, json)
            }
            Self::Visit(command) => command.run(&context.with_devnet()?).await,
            Self::Records(command) => command.run(&context.with_devnet()?).await,
            Self::Disclose(args) => {
                show(&disclosure::disclose(&args, &context.with_devnet()?).await?, json)
            }
            Self::VerifyDisclosure(args) => {
                show(&disclosure::verify(&args, &context.with_devnet()?).await?, json)
            }
            Self::VerifyEvidence(args) => {
                show(&evidence::verify(&args, &context.with_devnet()?).await?, json)
            }
            Self::Audit(command) => command.run(&context.with_devnet()?).await,
            Self::Query(command) => command.run(&context.with_devnet()?).await,
            Self::Opening(command) => command.run(&context.with_devnet()?).await,
            Self::Mandate(command) => command.run(&context.with_devnet()?).await,
            Self::Discover(args) => {
                show(&discover::discover(&args, &context.with_devnet()?).await?, json)
            }
            Self::Consent(command) => command.run(&context.with_devnet()?).await,
            Self::Section(command) => command.run(&context.with_devnet()?).await,
            Self::Policy(command) => command.run(context).await,
            Self::Credential(command) => command.run(&context.with_devnet()?).await,
            Self::Hospital(command) => command.run(context.with_devnet()?).await,
            Self::Genesis(command) => command.run(&context).await,
            Self::Consortium(command) => command.run(&context.with_devnet()?).await,
            Self::Council(command) => command.run(&context.with_devnet()?).await,
            Self::Block(command) => command.run(&context.with_devnet()?).await,
            Self::Lite(command) => command.run(&context.with_devnet()?).await,
        }
    }
}
