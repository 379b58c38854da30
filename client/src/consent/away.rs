//! What a patient should know before a standing consent: the hospitals open a section together only if the hospital of
//! its record has a share of the consortium key, because that hospital wraps the section's key.

use epione_primitives::{HospitalId, UserId, consortium::Epoch};

use super::Names;
use crate::chain::{ChainError, Snapshot};

/// Which records do not open while their hospital is away, although the patient gives a standing consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwrappable {
    /// There is no consortium key yet.
    All,
    /// Those of these hospitals, at which the patient is or was registered, ascending. They have no share of the key.
    Of(Vec<HospitalId>),
}

impl Unwrappable {
    /// Reads the key and where the patient is registered, whatever the number of records.
    pub async fn of(state: &Snapshot, patient: UserId) -> Result<Self, ChainError> {
        let epoch = state.current_epoch().await?;
        let registrations = state.registrations(patient).await?;
        let hospitals = registrations.into_iter().map(|(hospital, _)| hospital);
        Ok(Self::from(epoch.as_ref(), hospitals))
    }

    fn from(epoch: Option<&Epoch>, hospitals: impl Iterator<Item = HospitalId>) -> Self {
        let Some(epoch) = epoch else { return Self::All };
        let mut without: Vec<_> = hospitals.filter(|it| epoch.seat(*it).is_none()).collect();
        without.sort_unstable();
        Self::Of(without)
    }

    /// A sentence for the patient; none if all records can be opened.
    pub fn sentence(&self, names: &Names) -> Option<String> {
        let hospitals = match self {
            Self::All => {
                return Some(
                    "The hospitals have no consortium key yet: until they have made one, no section opens while its \
                     hospital and you are away."
                        .into(),
                );
            }
            Self::Of(hospitals) if hospitals.is_empty() => return None,
            Self::Of(hospitals) => hospitals,
        };
        let named = hospitals.iter().map(|hospital| match names.hospitals.get(hospital) {
            Some(name) => format!("{hospital} \"{name}\""),
            None => hospital.to_string(),
        });
        let named = named.collect::<Vec<_>>().join(", ");
        Some(format!(
            "No share of the consortium key: hospital {named}. Sections of records from there do not open while you \
             and that hospital are away, until it has a share."
        ))
    }
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        Hash,
        consortium::{CeremonyId, EpochId, KeyId, SeatSet},
    };

    use super::*;

    fn epoch(members: &[u16]) -> Epoch {
        let members: Vec<_> = members.iter().copied().map(HospitalId).collect();
        Epoch {
            id: EpochId(0),
            key: KeyId(0),
            ceremony: CeremonyId(0),
            threshold: 2,
            faulty: 0,
            confirmed: SeatSet::first(members.len()),
            members: members.try_into().unwrap(),
            commitments: Default::default(),
            mixing: Hash::zero(),
            link: None,
            since: 1,
        }
    }

    #[test]
    fn the_patient_is_told_which_hospitals_cannot_wrap() {
        let hospitals = || [7, 1, 4].map(HospitalId).into_iter();
        let mut names = Names::default();
        names.hospitals.insert(HospitalId(4), "Dave".into());
        let all = epoch(&[1, 4, 7]);
        let none = Unwrappable::from(Some(&all), hospitals());
        assert_eq!((none.sentence(&names), none), (None, Unwrappable::Of(Vec::new())));
        let one = epoch(&[1, 2]);
        let some = Unwrappable::from(Some(&one), hospitals());
        assert_eq!(some, Unwrappable::Of(vec![HospitalId(4), HospitalId(7)]));
        let said = some.sentence(&names).unwrap();
        assert!(said.contains("hospital 4 \"Dave\", 7. Sections"), "{said}");
        let said = Unwrappable::from(None, hospitals()).sentence(&names).unwrap();
        assert!(said.contains("no consortium key yet"), "{said}");
    }
}
