use super::*;
use crate::workload;

fn setting<'a>(model: &'a Model, tails: &'a Tails, end: f64) -> Setting<'a> {
    Setting { model, tails, custodians: None, seed: 1, end, begin: 0.0 }
}

fn visit(at: f64, media: u64) -> Visit {
    Visit { at, text: 5_000, media }
}

#[test]
fn a_visit_of_four_hospitals_commits_after_the_seconds_by_hand() {
    let (model, tails) = (Model::default(), Tails::none());
    // Packed at 15; announced in the block at 18, final at 18.977; the votes are in the block at 21.
    let days = [vec![visit(10.0, 0)], vec![], vec![], vec![]];
    let outcome = run(&setting(&model, &tails, 60.0), &days);
    assert_eq!(outcome.commits, [11.0]);
    assert!((outcome.finality_seconds - 0.977).abs() < 0.001, "{}", outcome.finality_seconds);
    // Two approvals decide, the third vote is in the same block.
    assert_eq!((outcome.announcements, outcome.votes, outcome.late_votes), (1, 3, 1));
    assert_eq!(outcome.most_votes, 3);
    assert_eq!(outcome.sent, [0.0; 4]);
}

#[test]
fn media_are_there_before_the_announcement_and_by_hand() {
    let (model, tails) = (Model::default(), Tails::none());
    // 1.25 GB over 1 Gbit/s: ten seconds. Packed at 15, with all at 25, announced at 27, committed at 30.
    let days = [vec![visit(10.0, 1_250_000_000)], vec![], vec![], vec![]];
    let outcome = run(&setting(&model, &tails, 60.0), &days);
    assert_eq!(outcome.commits, [20.0]);
    assert_eq!(outcome.sent[0], 1.25e9);
    assert_eq!(outcome.received, [0.0, 1.25e9, 1.25e9, 1.25e9]);
    let (sent, received) = (outcome.sent.iter().sum::<f64>(), outcome.received.iter().sum::<f64>());
    assert!((sent - received).abs() < 1.0);
}

#[test]
fn visits_within_five_seconds_are_one_block() {
    let (model, tails) = (Model::default(), Tails::none());
    let days = [vec![visit(10.0, 0), visit(13.0, 0), visit(15.5, 0)], vec![], vec![], vec![]];
    let outcome = run(&setting(&model, &tails, 60.0), &days);
    // The third is packed at 20.5, announced at 21, committed at 24.
    assert_eq!((outcome.announcements, outcome.commits), (2, vec![8.0, 8.5, 11.0]));
}

#[test]
fn every_visit_is_counted_and_every_media_byte_arrives_where_it_should() {
    let (model, tails) = (Model { remote_reads: 0.0, ..Model::default() }, Tails::none());
    let days: Vec<_> = (0..30).map(|hospital| workload::day(1, hospital)).collect();
    let within: Vec<_> = days.iter().flatten().filter(|visit| visit.at < 1_200.0).collect();
    let media: u64 = within.iter().map(|visit| visit.media).sum();
    for custodians in [None, Some(7)] {
        let setting = Setting { custodians, ..setting(&model, &tails, 1_200.0) };
        let outcome = run(&setting, &days);
        assert_eq!(outcome.commits.len(), within.len());
        assert!(outcome.commits.iter().all(|commit| (3.0..100.0).contains(commit)));
        let copies = custodians.unwrap_or(29) as f64;
        let received: f64 = outcome.received.iter().sum();
        assert!((received - media as f64 * copies).abs() < 1.0, "{received}");
        assert!((outcome.sent.iter().sum::<f64>() - received).abs() < 1.0);
        assert_eq!(outcome.votes, outcome.announcements * copies as u64);
    }
}

#[test]
fn a_seed_gives_the_same_outcome_again() {
    let (model, tails) = (Model::default(), Tails::none());
    let outcome = |seed| {
        let days: Vec<_> = (0..20).map(|hospital| workload::day(seed, hospital)).collect();
        let setting = Setting { custodians: Some(7), seed, ..setting(&model, &tails, 600.0) };
        run(&setting, &days)
    };
    assert_eq!(outcome(1), outcome(1));
    assert_ne!(outcome(1).commits, outcome(2).commits);
}

#[test]
fn links_that_are_too_narrow_commit_nothing_in_time() {
    let (model, tails) = (Model { link: 1e6, ..Model::default() }, Tails::none());
    // Two videos of 50 MB at each hospital every minute, over links that need seven minutes for one.
    let day: Vec<_> = (0..20).map(|minute| visit(f64::from(minute) * 60.0, 100_000_000)).collect();
    let outcome = run(&setting(&model, &tails, 1_200.0), &vec![day; 4]);
    assert!(outcome.quantile(0.95).is_infinite(), "{:?}", outcome.commits);
    assert!(outcome.expired > 0);
}

#[test]
fn a_hospital_has_at_most_eight_open_announcements() {
    let (model, tails) = (Model::default(), Tails::none());
    // One visit every six seconds, each a block; nobody can vote, because the other hospital's link is full.
    let mut day: Vec<_> = (0..20).map(|number| visit(f64::from(number) * 6.0, 0)).collect();
    let narrow = Model { link: 1e3, ..model };
    day.iter_mut().for_each(|visit| visit.media = 2_000_000);
    let outcome = run(&setting(&narrow, &tails, 300.0), &[day, vec![]]);
    // Eight at once, and eight more when these have expired.
    assert_eq!((outcome.announcements, outcome.votes), (16, 0));
}

#[test]
fn votes_of_all_fill_the_blocks_where_those_of_custodians_do_not() {
    let (model, tails) = (Model::default(), Tails::none());
    let days: Vec<_> = (0..350).map(|hospital| workload::day(1, hospital)).collect();
    let run = |custodians| run(&Setting { custodians, ..setting(&model, &tails, 900.0) }, &days);
    let (flat, custody) = (run(None), run(Some(7)));
    assert!(flat.quantile(0.5) > 60.0 && flat.most_weight > 0.99, "{}", flat.quantile(0.5));
    assert!(custody.quantile(0.95) < 15.0 && custody.most_weight < 0.2, "{}", custody.most_weight);
    assert!(flat.most_votes > 2_900 && custody.most_votes < 300, "{}", custody.most_votes);
}
