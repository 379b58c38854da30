//! Random sequences of transactions, by honest and hostile members, through the complete path of a transaction. After
//! every block, all invariants hold; after every burst, an honest hospital's visit still commits.
//!
//! Three of the four hospitals are honest. Dave's hospital is not: its governance account, its agent and its users
//! send every call of the runtime, with valid, wrong and damaged arguments, and so does an account without a user. It
//! also sends calls without a signature, and forged reports of equivocations.

mod calls;
mod ceremonies;
mod oracle;
mod steps;

use epione_runtime::{System, configs::SESSION_BLOCKS, invariants};
use proptest::{collection::vec, option, prelude::*};

use crate::chain::{Chain, apply, local};
use steps::{Step, submit};

/// Transactions of a few blocks.
#[derive(Clone, Debug)]
struct Burst {
    /// What the council does first: true suspends the hostile hospital, false reinstates it.
    suspends: Option<bool>,
    blocks: Vec<Vec<Step>>,
    /// What the hostile members send while an honest hospital announces a visit.
    meanwhile: Vec<Step>,
    /// Whether the chain then goes on without transactions until the next session.
    rests: bool,
}

fn burst() -> impl Strategy<Value = Burst> {
    let block = vec(prop_oneof![3 => steps::hostile(), 1 => steps::honest()], 1..12);
    let blocks = vec(block, 1..5);
    let meanwhile = vec(steps::hostile(), 0..6);
    (option::weighted(0.3, any::<bool>()), blocks, meanwhile, proptest::bool::weighted(0.3))
        .prop_map(|(suspends, blocks, meanwhile, rests)| Burst {
            suspends,
            blocks,
            meanwhile,
            rests,
        })
}

/// Ends the block. The invariants hold after it.
fn end_block(chain: &mut Chain) {
    chain.next_block();
    assert_eq!(invariants::check(), Ok(()), "before block {}", System::block_number());
    oracle::no_honest_hospital_is_benched();
    oracle::honest_hospitals_keep_their_seats();
}

/// Goes on without transactions until the next session has begun.
fn rest(chain: &mut Chain) {
    chain.reach((System::block_number() / SESSION_BLOCKS + 1) * SESSION_BLOCKS);
    assert_eq!(invariants::check(), Ok(()), "at the beginning of a session");
    oracle::next_validators_are_active();
    end_block(chain);
}

fn play(bursts: &[Burst]) {
    local(|chain| {
        calls::settle();
        oracle::visit_commits(chain, 0, &[]);
        for (number, burst) in (1..).zip(bursts) {
            if let Some(suspends) = burst.suspends {
                oracle::council_sets_status(suspends);
            }
            for block in &burst.blocks {
                block.iter().for_each(submit);
                end_block(chain);
            }
            oracle::visit_commits(chain, number, &burst.meanwhile);
            if burst.rests {
                rest(chain);
            }
        }
        oracle::hostile_hospital_is_expelled(chain);
    });
}

/// The council accepts no second motion for the same call. A threshold that nobody reaches would block it for days.
#[test]
fn a_hostile_motion_that_cannot_pass_does_not_prevent_a_suspension() {
    local(|chain| {
        let obstacle = |threshold| calls::propose_suspension(oracle::HOSTILE_HOSPITAL, threshold);
        assert!(apply("Dave", obstacle(4)).is_err());
        apply("Dave", obstacle(3)).unwrap().unwrap();
        oracle::council_sets_status(true);
        end_block(chain);
    });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn hostile_members_break_no_invariant_and_stop_no_honest_visit(
        bursts in vec(burst(), 1..4),
    ) {
        play(&bursts);
    }
}
