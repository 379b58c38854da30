//! What hospitals submit: visits with a text, and sometimes with images and videos.

use crate::{
    assumptions::{
        IMAGE_BYTES, IMAGES, MAX_VISITS, MEDIA_SHARE, MIN_VISITS, TEXT_BYTES, VIDEO_BYTES, VIDEOS,
        WORKDAY_SECONDS,
    },
    random::Random,
};

/// One visit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Visit {
    /// Seconds since the beginning of the working day.
    pub at: f64,
    pub text: u64,
    pub media: u64,
}

/// A hospital's day: its visits in order of time. Each hospital has a stream of its own, so a network with more
/// hospitals has the same first ones.
pub fn day(seed: u64, hospital: usize) -> Vec<Visit> {
    let mut random = Random::new(seed, hospital as u64);
    let count = random.within(MIN_VISITS, MAX_VISITS);
    let mut visits: Vec<Visit> = (0..count).map(|_| visit(&mut random)).collect();
    visits.sort_by(|one, other| one.at.total_cmp(&other.at));
    visits
}

fn visit(random: &mut Random) -> Visit {
    let at = random.fraction() * WORKDAY_SECONDS;
    let text = random.within(TEXT_BYTES.0, TEXT_BYTES.1);
    let images = several(random, IMAGES, IMAGE_BYTES);
    let videos = several(random, VIDEOS, VIDEO_BYTES);
    Visit { at, text, media: images + videos }
}

/// The bytes of the images, or of the videos, of a visit: most visits have none.
fn several(random: &mut Random, count: (u64, u64), bytes: (u64, u64)) -> u64 {
    if random.fraction() >= MEDIA_SHARE {
        return 0;
    }
    let count = random.within(count.0, count.1);
    (0..count).map(|_| random.within(bytes.0, bytes.1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_the_workload_of_the_literature() {
        let days: Vec<Vec<Visit>> = (0..400).map(|hospital| day(1, hospital)).collect();
        let visits: Vec<Visit> = days.iter().flatten().copied().collect();
        assert!(days.iter().all(|day| (1..=1_000).contains(&day.len())));
        let mean = visits.len() as f64 / days.len() as f64;
        assert!((450.0..550.0).contains(&mean), "{mean}");
        assert!(visits.iter().all(|visit| (3_000..=7_000).contains(&visit.text)));
        // A tenth with 5.5 images of 2.5 MB, and a tenth with 2.5 videos of 30 MB.
        let media = visits.iter().map(|visit| visit.media).sum::<u64>() as f64;
        let mean = media / visits.len() as f64;
        assert!((8.6e6..9.2e6).contains(&mean), "{mean}");
        let without = visits.iter().filter(|visit| visit.media == 0).count() as f64;
        assert!((0.79..0.83).contains(&(without / visits.len() as f64)));
    }

    #[test]
    fn a_hospital_has_the_same_day_in_every_network() {
        assert_eq!(day(5, 3), day(5, 3));
        assert_ne!(day(5, 3), day(6, 3));
        assert!(day(5, 3).windows(2).all(|pair| pair[0].at <= pair[1].at));
    }
}
