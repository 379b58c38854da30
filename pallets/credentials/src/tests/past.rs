//! Credentials at past moments, however many have followed.

use frame_support::assert_ok;

use super::*;
use crate::EarlierCount;

/// The first of each ten milliseconds that a number begins.
fn begin(number: u64) -> u64 {
    START + 10 * number
}

#[test]
fn every_earlier_credential_stays_what_it_was() {
    for count in 1..12 {
        run(|| {
            // Every third one is revoked after three milliseconds, every third one is renewed before its end, and the
            // others end by themselves after five.
            for number in 0..count {
                Now::set(begin(number));
                let length = if number % 3 == 1 { 15 } else { 5 };
                let until = begin(number) + length;
                assert_ok!(issue(governance(ISSUER), DOCTOR, CARDIOLOGY, until));
                if number % 3 == 0 {
                    pass(3);
                    assert_ok!(revoke(governance(ISSUER), DOCTOR, CARDIOLOGY));
                }
            }
            let earlier = EarlierCount::<Test>::get((DOCTOR, CARDIOLOGY, ISSUER));
            assert_eq!(u64::from(earlier), count - 1);
            assert!(!holds(DOCTOR, CARDIOLOGY, ISSUER, START - 1));
            for number in 0..count {
                let lasts = match number % 3 {
                    0 => 3,
                    1 => 10,
                    _ => 5,
                };
                for step in 0..10 {
                    let at = begin(number) + step;
                    let expected = step < lasts;
                    assert_eq!(
                        holds(DOCTOR, CARDIOLOGY, ISSUER, at),
                        expected,
                        "{number} of {count}, {step} ms"
                    );
                }
            }
        });
    }
}

#[test]
fn credentials_of_one_block_replace_each_other() {
    run(|| {
        for _ in 0..3 {
            assert_ok!(issue(governance(ISSUER), DOCTOR, CARDIOLOGY, START + 50));
        }
        assert!(holds(DOCTOR, CARDIOLOGY, ISSUER, START));
        assert_ok!(revoke(governance(ISSUER), DOCTOR, CARDIOLOGY));
        assert!(!holds(DOCTOR, CARDIOLOGY, ISSUER, START));
        assert!(!holds(DOCTOR, CARDIOLOGY, ISSUER, START - 1));
    });
}
