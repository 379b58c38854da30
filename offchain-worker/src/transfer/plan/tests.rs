use epione_client::Endpoint;
use epione_primitives::Hash;

use super::*;

const ANNOUNCER: u16 = 9;

fn peer(id: u16) -> Peer {
    let endpoint = Endpoint::new("http://127.0.0.1:1".parse().unwrap(), [0; 32]).unwrap();
    Peer { hospital: HospitalId(id), endpoint }
}

fn rules() -> Rules {
    Rules { small: 0, ..Rules::default() }
}

/// The plan of hospital `own` (of 0 to `fetchers`) for a block of which it has no segment.
fn plan(own: u16, fetchers: u16, segments: u8, now: Instant) -> Plan {
    let peers = [ANNOUNCER].into_iter().chain((0..fetchers).filter(|id| *id != own));
    let roll = Roll {
        genesis: Hash::zero(),
        own: Some(HospitalId(own)),
        peers: peers.map(peer).collect(),
    };
    let missing =
        (0..segments).map(|seed| (usize::from(seed), Segment { hash: [seed; 32], length: 1_000 }));
    Plan::new(missing.collect(), roll, Some(HospitalId(ANNOUNCER)), rules(), now)
}

/// All segments that may be fetched now, as (segment, hospital).
fn errands(plan: &mut Plan, now: Instant) -> Vec<(usize, u16)> {
    let mut begun = Vec::new();
    while let Some(errand) = plan.next(now) {
        begun.push((errand.wanted, errand.peer.hospital.0));
        plan.arrived(&errand, Some(Duration::from_millis(10)), now);
    }
    begun.sort_unstable();
    begun
}

/// A hospital says that it has these segments.
fn claim(plan: &mut Plan, hospital: u16, segments: &[usize], now: Instant) {
    for question in plan.questions(now) {
        let asked = question.peer.hospital.0 == hospital;
        let held: Vec<_> =
            question.wanted.iter().map(|wanted| asked && segments.contains(wanted)).collect();
        plan.answered(&question, &held, now);
    }
}

/// All hospitals say that they have all segments.
fn all_claim_all(plan: &mut Plan, now: Instant) {
    for question in plan.questions(now) {
        let held = vec![true; question.wanted.len()];
        plan.answered(&question, &held, now);
    }
}

/// All segments that may be under way at once.
fn all_next(plan: &mut Plan, now: Instant) -> Vec<Errand> {
    std::iter::from_fn(|| plan.next(now)).collect()
}

/// Empties the list of hospitals that may continue a download.
fn reserve(errand: &Errand) -> Vec<u16> {
    std::iter::from_fn(|| errand.reserve.next()).map(|peer| peer.hospital.0).collect()
}

#[test]
fn the_announcer_gives_each_segment_to_one_hospital() {
    let now = Instant::now();
    let mut given: Vec<_> =
        (0..4).flat_map(|own| errands(&mut plan(own, 4, 10, now), now)).collect();
    given.sort_unstable();
    assert_eq!(given, (0..10).map(|segment| (segment, ANNOUNCER)).collect::<Vec<_>>());
}

#[test]
fn a_small_block_comes_from_the_announcer_alone() {
    let now = Instant::now();
    let mut plan = plan(1, 4, 10, now);
    plan.direct = true;
    assert!(plan.questions(now).is_empty());
    assert_eq!(errands(&mut plan, now).len(), 10);
    assert_eq!(plan.missing(), 0);
}

#[test]
fn segments_of_other_hospitals_come_from_them_in_turn() {
    let now = Instant::now();
    let mut plan = plan(0, 3, 6, now);
    let everybody = plan.questions(now);
    assert_eq!(everybody.iter().map(|q| q.peer.hospital.0).collect::<Vec<_>>(), [1, 2]);
    for question in &everybody {
        plan.answered(question, &[true; 6], now);
    }
    let mut from = Vec::new();
    let mut under_way = Vec::new();
    while let Some(errand) = plan.next(now) {
        from.push(errand.peer.hospital.0);
        under_way.push(errand);
    }
    from.sort_unstable();
    // Two at once from each.
    assert_eq!(from, [1, 1, 2, 2, ANNOUNCER, ANNOUNCER]);
    for errand in &under_way {
        let reserve: Vec<_> = std::iter::from_fn(|| errand.reserve.next()).collect();
        assert_eq!(reserve.len(), 2);
        // The announcer continues if no other hospital can.
        let last = reserve.last().map(|peer| peer.hospital.0);
        assert!(errand.peer.hospital.0 == ANNOUNCER || last == Some(ANNOUNCER));
    }
}

#[test]
fn rare_segments_are_fetched_first() {
    let now = Instant::now();
    let mut plan = plan(0, 3, 3, now);
    // Its own share is complete.
    let own = plan.next(now).unwrap();
    assert_eq!((own.wanted, own.peer.hospital.0), (0, ANNOUNCER));
    let questions = plan.questions(now);
    plan.answered(&questions[0], &[true, true], now);
    plan.answered(&questions[1], &[false, true], now);
    assert_eq!(plan.next(now).unwrap().wanted, 1);
    assert_eq!(plan.next(now).unwrap().wanted, 2);
}

#[test]
fn a_dead_hospital_s_share_is_dealt_out_at_once() {
    let now = Instant::now();
    let mut given = Vec::new();
    for own in [0, 1, 3] {
        let mut plan = plan(own, 4, 24, now);
        let questions = plan.questions(now);
        let dead = questions.iter().find(|question| question.peer.hospital.0 == 2).unwrap();
        assert!(plan.unanswered(dead, &PeerFault::Unreachable("gone".into()), now));
        given.extend(errands(&mut plan, now));
    }
    given.sort_unstable();
    assert_eq!(given, (0..24).map(|segment| (segment, ANNOUNCER)).collect::<Vec<_>>());
}

#[test]
fn a_slow_hospital_s_share_is_dealt_out_after_a_while() {
    let now = Instant::now();
    let mut plan = plan(0, 2, 6, now);
    assert_eq!(errands(&mut plan, now), [(0, ANNOUNCER), (2, ANNOUNCER), (4, ANNOUNCER)]);
    claim(&mut plan, 1, &[3], now);
    assert_eq!(errands(&mut plan, now), [(3, 1)]);
    let patience = rules().patience;
    plan.settle(now + patience - Duration::from_millis(1));
    assert!(!plan.has_next(now + patience));
    plan.settle(now + patience);
    assert_eq!(errands(&mut plan, now + patience), [(1, ANNOUNCER), (5, ANNOUNCER)]);
}

#[test]
fn arrivals_and_slow_links_prolong_the_wait() {
    let now = Instant::now();
    let mut plan = plan(0, 2, 6, now);
    let second = Duration::from_secs(1);
    let errand = plan.next(now).unwrap();
    // No segment has arrived yet, so it is not known how long one takes.
    plan.settle(now + 100 * second);
    plan.arrived(&errand, Some(10 * second), now + 10 * second);
    while let Some(errand) = plan.next(now + 10 * second) {
        plan.arrived(&errand, Some(10 * second), now + 10 * second);
    }
    plan.settle(now + 29 * second);
    assert!(!plan.has_next(now + 29 * second));
    claim(&mut plan, 1, &[1], now + 29 * second);
    let errand = plan.next(now + 29 * second).unwrap();
    plan.arrived(&errand, None, now + 30 * second);
    plan.settle(now + 49 * second);
    assert!(!plan.has_next(now + 49 * second));
    plan.settle(now + 50 * second);
    assert!(plan.has_next(now + 50 * second));
}

#[test]
fn nobody_is_late_while_the_announcer_serves_others() {
    let begun = Instant::now();
    let mut now = begun;
    let mut plan = plan(0, 3, 3, now);
    // The hospital requests its own share repeatedly, without success.
    while now < begun + Duration::from_secs(40) {
        let errand = plan.next(now).unwrap();
        assert_eq!((errand.wanted, errand.peer.hospital.0), (0, ANNOUNCER));
        plan.failed(&errand, errand.peer.hospital, PeerFault::Busy, now);
        plan.reopen(&errand, false);
        now += rules().rest.1;
        plan.settle(now);
    }
    let errand = plan.next(now).unwrap();
    plan.arrived(&errand, Some(Duration::from_secs(1)), now);
    assert!(!plan.has_next(now));
    // The announcer is not busy any more, and no hospital has the others' shares.
    now += rules().patience;
    plan.settle(now);
    assert_eq!(errands(&mut plan, now), [(1, ANNOUNCER), (2, ANNOUNCER)]);
}

#[test]
fn the_last_hospital_fetches_all_from_the_announcer() {
    let mut now = Instant::now();
    let mut plan = plan(2, 5, 11, now);
    let mut rounds = 0;
    while plan.missing() > 0 {
        errands(&mut plan, now);
        now += Duration::from_secs(60);
        plan.settle(now);
        assert!(plan.missing() == 0 || !plan.is_hopeless(now));
        rounds += 1;
        assert!(rounds < 8);
    }
}

#[test]
fn a_busy_hospital_rests_and_is_not_dropped() {
    let now = Instant::now();
    let mut plan = plan(0, 2, 2, now);
    let errand = plan.next(now).unwrap();
    let failed = plan.failed(&errand, errand.peer.hospital, PeerFault::Busy, now);
    assert_eq!(failed, (PeerFault::Busy, false));
    plan.reopen(&errand, false);
    assert!(!plan.has_next(now));
    assert!(plan.has_next(now + rules().rest.0));
    assert!(!plan.is_hopeless(now + rules().rest.0));
}

#[test]
fn only_a_false_claim_drops_a_hospital() {
    let now = Instant::now();
    let mut plan = plan(0, 2, 2, now);
    // It was only assumed that the announcer has the segment.
    let guess = plan.next(now).unwrap();
    let failed = plan.failed(&guess, guess.peer.hospital, PeerFault::Absent, now);
    assert_eq!(failed, (PeerFault::Absent, false));
    plan.reopen(&guess, false);
    claim(&mut plan, 1, &[0, 1], now);
    let errand = plan.next(now).unwrap();
    assert_eq!(errand.peer.hospital.0, 1);
    let failed = plan.failed(&errand, errand.peer.hospital, PeerFault::Absent, now);
    assert_eq!(failed, (PeerFault::BrokenPromise, true));
    plan.reopen(&errand, false);
    // This hospital fetches its share now.
    assert_eq!(errands(&mut plan, now), [(1, ANNOUNCER)]);
}

#[test]
fn a_fetch_ends_only_after_all_hospitals_were_asked() {
    let now = Instant::now();
    let mut plan = plan(0, 3, 1, now);
    let errand = plan.next(now).unwrap();
    plan.failed(&errand, errand.peer.hospital, PeerFault::Stalled, now);
    plan.reopen(&errand, false);
    let later = now + rules().patience;
    assert!(!plan.is_hopeless(later));
    claim(&mut plan, 7, &[], now);
    assert!(!plan.is_hopeless(now));
    assert!(plan.is_hopeless(later));
}

#[test]
fn hospitals_are_asked_only_about_unknown_segments() {
    let now = Instant::now();
    let mut plan = plan(0, 2, 4, now);
    let first = plan.questions(now).remove(0);
    assert!(plan.questions(now).is_empty());
    plan.answered(&first, &[true, false, false, false], now);
    assert!(plan.questions(now).is_empty());
    let mut at = now + rules().ask_every.0;
    let mut asked = 0;
    while at < now + Duration::from_secs(10) {
        for question in plan.questions(at) {
            assert_eq!(question.wanted.len(), 3);
            asked += 1;
            plan.answered(&question, &[false; 3], at);
        }
        at += Duration::from_millis(10);
    }
    assert!((10..=14).contains(&asked), "{asked}");
}

#[test]
fn a_long_list_is_asked_in_parts() {
    let now = Instant::now();
    let segments = |index: usize| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&index.to_le_bytes());
        (index, Segment { hash, length: 1 })
    };
    let roll = Roll { genesis: Hash::zero(), own: Some(HospitalId(0)), peers: vec![peer(1)] };
    let mut plan = Plan::new((0..1_500).map(segments).collect(), roll, None, rules(), now);
    let mut asked: HashSet<usize> = HashSet::new();
    for step in 1..=6 {
        let question = plan.questions(now + step * Duration::from_secs(2)).remove(0);
        assert!(question.hashes.len() <= NAMED);
        asked.extend(&question.wanted);
        plan.answered(&question, &vec![false; question.wanted.len()], now);
    }
    assert_eq!(asked.len(), 1_500);
}

#[test]
fn a_slow_hospital_is_asked_for_nothing_that_another_has() {
    let now = Instant::now();
    let mut plan = plan(0, 3, 6, now);
    assert_eq!(errands(&mut plan, now), [(0, ANNOUNCER), (3, ANNOUNCER)]);
    all_claim_all(&mut plan, now);
    let errand = plan.next(now).unwrap();
    let failed = plan.failed(&errand, HospitalId(1), PeerFault::Slow, now);
    assert_eq!(failed, (PeerFault::Slow, false));
    plan.reopen(&errand, false);
    assert_eq!(errands(&mut plan, now), [(1, 2), (2, 2), (4, 2), (5, 2)]);
}

/// All hospitals say that they have all segments, and one that it is in maintenance.
fn all_claim_all_but_spare(plan: &mut Plan, spared: u16, now: Instant) {
    for question in plan.questions(now) {
        let held = vec![true; question.wanted.len()];
        plan.answered(&question, &held, now);
        if question.peer.hospital.0 == spared {
            plan.spare(&question, now);
        }
    }
}

#[test]
fn a_hospital_in_maintenance_is_asked_for_nothing_that_another_has() {
    let now = Instant::now();
    let mut plan = plan(0, 3, 6, now);
    assert_eq!(errands(&mut plan, now), [(0, ANNOUNCER), (3, ANNOUNCER)]);
    all_claim_all_but_spare(&mut plan, 1, now);
    assert_eq!(errands(&mut plan, now), [(1, 2), (2, 2), (4, 2), (5, 2)]);
}

#[test]
fn a_hospital_in_maintenance_is_asked_if_no_other_has_a_segment() {
    let now = Instant::now();
    let mut plan = plan(0, 2, 4, now);
    assert_eq!(errands(&mut plan, now), [(0, ANNOUNCER), (2, ANNOUNCER)]);
    all_claim_all_but_spare(&mut plan, 1, now);
    assert_eq!(errands(&mut plan, now), [(1, 1), (3, 1)]);
}

#[test]
fn a_hospital_that_is_slow_once_keeps_its_share() {
    let now = Instant::now();
    let mut plan = plan(0, 2, 8, now);
    assert_eq!(errands(&mut plan, now).len(), 4);
    claim(&mut plan, 1, &[1, 3, 5, 7], now);
    // Two segments that were under way at the same time.
    let both = [plan.next(now).unwrap(), plan.next(now).unwrap()];
    for errand in &both {
        assert_eq!(errand.peer.hospital.0, 1);
        plan.failed(errand, HospitalId(1), PeerFault::Slow, now);
        plan.arrived(errand, None, now);
    }
    let later = now + Duration::from_secs(1);
    let again = plan.next(later).unwrap();
    assert_eq!(again.peer.hospital.0, 1);
    plan.failed(&again, HospitalId(1), PeerFault::Slow, later);
    plan.arrived(&again, None, later);
    // Now its share is dealt out at once.
    let left: Vec<_> = errands(&mut plan, later).iter().map(|(_, from)| *from).collect();
    assert_eq!((left, plan.missing()), (vec![ANNOUNCER], 0));
}

#[test]
fn slow_hospitals_are_asked_if_no_other_has_a_segment() {
    let now = Instant::now();
    let mut plan = plan(0, 2, 4, now);
    let errand = plan.next(now).unwrap();
    assert_eq!(errand.peer.hospital.0, ANNOUNCER);
    claim(&mut plan, 1, &[1, 2, 3], now);
    plan.failed(&errand, HospitalId(1), PeerFault::Slow, now);
    plan.failed(&errand, HospitalId(ANNOUNCER), PeerFault::Stalled, now);
    plan.reopen(&errand, false);
    assert_eq!(errands(&mut plan, now), [(1, 1), (2, 1), (3, 1)]);
}

#[test]
fn a_slow_hospital_is_asked_again_after_a_while() {
    let mut now = Instant::now();
    let mut plan = plan(0, 2, 2, now);
    assert_eq!(errands(&mut plan, now), [(0, ANNOUNCER)]);
    claim(&mut plan, 1, &[1], now);
    for _ in 0..2 {
        assert_eq!(plan.holders(1, now).collect::<Vec<_>>(), [1]);
        let errand = plan.next(now).unwrap();
        plan.failed(&errand, HospitalId(1), PeerFault::Slow, now);
        plan.reopen(&errand, false);
        now += Duration::from_secs(1);
    }
    assert_eq!(plan.holders(1, now).count(), 0);
    assert_eq!(plan.holders(1, now + SLOW_FOR).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_hospital_that_claims_a_segment_under_way_continues_it_last() {
    let now = Instant::now();
    for suspect in [false, true] {
        let mut plan = plan(0, 3, 3, now);
        assert_eq!(errands(&mut plan, now), [(0, ANNOUNCER)]);
        let questions = plan.questions(now);
        plan.answered(&questions[0], &[true; 2], now);
        let errand = plan.next(now).unwrap();
        if suspect {
            plan.suspect(HospitalId(2));
        }
        plan.answered(&questions[1], &[true; 2], now);
        let expected = if suspect { vec![ANNOUNCER] } else { vec![ANNOUNCER, 2] };
        assert_eq!((errand.peer.hospital.0, reserve(&errand)), (1, expected));
    }
}

#[test]
fn a_suspect_is_alone_until_it_sends_a_right_segment() {
    let now = Instant::now();
    let mut plan = plan(0, 3, 24, now);
    assert_eq!(errands(&mut plan, now).len(), 8);
    all_claim_all(&mut plan, now);
    let early = all_next(&mut plan, now);
    plan.suspect(HospitalId(1));
    let (of_suspect, others): (Vec<_>, Vec<_>) =
        early.iter().partition(|errand| errand.peer.hospital.0 == 1);
    // Nor does it continue what is under way.
    assert!(others.iter().all(|errand| reserve(errand) == [ANNOUNCER]));
    for errand in &of_suspect {
        plan.reopen(errand, true);
    }
    for errand in &others {
        plan.arrived(errand, None, now);
    }
    let next = all_next(&mut plan, now);
    let from = |id| next.iter().filter(move |errand| errand.peer.hospital.0 == id);
    let alone: Vec<_> = from(1).collect();
    assert_eq!((of_suspect.len(), alone.len(), from(2).count()), (2, 1, 2));
    assert_eq!(reserve(alone[0]), Vec::<u16>::new());
    assert_eq!(alone[0].limit, Some(rules().patience * SUSPECT_WAITS));
    assert!(from(2).all(|errand| errand.limit.is_none() && reserve(errand) == [ANNOUNCER]));
    plan.arrived(alone[0], Some(Duration::from_millis(10)), now);
    let cleared = all_next(&mut plan, now);
    assert_eq!(cleared.len(), 2);
    for errand in &cleared {
        assert_eq!((errand.peer.hospital.0, errand.limit), (1, None));
        assert_eq!(reserve(errand), [2, ANNOUNCER]);
    }
}

#[test]
fn who_is_suspect_again_and_again_remains_so() {
    let now = Instant::now();
    let mut plan = plan(0, 2, 16, now);
    assert_eq!(errands(&mut plan, now).len(), 8);
    all_claim_all(&mut plan, now);
    for _ in 0..SUSPICIONS {
        plan.suspect(HospitalId(1));
        let errand = plan.next(now).unwrap();
        assert_eq!((errand.peer.hospital.0, reserve(&errand)), (1, Vec::new()));
        plan.arrived(&errand, Some(Duration::from_millis(10)), now);
    }
    let errand = plan.next(now).unwrap();
    assert_eq!((errand.peer.hospital.0, reserve(&errand)), (1, Vec::new()));
}

#[test]
fn the_announcer_is_never_suspect() {
    let now = Instant::now();
    let mut plan = plan(0, 2, 2, now);
    assert_eq!(errands(&mut plan, now), [(0, ANNOUNCER)]);
    claim(&mut plan, 1, &[1], now);
    plan.suspect(HospitalId(ANNOUNCER));
    let errand = plan.next(now).unwrap();
    assert_eq!((errand.peer.hospital.0, reserve(&errand)), (1, vec![ANNOUNCER]));
}

#[test]
fn after_wrong_bytes_of_several_hospitals_the_announcer_is_asked_for_the_whole() {
    let now = Instant::now();
    let mut plan = plan(0, 2, 2, now);
    assert_eq!(errands(&mut plan, now), [(0, ANNOUNCER)]);
    claim(&mut plan, 1, &[1], now);
    let errand = plan.next(now).unwrap();
    assert_eq!((errand.wanted, errand.peer.hospital.0), (1, 1));
    plan.reopen(&errand, true);
    assert_eq!(errands(&mut plan, now), [(1, ANNOUNCER)]);
}

#[test]
fn the_quickest_hospital_says_how_long_a_segment_may_take() {
    let now = Instant::now();
    let mut plan = plan(0, 2, 6, now);
    let second = Duration::from_secs(1);
    let errand = plan.next(now).unwrap();
    assert_eq!(errand.patience, rules().patience);
    plan.arrived(&errand, Some(10 * second), now);
    claim(&mut plan, 1, &[1, 3, 5], now);
    let (mut patience, mut from) = (HashSet::new(), HashSet::new());
    while let Some(errand) = plan.next(now) {
        patience.insert(errand.patience);
        from.insert(errand.peer.hospital.0);
        // The other hospital gets slower and slower.
        let took = if errand.peer.hospital.0 == ANNOUNCER { 10 } else { 100 };
        plan.arrived(&errand, Some(took * second), now);
    }
    assert_eq!(patience, HashSet::from([20 * second]));
    assert_eq!(from, HashSet::from([1, ANNOUNCER]));
}
