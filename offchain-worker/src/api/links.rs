//! Temporary links to segments: whoever holds one may fetch the segment until it expires. The worker
//! authenticates them with a key of its own, so it need not remember any.

use epione_client::api::SegmentLink;
use epione_primitives::Moment;
use serde::Deserialize;
use url::Url;

/// What the links' key is derived for.
pub(super) const PURPOSE: &str = "epione 2026-11 worker temporary segment links";

/// Makes and checks links.
pub(super) struct Links {
    key: [u8; 32],
}

/// The query of a link.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkQuery {
    expires: Moment,
    /// Hexadecimal.
    mac: String,
}

impl Links {
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A link under the API's public URL.
    pub fn make(&self, public_url: &Url, hash: &[u8; 32], expires: Moment) -> SegmentLink {
        let segment = hex::encode(hash);
        let mut url = public_url.clone();
        let path = format!("{}/v1/segments/{segment}", public_url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query(Some(&format!("expires={expires}&mac={}", self.mac(hash, expires).to_hex())));
        SegmentLink { segment, url: url.into(), expires }
    }

    /// Whether a query is that of a link to this segment that has not expired.
    pub fn opens(&self, query: &LinkQuery, hash: &[u8; 32], now: Moment) -> bool {
        // Comparing two `blake3::Hash`es takes the same time wherever they differ.
        blake3::Hash::from_hex(&query.mac)
            .is_ok_and(|mac| mac == self.mac(hash, query.expires) && now < query.expires)
    }

    fn mac(&self, hash: &[u8; 32], expires: Moment) -> blake3::Hash {
        let mut message = [0; 40];
        message[..32].copy_from_slice(hash);
        message[32..].copy_from_slice(&expires.to_le_bytes());
        blake3::keyed_hash(&self.key, &message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query_of(link: &SegmentLink) -> LinkQuery {
        let url = Url::parse(&link.url).unwrap();
        let find =
            |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        LinkQuery { expires: find("expires").parse().unwrap(), mac: find("mac") }
    }

    #[test]
    fn a_link_opens_its_segment_until_it_expires() {
        let links = Links::new([7; 32]);
        let base = Url::parse("https://worker.example/epione/").unwrap();
        let link = links.make(&base, &[1; 32], 1_000);
        assert!(link.url.starts_with("https://worker.example/epione/v1/segments/0101"));
        let query = query_of(&link);
        assert!(links.opens(&query, &[1; 32], 999));
        assert!(!links.opens(&query, &[1; 32], 1_000));
        assert!(!links.opens(&query, &[2; 32], 999));
        let later = LinkQuery { expires: 2_000, mac: query.mac.clone() };
        assert!(!links.opens(&later, &[1; 32], 999));
        assert!(!Links::new([8; 32]).opens(&query, &[1; 32], 999));
        assert!(!links.opens(&LinkQuery { expires: 1_000, mac: "zz".into() }, &[1; 32], 999));
    }
}
