//! Links of several hospitals to the same segments. Each hospital whose part was used may deny media, or fail: then the
//! next one is asked. The bytes are verified whoever sends them.

use std::collections::HashSet;

use epione_primitives::{HospitalId, Moment, opening::OpeningId};

use super::PART_LIMIT;
use crate::{
    api::SegmentLink,
    now,
    reader::{Links, ReadError, media::LINK_MARGIN_MILLIS, permission::by_segment},
    worker::WorkerClient,
};

/// The links of one hospital, at its worker.
#[derive(Clone)]
struct Offer {
    worker: WorkerClient,
    links: Links,
}

/// Where the segments of a record of an opening can be fetched: first from the hospital that failed least recently.
#[derive(Clone)]
pub(in crate::reader) struct Offers {
    opening: OpeningId,
    each: Vec<Offer>,
}

impl Offers {
    /// What these workers offer of the wanted segments, beginning with the worker that has links to most of them. Links
    /// to other segments count for nothing. A hospital without a link to any of them is not asked.
    pub fn new(
        opening: OpeningId,
        sent: &[(WorkerClient, Vec<SegmentLink>)],
        wanted: &HashSet<[u8; 32]>,
    ) -> Self {
        let offer = |(worker, links): &(WorkerClient, Vec<SegmentLink>)| {
            let mut links = by_segment(links.clone());
            links.retain(|segment, _| wanted.contains(segment));
            Offer { worker: worker.clone(), links }
        };
        let mut each: Vec<_> = sent.iter().map(offer).collect();
        each.retain(|offer| !offer.links.is_empty());
        // Stable: those with as many links stay in their order.
        each.sort_by_key(|offer| std::cmp::Reverse(offer.links.len()));
        Self { opening, each }
    }

    /// The next hospital to ask; none if all have been tried.
    pub fn next(&self, tried: &[HospitalId]) -> Option<HospitalId> {
        let mut hospitals = self.each.iter().map(|offer| offer.worker.hospital());
        hospitals.find(|hospital| !tried.contains(hospital))
    }

    /// A hospital failed: the others are asked before it from now on.
    pub fn failed(&mut self, hospital: HospitalId) {
        self.each.sort_by_key(|offer| offer.worker.hospital() == hospital);
    }

    /// A hospital's worker, and its link to a segment. A link that expires soon is replaced first.
    pub async fn link(
        &mut self,
        hospital: HospitalId,
        segment: [u8; 32],
    ) -> Result<(WorkerClient, SegmentLink), ReadError> {
        let no_link = ReadError::NoLink { segment };
        let of_hospital = |offer: &&mut Offer| offer.worker.hospital() == hospital;
        let Some(offer) = self.each.iter_mut().find(of_hospital) else { return Err(no_link) };
        let Some(link) = offer.links.get(&segment) else { return Err(no_link) };
        if ends_soon(link, now()) {
            let part = tokio::time::timeout(PART_LIMIT, offer.worker.partials(self.opening)).await;
            let Ok(part) = part else { return Err(no_link) };
            let part = part?;
            let known: HashSet<_> = offer.links.keys().copied().collect();
            // What the worker does not offer any more is not forgotten: the next hospital may have it.
            let renewed = by_segment(part.links);
            offer.links.extend(renewed.into_iter().filter(|(segment, _)| known.contains(segment)));
        }
        match offer.links.get(&segment) {
            Some(link) if !ends_soon(link, now()) => Ok((offer.worker.clone(), link.clone())),
            _ => Err(no_link),
        }
    }
}

fn ends_soon(link: &SegmentLink, now: Moment) -> bool {
    link.expires <= now.saturating_add(LINK_MARGIN_MILLIS)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::reader::tests::worker_of;

    fn link(segment: u8) -> SegmentLink {
        let (segment, url) = (hex::encode([segment; 32]), "http://127.0.0.1:1/".to_owned());
        SegmentLink { segment, url, expires: Moment::MAX }
    }

    #[test]
    fn links_to_other_segments_gain_nothing() {
        let nowhere = Url::parse("http://127.0.0.1:1").unwrap();
        let worker = |hospital| worker_of(&nowhere, HospitalId(hospital));
        let sent = [
            // One link too many, which leads nowhere.
            (worker(3), vec![link(1), link(8), link(9)]),
            (worker(1), vec![link(2), link(1)]),
            (worker(2), vec![link(9)]),
            (worker(4), vec![link(1), link(1), link(1)]),
        ];
        let wanted = HashSet::from([[1; 32], [2; 32]]);
        let mut offers = Offers::new(OpeningId(7), &sent, &wanted);
        let in_order = |offers: &Offers| {
            let mut tried = Vec::new();
            while let Some(next) = offers.next(&tried) {
                tried.push(next);
            }
            tried.iter().map(|it| it.0).collect::<Vec<_>>()
        };
        assert_eq!(in_order(&offers), [1, 3, 4]);
        offers.failed(HospitalId(1));
        assert_eq!(in_order(&offers), [3, 4, 1]);
        offers.failed(HospitalId(4));
        assert_eq!(in_order(&offers), [3, 1, 4]);
    }
}
