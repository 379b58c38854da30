//! `epione consent export` and `import`: a consent as a resource of FHIR R4.

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use epione_client::consent::fhir::{self, Described, Exported};
use epione_primitives::sharing::SlotId;
use serde::Serialize;

use super::{
    choosing::Wanted,
    give::{SlotArgs, slot},
    giving::{self, Given},
    list::newest,
    whose::Whose,
};
use crate::{
    context::{Context, Output},
    failure::Failure,
    identity::{self, KeySource},
};

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// Number of the slot, from 0 to 15
    #[arg(long, value_name = "SLOT", value_parser = slot)]
    pub slot: SlotId,
    /// Format of the result
    #[arg(long, value_enum, default_value = "fhir")]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A resource Consent of HL7 FHIR R4, in JSON
    Fhir,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Your key file: the patient's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// File with a resource Consent of HL7 FHIR R4, in JSON. Every part of it must be understood
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub slot: SlotArgs,
}

/// The resource. It is JSON for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Resource(Exported);

impl Output for Resource {}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string_pretty(&self.0).map_err(|_| fmt::Error)?)
    }
}

/// Exports the newest consent of a slot.
pub async fn export(args: &ExportArgs, context: &Context) -> Result<Resource, Failure> {
    let patient = args.whose.patient(context).await?;
    let chain = context.chain().await?;
    let state = chain.finalized().await?;
    let version = newest(state.consents(patient).await?, (patient, args.slot), context)?;
    let described = Described {
        genesis: chain.genesis_hash(),
        patient,
        slot: args.slot,
        version: &version,
        in_force: version.in_force(state.time().await?),
    };
    match args.format {
        Format::Fhir => Ok(Resource(fhir::export(&described)?)),
    }
}

/// Gives the consent that a resource describes, after the patient has confirmed what it means.
pub async fn import(args: &ImportArgs, context: &Context) -> Result<Given, Failure> {
    let json = read(&args.file)?;
    let chain = context.chain().await?;
    let now = chain.finalized().await?.time().await?;
    let imported = fhir::import(&json, chain.genesis_hash(), now)?;
    let patient = context.user_of(&identity::account(&context.keys(&args.signer)?)).await?;
    if imported.patient != patient {
        return Err(Failure::usage(
            format!("the consent is one of patient {}, and you are {patient}", imported.patient),
            "give the key file of that patient with --as; nothing was signed, nothing was sent",
        ));
    }
    let wanted = Wanted {
        slot: args.slot.slot,
        proposed: Some(imported.slot),
        consent: imported.consent,
        same_end: 0,
    };
    giving::give(&args.slot.giver(&args.signer), wanted, context).await
}

/// Reads no more than what shows that a file is too long, which the library then refuses.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut json = Vec::new();
    let file = File::open(path)
        .and_then(|file| file.take(fhir::MAX_FILE_BYTES + 1).read_to_end(&mut json));
    file.map_err(|error| Failure::file(path, &error))?;
    Ok(json)
}
