//! What it takes to share sections with users, and to read all of them: of Epione, and of the two rebuilt schemes.

use std::time::Instant;

use anyhow::{Context, ensure};
use serde::Serialize;

use super::{
    effort::median_millis,
    parties::{Parties, Person, texts},
    schemes::{Fetched, OneRecord, Scheme, SecondCopy, SeparateObjects, Stored},
};

/// One scheme, with so many shared sections and users.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reading {
    pub scheme: &'static str,
    pub sections: u16,
    pub users: u16,
    /// Of one user who reads all sections.
    pub requests: u64,
    pub fetched_bytes: u64,
    pub index_entries: u64,
    pub wrapped_keys: u64,
    pub stored_bytes: u64,
    /// The hospital seals all sections, and the keys for all users. Median.
    pub share_millis: f64,
    /// One user opens all sections, and verifies all signatures. Median.
    pub open_millis: f64,
}

/// All schemes, with so many sections and users.
pub(super) fn measure(
    parties: &Parties,
    sections: u16,
    users: &[Person],
    repetitions: u16,
) -> anyhow::Result<Vec<Reading>> {
    Ok(vec![
        of::<OneRecord>(parties, sections, users, repetitions)?,
        of::<SeparateObjects>(parties, sections, users, repetitions)?,
        of::<SecondCopy>(parties, sections, users, repetitions)?,
    ])
}

fn of<S: Scheme>(
    parties: &Parties,
    sections: u16,
    users: &[Person],
    repetitions: u16,
) -> anyhow::Result<Reading> {
    let texts = texts("reading", sections)?;
    let (place, user) = users.iter().enumerate().next_back().context("there are no users")?;
    let (mut sharing, mut opening, mut last) = (Vec::new(), Vec::new(), None);
    for _ in 0..repetitions {
        let begun = Instant::now();
        let shared = S::share(parties, &texts, users)?;
        sharing.push(begun.elapsed());
        let begun = Instant::now();
        let opened = shared.opened(parties, place, user)?;
        opening.push(begun.elapsed());
        ensure!(opened == texts, "{} opens other texts than were shared", S::NAME);
        last = Some(shared);
    }
    let shared = last.context("nothing was repeated")?;
    let Stored { index_entries, wrapped_keys, bytes: stored_bytes } = shared.stored()?;
    let Fetched { requests, bytes: fetched_bytes } = shared.fetched()?;
    Ok(Reading {
        scheme: S::NAME,
        sections,
        users: u16::try_from(users.len())?,
        requests,
        fetched_bytes,
        index_entries,
        wrapped_keys,
        stored_bytes,
        share_millis: median_millis(sharing),
        open_millis: median_millis(opening),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(count: u16) -> Vec<Person> {
        (0..count).map(|number| Person::of(&format!("//User-{number}")).unwrap()).collect()
    }

    #[test]
    fn every_scheme_is_measured_with_the_same_sections_and_users() {
        let parties = Parties::new().unwrap();
        let measured = measure(&parties, 4, &users(2), 1).unwrap();
        let [one, separate, copy] = measured.as_slice() else { panic!("{measured:?}") };
        for reading in &measured {
            assert_eq!((reading.sections, reading.users), (4, 2));
            assert!(reading.share_millis > 0.0 && reading.open_millis > 0.0, "{reading:?}");
        }
        assert_eq!([one.requests, separate.requests, copy.requests], [1, 4, 1]);
        assert_eq!([one.wrapped_keys, separate.wrapped_keys, copy.wrapped_keys], [0, 8, 2]);
    }

    #[test]
    fn nothing_is_measured_without_a_user_or_a_repetition() {
        let parties = Parties::new().unwrap();
        assert!(measure(&parties, 1, &[], 1).is_err());
        assert!(measure(&parties, 1, &users(1), 0).is_err());
    }
}
