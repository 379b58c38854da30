//! Reports what this library waits for, and since when. The calling program shows it; nothing is printed here.
//!
//! A program makes one [`Waits`], passes it to [`Chain::with_waits`](crate::chain::Chain::with_waits) and
//! [`WorkerClient::with_waits`](crate::worker::WorkerClient::with_waits), and reads [`Waits::now`] at any time.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use epione_primitives::HospitalId;
use tokio::sync::watch;

use crate::Progress;

/// All present waits. Clones share them.
#[derive(Clone, Debug)]
pub struct Waits(Arc<watch::Sender<Vec<Wait>>>);

/// One wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Unique in this process.
    pub number: u64,
    pub what: Awaited,
    /// The hospital that has to act, if it is a single one.
    pub hospital: Option<HospitalId>,
    /// Why it takes so long, if that is known: the last error.
    pub reason: Option<String>,
    /// The progress, if that is known.
    pub progress: Option<Progress>,
    /// When the wait began, or when something last arrived.
    pub since: Instant,
}

/// What a wait is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Awaited {
    /// A node's answer; also the first one, on connecting.
    Node,
    /// A chain block that includes a call.
    Inclusion,
    /// The block with a call to become final.
    Finality,
    /// A worker's answer to a request that it can answer at once.
    Answer,
    /// A hospital's decision on access, with its receipt in a final block.
    Grant,
    /// The same receipt in a final block of the reader's own node.
    Receipt,
    /// A change that a hospital writes to the chain, in a final block.
    Change,
    /// The bytes of a segment, from the worker.
    Segment,
    /// The bytes of a segment, from the object storage to which the worker redirected.
    Storage,
    /// A worker's acknowledgement of a visit, or of the next part of it.
    Upload,
    /// A step of the calling program, in its words, such as "waiting until all workers are ready".
    Step(Cow<'static, str>),
}

/// A wait that lasts until this is dropped.
#[derive(Debug)]
pub struct Waiting {
    waits: Waits,
    number: u64,
}

impl Default for Waits {
    fn default() -> Self {
        Self(Arc::new(watch::channel(Vec::new()).0))
    }
}

impl Waits {
    /// Begins a wait, for a hospital if a single one has to act.
    pub fn begin(&self, what: Awaited, hospital: Option<HospitalId>) -> Waiting {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let since = Instant::now();
        let wait = Wait { number, what, hospital, reason: None, progress: None, since };
        self.0.send_modify(|waits| waits.push(wait));
        Waiting { waits: self.clone(), number }
    }

    /// The present waits, in the order in which they began.
    pub fn now(&self) -> Vec<Wait> {
        self.0.borrow().clone()
    }

    /// Notifies of every wait that begins, changes its reason, or ends.
    pub fn watch(&self) -> watch::Receiver<Vec<Wait>> {
        self.0.subscribe()
    }
}

impl Waiting {
    /// Sets the reason: the error after which there is another attempt.
    pub fn because(&self, reason: impl ToString) {
        let reason = Some(reason.to_string());
        self.change(|wait| {
            let new = wait.reason != reason;
            wait.reason = reason;
            new
        });
    }

    /// Something arrived: the wait begins again, without a reason.
    pub fn moved(&self) {
        self.change(|wait| {
            wait.since = Instant::now();
            wait.reason.take().is_some()
        });
    }

    /// Sets the progress.
    pub fn reached(&self, progress: Progress) {
        self.change(|wait| wait.progress.replace(progress) != Some(progress));
    }

    /// Begins to wait for something else.
    pub fn becomes(&self, what: Awaited) {
        self.change(|wait| {
            let new = wait.what != what;
            if new {
                (wait.what, wait.reason, wait.since) = (what, None, Instant::now());
            }
            new
        });
    }

    /// Ends the wait before this is dropped.
    pub fn end(&self) {
        self.waits.0.send_if_modified(|waits| {
            let before = waits.len();
            waits.retain(|wait| wait.number != self.number);
            waits.len() != before
        });
    }

    /// `change` returns whether to notify of it.
    fn change(&self, change: impl FnOnce(&mut Wait) -> bool) {
        self.waits.0.send_if_modified(|waits| {
            waits.iter_mut().find(|wait| wait.number == self.number).is_some_and(change)
        });
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.end();
    }
}

impl Awaited {
    /// Whether it arrives only when blocks become final.
    pub fn needs_finality(&self) -> bool {
        matches!(
            self,
            Self::Inclusion | Self::Finality | Self::Grant | Self::Receipt | Self::Change
        )
    }
}

/// In English: "waiting for the worker of hospital 2 to answer".
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hospital = match self.hospital {
            Some(hospital) => format!("hospital {hospital}"),
            None => "the hospital".into(),
        };
        match &self.what {
            Awaited::Node => write!(f, "waiting for the node to answer"),
            Awaited::Inclusion => write!(f, "waiting for a chain block that includes the call"),
            Awaited::Finality => write!(f, "waiting until the block with the call is finalized"),
            Awaited::Answer => write!(f, "waiting for the worker of {hospital} to answer"),
            Awaited::Grant => {
                write!(
                    f,
                    "waiting until {hospital} has decided on access and the receipt is finalized"
                )
            }
            Awaited::Receipt => {
                write!(f, "waiting until the receipt is finalized at this node")
            }
            Awaited::Change => {
                write!(
                    f,
                    "waiting until {hospital} has written the change to the chain and it is \
                     finalized"
                )
            }
            Awaited::Segment => {
                write!(f, "waiting for the worker of {hospital} to send a segment of the file")
            }
            Awaited::Storage => {
                write!(f, "waiting for the storage of {hospital} to send a segment of the file")
            }
            Awaited::Upload => {
                write!(f, "waiting for the worker of {hospital} to accept the visit")
            }
            Awaited::Step(step) => f.write_str(step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_listed_until_it_ends() {
        let waits = Waits::default();
        let grant = waits.begin(Awaited::Grant, Some(HospitalId(2)));
        let node = waits.begin(Awaited::Node, None);
        let whats =
            |waits: &Waits| waits.now().into_iter().map(|wait| wait.what).collect::<Vec<_>>();
        assert_eq!(whats(&waits), [Awaited::Grant, Awaited::Node]);
        drop(grant);
        assert_eq!(whats(&waits), [Awaited::Node]);
        node.becomes(Awaited::Step("resting".into()));
        node.reached(Progress { done: 1, total: 2 });
        assert_eq!(waits.now()[0].to_string(), "resting");
        assert_eq!(waits.now()[0].progress, Some(Progress { done: 1, total: 2 }));
        node.end();
        assert_eq!(waits.now(), []);
        // A wait that ended does not come back.
        node.because("whatever");
        drop(node);
        assert_eq!(waits.now(), []);
    }

    #[test]
    fn a_reason_is_shown_until_something_arrives() {
        let waits = Waits::default();
        let mut heard = waits.watch();
        let segment = waits.begin(Awaited::Segment, Some(HospitalId(1)));
        let begun = waits.now()[0].since;
        segment.because("connection refused");
        assert_eq!(waits.now()[0].reason.as_deref(), Some("connection refused"));
        assert_eq!(waits.now()[0].since, begun);
        heard.mark_unchanged();
        // The same reason is no change.
        segment.because("connection refused");
        assert!(!heard.has_changed().unwrap());
        segment.moved();
        assert!(heard.has_changed().unwrap());
        let wait = &waits.now()[0];
        assert_eq!(wait.reason, None);
        assert!(wait.since >= begun);
        assert!(wait.to_string().contains("hospital 1"), "{wait}");
    }

    #[test]
    fn a_wait_for_something_else_begins_again() {
        let waits = Waits::default();
        let call = waits.begin(Awaited::Inclusion, None);
        call.because("the node lost it");
        let before = waits.now()[0].clone();
        call.becomes(Awaited::Inclusion);
        assert_eq!(waits.now(), std::slice::from_ref(&before));
        call.becomes(Awaited::Finality);
        let after = &waits.now()[0];
        assert_eq!((&after.what, &after.reason), (&Awaited::Finality, &None));
        assert!(after.since >= before.since);
    }
}
