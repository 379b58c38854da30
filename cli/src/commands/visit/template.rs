//! Extraction templates: a hospital says once, by kinds of sections, what its authors let be disclosed. The author of a
//! visit signs what a template says about the visit's sections.

use std::{fs::File, io::Read, path::Path};

use epione_envelope::{record::SectionKind, signature::Extraction};
use epione_primitives::{Word, release::SectionSet};
use serde::Deserialize;

use crate::{failure::Failure, words::read_word};

/// Bytes of a template, at most.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// The content of a template's file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rules {
    mandatory: Vec<String>,
    never: Vec<String>,
    together: Vec<Vec<String>>,
}

/// Rules about kinds of sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// Section `i` stands for all sections of the kind `SectionKind::ALL[i]`. If some choice of kinds satisfies the
    /// rules, some choice of a visit's sections does, too.
    kinds: Extraction,
}

impl Template {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |error| Failure::file(path, &error);
        let flawed = |flaw: String| {
            Failure::usage(
                format!("{} is not an extraction template: {flaw}", path.display()),
                "correct the file; nothing was sent",
            )
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(flawed(format!("it has more than {MAX_FILE_BYTES} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|_| flawed("it is not UTF-8 text".into()))?;
        Self::parse(&text).map_err(flawed)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let Rules { mandatory, never, together } = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map(|span| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1);
            let place = line.map_or_else(String::new, |line| format!("line {line}: "));
            format!("{place}{}", error.message())
        })?;
        let groups: Vec<_> = together.iter().map(|group| kinds(group)).collect::<Result<_, _>>()?;
        if groups.iter().any(|group| group.iter().count() < 2) {
            return Err("a group in together needs at least two kinds of sections".into());
        }
        let count = groups.len();
        let limit = epione_primitives::limits::MAX_TOGETHER;
        let together = groups
            .try_into()
            .map_err(|_| format!("together has {count} groups, and the limit is {limit}"))?;
        let (mandatory, never) = (kinds(&mandatory)?, kinds(&never)?);
        let both = mandatory.intersection(never);
        if let Some(kind) = named(both).next() {
            return Err(format!("{kind} is both mandatory and never shown"));
        }
        let rules = Extraction { mandatory, never, together };
        if rules.is_default() {
            return Err("it has no rule: fill in mandatory, never or together".into());
        }
        // The kinds exist, and the groups are large enough.
        if rules.validate(SectionKind::ALL.len() as u16).is_err() {
            let never: Vec<_> = named(never).map(|kind| kind.spelled()).collect();
            return Err(format!(
                "no disclosure satisfies it: a mandatory kind is together with one that is never shown ({})",
                never.join(", ")
            ));
        }
        Ok(Self { kinds: rules })
    }

    /// What it says about a visit with sections of these kinds.
    pub(super) fn policy(&self, sections: &[SectionKind]) -> Extraction {
        let of = |rule: SectionSet| {
            let mut named = SectionSet::default();
            for (section, kind) in (0..).zip(sections) {
                if rule.contains(number(*kind)) {
                    named.insert(section);
                }
            }
            named
        };
        let Extraction { mandatory, never, together } = &self.kinds;
        let groups = together.iter().map(|group| of(*group));
        let groups: Vec<_> = groups.filter(|group| group.iter().count() > 1).collect();
        Extraction {
            mandatory: of(*mandatory),
            never: of(*never),
            together: groups.try_into().expect("no more groups than in a template; qed"),
        }
    }
}

/// The position of a kind among all kinds.
fn number(kind: SectionKind) -> u16 {
    (0..).zip(SectionKind::ALL).find(|(_, known)| **known == kind).map_or(u16::MAX, |it| it.0)
}

fn kinds(words: &[String]) -> Result<SectionSet, String> {
    let mut kinds = SectionSet::default();
    for word in words {
        kinds.insert(number(read_word(word)?));
    }
    Ok(kinds)
}

fn named(kinds: SectionSet) -> impl Iterator<Item = SectionKind> {
    SectionKind::ALL.iter().copied().filter(move |kind| kinds.contains(number(*kind)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    const VISIT: [SectionKind; 6] = [
        SectionKind::Diagnosis,
        SectionKind::Summary,
        SectionKind::IdNumber,
        SectionKind::History,
        SectionKind::Diagnosis,
        SectionKind::Media,
    ];

    fn set(sections: &[u16]) -> SectionSet {
        let mut set = SectionSet::default();
        assert!(sections.iter().all(|section| set.insert(*section)));
        set
    }

    #[test]
    fn a_template_becomes_rules_about_the_sections_of_a_visit() {
        let template = Template::parse(samples::EXTRACTION_TEMPLATE).unwrap();
        let policy = template.policy(&VISIT);
        assert_eq!((policy.mandatory, policy.never), (set(&[1]), set(&[2])));
        assert_eq!(policy.together.to_vec(), [set(&[0, 3, 4])]);
        assert_eq!(policy.validate(6), Ok(()));
        // What the visit does not have is not required, and one section is no group.
        let policy = template.policy(&[SectionKind::Diagnosis, SectionKind::Media]);
        assert!(policy.is_default(), "{policy:?}");
        assert!(template.policy(&[]).is_default());
    }

    #[test]
    fn every_template_that_is_accepted_gives_rules_that_some_disclosure_satisfies() {
        let template = Template::parse(
            r#"
            mandatory = ["summary", "media"]
            never = ["name", "id-number"]
            together = [["summary", "report"], ["report", "history"], ["gender", "name"]]
            "#,
        )
        .unwrap();
        for first in SectionKind::ALL {
            for second in SectionKind::ALL {
                for third in SectionKind::ALL {
                    let policy = template.policy(&[*first, *second, *third]);
                    assert_eq!(policy.validate(3), Ok(()), "{first} {second} {third}");
                }
            }
        }
    }

    #[test]
    fn a_flawed_template_is_refused_with_its_flaw() {
        let many = format!("together = [{}]", [r#"["name", "gender"]"#; 9].join(", "));
        for (text, flaw) in [
            ("", "it has no rule"),
            ("mandatory = []", "it has no rule"),
            (r#"mandatory = ["diagnosys"]"#, "did you mean diagnosis?"),
            ("\nmandatry = []", "line 2: unknown field"),
            ("mandatory = 1", "line 1: "),
            (r#"mandatory = ["summary""#, "line 1: "),
            (r#"together = [["summary"]]"#, "at least two kinds"),
            (r#"together = [["summary", "summary"]]"#, "at least two kinds"),
            (many.as_str(), "the limit is 8"),
            (
                "mandatory = [\"name\"]\nnever = [\"name\"]",
                "name is both mandatory and never shown",
            ),
            (
                "mandatory = [\"name\"]\nnever = [\"gender\"]\ntogether = [[\"name\", \"gender\"]]",
                "never shown (gender)",
            ),
        ] {
            let refused = Template::parse(text).unwrap_err();
            assert!(refused.contains(flaw), "{text}: {refused}");
        }
    }

    #[test]
    fn a_file_that_is_no_template_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules.toml");
        let refused = || Template::read(&file).unwrap_err().to_string();
        assert!(refused().contains("rules.toml"));
        for content in [&b"mandatory = [\"\xff\"]"[..], &[b'#'; MAX_FILE_BYTES as usize + 1]] {
            std::fs::write(&file, content).unwrap();
            let refused = refused();
            assert!(refused.contains("rules.toml is not an extraction template"), "{refused}");
        }
        std::fs::write(&file, samples::EXTRACTION_TEMPLATE).unwrap();
        assert!(Template::read(&file).is_ok());
    }
}
