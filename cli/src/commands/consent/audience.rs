//! The audience of a consent, as the command line names it.
//!
//! Every user is an alternative. Hospitals, roles and attributes together are one more alternative: all of them must
//! hold, unless --any-of or --at-least says otherwise. What cannot be said so is in a file, as a tree.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{ArgGroup, Args};
use epione_client::consent::{Formula, MAX_FORMULA_BYTES, Names, Tree};
use epione_primitives::{UserId, credential::AttributeId, profile::Role};

use crate::{
    context::{Context, HospitalRef},
    failure::Failure,
    similar::did_you_mean,
    words::argument,
};

#[derive(Debug, Default, Args)]
#[command(group(ArgGroup::new("audience").required(true).multiple(true).args(
    ["users", "hospitals", "roles", "attributes", "audience_file"]
)))]
pub struct AudienceArgs {
    /// A user who may read; may be repeated. Each is one alternative
    #[arg(long = "user", value_name = "USER")]
    pub users: Vec<UserId>,
    /// Hospital at which the requester must be registered; may be repeated. Hospitals, roles and attributes must all
    /// hold
    #[arg(long = "hospital", value_name = "HOSPITAL")]
    pub hospitals: Vec<HospitalRef>,
    /// Role that the requester must have; may be repeated
    #[arg(long = "role", value_name = "ROLE", value_parser = argument::<Role>())]
    pub roles: Vec<Role>,
    /// Attribute that the requester must have, and the hospital that must confirm it, as in cardiology@Bob; may be
    /// repeated
    #[arg(long = "attribute", value_name = "NAME@HOSPITAL")]
    pub attributes: Vec<AttributeAt>,
    /// One of the hospitals, roles and attributes is enough
    #[arg(long, conflicts_with = "at_least")]
    pub any_of: bool,
    /// So many of the hospitals, roles and attributes are enough
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..))]
    pub at_least: Option<u8>,
    /// Instead: a file with the audience as a tree, in JSON, or in TOML if its name ends so (docs/sharing.md)
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["users", "hospitals", "roles", "attributes", "any_of", "at_least"])]
    pub audience_file: Option<PathBuf>,
}

/// An attribute, and who confirms it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeAt {
    /// Its name, or its number.
    attribute: String,
    hospital: HospitalRef,
}

impl FromStr for AttributeAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} does not name an attribute and who confirms it: write it as cardiology@1"
            )
        };
        let (attribute, hospital) = text.split_once('@').ok_or_else(wrong)?;
        if attribute.is_empty() || hospital.is_empty() {
            return Err(wrong());
        }
        let Ok(hospital) = hospital.parse::<HospitalRef>();
        Ok(Self { attribute: attribute.into(), hospital })
    }
}

impl AudienceArgs {
    /// The formula.
    pub(super) async fn formula(
        &self,
        names: &Names,
        context: &Context,
    ) -> Result<Formula, Failure> {
        if let Some(path) = &self.audience_file {
            return from_file(path, names);
        }
        let mut leaves = Vec::new();
        for hospital in &self.hospitals {
            leaves.push(Formula::Hospital(context.hospital(hospital).await?));
        }
        leaves.extend(self.roles.iter().copied().map(Formula::Role));
        for AttributeAt { attribute, hospital } in &self.attributes {
            let id = number(attribute, names)?;
            leaves.push(Formula::Attribute(id, context.hospital(hospital).await?));
        }
        combined(self, leaves)
    }
}

/// The users, and the other leaves as one more alternative.
fn combined(args: &AudienceArgs, leaves: Vec<Formula>) -> Result<Formula, Failure> {
    let mut alternatives: Vec<_> = args.users.iter().copied().map(Formula::User).collect();
    match (args.any_of, args.at_least) {
        (true, _) => alternatives.extend(leaves),
        (_, Some(least)) if usize::from(least) > leaves.len() => {
            return Err(Failure::usage(
                format!("--at-least {least} needs as many hospitals, roles and attributes"),
                "name more of them, or choose a smaller number",
            ));
        }
        (_, Some(least)) => alternatives.push(Formula::AtLeast(least, leaves)),
        (false, None) if leaves.is_empty() => {}
        (false, None) => alternatives.push(Formula::all(leaves)),
    }
    Ok(Formula::any(alternatives))
}

/// The attribute with this name or number.
fn number(attribute: &str, names: &Names) -> Result<AttributeId, Failure> {
    let by_number = || attribute.parse().ok().map(AttributeId);
    let known = names.attributes.values().map(String::as_str);
    names.attribute(attribute).or_else(by_number).ok_or_else(|| {
        Failure::usage(
            format!("the chain has no attribute {attribute:?}{}", did_you_mean(attribute, known)),
            "choose an attribute that the council has named",
        )
    })
}

fn from_file(path: &Path, names: &Names) -> Result<Formula, Failure> {
    let mut text = String::new();
    let read = File::open(path)
        .and_then(|file| file.take(MAX_FORMULA_BYTES + 1).read_to_string(&mut text));
    let read = read.map_err(|error| Failure::file(path, &error))?;
    if read as u64 > MAX_FORMULA_BYTES {
        return Err(Failure::new(
            format!("{} is longer than {MAX_FORMULA_BYTES} bytes", path.display()),
            "an audience is never that long: name another file",
        ));
    }
    let is_toml = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"));
    let wrong = |error: String| {
        Failure::new(
            format!("{}: {}", path.display(), error.trim_end()),
            "write the audience as docs/sharing.md shows; nothing was signed, nothing was sent",
        )
    };
    let tree: Tree = match is_toml {
        true => toml::from_str(&text).map_err(|error| wrong(error.to_string()))?,
        false => serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?,
    };
    tree.formula(&|name| names.attribute(name)).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use epione_primitives::HospitalId;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        audience: AudienceArgs,
    }

    fn parse(more: &[&str]) -> Result<AudienceArgs, clap::Error> {
        Line::try_parse_from([&["give"][..], more].concat()).map(|line| line.audience)
    }

    fn hospital(number: u16) -> Formula {
        Formula::Hospital(HospitalId(number))
    }

    #[test]
    fn users_are_alternatives_to_what_must_hold_together() {
        let (one, two) = (UserId([1; 32]), UserId([2; 32]));
        let (first, second) = (one.to_string(), two.to_string());
        let formula = |more: &[&str], leaves| combined(&parse(more).unwrap(), leaves).unwrap();
        assert_eq!(formula(&["--user", &first], vec![]), Formula::User(one));
        let both = ["--user", &first, "--user", &second, "--hospital", "1", "--hospital", "2"];
        let leaves = || vec![hospital(1), hospital(2)];
        let users = || vec![Formula::User(one), Formula::User(two)];
        let together = [users(), vec![Formula::AtLeast(2, leaves())]].concat();
        assert_eq!(formula(&both, leaves()), Formula::AtLeast(1, together));
        let each = [users(), leaves()].concat();
        let any = [&both[..], &["--any-of"]].concat();
        assert_eq!(formula(&any, leaves()), Formula::AtLeast(1, each));
        let least = ["--hospital", "1", "--role", "doctor", "--at-least", "1"];
        assert_eq!(formula(&least, leaves()), Formula::AtLeast(1, leaves()));
        let more = ["--hospital", "1", "--at-least", "2"];
        let refused = combined(&parse(&more).unwrap(), vec![hospital(1)]).unwrap_err();
        assert!(refused.error.contains("--at-least 2"), "{refused}");
    }

    #[test]
    fn an_audience_names_somebody_and_a_file_stands_alone() {
        for wrong in [
            &[][..],
            &["--any-of"],
            &["--at-least", "1"],
            &["--hospital", "1", "--any-of", "--at-least", "1"],
            &["--hospital", "1", "--at-least", "0"],
            &["--role", "king"],
            &["--attribute", "cardiology"],
            &["--attribute", "@1"],
            &["--attribute", "cardiology@"],
            &["--user", "ada"],
            &["--audience-file", "x", "--role", "doctor"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(parse(&["--attribute", "cardiology@Bob"]).unwrap().attributes.len(), 1);
    }

    #[test]
    fn both_sample_files_are_the_same_audience() {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/consents");
        let read = |name| from_file(&samples.join(name), &Names::default()).unwrap();
        let formula = read("audience.json");
        assert_eq!(formula, read("audience.toml"));
        let inner = Formula::AtLeast(1, vec![Formula::Role(Role::Doctor), hospital(2)]);
        let whole = vec![Formula::Role(Role::Researcher), hospital(1), inner];
        assert_eq!(formula, Formula::AtLeast(2, whole));
    }

    #[test]
    fn a_file_that_is_too_long_or_not_an_audience_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            from_file(&path, &Names::default()).unwrap_err()
        };
        let long = " ".repeat(usize::try_from(MAX_FORMULA_BYTES).unwrap() + 1);
        assert!(refused("a.json", &long).error.contains("longer than"));
        for (name, text) in [
            ("a.json", "{}"),
            ("a.toml", "role = \"king\""),
            ("a.toml", "role = \"doctor\"\nrole = \"nurse\""),
            ("a.json", "role = \"doctor\""),
            ("a.json", r#"{"attribute": "cardiology", "issuer": 1}"#),
        ] {
            assert!(refused(name, text).help.contains("nothing was signed"), "{text}");
        }
    }
}
