//! Wraps, parts and mixing links within this process: the arithmetic of an opening, without sealing, network and chain.

use anyhow::{Context, ensure};
use epione_envelope::opening::PartialContext;
use epione_primitives::{
    Hash, HospitalId, RecordPointer, UserId,
    consortium::{self, EpochId, KeyId},
    opening::{OpeningId, WrapLabel},
    sharing::SlotId,
};
use epione_threshold::{Index, MixingSecret, Partial, Point, Polynomial, Share, Wrap};
use serde::Serialize;

use super::spread::{Spread, repeated};

/// Numbers of sections of an opening.
static SECTIONS: [u16; 3] = [1, 8, 64];
/// Epochs of ten years, with a resharing each month.
const EPOCHS: u16 = 120;
const GENESIS: Hash = Hash::repeat_byte(1);
const EPOCH: EpochId = EpochId(0);
const NONCE_SEED: [u8; 32] = [8; 32];

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Arithmetic {
    pub make_wrap: Spread,
    pub check_wrap: Spread,
    pub open_wrap: Spread,
    pub parts: Vec<PartTimes>,
    pub combining: Vec<Combining>,
    /// Number of mixing links.
    pub links: u16,
    /// A member encrypts all earlier mixing secrets, one under the other.
    pub make_links: Spread,
    /// A newcomer follows all links back.
    pub follow_links: Spread,
}

/// A member's part for so many sections.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartTimes {
    pub sections: u16,
    pub make: Spread,
    pub check: Spread,
}

/// The parts of as many members as the threshold, for so many sections.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Combining {
    pub members: u16,
    pub threshold: u16,
    pub sections: u16,
    pub combine: Spread,
}

/// Measures with these numbers of members, each so often.
pub(super) fn measure(members: &[u16], count: u16) -> anyhow::Result<Arithmetic> {
    let few = Case::new(4)?;
    let (label, content) = (label(0), content(0));
    let wrap = few.wraps(1).pop().context("there is no wrap")?;
    let encoded = wrap.encode();
    let shared = combined(&few.parts(&[point(&wrap, 0)?])?)?;
    let shared = shared.first().context("nothing was combined")?;
    let mixing = Wrap::mixing_of(&few.mixing, &label);
    let mut parts = Vec::new();
    for sections in SECTIONS {
        parts.push(few.part_times(sections, count)?);
    }
    let mut combining = Vec::new();
    for members in members {
        let case = Case::new(*members)?;
        for sections in SECTIONS {
            combining.push(case.combining(*members, sections, count)?);
        }
    }
    let secrets: Vec<_> =
        (0..=EPOCHS).map(|epoch| MixingSecret::from_bytes(seed("mixing", epoch))).collect();
    let (newest, all_links) = (secrets.last().context("there are no epochs")?, links(&secrets));
    Ok(Arithmetic {
        make_wrap: repeated(count, || Ok(Wrap::make(&few.public, &few.mixing, &label, &content)))?,
        check_wrap: repeated(count, || {
            let wrap = Wrap::decode(&encoded).context("a wrap does not decode")?;
            wrap.check(&label).context("a wrap does not pass its check")
        })?,
        open_wrap: repeated(count, || {
            let key = wrap.open(&label, &mixing, shared).context("a wrap does not open")?;
            ensure!(*key == content, "a wrap opens to another key");
            Ok(())
        })?,
        parts,
        combining,
        links: EPOCHS,
        make_links: repeated(count, || Ok(links(&secrets)))?,
        follow_links: repeated(count, || {
            let first = followed(newest, &all_links)?;
            ensure!(Some(&first) == secrets.first(), "the links end at another secret");
            Ok(())
        })?,
    })
}

/// A key of so many members.
struct Case {
    public: Point,
    mixing: MixingSecret,
    /// Of as many members as the threshold, with their public halves.
    shares: Vec<(Index, Share, Point)>,
}

impl Case {
    fn new(members: u16) -> anyhow::Result<Self> {
        let threshold = consortium::threshold(usize::from(members));
        let polynomial = Polynomial::generate(&seed("polynomial", members), threshold);
        let polynomial = polynomial.context("the polynomial has no terms")?;
        let share = |member: u16| {
            let at = Index::of_hospital(member);
            let share = polynomial.share(at);
            let public = share.public().context("a share is 0")?;
            anyhow::Ok((at, share, public))
        };
        let shares = (0..u16::try_from(threshold)?).map(share);
        Ok(Self {
            public: polynomial.commitments().constant(),
            mixing: MixingSecret::from_bytes(seed("mixing", members)),
            shares: shares.collect::<anyhow::Result<_>>()?,
        })
    }

    fn wraps(&self, sections: u16) -> Vec<Wrap> {
        let wrap =
            |section| Wrap::make(&self.public, &self.mixing, &label(section), &content(section));
        (0..sections).map(wrap).collect()
    }

    fn points(&self, sections: u16) -> anyhow::Result<Vec<Point>> {
        let wraps = self.wraps(sections);
        (0..sections).zip(&wraps).map(|(section, wrap)| point(wrap, section)).collect()
    }

    /// Of each of as many members as the threshold.
    fn parts(&self, points: &[Point]) -> anyhow::Result<Vec<(Index, Partial)>> {
        let part = |(member, (at, share, _)): (u16, &(Index, Share, Point))| {
            anyhow::Ok((*at, made(share, points, member)?))
        };
        (0..).zip(&self.shares).map(part).collect()
    }

    fn part_times(&self, sections: u16, count: u16) -> anyhow::Result<PartTimes> {
        let points = self.points(sections)?;
        let (_, share, public) = self.shares.first().context("there are no members")?;
        let part = made(share, &points, 0)?;
        Ok(PartTimes {
            sections,
            make: repeated(count, || made(share, &points, 0))?,
            check: repeated(count, || {
                let is_right = part.check(public, &points, &context(0));
                ensure!(is_right, "a part does not pass its check");
                Ok(())
            })?,
        })
    }

    fn combining(&self, members: u16, sections: u16, count: u16) -> anyhow::Result<Combining> {
        let wraps = self.wraps(sections);
        let parts = self.parts(&self.points(sections)?)?;
        for ((section, wrap), shared) in (0..).zip(&wraps).zip(combined(&parts)?) {
            let label = label(section);
            let opened = wrap.open(&label, &Wrap::mixing_of(&self.mixing, &label), &shared);
            ensure!(opened.is_some(), "the parts of {members} members open nothing");
        }
        Ok(Combining {
            members,
            threshold: u16::try_from(self.shares.len())?,
            sections,
            combine: repeated(count, || combined(&parts))?,
        })
    }
}

/// The point of a section's wrap.
fn point(wrap: &Wrap, section: u16) -> anyhow::Result<Point> {
    wrap.check(&label(section)).context("a wrap does not pass its check")
}

fn combined(parts: &[(Index, Partial)]) -> anyhow::Result<Vec<Point>> {
    let parts: Vec<_> = parts.iter().map(|(at, part)| (*at, part)).collect();
    let points = Partial::combine(&parts).context("the parts do not combine")?;
    Ok(points.to_vec())
}

fn made(share: &Share, points: &[Point], member: u16) -> anyhow::Result<Partial> {
    Partial::make(share, points, &context(member), &NONCE_SEED).context("a part cannot be made")
}

/// Each earlier mixing secret under the next one, the oldest first.
fn links(secrets: &[MixingSecret]) -> Vec<[u8; 40]> {
    secrets.windows(2).map(|pair| pair[1].link(&pair[0])).collect()
}

/// The first mixing secret, from the newest one.
fn followed(newest: &MixingSecret, links: &[[u8; 40]]) -> anyhow::Result<MixingSecret> {
    let mut secret = newest.clone();
    for link in links.iter().rev() {
        secret = secret.follow(link).context("a link does not open")?;
    }
    Ok(secret)
}

/// The label of a section's wrap.
fn label(section: u16) -> Vec<u8> {
    WrapLabel {
        genesis: GENESIS,
        key: KeyId(0),
        epoch: EPOCH,
        hospital: HospitalId(0),
        patient: UserId([2; 32]),
        slot: SlotId(0),
        pointer: RecordPointer { height: 1, index: 0 },
        section,
    }
    .bytes()
}

/// To what the proof of a member's part is bound.
fn context(member: u16) -> Vec<u8> {
    let hospital = HospitalId(member);
    let (opening, wraps) = (OpeningId(0), Hash::repeat_byte(4));
    let context = PartialContext { genesis: GENESIS, opening, hospital, epoch: EPOCH, wraps };
    context.proof_context(Hash::repeat_byte(3))
}

/// The content key of a section.
fn content(section: u16) -> [u8; 32] {
    seed("content key", section)
}

/// Not secret: the same at every run, for measurements only.
fn seed(of: &str, number: u16) -> [u8; 32] {
    *blake3::hash(format!("{of} {number}").as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_members_and_sections_is_measured() {
        let measured = measure(&[4, 7], 1).unwrap();
        let sections: Vec<_> = measured.parts.iter().map(|part| part.sections).collect();
        assert_eq!(sections, [1, 8, 64]);
        let combined = measured.combining.iter().map(|it| (it.members, it.threshold, it.sections));
        let expected = [(4, 3, 1), (4, 3, 8), (4, 3, 64), (7, 5, 1), (7, 5, 8), (7, 5, 64)];
        assert!(combined.eq(expected));
        let times = [measured.make_wrap, measured.check_wrap, measured.open_wrap];
        assert!(times.iter().all(|spread| spread.median > 0.0), "{times:?}");
    }

    #[test]
    fn links_lead_back_to_the_first_secret_only_from_the_newest() {
        let secrets: Vec<_> =
            (0..4).map(|epoch| MixingSecret::from_bytes(seed("mixing", epoch))).collect();
        let links = links(&secrets);
        assert!(followed(&secrets[3], &links).unwrap() == secrets[0]);
        assert!(followed(&secrets[2], &links).is_err());
    }
}
