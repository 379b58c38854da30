//! Connections of clients: how many may be open, from all addresses together and from each, and how long a connection
//! may be idle.
//!
//! A connection must set up TLS and send its first request in time. Later, it is closed when it has had no open request
//! for a while. Pings of HTTP/2 do not count. It is also closed when a request has been open for longer than any
//! request may take: its client does not read the response. When all connections are taken, a newcomer takes the place
//! of the connection that has been idle for longest, of the source that has the most.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    io,
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::Response,
};
use axum_server::accept::Accept;
use futures::{StreamExt, future::BoxFuture};
use prometheus::{IntCounter, IntGauge};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::oneshot,
    time::{Instant, Sleep},
};

use crate::{
    config::Limits,
    descriptors,
    metrics::Metrics,
    shares::{Bounds, Place, Refused, Shares},
};

/// How long nothing may happen on a connection.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// Until the first request.
    first: Duration,
    /// After the end of a request.
    idle: Duration,
    /// From the headers of a request to the end of its response.
    open: Duration,
}

impl Patience {
    fn new(limits: &Limits) -> Self {
        // A segment is prepared, and then sent; a grant is decided on, and then recorded; a visit may be drained.
        let segment = 2 * limits.segment_timeout;
        let grant = limits.request_timeout + limits.transaction_timeout;
        let longest = segment.max(grant).max(limits.part_timeout);
        Self {
            first: limits.first_request,
            idle: limits.connection_idle,
            open: longest + limits.request_timeout,
        }
    }
}

/// The connections of a listener.
pub(super) struct Connections {
    shares: Arc<Shares<IpAddr>>,
    open: Arc<Open>,
    patience: Patience,
    metrics: Metrics,
}

/// Connections of operators: Prometheus, a load balancer, somebody who looks.
const OF_OPERATORS: usize = 64;

impl Connections {
    /// For the listener of operators, whose connections come from few addresses.
    pub fn of_operators(limits: &Limits, metrics: Metrics) -> Self {
        Self::bounded(Bounds::at_once(OF_OPERATORS, OF_OPERATORS), limits, metrics)
    }

    /// `one_source` says that all connections come from one address: a proxy, or this machine.
    pub fn new(limits: &Limits, one_source: bool, metrics: Metrics) -> Self {
        let all = descriptors::for_connections(limits.connections);
        let each = if one_source { all } else { limits.connections_per_address.min(all) };
        tracing::info!(all, per_address = each, "connections that may be open at once");
        Self::bounded(Bounds::at_once(all, each), limits, metrics)
    }

    fn bounded(bounds: Bounds, limits: &Limits, metrics: Metrics) -> Self {
        let (shares, open) = (Shares::new(bounds), Arc::default());
        Self { shares, open, patience: Patience::new(limits), metrics }
    }

    /// Counts a connection until the result is dropped.
    fn admit(&self, stream: &TcpStream) -> io::Result<Admission> {
        let network = network(stream.peer_addr()?.ip());
        let taken = match self.shares.try_take(network, 1) {
            Err(Refused::All) if self.open.make_room(network) => self.shares.try_take(network, 1),
            taken => taken,
        };
        let place = taken.map_err(|refused| {
            let reason = match refused {
                Refused::Own => "address",
                Refused::All => "all",
            };
            self.metrics.connections_refused.with_label_values(&[reason]).inc();
            io::Error::other("too many connections")
        })?;
        let activity = Arc::new(Activity::new(self.patience));
        let (number, stays) = self.open.add(network, Arc::clone(&activity), place);
        let gauge = self.metrics.connections_open.clone();
        gauge.inc();
        Ok(Admission { number, stays, activity, open: Arc::clone(&self.open), gauge })
    }
}

/// The connections that are open, by number.
#[derive(Default)]
struct Open(Mutex<Numbered>);

#[derive(Default)]
struct Numbered {
    next: u64,
    connections: BTreeMap<u64, Connection>,
}

struct Connection {
    network: IpAddr,
    activity: Arc<Activity>,
    _place: Place<IpAddr>,
    /// When it is dropped, the connection closes.
    _stays: oneshot::Sender<Infallible>,
}

impl Open {
    fn add(
        &self,
        network: IpAddr,
        activity: Arc<Activity>,
        place: Place<IpAddr>,
    ) -> (u64, oneshot::Receiver<Infallible>) {
        let (sender, stays) = oneshot::channel();
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        let connection = Connection { network, activity, _place: place, _stays: sender };
        open.connections.insert(number, connection);
        (number, stays)
    }

    /// Closes a connection for one of this network: the one that has been idle for longest, of the network that has
    /// the most connections. Requests in progress are not ended.
    fn make_room(&self, network: IpAddr) -> bool {
        let mut open = self.lock();
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for connection in open.connections.values() {
            *counts.entry(connection.network).or_default() += 1;
        }
        // Among those with the most, the newcomer's own, so that no network pushes out another one that has no more.
        let most = counts.into_iter().max_by_key(|(it, count)| (*count, *it == network));
        let Some((most, _)) = most else { return false };
        let of_most = open.connections.iter().filter(|(_, it)| it.network == most);
        let idle = of_most.filter_map(|(number, it)| Some((it.activity.idle_since()?, *number)));
        let Some((_, number)) = idle.min() else { return false };
        open.connections.remove(&number);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Numbered> {
        // No code under this lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one source: an IPv4 address, or an IPv6 network of 64 bits, which one machine may have for itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

/// A counted connection.
struct Admission {
    number: u64,
    /// Resolves when the connection must make room for another one.
    stays: oneshot::Receiver<Infallible>,
    activity: Arc<Activity>,
    open: Arc<Open>,
    gauge: IntGauge,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let connection = self.open.lock().connections.remove(&self.number);
        drop(connection);
        self.gauge.dec();
    }
}

/// Admits connections before another acceptor sets them up.
#[derive(Clone)]
pub(super) struct Guarded<A> {
    pub inner: A,
    pub connections: Arc<Connections>,
}

impl<A> Accept<TcpStream, Router> for Guarded<A>
where
    A: Accept<TcpStream, Router, Service = Router>,
    A::Stream: Send + 'static,
    A::Future: Send + 'static,
{
    type Stream = Watched<A::Stream>;
    type Service = Router;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, router: Router) -> Self::Future {
        let (admitted, patience) = (self.connections.admit(&stream), self.connections.patience);
        let closed = self.connections.metrics.connections_idle.clone();
        let accepting = admitted.map(|admission| (admission, self.inner.accept(stream, router)));
        Box::pin(async move {
            let (mut admission, accepting) = accepting?;
            let (stream, router) = tokio::select! {
                accepted = accepting => accepted?,
                _ = &mut admission.stays => return Err(io::ErrorKind::TimedOut.into()),
            };
            let activity = Arc::clone(&admission.activity);
            let counted = middleware::from_fn_with_state(activity, in_progress);
            let timer = Box::pin(tokio::time::sleep(patience.first));
            let watched = Watched { stream, timer, closed, is_over: false, admission };
            Ok((watched, router.layer(counted)))
        })
    }
}

/// What happens on a connection.
struct Activity {
    patience: Patience,
    now: Mutex<Now>,
}

struct Now {
    /// When each open request began, in the order of their numbers.
    open: BTreeMap<u64, Instant>,
    /// The number of the next request.
    next: u64,
    /// When the connection was set up, or when the last request ended.
    since: Instant,
    limit: Duration,
}

impl Activity {
    fn new(patience: Patience) -> Self {
        let (since, limit) = (Instant::now(), patience.first);
        let now = Now { open: BTreeMap::new(), next: 0, since, limit };
        Self { patience, now: Mutex::new(now) }
    }

    fn begin(self: &Arc<Self>) -> OpenRequest {
        let mut now = self.lock();
        let number = now.next;
        now.next += 1;
        now.open.insert(number, Instant::now());
        now.limit = self.patience.idle;
        drop(now);
        OpenRequest { activity: Arc::clone(self), number }
    }

    /// How long the connection may stay as it is; none if that time is over.
    fn left(&self) -> Option<Duration> {
        let now = self.lock();
        let left = match now.open.first_key_value() {
            // It may end before this time is over; from then on, the connection is idle.
            Some((_, oldest)) => {
                let left = self.patience.open.checked_sub(oldest.elapsed());
                left.map(|left| left.min(now.limit))
            }
            None => now.limit.checked_sub(now.since.elapsed()),
        };
        left.filter(|left| !left.is_zero())
    }

    /// Since when the connection has had no open request; none if it has one.
    fn idle_since(&self) -> Option<Instant> {
        let now = self.lock();
        now.open.is_empty().then_some(now.since)
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request from its headers to the end of its response.
struct OpenRequest {
    activity: Arc<Activity>,
    number: u64,
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let mut now = self.activity.lock();
        now.open.remove(&self.number);
        now.since = Instant::now();
    }
}

async fn in_progress(
    State(activity): State<Arc<Activity>>,
    request: Request,
    next: Next,
) -> Response {
    let open = activity.begin();
    let mut response = next.run(request).await;
    // A stream does not tell its length.
    match response.body().size_hint().exact() {
        Some(0) => return response,
        Some(length) => {
            let length = HeaderValue::from(length);
            response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length);
        }
        None => {}
    }
    response.map(|body| {
        Body::from_stream(body.into_data_stream().map(move |piece| {
            let _open = &open;
            piece
        }))
    })
}

/// A connection that fails when nothing has happened on it for too long.
pub(super) struct Watched<S> {
    stream: S,
    timer: Pin<Box<Sleep>>,
    closed: IntCounter,
    is_over: bool,
    admission: Admission,
}

impl<S> Watched<S> {
    /// Fails when the connection has been idle for too long, or must make room for another one.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.is_over {
            let must_leave = Pin::new(&mut self.admission.stays).poll(context).is_ready();
            self.is_over = must_leave || self.is_overdue(context);
            self.closed.inc_by(self.is_over.into());
        }
        if self.is_over { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    fn is_overdue(&mut self, context: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(context).is_ready() {
            match self.admission.activity.left() {
                Some(left) => self.timer.as_mut().reset(Instant::now() + left),
                None => return true,
            }
        }
        false
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(context)?;
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(context)?;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(context)?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(context)?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(context)?;
        Pin::new(&mut this.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_idle_connection_of_the_network_with_the_most_makes_room() {
        let patience = Patience::new(&Limits::default());
        let shares = Shares::new(Bounds::at_once(4, 4));
        let open = Open::default();
        let [many, few, newcomer] = [1, 2, 3].map(|last| IpAddr::from([192, 0, 2, last]));
        let add = |network| {
            let activity = Arc::new(Activity::new(patience));
            let place = shares.try_take(network, 1).unwrap();
            let (number, stays) = open.add(network, Arc::clone(&activity), place);
            (number, stays, activity)
        };
        let (first, mut others) = (add(few), [add(many), add(many), add(many)]);
        // The oldest of the three has a request.
        let _request = others[0].2.begin();
        assert!(open.make_room(newcomer));
        assert_eq!(others[1].1.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        let left: Vec<_> = open.lock().connections.keys().copied().collect();
        assert_eq!(left, [first.0, others[0].0, others[2].0]);
        shares.try_take(newcomer, 1).unwrap();
        // Only its own network makes room for another one of the network with the most.
        assert!(open.make_room(many));
        assert!(!open.make_room(many), "the remaining one has a request");
        assert!(open.lock().connections.contains_key(&first.0));
    }

    #[test]
    fn the_operators_listener_does_not_use_up_the_descriptors() {
        let connections = Connections::of_operators(&Limits::default(), Metrics::new().unwrap());
        let local = IpAddr::from([127, 0, 0, 1]);
        let open = (0..OF_OPERATORS).map(|_| connections.shares.try_take(local, 1).unwrap());
        let _open: Vec<_> = open.collect();
        assert!(connections.shares.try_take(local, 1).is_err());
    }

    #[test]
    fn one_machine_with_an_ipv6_network_counts_once() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
