//! The hospitals' links: first come, first served, in each direction.

use crate::swarm::Tails;

/// When each link is free, and what it carried.
pub struct Links {
    /// Bytes per second of each link.
    rate: f64,
    tails: Tails,
    up_free: Vec<f64>,
    down_free: Vec<f64>,
    pub sent: Vec<f64>,
    pub received: Vec<f64>,
}

impl Links {
    /// `bits` per second.
    pub fn new(hospitals: usize, bits: f64, tails: Tails) -> Self {
        let zeros = vec![0.0; hospitals];
        Self {
            rate: bits / 8.0,
            tails,
            up_free: zeros.clone(),
            down_free: zeros.clone(),
            sent: zeros.clone(),
            received: zeros,
        }
    }

    /// A block of `bytes` goes from its announcer to all `receivers`. It leaves the announcer once; the receivers send
    /// each other the rest. Returns when each receiver has all of it.
    pub fn spread(&mut self, now: f64, from: usize, receivers: &[usize], bytes: f64) -> Vec<f64> {
        let count = receivers.len() as f64;
        let origin = self.send(now, from, bytes);
        let relayed = bytes * (count - 1.0) / count;
        let relays: f64 = receivers.iter().map(|it| self.send(now, *it, relayed)).sum();
        let tail = self.tails.seconds(receivers.len());
        let earliest = origin.max(relays / count);
        let arrival = |it: &usize| self.receive(now, *it, bytes).max(earliest) + tail;
        receivers.iter().map(arrival).collect()
    }

    /// Bytes that one hospital reads at another one.
    pub fn read(&mut self, now: f64, from: usize, to: usize, bytes: f64) {
        self.send(now, from, bytes);
        self.receive(now, to, bytes);
    }

    fn send(&mut self, now: f64, hospital: usize, bytes: f64) -> f64 {
        self.sent[hospital] += bytes;
        let free = &mut self.up_free[hospital];
        *free = free.max(now) + bytes / self.rate;
        *free
    }

    fn receive(&mut self, now: f64, hospital: usize, bytes: f64) -> f64 {
        self.received[hospital] += bytes;
        let free = &mut self.down_free[hospital];
        *free = free.max(now) + bytes / self.rate;
        *free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(hospitals: usize) -> Links {
        Links::new(hospitals, 8_000.0, Tails::none())
    }

    #[test]
    fn a_block_for_three_takes_one_link_and_leaves_the_announcer_once() {
        let mut links = links(4);
        // 1,000 bytes a second.
        let arrived = links.spread(10.0, 0, &[1, 2, 3], 6_000.0);
        assert_eq!(arrived, [16.0; 3]);
        assert_eq!(links.sent, [6_000.0, 4_000.0, 4_000.0, 4_000.0]);
        assert_eq!(links.received, [0.0, 6_000.0, 6_000.0, 6_000.0]);
    }

    #[test]
    fn a_second_block_waits_for_the_first() {
        let mut links = links(4);
        links.spread(0.0, 0, &[1, 2, 3], 6_000.0);
        // 3 seconds after the first; hospital 1 sends the first block's 4,000 bytes until 4.
        assert_eq!(links.spread(3.0, 1, &[0, 2, 3], 3_000.0), [7.0, 9.0, 9.0]);
    }

    #[test]
    fn all_bytes_that_are_sent_are_received() {
        let mut links = links(9);
        for number in 0..50_usize {
            let receivers: Vec<usize> =
                (0..9).filter(|it| *it != number % 9 && it % 2 == number % 2).collect();
            links.spread(number as f64, number % 9, &receivers, 1_000.0 + number as f64);
            links.read(number as f64, 1, 2, 77.0);
        }
        let (sent, received): (f64, f64) = (links.sent.iter().sum(), links.received.iter().sum());
        assert!((sent - received).abs() < 1e-6, "{sent} {received}");
    }
}
