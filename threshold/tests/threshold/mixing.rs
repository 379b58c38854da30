//! The mixing secret: who can compute it, and the way back along the links.

use epione_threshold::{MAX_MEMBERS, MixingSecret};

use crate::world::mixing;

#[test]
fn it_follows_from_all_parts_and_their_hospitals() {
    let parts = [(1, [1; 32]), (2, [2; 32])];
    let secret = MixingSecret::combine(&parts).unwrap();
    assert_eq!(MixingSecret::combine(&parts), Some(secret.clone()));
    let others: [&[(u16, [u8; 32])]; 4] = [
        &parts[..1],
        &[(1, [1; 32]), (3, [2; 32])],
        &[(1, [2; 32]), (2, [1; 32])],
        &[(1, [1; 32]), (2, [2; 32]), (3, [3; 32])],
    ];
    for other in others {
        assert_ne!(MixingSecret::combine(other).unwrap(), secret);
    }
}

#[test]
fn parts_that_are_not_in_order_are_refused() {
    assert_eq!(MixingSecret::combine(&[]), None);
    assert_eq!(MixingSecret::combine(&[(2, [2; 32]), (1, [1; 32])]), None);
    assert_eq!(MixingSecret::combine(&[(1, [1; 32]), (1, [2; 32])]), None);
    let many: Vec<_> = (0..=MAX_MEMBERS as u16).map(|hospital| (hospital, [1; 32])).collect();
    assert_eq!(MixingSecret::combine(&many), None);
    assert!(MixingSecret::combine(&many[1..]).is_some());
}

#[test]
fn hashes_tell_parts_and_secrets_apart() {
    let secret = mixing(1);
    assert_eq!(secret.hash(), MixingSecret::from_bytes(*secret.encode()).hash());
    assert_ne!(secret.hash(), mixing(2).hash());
    assert_ne!(secret.hash(), *secret.encode());
    assert_ne!(MixingSecret::part_hash(&[1; 32]), MixingSecret::part_hash(&[2; 32]));
    assert_ne!(MixingSecret::part_hash(&secret.encode()), secret.hash());
}

/// A newcomer walks back from the newest to the first.
#[test]
fn links_lead_back() {
    let secrets = [1, 2, 3].map(mixing);
    let links: Vec<_> = secrets.windows(2).map(|pair| pair[1].link(&pair[0])).collect();
    let second = secrets[2].follow(&links[1]).unwrap();
    assert_eq!(second, secrets[1]);
    assert_eq!(second.follow(&links[0]), Some(secrets[0].clone()));
}

/// A member that was removed has the earlier secret, and all links.
#[test]
fn no_link_leads_forward() {
    let (earlier, later) = (mixing(1), mixing(2));
    let link = later.link(&earlier);
    assert_eq!(earlier.follow(&link), None);
    assert_eq!(MixingSecret::from_bytes([0; 32]).follow(&link), None);
    for bit in 0..320 {
        let mut changed = link;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(later.follow(&changed), None);
    }
}

#[test]
fn nothing_secret_is_shown() {
    let share = epione_threshold::Share::decode(&[1; 32]).unwrap();
    let polynomial = epione_threshold::Polynomial::sharing(&share, &[1; 32], 2).unwrap();
    let shown = format!("{:?} {share:?} {polynomial:?} {:?}", mixing(1), share.public());
    assert_eq!(shown, "MixingSecret(..) Share(..) Polynomial(..) Some(Point(..))");
}
