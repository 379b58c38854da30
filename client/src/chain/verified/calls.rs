//! The numbers of the calls that members sign. The node's metadata says how a call is encoded, and is not proven: a
//! node could make a client sign another call. So the first bytes of each call are compared with these numbers. The
//! arguments are encoded without metadata, and no call is the beginning of another one, so the signature is for this
//! call.

use super::{Doubt, numbers::CALLS};
use crate::chain::{Call, Chain, ChainError};

impl Chain {
    /// Checks what the node's metadata made of a call, before it is signed, or searched in a block.
    pub(in crate::chain) fn check_call(
        &self,
        call: &Call,
        encoded: &[u8],
    ) -> Result<(), ChainError> {
        check(call, encoded).map_err(|doubt| self.doubt(doubt))
    }
}

/// The numbers of a call that members sign, which are its first bytes.
pub(crate) fn numbers_of(pallet: &str, name: &str) -> Option<[u8; 2]> {
    let known = CALLS.iter().find(|(known, it, _)| (*known, *it) == (pallet, name));
    known.map(|(_, _, numbers)| *numbers)
}

fn check(call: &Call, encoded: &[u8]) -> Result<(), Doubt> {
    let name = || format!("{}.{}", call.pallet, call.name);
    let Some(expected) = numbers_of(call.pallet, call.name) else {
        return Err(Doubt::UnknownCall { call: name() });
    };
    if encoded.strip_prefix(&expected) == Some(call.arguments.as_slice()) {
        return Ok(());
    }
    let found = encoded.get(..2).unwrap_or(encoded).to_vec();
    Err(Doubt::OtherCall { call: name(), expected, found })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use epione_primitives::release::ReviewId;

    use super::*;
    use crate::chain::calls::releases;

    #[test]
    fn a_call_that_the_metadata_replaces_is_not_signed() {
        let call = releases::judge(ReviewId(3), true);
        let encoded = |numbers: [u8; 2]| [&numbers[..], &call.arguments].concat();
        assert_eq!(check(&call, &encoded([17, 2])), Ok(()));
        for other in [[17, 1], [10, 5], [0, 0]] {
            let refused = check(&call, &encoded(other)).unwrap_err();
            assert!(matches!(refused, Doubt::OtherCall { .. }), "{refused}");
        }
        let mut longer = encoded([17, 2]);
        longer.push(0);
        check(&call, &longer).unwrap_err();
        check(&call, &[]).unwrap_err();
    }

    #[test]
    fn a_call_without_a_number_is_not_signed() {
        let call = Call::new("Council", "kill", ());
        let refused = check(&call, &[9, 7]).unwrap_err();
        assert_eq!(refused, Doubt::UnknownCall { call: "Council.kill".into() });
    }

    #[test]
    fn calls_have_different_numbers() {
        let numbers: BTreeSet<_> = CALLS.iter().map(|(_, _, numbers)| numbers).collect();
        assert_eq!(numbers.len(), CALLS.len());
    }

    /// Otherwise no client that verifies can send it.
    #[test]
    fn each_call_that_members_can_make_has_a_number() {
        let source = concat!(include_str!("../calls.rs"), include_str!("../calls/council.rs"));
        let named = source.split("Call::new(").skip(1).map(|rest| {
            let mut quoted = rest.split('"').skip(1).step_by(2);
            (quoted.next().unwrap(), quoted.next().unwrap())
        });
        let named: BTreeSet<_> = named.collect();
        assert!(named.contains(&("Mandates", "appoint")), "{named:?}");
        let numbered: BTreeSet<_> =
            CALLS.iter().map(|(pallet, name, _)| (*pallet, *name)).collect();
        assert_eq!(numbered, named);
        assert_eq!(source.matches("-> Call {").count(), CALLS.len());
    }
}
