//! `epione genesis assemble`.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use epione_client::application::{Application, Chainspec, MAX_ATTRIBUTES, founders};
use epione_primitives::{AccountId, HospitalId, text::quoted};
use serde::Serialize;

use super::Hashes;
use crate::{
    commands::hospital::read_application, context::Output, failure::Failure,
    invocation::Invocation, node_program::NodeProgram, wording::counted,
};

/// With fewer hospitals, no validator may fail.
const TOLERANT: usize = 4;
/// The folder of a hospital in deploy/.
const USUAL_FOLDER: &str = "/var/lib/epione";
/// Characters of a chain's name and id, at most.
const MAX_NAME: usize = 32;
/// Bytes of an attribute's name, at most: the limit of the chain.
const MAX_ATTRIBUTE: usize = 32;

#[derive(Debug, Args)]
pub struct AssembleArgs {
    /// Applications of all founders, which `epione hospital init` made
    #[arg(value_name = "APPLICATION", required = true)]
    pub applications: Vec<PathBuf>,
    /// File to write; it must not exist yet
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Name of the chain; the founders must give the same
    #[arg(long, value_parser = chain_name, default_value = "Epione")]
    pub name: String,
    /// Id of the chain: lower-case letters, digits and hyphens; the founders must give the same
    #[arg(long, value_parser = chain_id, default_value = "epione")]
    pub id: String,
    /// An attribute that hospitals can confirm of users, such as cardiology; repeatable, in the same order by all
    #[arg(long = "attribute", value_name = "NAME", value_parser = attribute)]
    pub attributes: Vec<String>,
    /// Folder of epione-node [default: the folder of this program, then PATH]
    #[arg(long, value_name = "DIR", env = "EPIONE_BIN_DIR")]
    pub bin_dir: Option<PathBuf>,
}

fn chain_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || " -_.".contains(c);
    if !(1..=MAX_NAME).contains(&text.len()) || text.trim() != text || !text.chars().all(plain) {
        return Err(format!("use 1 to {MAX_NAME} letters, digits, spaces and - _ ."));
    }
    Ok(text.into())
}

fn chain_id(text: &str) -> Result<String, String> {
    if !is_chain_id(text) {
        return Err(format!("use 1 to {MAX_NAME} lower-case letters, digits and hyphens"));
    }
    Ok(text.into())
}

/// Whether a chain may have this id. Nodes name the folder of their database after it.
pub fn is_chain_id(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && is_slug(text)
}

fn attribute(text: &str) -> Result<String, String> {
    if !(1..=MAX_ATTRIBUTE).contains(&text.len()) || !is_slug(text) {
        return Err(format!("use 1 to {MAX_ATTRIBUTE} lower-case letters, digits and hyphens"));
    }
    Ok(text.into())
}

fn is_slug(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// A founder of the new chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Founder {
    pub hospital: HospitalId,
    pub name: String,
    pub governance: AccountId,
    pub worker_url: String,
    pub peer: String,
}

/// A new chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Assembled {
    #[serde(flatten)]
    pub hashes: Hashes,
    pub founders: Vec<Founder>,
    /// The command with which a founder joins whose hospital is in the usual folder.
    pub next: String,
}

impl Output for Assembled {}

impl fmt::Display for Assembled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for founder in &self.founders {
            let Founder { hospital, name, governance, worker_url, .. } = founder;
            // In quotation marks: a name could otherwise contain the account of another line.
            let name = quoted(name.as_bytes());
            writeln!(
                f,
                "hospital {hospital}  {name}  governance {governance}  worker {worker_url}"
            )?;
        }
        writeln!(f, "{}", self.hashes)?;
        if self.founders.len() < TOLERANT {
            let founded = counted(self.founders.len() as u64, "hospital", "hospitals");
            writeln!(
                f,
                "with {founded}, blocks do not become final as soon as one node stops: found the chain with at least \
                 {TOLERANT}"
            )?;
        }
        writeln!(
            f,
            "next: compare both hashes with every founder, by telephone or on paper. Only if all are equal, each \
             founder runs this, with the folder of its hospital:"
        )?;
        write!(f, "  {}", self.next)
    }
}

/// Makes a chain.
pub async fn assemble(args: &AssembleArgs) -> Result<Assembled, Failure> {
    if args.out.exists() {
        return Err(Failure::usage(
            format!("{} exists already, and is not overwritten", args.out.display()),
            "choose another name: --out FILE",
        ));
    }
    let founders = read(&args.applications)?;
    let spec = Chainspec {
        name: args.name.clone(),
        id: args.id.clone(),
        attributes: distinct(&args.attributes)?,
    };
    let node = NodeProgram::find(args.bin_dir.as_deref())?;
    let work = tempfile::tempdir().map_err(|error| Failure::file(&std::env::temp_dir(), &error))?;
    let (plain, raw) = (work.path().join("plain.json"), work.path().join("chain.json"));
    let text = spec.of(&founders).to_string();
    fs::write(&plain, text).map_err(|error| Failure::file(&plain, &error))?;
    node.write_raw(&plain, &raw).await?;
    let found = Hashes::of(&raw, &node).await?;
    copy_new(&raw, &args.out).map_err(|error| Failure::file(&args.out, &error))?;
    let hashes = Hashes { file: args.out.clone(), ..found };
    let next = Invocation::new(["hospital", "join", "--chain"])
        .with([&args.out])
        .with(["--genesis", &format!("{:?}", hashes.genesis), "--dir", USUAL_FOLDER])
        .to_string();
    let listed = (0..).map(HospitalId).zip(&founders).map(|(hospital, founder)| {
        let statement = founder.statement();
        Founder {
            hospital,
            name: statement.name.clone(),
            governance: statement.governance.clone(),
            worker_url: statement.worker_url.clone(),
            peer: founder.peer(),
        }
    });
    Ok(Assembled { hashes, founders: listed.collect(), next })
}

fn read(files: &[PathBuf]) -> Result<Vec<Application>, Failure> {
    let read: Result<Vec<_>, Failure> = files.iter().map(|file| read_application(file)).collect();
    founders(read?).map_err(|error| {
        Failure::new(
            format!("these applications found no chain: {error}"),
            "ask the hospitals for other applications, one of each",
        )
    })
}

fn distinct(attributes: &[String]) -> Result<Vec<String>, Failure> {
    let mut seen = Vec::new();
    for attribute in attributes {
        if seen.contains(attribute) {
            return Err(Failure::usage(
                format!("the attribute {attribute} is given twice"),
                "give each attribute once",
            ));
        }
        seen.push(attribute.clone());
    }
    if seen.len() > MAX_ATTRIBUTES {
        return Err(Failure::usage(
            format!("more than {MAX_ATTRIBUTES} attributes are given"),
            "give fewer: the council can name further ones later",
        ));
    }
    Ok(seen)
}

/// Copies a file to a name that does not exist yet.
fn copy_new(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(to)?;
    file.write_all(&bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_chain_are_plain() {
        for good in ["Epione", "Epione North 2", "a-b_c.d"] {
            chain_name(good).unwrap();
        }
        for wrong in ["", " Epione", "Epi\none", "Epi\"one", &"x".repeat(MAX_NAME + 1)] {
            chain_name(wrong).unwrap_err();
        }
        chain_id("epione-2").unwrap();
        for wrong in ["", "Epione", "epione_2", "epione 2", &"x".repeat(MAX_NAME + 1)] {
            chain_id(wrong).unwrap_err();
        }
    }

    #[test]
    fn a_name_is_not_mistaken_for_an_account() {
        let account = |byte| AccountId::new([byte; 32]);
        let (hash, file) = (epione_primitives::Hash::zero(), PathBuf::from("chain.json"));
        let assembled = Assembled {
            hashes: Hashes { file, genesis: hash, sha256: String::new() },
            founders: vec![Founder {
                hospital: HospitalId(0),
                name: format!("N\"  governance {}", account(1)),
                governance: account(2),
                worker_url: "https://n.example".into(),
                peer: String::new(),
            }],
            next: String::new(),
        };
        let shown = assembled.to_string();
        let line = format!(
            "hospital 0  \"N\\\"  governance {}\"  governance {}  worker https://n.example\n",
            account(1),
            account(2)
        );
        assert!(shown.starts_with(&line), "{shown}");
    }

    #[test]
    fn attributes_have_an_order_and_no_repetition() {
        let given = ["oncology", "cardiology"].map(String::from);
        assert_eq!(distinct(&given).unwrap(), given);
        distinct(&[given[0].clone(), given[0].clone()]).unwrap_err();
        let many: Vec<_> = (0..=MAX_ATTRIBUTES).map(|n| format!("a{n}")).collect();
        distinct(&many).unwrap_err();
        attribute("Cardiology").unwrap_err();
    }

    #[test]
    fn an_existing_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        fs::write(path("from"), "new").unwrap();
        fs::write(path("to"), "old").unwrap();
        copy_new(&path("from"), &path("to")).unwrap_err();
        assert_eq!(fs::read_to_string(path("to")).unwrap(), "old");
    }
}
