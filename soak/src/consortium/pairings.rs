//! Operations of attribute-based encryption, on this machine and as the literature reports them.

use serde::Serialize;

use super::{
    curve::{Exponent, G1, G2, Pair},
    spread::{Spread, repeated},
};

/// As an attribute is hashed to a group.
const ATTRIBUTE: &[u8] = b"cardiology, confirmed by hospital 1";

/// On BLS12-381, with full exponents.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pairings {
    pub exponentiation_g1: Spread,
    pub exponentiation_g2: Spread,
    pub exponentiation_gt: Spread,
    pub pairing: Spread,
    pub hash_to_g1: Spread,
    pub hash_to_g2: Spread,
}

/// Milliseconds that the literature on attribute policies reports, as this project was told them: for another machine,
/// curve and library. Nothing of it was measured here, and nobody here has compared them with the paper: neither the
/// figures, nor which of them belongs to which operation.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reported {
    pub exponentiation: f64,
    pub pairing: f64,
    pub hash_to_group: f64,
    /// A query, at the cloud.
    pub query_at_cloud: f64,
    /// A query, at the patient.
    pub query_at_patient: f64,
}

pub(super) const REPORTED: Reported = Reported {
    exponentiation: 2.4,
    pairing: 7.9,
    hash_to_group: 2.0,
    query_at_cloud: 30.0,
    query_at_patient: 6.0,
};

/// Measures each operation so often.
pub(super) fn measure(count: u16) -> anyhow::Result<Pairings> {
    let exponent = Exponent::of(*blake3::hash(b"exponent").as_bytes());
    let (first, second) = (G1::hash(b"first"), G2::hash(b"second"));
    let pair = Pair::new(&first, &second);
    let value = pair.pairing();
    Ok(Pairings {
        exponentiation_g1: repeated(count, || Ok(first.power(&exponent)))?,
        exponentiation_g2: repeated(count, || Ok(second.power(&exponent)))?,
        exponentiation_gt: repeated(count, || Ok(value.power(&exponent)))?,
        pairing: repeated(count, || Ok(pair.pairing()))?,
        hash_to_g1: repeated(count, || Ok(G1::hash(ATTRIBUTE)))?,
        hash_to_g2: repeated(count, || Ok(G2::hash(ATTRIBUTE)))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_takes_time() {
        let Pairings {
            exponentiation_g1,
            exponentiation_g2,
            exponentiation_gt,
            pairing,
            hash_to_g1,
            hash_to_g2,
        } = measure(3).unwrap();
        let powers = [exponentiation_g1, exponentiation_g2, exponentiation_gt];
        let others = [pairing, hash_to_g1, hash_to_g2];
        assert!(powers.iter().chain(&others).all(|spread| spread.least > 0.0), "{powers:?}");
    }
}
