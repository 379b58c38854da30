//! Temporary links to segments, each bound to an access grant. The holder of a link may fetch the segment until the
//! link expires, or until the chain no longer allows what the grant gave. The worker authenticates links with a secret
//! key, so it need not remember any.

use std::time::Duration;

use epione_client::api::SegmentLink;
use epione_primitives::{Hash, Moment};
use serde::Deserialize;
use url::Url;

/// The context from which the links' key is derived.
pub(super) const PURPOSE: &str = "epione 2026-11 worker temporary segment links";

/// Makes and checks links.
pub(super) struct Links {
    key: [u8; 32],
}

/// The query of a link.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkQuery {
    /// Hash of the access grant, in hexadecimal.
    grant: String,
    expires: Moment,
    /// Hexadecimal.
    mac: String,
    /// Not covered by the MAC: the client that follows the link chooses it.
    pub via: Option<Via>,
}

/// Where a client that follows a link wants to fetch the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Via {
    /// From this worker, which first checks the segment, and repairs it if necessary.
    Worker,
}

impl LinkQuery {
    /// How long the link is still valid.
    pub fn left(&self, now: Moment) -> Duration {
        Duration::from_millis(self.expires.saturating_sub(now))
    }
}

impl Links {
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A link below the API's public URL, for the requester of this grant.
    pub fn make(
        &self,
        public_url: &Url,
        hash: &[u8; 32],
        grant: Hash,
        expires: Moment,
    ) -> SegmentLink {
        let segment = hex::encode(hash);
        let mut url = public_url.clone();
        let path = format!("{}/v1/segments/{segment}", public_url.path().trim_end_matches('/'));
        url.set_path(&path);
        let (shown, mac) = (hex::encode(grant), self.mac(hash, grant, expires).to_hex());
        url.set_query(Some(&format!("grant={shown}&expires={expires}&mac={mac}")));
        SegmentLink { segment, url: url.into(), expires }
    }

    /// The grant to which a link is bound, if this is the query of a link to this segment that has not expired. Whether
    /// the grant is in force is for the chain to decide.
    pub fn grant_of(&self, query: &LinkQuery, hash: &[u8; 32], now: Moment) -> Option<Hash> {
        let mut grant = [0; 32];
        hex::decode_to_slice(&query.grant, &mut grant).ok()?;
        let grant = Hash::from(grant);
        let mac = blake3::Hash::from_hex(&query.mac).ok()?;
        // Comparing two `blake3::Hash` values takes constant time.
        let is_valid = mac == self.mac(hash, grant, query.expires) && now < query.expires;
        is_valid.then_some(grant)
    }

    fn mac(&self, hash: &[u8; 32], grant: Hash, expires: Moment) -> blake3::Hash {
        let mut message = [0; 72];
        message[..32].copy_from_slice(hash);
        message[32..64].copy_from_slice(grant.as_bytes());
        message[64..].copy_from_slice(&expires.to_le_bytes());
        blake3::keyed_hash(&self.key, &message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: Hash = Hash::repeat_byte(9);

    fn query_of(link: &SegmentLink) -> LinkQuery {
        let url = Url::parse(&link.url).unwrap();
        let find =
            |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        LinkQuery {
            grant: find("grant"),
            expires: find("expires").parse().unwrap(),
            mac: find("mac"),
            via: None,
        }
    }

    #[test]
    fn a_link_names_its_grant_and_opens_its_segment_until_it_expires() {
        let links = Links::new([7; 32]);
        let base = Url::parse("https://worker.example/epione/").unwrap();
        let link = links.make(&base, &[1; 32], GRANT, 1_000);
        assert!(link.url.starts_with("https://worker.example/epione/v1/segments/0101"));
        let query = query_of(&link);
        assert_eq!(links.grant_of(&query, &[1; 32], 999), Some(GRANT));
        assert_eq!(links.grant_of(&query, &[1; 32], 1_000), None);
    }

    #[test]
    fn no_part_of_a_link_can_be_replaced() {
        let links = Links::new([7; 32]);
        let base = Url::parse("https://worker.example").unwrap();
        let good = query_of(&links.make(&base, &[1; 32], GRANT, 1_000));
        assert_eq!(links.grant_of(&good, &[2; 32], 999), None);
        assert_eq!(Links::new([8; 32]).grant_of(&good, &[1; 32], 999), None);
        for bad in [
            LinkQuery { expires: 2_000, ..good.clone() },
            LinkQuery { grant: hex::encode([8; 32]), ..good.clone() },
            LinkQuery { grant: "zz".into(), ..good.clone() },
            LinkQuery { mac: "zz".into(), ..good.clone() },
        ] {
            assert_eq!(links.grant_of(&bad, &[1; 32], 999), None, "{bad:?}");
        }
    }
}
