//! Members of an epoch, with all their secrets.

use epione_threshold::{Commitments, Index, MixingSecret, Partial, Point, Polynomial, Share, Wrap};

pub const LABEL: &[u8] = b"the label of a section";
pub const CONTEXT: &[u8] = b"the context of a look";
pub const KEY: [u8; 32] = [0x4b; 32];

pub fn at(hospital: u16) -> Index {
    Index::of_hospital(hospital)
}

/// A different seed for each pair of numbers.
pub fn seed(number: u64, position: usize) -> [u8; 32] {
    let mut seed = [0x5e; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    seed[8..16].copy_from_slice(&(position as u64).to_le_bytes());
    seed
}

pub fn mixing(number: u64) -> MixingSecret {
    MixingSecret::combine(&[(0, seed(number, 0)), (1, seed(number, 1))]).unwrap()
}

/// An epoch: hospitals with their shares of one key.
pub struct Epoch {
    pub members: Vec<u16>,
    pub commitments: Commitments,
    pub shares: Vec<Share>,
}

impl Epoch {
    /// Every member deals, as in a generation on the chain.
    pub fn generate(members: &[u16], threshold: usize, number: u64) -> Self {
        let dealers: Vec<_> = (0..members.len())
            .map(|position| Polynomial::generate(&seed(number, position), threshold).unwrap())
            .collect();
        let dealt: Vec<_> = dealers.iter().map(Polynomial::commitments).collect();
        let share = |member: &u16| {
            let parts: Vec<_> = dealers.iter().map(|dealer| dealer.share(at(*member))).collect();
            for (commitments, part) in dealt.iter().zip(&parts) {
                assert!(commitments.includes(at(*member), part));
            }
            Share::sum(&parts).unwrap()
        };
        Self {
            members: members.to_vec(),
            commitments: Commitments::sum(&dealt).unwrap(),
            shares: members.iter().map(share).collect(),
        }
    }

    /// These members give new shares of the same key to others.
    pub fn reshare(&self, dealers: &[u16], members: &[u16], threshold: usize, number: u64) -> Self {
        let dealt: Vec<_> = dealers
            .iter()
            .enumerate()
            .map(|(position, dealer)| {
                let seed = seed(number, position);
                let polynomial =
                    Polynomial::sharing(self.share(*dealer), &seed, threshold).unwrap();
                // What the chain compares.
                assert_eq!(polynomial.commitments().constant(), self.verification_key(*dealer));
                (at(*dealer), polynomial)
            })
            .collect();
        let commitments: Vec<_> =
            dealt.iter().map(|(dealer, dealing)| (*dealer, dealing.commitments())).collect();
        let share = |member: &u16| {
            let parts: Vec<_> = dealt
                .iter()
                .map(|(dealer, dealing)| (*dealer, dealing.share(at(*member))))
                .collect();
            Share::interpolate(&parts).unwrap()
        };
        Self {
            members: members.to_vec(),
            commitments: Commitments::interpolate(&commitments).unwrap(),
            shares: members.iter().map(share).collect(),
        }
    }

    pub fn public_key(&self) -> Point {
        self.commitments.constant()
    }

    pub fn share(&self, hospital: u16) -> &Share {
        let seat = self.members.iter().position(|member| *member == hospital).unwrap();
        &self.shares[seat]
    }

    pub fn verification_key(&self, hospital: u16) -> Point {
        self.commitments.evaluate(at(hospital)).unwrap()
    }

    pub fn partial(&self, hospital: u16, points: &[Point]) -> Partial {
        let seed = seed(0, hospital.into());
        let partial = Partial::make(self.share(hospital), points, CONTEXT, &seed).unwrap();
        assert!(partial.check(&self.verification_key(hospital), points, CONTEXT));
        partial
    }

    /// What these members together make of the points.
    pub fn combine(&self, hospitals: &[u16], points: &[Point]) -> Vec<Point> {
        let partials: Vec<_> = hospitals
            .iter()
            .map(|hospital| (at(*hospital), self.partial(*hospital, points)))
            .collect();
        combine(&partials).unwrap()
    }

    pub fn wrap(&self, mixing: &MixingSecret) -> Wrap {
        Wrap::make(&self.public_key(), mixing, LABEL, &KEY)
    }

    /// Whether these members open the wrap.
    pub fn opens(&self, hospitals: &[u16], wrap: &Wrap, mixing: &MixingSecret) -> bool {
        let shared = self.combine(hospitals, &[wrap.check(LABEL).unwrap()]);
        let opened = wrap.open(LABEL, &Wrap::mixing_of(mixing, LABEL), &shared[0]);
        opened.is_some_and(|key| *key == KEY)
    }
}

pub fn combine(partials: &[(Index, Partial)]) -> Option<Vec<Point>> {
    let partials: Vec<_> = partials.iter().map(|(index, partial)| (*index, partial)).collect();
    Partial::combine(&partials).map(|points| points.to_vec())
}
