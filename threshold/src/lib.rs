//! The consortium key: a key whose secret half nobody has. The members share it, and as many of them as the threshold
//! open what was wrapped to the public half. This crate has the arithmetic. The chain decides when members act, and in
//! which order: see `epione_primitives::consortium`.
//!
//! Nothing here is invented. Each construction is from the literature:
//!
//! | construction | source |
//! | --- | --- |
//! | group, encodings | ristretto255, RFC 9496 |
//! | hashes to scalars and points | `expand_message_xmd`, RFC 9380 (5.3.1); ristretto255-SHA512, RFC 9497 (4.1) |
//! | [`Polynomial`], [`Share`] | Shamir, "How to share a secret" (1979) |
//! | [`Commitments`], Feldman's check | Feldman, "A practical scheme for non-interactive verifiable secret sharing" (1987) |
//! | a key without a dealer: [`Share::sum`], [`Commitments::sum`] | Pedersen, "A threshold cryptosystem without a trusted party" (1991) |
//! | [`KnowledgeProof`] | Schnorr (1991), in this place as in FROST, Komlo and Goldberg (2020) |
//! | new shares of the same key: [`Polynomial::sharing`], [`Share::interpolate`], [`Commitments::interpolate`] | Desmedt and Jajodia, "Redistributing secret shares to new access structures and its applications" (1997) |
//! | [`Wrap`] | TDH2, Shoup and Gennaro, "Securing threshold cryptosystems against chosen ciphertext attack" (1998, 2002) |
//! | [`Partial`] | Chaum and Pedersen, "Wallet databases with observers" (1992); for batches as in RFC 9497 (2.2) |
//! | keys from secrets, encrypted keys | HKDF-SHA256, RFC 5869; AES-KW, RFC 3394 |
//!
//! The last dealer of a generation sees the commitments of the others, and can bias the public key (Gennaro, Jarecki,
//! Krawczyk and Rabin, "Secure distributed key generation for discrete-log based cryptosystems", 1999). The same
//! authors show that the bias does not make discrete logarithms easier ("Secure applications of Pedersen's distributed
//! key generation protocol", 2003). The proof of knowledge prevents that a dealer cancels the parts of the others.
//!
//! What is made of secrets takes constant time; secrets are zeroized, and `Debug` does not show them. There is one
//! encoding of each value, and the identity is refused. There are no random numbers here: the caller gives seeds. A
//! worker that stored a seed does the same again after a restart.
//!
//! ```
//! use epione_threshold::{Commitments, Index, MixingSecret, Partial, Polynomial, Share, Wrap};
//!
//! // Three hospitals generate a key that any two of them open. In reality, each seed is random, and each share is
//! // sealed to its member.
//! let dealers: Vec<_> =
//!     [[1; 32], [2; 32], [3; 32]].iter().map(|seed| Polynomial::generate(seed, 2).unwrap()).collect();
//! let dealt: Vec<_> = dealers.iter().map(Polynomial::commitments).collect();
//! let commitments = Commitments::sum(&dealt).unwrap();
//! let share = |hospital: u16| {
//!     let at = Index::of_hospital(hospital);
//!     let parts: Vec<_> = dealers.iter().map(|dealer| dealer.share(at)).collect();
//!     assert!(dealt.iter().zip(&parts).all(|(commitments, part)| commitments.includes(at, part)));
//!     Share::sum(&parts).unwrap()
//! };
//! let mixing = MixingSecret::combine(&[(0, [4; 32]), (1, [5; 32]), (2, [6; 32])]).unwrap();
//!
//! // A hospital wraps a content key. Everybody can check that the wrap was made for this label.
//! let label = b"a section of a record";
//! let wrap = Wrap::make(&commitments.constant(), &mixing, label, &[7; 32]);
//! let points = [wrap.check(label).unwrap()];
//! assert_eq!(wrap.check(b"another section"), None);
//!
//! // Two members help a requester, who checks what each of them sent.
//! let context = b"a query, its requester, and the member";
//! let [first, second] = [0, 2].map(|hospital| {
//!     let partial = Partial::make(&share(hospital), &points, context, &[8; 32]).unwrap();
//!     let at = Index::of_hospital(hospital);
//!     assert!(partial.check(&commitments.evaluate(at).unwrap(), &points, context));
//!     (at, partial)
//! });
//! let shared = Partial::combine(&[(first.0, &first.1), (second.0, &second.1)]).unwrap();
//! let key = wrap.open(label, &Wrap::mixing_of(&mixing, label), &shared[0]).unwrap();
//! assert_eq!(*key, [7; 32]);
//! ```

#![no_std]

extern crate alloc;

mod commitments;
mod group;
mod hash;
mod kdf;
mod knowledge;
mod mixing;
mod partial;
mod polynomial;
mod proof;
mod share;
mod wrap;

pub use commitments::Commitments;
pub use group::{Index, MAX_MEMBERS, Point};
pub use knowledge::KnowledgeProof;
pub use mixing::MixingSecret;
pub use partial::{MAX_POINTS, Partial};
pub use polynomial::Polynomial;
pub use share::Share;
pub use wrap::{WRAP_LENGTH, Wrap};
