//! What the consortium key costs on this machine, in microseconds: `cargo bench -p epione-threshold`. Prints a table in
//! Markdown.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use epione_threshold::{Commitments, Index, MixingSecret, Partial, Point, Polynomial, Share, Wrap};

/// Each is repeated for so long.
const TIME: Duration = Duration::from_millis(300);
const LABEL: [u8; 130] = [0x1a; 130];
const CONTEXT: [u8; 100] = [0xc0; 100];
const KEY: [u8; 32] = [0x4b; 32];

fn main() {
    println!("| what | microseconds |\n| --- | ---: |");
    for members in [4, 16, 30] {
        ceremony(members);
    }
    let dealer = polynomial(0, 11);
    wraps(&dealer);
    for points in [1, 8, 64] {
        partials(&dealer, points);
    }
}

/// The mean time.
fn measure<T>(what: &str, mut work: impl FnMut() -> T) {
    black_box(work());
    let (start, mut runs) = (Instant::now(), 0_u32);
    while start.elapsed() < TIME {
        black_box(work());
        runs += 1;
    }
    let mean = start.elapsed().as_secs_f64() / f64::from(runs) * 1e6;
    println!("| {what} | {mean:.0} |");
}

fn at(hospital: usize) -> Index {
    Index::of_hospital(hospital as u16)
}

fn polynomial(number: usize, threshold: usize) -> Polynomial {
    let mut seed = [0x5e; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    Polynomial::generate(&seed, threshold).expect("the threshold is small")
}

fn ceremony(members: usize) {
    let threshold = members - (members - 1) / 3;
    let dealers: Vec<_> = (0..members).map(|number| polynomial(number, threshold)).collect();
    let dealt: Vec<_> = dealers.iter().map(Polynomial::commitments).collect();
    let shares: Vec<_> = dealers.iter().map(|dealer| dealer.share(at(1))).collect();
    let placed: Vec<_> = (0..threshold).map(|dealer| (at(dealer), dealt[dealer].clone())).collect();
    let values: Vec<_> =
        (0..threshold).map(|dealer| (at(dealer), shares[dealer].clone())).collect();

    measure(&format!("n = {members}: make a dealing, with all shares"), || {
        let dealer = polynomial(0, threshold);
        let shares: Vec<_> = (0..members).map(|member| dealer.share(at(member))).collect();
        (dealer.commitments(), dealer.prove(&CONTEXT, &[1; 32]), shares)
    });
    let proof = dealers[0].prove(&CONTEXT, &[1; 32]);
    measure(&format!("n = {members}: decode a dealing, and verify the proof"), || {
        let commitments = Commitments::decode(&dealt[0].encode()).expect("it is a valid one");
        assert!(proof.verify(&commitments.constant(), &CONTEXT));
    });
    measure(&format!("n = {members}: check one share of a dealing"), || {
        assert!(dealt[0].includes(at(1), &shares[0]));
    });
    measure(&format!("n = {members}: add the commitments of all dealings"), || {
        Commitments::sum(&dealt)
    });
    measure(&format!("n = {members}: interpolate the commitments of t dealings"), || {
        Commitments::interpolate(&placed)
    });
    measure(&format!("n = {members}: interpolate a share"), || Share::interpolate(&values));
    measure(&format!("n = {members}: all verification keys"), || {
        (0..members).map(|member| dealt[0].evaluate(at(member))).collect::<Vec<_>>()
    });
    let points = [dealt[0].constant(); 8];
    let partials: Vec<_> = (0..threshold)
        .map(|member| (at(member), partial(&dealers[0].share(at(member)), &points)))
        .collect();
    let partials: Vec<_> = partials.iter().map(|(index, partial)| (*index, partial)).collect();
    measure(&format!("n = {members}: combine t partial decryptions of 8 wraps"), || {
        Partial::combine(&partials)
    });
}

fn partial(share: &Share, points: &[Point]) -> Partial {
    Partial::make(share, points, &CONTEXT, &[1; 32]).expect("the share is not 0")
}

fn wraps(dealer: &Polynomial) {
    let public = dealer.commitments().constant();
    let mixing = MixingSecret::from_bytes([7; 32]);
    let wrap = Wrap::make(&public, &mixing, &LABEL, &KEY);
    let point = wrap.check(&LABEL).expect("it is valid");
    let members: Vec<_> =
        (0..11).map(|member| (at(member), partial(&dealer.share(at(member)), &[point]))).collect();
    let members: Vec<_> = members.iter().map(|(index, partial)| (*index, partial)).collect();
    let shared = Partial::combine(&members).expect("they fit together");
    measure("make a wrap", || Wrap::make(&public, &mixing, &LABEL, &KEY));
    measure("decode and check a wrap", || {
        Wrap::decode(&wrap.encode()).and_then(|wrap| wrap.check(&LABEL))
    });
    let mu = Wrap::mixing_of(&mixing, &LABEL);
    measure("open a wrap", || wrap.open(&LABEL, &mu, &shared[0]).expect("it opens"));
}

fn partials(dealer: &Polynomial, count: usize) {
    let points: Vec<_> =
        (0..count).map(|number| polynomial(number, 1).commitments().constant()).collect();
    let share = dealer.share(at(1));
    let key = share.public().expect("the share is not 0");
    let made = partial(&share, &points);
    measure(&format!("make a partial decryption of {count}"), || partial(&share, &points));
    measure(&format!("check a partial decryption of {count}"), || {
        assert!(made.check(&key, &points, &CONTEXT));
    });
}
