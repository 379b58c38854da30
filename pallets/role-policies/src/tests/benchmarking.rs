//! The policies of the benchmarks are valid and allow what the benchmarks measure.

use epione_policies::flaws::check;
use epione_primitives::ports::AccessPolicies;

use super::*;
use crate::benchmarking::largest_set;

#[test]
fn the_largest_set_has_no_flaw() {
    assert_eq!(check(&largest_set(HOME), START), Ok(()));
}

#[test]
fn the_last_policy_of_the_largest_set_allows_a_doctor_everything() {
    run(|| {
        <RolePolicies as AccessPolicies>::set_up(HOME);
        let last = largest_set(HOME).last().unwrap().name.clone();
        for action in [Action::ReadText, Action::Refer, Action::BreakGlass] {
            let allowed = Decision::Allow { version: 1, policy: last.clone() };
            assert_eq!(decide(SPECIALIST, action), allowed);
        }
    });
}
