//! How many votes a motion of the council needs.

/// The votes of more than half of this many members.
pub fn more_than_half(members: u32) -> u32 {
    (members / 2).saturating_add(1)
}

/// The votes of at least two thirds of this many members.
pub fn two_thirds(members: u32) -> u32 {
    members.saturating_mul(2).div_ceil(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_motion_needs_the_smallest_number_of_votes_that_is_enough() {
        for (members, half, thirds) in
            [(1, 1, 1), (2, 2, 2), (3, 2, 2), (4, 3, 3), (5, 3, 4), (7, 4, 5), (100, 51, 67)]
        {
            assert_eq!((more_than_half(members), two_thirds(members)), (half, thirds), "{members}");
        }
    }
}
