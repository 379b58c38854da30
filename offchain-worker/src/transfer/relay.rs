//! The download of a segment, which another hospital continues if one breaks off or sends slowly.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use epione_primitives::{Hash, HospitalId, block::Segment};
use futures::{StreamExt, TryFutureExt, future::pending, stream::BoxStream};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Arrivals, Courier, Peer, PeerFault};

/// No hospital remains that can continue this download.
#[derive(Debug, thiserror::Error)]
#[error("no other hospital can continue the segment")]
pub(super) struct Exhausted;

/// How the hospitals behaved that took part in a download.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Bytes from each hospital, in the order of their first bytes.
    pub bytes: Vec<(HospitalId, u64)>,
    pub faults: Vec<(HospitalId, PeerFault)>,
}

/// The log while it is being written.
#[derive(Clone, Default)]
pub(super) struct SharedLog(Arc<Mutex<Log>>);

impl SharedLog {
    fn write(&self, act: impl FnOnce(&mut Log)) {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn received(&self, hospital: HospitalId, bytes: u64) {
        self.write(|log| match log.bytes.iter_mut().find(|(id, _)| *id == hospital) {
            Some((_, sum)) => *sum += bytes,
            None => log.bytes.push((hospital, bytes)),
        });
    }

    fn failed(&self, hospital: HospitalId, fault: PeerFault) {
        self.write(|log| log.faults.push((hospital, fault)));
    }

    pub fn take(&self) -> Log {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The hospitals that may continue a download. More may be added meanwhile. Clones share the list.
#[derive(Clone, Debug, Default)]
pub(super) struct Reserve(Arc<Mutex<VecDeque<Peer>>>);

impl Reserve {
    pub fn new(peers: impl IntoIterator<Item = Peer>) -> Self {
        Self(Arc::new(Mutex::new(peers.into_iter().collect())))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Peer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next hospital to ask.
    pub fn next(&self) -> Option<Peer> {
        self.lock().pop_front()
    }

    /// Adds a hospital that has the segment, or is busy now. It is asked after all others: it cannot choose its place.
    pub fn add_last(&self, peer: Peer) {
        self.lock().push_back(peer);
    }

    pub fn remove(&self, hospital: HospitalId) {
        self.lock().retain(|peer| peer.hospital != hospital);
    }
}

/// A hospital is slow if another one sends the same segment more than this many times as fast.
const SLOWER: u64 = 2;

/// For one hospital.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// For the rest of the segment.
    pub limit: Duration,
    /// Before another hospital is asked as well.
    pub patience: Duration,
}

/// A hospital that was asked for the rest of the segment.
struct Sender {
    peer: Peer,
    bytes: BoxStream<'static, Result<Bytes, PeerFault>>,
    /// Of its next byte in the segment.
    position: u32,
    deadline: Instant,
    /// Since when its bytes are counted.
    since: Instant,
    received: u64,
}

impl Sender {
    fn count_anew(&mut self) {
        self.since = Instant::now();
        self.received = 0;
    }

    /// Bytes a second, as if it had sent for `least` at least: the first bytes say little.
    fn pace(&self, least: Duration) -> u64 {
        let millis = u64::try_from(self.since.elapsed().max(least).as_millis()).unwrap_or(u64::MAX);
        self.received.saturating_mul(1_000) / millis.max(1)
    }
}

/// The next bytes; `None` at the end of the segment.
async fn receive(sender: &mut Option<Sender>) -> Result<Option<Bytes>, PeerFault> {
    let Some(sender) = sender else { return pending().await };
    match timeout_at(sender.deadline, sender.bytes.next()).await {
        Ok(item) => item.transpose(),
        Err(_) => Err(PeerFault::Stalled),
    }
}

enum Step {
    Sender(Result<Option<Bytes>, PeerFault>),
    Rival(Result<Option<Bytes>, PeerFault>),
    /// The rival, or without one the sender, had its time.
    Overdue,
}

/// The bytes of one segment, from one hospital after another.
///
/// If a hospital needs too long, another one is asked for the rest, and replaces it with its first byte. Until then,
/// the first one continues: a busy or silent hospital replaces nobody. Each hospital gets one chance. Then the fastest
/// remains, so that slow hospitals do not replace each other again and again.
pub(super) struct Relay<'a> {
    courier: &'a Courier,
    genesis: Hash,
    segment: Segment,
    first: Option<Peer>,
    /// Asked only to continue.
    reserve: Reserve,
    waits: Waits,
    offset: u32,
    sender: Option<Sender>,
    /// Asked in addition to the sender. There is one at a time.
    rival: Option<Sender>,
    /// Senders that were replaced, with their bytes a second.
    replaced: Vec<(Peer, u64)>,
    /// Rivals that sent nothing in their time. They were never the sender, so nothing is known about their pace.
    silent: Vec<Peer>,
    log: SharedLog,
    arrived: &'a Arrivals,
}

impl<'a> Relay<'a> {
    pub fn new(
        courier: &'a Courier,
        genesis: Hash,
        segment: Segment,
        (first, reserve): (Peer, Reserve),
        waits: Waits,
        (log, arrived): (SharedLog, &'a Arrivals),
    ) -> Self {
        Self {
            courier,
            genesis,
            segment,
            first: Some(first),
            reserve,
            waits,
            offset: 0,
            sender: None,
            rival: None,
            replaced: Vec::new(),
            silent: Vec::new(),
            log,
            arrived,
        }
    }

    pub fn stream(self) -> BoxStream<'a, Result<Bytes, Exhausted>> {
        futures::stream::unfold(Some(self), |relay| async move {
            let mut relay = relay?;
            match relay.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(relay))),
                Ok(None) => None,
                Err(exhausted) => Some((Err(exhausted), None)),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Exhausted> {
        loop {
            let overdue = self.rival_or_sender()?.since + self.waits.patience;
            // The sender comes first: while its bytes are waiting here, it is not slow.
            let step = tokio::select! {
                biased;
                item = receive(&mut self.sender) => Step::Sender(item),
                item = receive(&mut self.rival) => Step::Rival(item),
                () = sleep_until(overdue) => Step::Overdue,
            };
            let chunk = match step {
                Step::Sender(Ok(Some(chunk))) => chunk,
                Step::Sender(Ok(None)) => {
                    self.report_slow();
                    return Ok(None);
                }
                Step::Sender(Err(fault)) => {
                    self.lose_sender(fault)?;
                    continue;
                }
                Step::Rival(Ok(Some(chunk))) => {
                    self.turn_to_rival();
                    chunk
                }
                Step::Rival(Ok(None)) => {
                    self.rival = None;
                    continue;
                }
                Step::Rival(Err(fault)) => {
                    self.lose_rival(fault);
                    continue;
                }
                Step::Overdue => {
                    self.seek_rival();
                    continue;
                }
            };
            if let Some(fresh) = self.accept(chunk) {
                return Ok(Some(fresh));
            }
        }
    }

    /// The hospital that was asked last. If there is none, the next one is asked.
    fn rival_or_sender(&mut self) -> Result<&Sender, Exhausted> {
        if self.sender.is_none() {
            let next = self.first.take().or_else(|| self.reserve.next());
            let last = || self.take_fastest(0).or_else(|| self.silent.pop());
            let peer = next.or_else(last).ok_or(Exhausted)?;
            self.sender = Some(self.ask(peer));
        }
        self.rival.as_ref().or(self.sender.as_ref()).ok_or(Exhausted)
    }

    /// Requests the rest of the segment.
    fn ask(&self, peer: Peer) -> Sender {
        let (courier, genesis) = (self.courier.clone(), self.genesis);
        let (asked, segment, offset) = (peer.clone(), self.segment, self.offset);
        let opening = async move { courier.open(genesis, &asked, &segment, offset).await };
        let (bytes, now) = (opening.try_flatten_stream().boxed(), Instant::now());
        let deadline = now + self.waits.limit;
        Sender { peer, bytes, position: offset, deadline, since: now, received: 0 }
    }

    /// The fastest of the replaced hospitals, if it sent at least this many bytes a second.
    fn take_fastest(&mut self, least: u64) -> Option<Peer> {
        let paces = self.replaced.iter().map(|(_, pace)| *pace).enumerate();
        let (fastest, _) =
            paces.filter(|(_, pace)| *pace >= least).max_by_key(|(_, pace)| *pace)?;
        Some(self.replaced.swap_remove(fastest).0)
    }

    /// Those bytes of the sender's that have not been received from another hospital.
    fn accept(&mut self, mut chunk: Bytes) -> Option<Bytes> {
        let sender = self.sender.as_mut()?;
        let known = self.offset.saturating_sub(sender.position);
        let fresh = chunk.split_off(chunk.len().min(usize::try_from(known).unwrap_or(usize::MAX)));
        let length = chunk.len() + fresh.len();
        sender.position += u32::try_from(length).unwrap_or(u32::MAX);
        sender.received += length as u64;
        if fresh.is_empty() {
            return None;
        }
        self.offset += u32::try_from(fresh.len()).unwrap_or(u32::MAX);
        self.log.received(sender.peer.hospital, fresh.len() as u64);
        self.arrived.receive(fresh.len() as u64);
        Some(fresh)
    }

    /// If nothing was received, there is nothing to continue: the plan decides which hospital to ask instead.
    fn lose_sender(&mut self, fault: PeerFault) -> Result<(), Exhausted> {
        if let Some(sender) = self.sender.take() {
            self.log.failed(sender.peer.hospital, fault);
        }
        self.sender = self.rival.take();
        let had_others = !self.replaced.is_empty() || !self.silent.is_empty();
        let continues = self.sender.is_some() || self.offset > 0 || had_others;
        if continues { Ok(()) } else { Err(Exhausted) }
    }

    fn lose_rival(&mut self, fault: PeerFault) {
        let Some(Sender { peer, .. }) = self.rival.take() else { return };
        self.log.failed(peer.hospital, fault.clone());
        if fault == PeerFault::Busy {
            self.reserve.add_last(peer);
            // The next hospital is asked after a while: all may be busy.
            if let Some(sender) = &mut self.sender {
                sender.count_anew();
            }
        }
    }

    fn turn_to_rival(&mut self) {
        let Some(mut rival) = self.rival.take() else { return };
        rival.count_anew();
        if let Some(slow) = self.sender.replace(rival) {
            let pace = slow.pace(self.waits.patience);
            self.replaced.push((slow.peer, pace));
        }
    }

    /// Asks a hospital that had no chance yet, or one that was much faster than the sender is now.
    fn seek_rival(&mut self) {
        if let Some(silent) = self.rival.take() {
            self.silent.push(silent.peer);
        }
        let Some(sender) = &self.sender else { return };
        let faster = sender.pace(self.waits.patience).saturating_mul(SLOWER).saturating_add(1);
        if self.offset < self.segment.length {
            let next = self.reserve.next().or_else(|| self.take_fastest(faster));
            self.rival = next.map(|peer| self.ask(peer));
        }
        match &mut self.sender {
            Some(sender) if self.rival.is_none() => sender.count_anew(),
            _ => {}
        }
    }

    /// Only compared with another hospital is one slow: otherwise this worker's own link may be.
    fn report_slow(&self) {
        let Some(sender) = &self.sender else { return };
        let pace = sender.pace(self.waits.patience / 4);
        for (peer, slow) in &self.replaced {
            if slow.saturating_mul(SLOWER) < pace {
                self.log.failed(peer.hospital, PeerFault::Slow);
            }
        }
    }
}
