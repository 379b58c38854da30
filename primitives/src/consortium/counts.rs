//! How many hospitals of the consortium key may be faulty, and how many are needed for what.

use crate::limits::MAX_SEATS;

/// How many of `seats` members may fail or be malicious: fewer than a third, as for finality.
pub fn faulty(seats: usize) -> usize {
    seats.saturating_sub(1) / 3
}

/// How many of `seats` members open what was sealed to the key: the quorum of finality (3 of 4, 11 of 16, 21 of 31),
/// and 2 of 2 and of 3.
pub fn threshold(seats: usize) -> usize {
    seats.saturating_sub(faulty(seats)).min(if seats == 3 { 2 } else { usize::MAX })
}

/// The threshold of an epoch for which so many of `seats` enrolled. It is lower than [`threshold`] by the number of
/// seats that did not enrol, so that as many members as may be faulty can still be silent. It is at least 2, and always
/// above [`faulty`], because a ceremony goes on only if all seats but the faulty ones enrolled. A committee needs more:
/// [`Ceremony::least`](super::Ceremony::least).
pub fn threshold_of_enrolled(seats: usize, enrolled: usize) -> usize {
    enrolled.saturating_sub(faulty(seats)).max(2).min(threshold(seats))
}

/// Whether so many seats are enough for a ceremony among so many active hospitals: as many as may be malicious of all
/// active ones do not open together, even if all of them have seats. From 64 active hospitals on, no committee achieves
/// this. Then it must be the largest one: [`MAX_SEATS`].
pub fn are_enough_seats(seats: usize, active: usize) -> bool {
    threshold(seats) > faulty(active) || seats >= MAX_SEATS as usize
}

/// How many of `dealers` dealers one of `seats` seats can accuse: as many as may be faulty of the dealers, or of the
/// seats if these are more. Where none may be, it is one: then the dealer is out, and publishes nothing.
pub fn most_accused(seats: usize, dealers: usize) -> usize {
    faulty(seats).max(faulty(dealers)).max(1)
}

/// How many of `members` must have confirmed their shares of an epoch before the members erase those of the epoch
/// before: the threshold, and as many more as may be `faulty`, but never more than there are.
pub fn confirmed_before_erasure(members: usize, threshold: usize, faulty: usize) -> usize {
    threshold.saturating_add(faulty).min(members)
}
