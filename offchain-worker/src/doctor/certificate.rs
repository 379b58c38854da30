//! When the certificate for browsers expires. Other hospitals and `epione` read no dates of certificates.

use std::time::{Duration, UNIX_EPOCH};

use epione_primitives::Moment;

use super::report::Finding;
use crate::{config::Config, maintenance::moment, millis, tls};

const CHECK: &str = "certificate";
/// A certificate that expires within this time is a problem: renewals that work replace it earlier.
const SOON: Duration = Duration::from_secs(14 * 86_400);

pub(super) fn check(config: &Config, now: Moment) -> Finding {
    let Some(files) = config.tls.as_ref().filter(|_| config.serves_tls()) else {
        return Finding::ok(CHECK, "none is configured; the worker's own never expires");
    };
    match tls::first_certificate(files) {
        Ok(certificate) => judge(not_after(&certificate), now),
        Err(error) => Finding::problem(CHECK, error, "correct the files of [tls]"),
    }
}

fn judge(expires: Option<Moment>, now: Moment) -> Finding {
    let todo = "renew it with the authority, and check the automatic renewal";
    match expires {
        None => Finding::unchecked(CHECK, "the certificate's last day cannot be read"),
        Some(at) if at <= now => {
            Finding::problem(CHECK, format!("expired at {}", moment(at)), todo)
        }
        Some(at) if at <= now.saturating_add(millis(SOON)) => {
            Finding::problem(CHECK, format!("expires at {}", moment(at)), todo)
        }
        Some(at) => Finding::ok(CHECK, format!("valid until {}", moment(at))),
    }
}

/// The end of a certificate's validity (RFC 5280, 4.1.2.5), whose signature is not checked.
fn not_after(certificate: &[u8]) -> Option<Moment> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    const VERSION: u8 = 0xa0;
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (fields, _) = element(certificate, SEQUENCE)?;
    let fields = element(fields, VERSION).map_or(fields, |(_, rest)| rest);
    let (_, fields) = element(fields, INTEGER)?;
    let (_, fields) = element(fields, SEQUENCE)?;
    let (_issuer, fields) = element(fields, SEQUENCE)?;
    let (validity, _) = element(fields, SEQUENCE)?;
    let (_, _begin, end) = any(validity)?;
    let (tag, end, _) = any(end)?;
    time(tag, std::str::from_utf8(end).ok()?)
}

/// The content of the first element of DER if it has this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any(bytes)?;
    (found == tag).then_some((content, rest))
}

/// Tag and content of the first element, and what follows it.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // One to four bytes of length.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            let length = digits.iter().fold(0_u32, |sum, digit| (sum << 8) | u32::from(*digit));
            (usize::try_from(length).ok()?, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// A `UTCTime` or `GeneralizedTime`, as certificates have them: in UTC, with seconds.
fn time(tag: u8, text: &str) -> Option<Moment> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let digits = text.strip_suffix('Z').filter(|it| it.bytes().all(|it| it.is_ascii_digit()))?;
    let full = match (tag, digits.len()) {
        (UTC_TIME, 12) => format!("{}{digits}", if digits < "50" { "20" } else { "19" }),
        (GENERALIZED_TIME, 14) => digits.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| full.get(from..to);
    let stated = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    );
    let stated = humantime::parse_rfc3339(&stated).ok()?;
    Some(stated.duration_since(UNIX_EPOCH).map_or(0, millis))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::doctor::report::Verdict;

    const DAY: Moment = 86_400_000;

    fn certificate(year: i32) -> Vec<u8> {
        let pair = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.not_before = date_time_ymd(2000, 1, 1);
        parameters.not_after = date_time_ymd(year, 1, 1);
        parameters.self_signed(&pair).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms() {
        // 2030 is a UTCTime, 2060 a GeneralizedTime.
        for (year, expected) in [(2030, 1_893_456_000_000), (2060, 2_840_140_800_000)] {
            assert_eq!(not_after(&certificate(year)), Some(expected), "{year}");
        }
    }

    #[test]
    fn a_certificate_that_expires_soon_is_found() {
        let end = 100 * DAY;
        assert_eq!(judge(Some(end), 0).verdict, Verdict::Ok);
        assert!(judge(Some(end), 90 * DAY).found.starts_with("expires"));
        assert!(judge(Some(end), end).found.starts_with("expired"));
        assert_eq!(judge(None, 0).verdict, Verdict::Unchecked);
    }

    #[test]
    fn other_bytes_have_no_end() {
        let whole = certificate(2030);
        for length in 0..whole.len().min(120) {
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
        assert_eq!(not_after(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(not_after(&[0x30, 0x80]), None);
    }
}
