//! What pallet-session stores of validators, and which hospitals are not ready to be one.

use epione_primitives::HospitalId;

use super::{ChainError, Gap, Known, VerifiedState, keys};
use crate::{application::SessionKeys, chain::Seat};

impl VerifiedState {
    pub(in crate::chain) async fn seat(&self, hospital: HospitalId) -> Result<Seat, ChainError> {
        let hints = [
            keys::session_keys(hospital),
            keys::unready(),
            keys::queued_validators(),
            keys::validators(),
        ];
        self.compute(hints, |known| seat(known, hospital)).await
    }
}

fn seat(known: &mut Known, hospital: HospitalId) -> Result<Seat, Gap> {
    let keys = known.value(keys::session_keys(hospital))?;
    let unready: Vec<HospitalId> = known.value_or_default(keys::unready())?;
    let queued: Vec<(HospitalId, SessionKeys)> =
        known.value_or_default(keys::queued_validators())?;
    let validators: Vec<HospitalId> = known.value_or_default(keys::validators())?;
    Ok(Seat {
        keys,
        unready: unready.contains(&hospital),
        queued: queued.iter().find(|(id, _)| *id == hospital).map(|(_, keys)| *keys),
        seated: validators.contains(&hospital),
    })
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use epione_primitives::Hash;

    use super::*;

    const HOSPITAL: HospitalId = HospitalId(4);

    fn session_keys(byte: u8) -> SessionKeys {
        SessionKeys { aura: Hash::repeat_byte(byte), grandpa: Hash::repeat_byte(byte + 1) }
    }

    /// A state in which other hospitals validate.
    fn others() -> Known {
        let mut known = Known::default();
        known.learn(keys::session_keys(HOSPITAL), None);
        known.learn(keys::unready(), None);
        let queued = vec![(HospitalId(0), session_keys(1))];
        known.learn(keys::queued_validators(), Some(queued.encode()));
        known.learn(keys::validators(), Some(vec![HospitalId(0)].encode()));
        known
    }

    #[test]
    fn a_seat_is_reached_in_steps() {
        let mut known = others();
        let none = Seat { keys: None, unready: false, queued: None, seated: false };
        assert_eq!(seat(&mut known, HOSPITAL), Ok(none));

        known.learn(keys::unready(), Some(vec![HOSPITAL].encode()));
        known.learn(keys::session_keys(HOSPITAL), Some(session_keys(7).encode()));
        let with_keys = Seat { keys: Some(session_keys(7)), unready: true, ..none };
        assert_eq!(seat(&mut known, HOSPITAL), Ok(with_keys));

        known.learn(keys::unready(), None);
        let queued = vec![(HospitalId(0), session_keys(1)), (HOSPITAL, session_keys(7))];
        known.learn(keys::queued_validators(), Some(queued.encode()));
        let ready = Seat { unready: false, queued: Some(session_keys(7)), ..with_keys };
        assert_eq!(seat(&mut known, HOSPITAL), Ok(ready));

        known.learn(keys::validators(), Some(vec![HospitalId(0), HOSPITAL].encode()));
        assert_eq!(seat(&mut known, HOSPITAL), Ok(Seat { seated: true, ..ready }));
    }
}
