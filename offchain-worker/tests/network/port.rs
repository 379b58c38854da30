//! Ports of the loopback for processes that come and go.

use tokio::net::TcpSocket;

/// A port of 127.0.0.1 that the system gives to no other program while this lives: neither to one that asks
/// for any free port nor to an outgoing connection. A process that is told its number may listen there, as
/// often as needed.
pub struct Port(TcpSocket);

impl Port {
    pub fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Bound and not listening, it stands in nobody's way who sets the same option, as servers do.
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self(socket)
    }

    pub fn number(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
}
