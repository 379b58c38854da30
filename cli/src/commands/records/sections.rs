//! How commands name the sections of a record.

use epione_primitives::{limits::MAX_SECTIONS, release::SectionSet};

/// Parses numbers and ranges of numbers, separated by commas.
pub(in crate::commands) fn parse_numbers(text: &str) -> Result<SectionSet, String> {
    let wrong = || {
        format!(
            "{text:?} does not name sections: write their numbers, from 0 to {}, as in 0,2 or 0-3",
            MAX_SECTIONS - 1
        )
    };
    let mut sections = SectionSet::default();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= MAX_SECTIONS {
            return Err(wrong());
        }
        (first..=last).for_each(|section| {
            sections.insert(section);
        });
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(sections: &[u16]) -> SectionSet {
        let mut set = SectionSet::default();
        assert!(sections.iter().all(|section| set.insert(*section)));
        set
    }

    #[test]
    fn sections_are_numbers_and_ranges() {
        for (text, sections) in [
            ("0", &[0][..]),
            ("2,0", &[0, 2]),
            ("0-3,7", &[0, 1, 2, 3, 7]),
            ("63", &[63]),
            ("1, 1", &[1]),
        ] {
            assert_eq!(parse_numbers(text), Ok(set(sections)), "{text}");
        }
        for wrong in ["", ",", "0,", "64", "0-64", "3-1", "-1", "a", "report", "0--1", "65536"] {
            let refused = parse_numbers(wrong).unwrap_err();
            assert!(refused.contains("from 0 to 63"), "{wrong}: {refused}");
        }
    }
}
