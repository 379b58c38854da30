//! Fair shares of what a worker does at once: requests, transfers, bytes of memory, connections.
//!
//! There are places for all keys together, and a share of them for each key. A key stands for an account, a hospital or
//! an address. A place is taken until it is dropped. When a place becomes free, it goes to the waiting key that has the
//! fewest places, and among these to the one that has waited longest. So a slow caller delays only itself.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

/// The owner of a share.
pub trait Key: Clone + Eq + Hash + Send + 'static {}

impl<K: Clone + Eq + Hash + Send + 'static> Key for K {}

/// How many places there are, and how many requests for a place may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Places of all keys together.
    pub all: usize,
    /// Places of one key.
    pub each: usize,
    /// Waiting requests of all keys together.
    pub waiting: usize,
    /// Waiting requests of one key.
    pub waiting_each: usize,
}

impl Bounds {
    /// Bounds with which no request waits.
    pub fn at_once(all: usize, each: usize) -> Self {
        Self { all, each, waiting: 0, waiting_each: 0 }
    }
}

/// Why no place was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The key has used up its share; other keys still get places.
    Own,
    /// All places are taken.
    All,
}

/// Places that are shared among keys.
pub struct Shares<K: Key> {
    bounds: Bounds,
    state: Mutex<State<K>>,
}

/// One or more places, given back when dropped.
pub struct Place<K: Key> {
    shares: Arc<Shares<K>>,
    key: K,
    amount: usize,
}

struct State<K: Key> {
    taken: usize,
    /// The number of places that each key has.
    of: HashMap<K, usize>,
    waiting: VecDeque<Waiting<K>>,
}

struct Waiting<K: Key> {
    key: K,
    amount: usize,
    ready: oneshot::Sender<Place<K>>,
}

/// The first step of taking a place.
enum Begun<K: Key> {
    Taken(Place<K>),
    Waits(Refused, oneshot::Receiver<Place<K>>),
}

impl<K: Key> Shares<K> {
    pub fn new(bounds: Bounds) -> Arc<Self> {
        let state = State { taken: 0, of: HashMap::new(), waiting: VecDeque::new() };
        Arc::new(Self { bounds, state: Mutex::new(state) })
    }

    /// Takes `amount` places, if they are free.
    pub fn try_take(self: &Arc<Self>, key: K, amount: usize) -> Result<Place<K>, Refused> {
        let mut state = self.lock();
        state.fits(&key, amount, self.bounds)?;
        state.add(&key, amount);
        drop(state);
        Ok(self.place(key, amount))
    }

    /// Takes `amount` places; waits for them at most for `patience`.
    pub async fn take(
        self: &Arc<Self>,
        key: K,
        amount: usize,
        patience: Duration,
    ) -> Result<Place<K>, Refused> {
        match self.begin(key, amount)? {
            Begun::Taken(place) => Ok(place),
            Begun::Waits(refused, ready) => match timeout(patience, ready).await {
                Ok(Ok(place)) => Ok(place),
                Ok(Err(_)) | Err(_) => Err(refused),
            },
        }
    }

    /// Whether no key would get a place now.
    pub fn is_full(&self) -> bool {
        self.lock().taken >= self.bounds.all
    }

    fn begin(self: &Arc<Self>, key: K, amount: usize) -> Result<Begun<K>, Refused> {
        let mut state = self.lock();
        match state.fits(&key, amount, self.bounds) {
            Ok(()) => {
                state.add(&key, amount);
                drop(state);
                Ok(Begun::Taken(self.place(key, amount)))
            }
            Err(refused) => {
                let ready = state.queue(key, amount, self.bounds)?;
                Ok(Begun::Waits(refused, ready))
            }
        }
    }

    fn place(self: &Arc<Self>, key: K, amount: usize) -> Place<K> {
        Place { shares: Arc::clone(self), key, amount }
    }

    fn give_back(self: &Arc<Self>, key: &K, amount: usize) {
        let mut state = self.lock();
        state.remove(key, amount);
        let granted = state.grant(self.bounds);
        // A place that nobody waits for any more is given back at once, which needs the lock.
        drop(state);
        for Waiting { key, amount, ready } in granted {
            drop(ready.send(self.place(key, amount)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        // No code under this lock panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Key> State<K> {
    fn held(&self, key: &K) -> usize {
        self.of.get(key).copied().unwrap_or(0)
    }

    fn fits(&self, key: &K, amount: usize, bounds: Bounds) -> Result<(), Refused> {
        if self.taken.saturating_add(amount) > bounds.all {
            return Err(Refused::All);
        }
        if !self.has_room(key, amount, bounds) {
            return Err(Refused::Own);
        }
        Ok(())
    }

    /// Whether the key's own share has room for so many more places.
    fn has_room(&self, key: &K, amount: usize, bounds: Bounds) -> bool {
        self.held(key).saturating_add(amount) <= bounds.each
    }

    fn add(&mut self, key: &K, amount: usize) {
        self.taken += amount;
        *self.of.entry(key.clone()).or_default() += amount;
    }

    fn remove(&mut self, key: &K, amount: usize) {
        self.taken = self.taken.saturating_sub(amount);
        match self.of.get_mut(key) {
            Some(held) if *held > amount => *held -= amount,
            _ => {
                self.of.remove(key);
            }
        }
    }

    fn queue(
        &mut self,
        key: K,
        amount: usize,
        bounds: Bounds,
    ) -> Result<oneshot::Receiver<Place<K>>, Refused> {
        self.forget_those_who_left();
        if self.waiting.len() >= bounds.waiting {
            return Err(Refused::All);
        }
        if self.waiting.iter().filter(|it| it.key == key).count() >= bounds.waiting_each {
            return Err(Refused::Own);
        }
        let (ready, receiver) = oneshot::channel();
        self.waiting.push_back(Waiting { key, amount, ready });
        Ok(receiver)
    }

    /// Gives free places to those that wait.
    fn grant(&mut self, bounds: Bounds) -> Vec<Waiting<K>> {
        self.forget_those_who_left();
        let mut granted = Vec::new();
        while let Some(next) = self.next(bounds).and_then(|index| self.waiting.remove(index)) {
            self.add(&next.key, next.amount);
            granted.push(next);
        }
        granted
    }

    /// The first of those whose key has the fewest places.
    fn next(&self, bounds: Bounds) -> Option<usize> {
        let waiting = self.waiting.iter().enumerate();
        waiting
            .filter(|(_, it)| self.fits(&it.key, it.amount, bounds).is_ok())
            .min_by_key(|(_, it)| self.held(&it.key))
            .map(|(index, _)| index)
    }

    fn forget_those_who_left(&mut self) {
        self.waiting.retain(|it| !it.ready.is_closed());
    }
}

impl<K: Key> Place<K> {
    /// How many places it is.
    pub fn amount(&self) -> usize {
        self.amount
    }

    /// Takes so many more places for the same key; waits for them at most this long.
    pub async fn grow(&mut self, amount: usize, patience: Duration) -> Result<(), Refused> {
        let mut more = self.shares.take(self.key.clone(), amount, patience).await?;
        self.amount += std::mem::take(&mut more.amount);
        Ok(())
    }

    /// Whether others wait for what only a place such as this one can give: their own shares have room.
    pub fn is_wanted(&self) -> bool {
        let (state, bounds) = (self.shares.lock(), self.shares.bounds);
        let mut others =
            state.waiting.iter().filter(|it| it.key != self.key && !it.ready.is_closed());
        others.any(|it| state.has_room(&it.key, it.amount, bounds))
    }
}

impl<K: Key> Drop for Place<K> {
    fn drop(&mut self) {
        self.shares.give_back(&self.key, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const BOUNDS: Bounds = Bounds { all: 4, each: 3, waiting: 3, waiting_each: 2 };

    #[tokio::test]
    async fn one_key_cannot_take_all_places() {
        let shares = Shares::new(BOUNDS);
        let mut of_one: Vec<_> = (0..3).map(|_| shares.try_take("one", 1).unwrap()).collect();
        assert_eq!(shares.try_take("one", 1).err(), Some(Refused::Own));
        let _other = shares.try_take("other", 1).unwrap();
        assert!(shares.is_full());
        assert_eq!(shares.try_take("third", 1).err(), Some(Refused::All));
        of_one.pop();
        shares.try_take("third", 1).unwrap();
    }

    #[tokio::test]
    async fn a_free_place_goes_to_the_key_that_has_the_fewest() {
        let shares = Shares::new(Bounds { each: 4, ..BOUNDS });
        let mut of_slow: Vec<_> = (0..4).map(|_| shares.try_take("slow", 1).unwrap()).collect();
        let wait = |key: &'static str| {
            let shares = Arc::clone(&shares);
            tokio::spawn(async move { shares.take(key, 1, LONG).await.map(|place| (key, place)) })
        };
        let first = wait("slow");
        while shares.lock().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        let second = wait("other");
        while shares.lock().waiting.len() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(of_slow[0].is_wanted());
        of_slow.pop();
        let (key, _place) = second.await.unwrap().unwrap();
        assert_eq!(key, "other");
        assert!(!first.is_finished());
        of_slow.pop();
        assert_eq!(first.await.unwrap().unwrap().0, "slow");
    }

    #[tokio::test]
    async fn waiting_is_bounded_per_key_and_in_all_and_ends() {
        let shares = Shares::new(BOUNDS);
        let _all = [shares.try_take("one", 3).unwrap(), shares.try_take("two", 1).unwrap()];
        let short = Duration::from_millis(20);
        assert_eq!(shares.take("one", 1, short).await.err(), Some(Refused::All));
        let (mut waits, mut refusals) = (Vec::new(), Vec::new());
        for key in ["one", "one", "one", "two", "three"] {
            match shares.begin(key, 1) {
                Ok(Begun::Waits(_, ready)) => waits.push(ready),
                Ok(Begun::Taken(_)) => panic!("{key} got a place"),
                Err(refused) => refusals.push((key, refused)),
            }
        }
        assert_eq!(refusals, [("one", Refused::Own), ("three", Refused::All)]);
        // Those that left do not count.
        waits.clear();
        assert!(shares.begin("three", 1).is_ok());
    }

    #[tokio::test]
    async fn a_place_is_not_wanted_by_those_who_have_used_up_their_own_shares() {
        let shares = Shares::new(BOUNDS);
        let place = shares.try_take("one", 1).unwrap();
        let others = shares.try_take("greedy", 3).unwrap();
        let Ok(Begun::Waits(_, _waits)) = shares.begin("greedy", 1) else { panic!() };
        assert!(!place.is_wanted());
        let Ok(Begun::Waits(_, _also_waits)) = shares.begin("modest", 1) else { panic!() };
        assert!(place.is_wanted());
        drop(others);
        assert!(!place.is_wanted());
    }

    #[tokio::test]
    async fn amounts_are_counted_and_given_back() {
        let shares = Shares::new(Bounds::at_once(100, 60));
        let most = shares.try_take(1, 60).unwrap();
        assert_eq!(shares.try_take(1, 1).err(), Some(Refused::Own));
        assert_eq!(shares.try_take(2, 41).err(), Some(Refused::All));
        drop(most);
        assert!(shares.lock().of.is_empty());
        let mut grown = shares.try_take(3, 20).unwrap();
        grown.grow(30, LONG).await.unwrap();
        assert_eq!((grown.amount(), shares.lock().taken), (50, 50));
        drop(grown);
        assert!(shares.lock().of.is_empty());
        shares.try_take(2, 60).unwrap();
    }
}
