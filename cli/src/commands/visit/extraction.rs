//! Which sections of a visit may be disclosed: the options with which the author says so, and what is printed of them.

use std::fmt;

use epione_envelope::{record::MAX_SECTIONS, signature::Extraction};
use epione_primitives::{limits::MAX_TOGETHER, release::SectionSet};

use crate::failure::Failure;

const NUMBERS: &str = "sections are numbered from 0: first those of --text, then those of --media, each in their order";

/// What the author of a visit with so many sections signs; `together` are groups of sections.
pub(super) fn policy(
    mandatory: Option<SectionSet>,
    never: Option<SectionSet>,
    together: &[SectionSet],
    count: usize,
) -> Result<Extraction, Failure> {
    let groups = together.len();
    let together = together.to_vec().try_into().map_err(|_| {
        Failure::usage(
            format!("--together is given {groups} times, but the limit is {MAX_TOGETHER}"),
            "give fewer groups of sections",
        )
    })?;
    let (mandatory, never) = (mandatory.unwrap_or_default(), never.unwrap_or_default());
    let policy = Extraction { mandatory, never, together };
    let valid = match policy.is_default() {
        true => Ok(()),
        false => policy.validate(u16::try_from(count).unwrap_or(u16::MAX)),
    };
    valid.map_err(|error| Failure::usage(error.to_string(), NUMBERS))?;
    Ok(policy)
}

/// Parses numbers of sections with commas between them.
pub(super) fn sections(text: &str) -> Result<SectionSet, String> {
    let mut sections = SectionSet::default();
    for number in text.split(',') {
        let section = number
            .trim()
            .parse::<u16>()
            .map_err(|_| format!("{number:?} is not the number of a section: write them as 0,2"))?;
        if !sections.insert(section) {
            return Err(format!(
                "there is no section {section}: the last one is {}",
                MAX_SECTIONS - 1
            ));
        }
    }
    Ok(sections)
}

/// The lines about an extraction policy; none if every choice of sections may be disclosed.
pub(super) struct Lines<'a>(pub &'a Extraction);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Extraction { mandatory, never, together } = self.0;
        if !mandatory.is_empty() {
            writeln!(f, "  every disclosure shows {}", listed(*mandatory))?;
        }
        if !never.is_empty() {
            writeln!(f, "  no disclosure shows {}", listed(*never))?;
        }
        for group in together {
            writeln!(f, "  a disclosure shows {} together or not at all", listed(*group))?;
        }
        Ok(())
    }
}

fn listed(sections: SectionSet) -> String {
    let numbers: Vec<_> = sections.iter().map(|section| section.to_string()).collect();
    let noun = if numbers.len() == 1 { "section" } else { "sections" };
    format!("{noun} {}", numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[u16]) -> SectionSet {
        let mut set = SectionSet::default();
        assert!(numbers.iter().all(|number| set.insert(*number)));
        set
    }

    #[test]
    fn sections_are_numbers_with_commas() {
        assert_eq!(sections("0,2"), Ok(set(&[0, 2])));
        assert_eq!(sections(" 5, 63 "), Ok(set(&[5, 63])));
        for wrong in ["", "1,", ",", "a", "-1", "1-3", "99999999999"] {
            assert!(sections(wrong).unwrap_err().contains("write them as 0,2"), "{wrong}");
        }
        assert!(sections("64").unwrap_err().contains("the last one is 63"));
    }

    #[test]
    fn a_policy_about_sections_that_the_visit_does_not_have_is_refused() {
        let two = Some(set(&[2]));
        assert!(policy(None, two, &[], 3).is_ok());
        let refused = policy(None, two, &[], 2).unwrap_err();
        assert!(refused.help.contains("numbered from 0"), "{refused}");
        assert!(policy(two, two, &[], 3).is_err());
        let many = vec![set(&[0, 1]); MAX_TOGETHER as usize + 1];
        assert!(policy(None, None, &many, 3).unwrap_err().error.contains("the limit is 8"));
        assert!(policy(None, None, &[], 0).unwrap().is_default());
    }

    #[test]
    fn what_may_be_disclosed_is_printed() {
        let (mandatory, never) = (Some(set(&[0])), Some(set(&[1, 3])));
        let policy = policy(mandatory, never, &[set(&[2, 4])], 5).unwrap();
        let lines = Lines(&policy).to_string();
        assert!(lines.contains("every disclosure shows section 0\n"), "{lines}");
        assert!(lines.contains("no disclosure shows sections 1, 3\n"), "{lines}");
        assert!(lines.contains("shows sections 2, 4 together or not at all"), "{lines}");
        assert_eq!(Lines(&Extraction::default()).to_string(), "");
    }
}
