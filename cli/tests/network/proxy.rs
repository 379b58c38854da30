//! A program between `epione` and a node, which can change or hold back what the node answers. It relays WebSocket
//! connections message by message.

use std::{
    collections::{BTreeSet, HashMap},
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

/// Far more than a message of this node.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The request that sends a transaction.
const SUBMIT: &str = "transactionWatch_v1_submitAndWatch";
/// The node has no such method.
const NOTHING: &str = "held_back_by_the_proxy";

/// Given the method and the whole message, changes the message. Returns whether the client gets it.
type Rule = dyn Fn(&str, &mut Value) -> bool + Send + Sync;

struct Shared {
    rule: Mutex<Arc<Rule>>,
    /// The method of the answer that [`Proxy::changing`] has changed.
    changed: Mutex<Option<String>>,
    /// How many different answers [`Proxy::changing`] has counted.
    counted: Mutex<usize>,
    /// The transactions that did not reach the node, if none may reach it.
    held: Mutex<Option<Vec<Vec<u8>>>>,
}

pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// A proxy of this node, which changes nothing yet. It ends with the test program.
    pub fn of(node_url: &str) -> Self {
        let node: SocketAddr = node_url.trim_start_matches("ws://").parse().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let honest: Arc<Rule> = Arc::new(|_: &str, _: &mut Value| true);
        let shared = Arc::new(Shared {
            rule: Mutex::new(honest),
            changed: Mutex::default(),
            counted: Mutex::default(),
            held: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                // A connection that ends early is the client's matter.
                thread::spawn(move || serve(client, address, node, &shared));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub fn honest(&self) {
        self.with(|_, _| true);
    }

    /// From now on, answers and notifications are what this makes of them.
    pub fn with(&self, rule: impl Fn(&str, &mut Value) -> bool + Send + Sync + 'static) {
        *self.shared.rule.lock().unwrap() = Arc::new(rule);
    }

    /// From now on, the answer with this number is changed, counted from 0. An answer that equals an earlier one is not
    /// counted. Nor is the metadata: it is not proven, and no value that a command shows depends on it.
    pub fn changing(&self, number: usize, lie: fn(&mut Value)) {
        *self.shared.changed.lock().unwrap() = None;
        *self.shared.counted.lock().unwrap() = 0;
        let (answers, shared) = (Mutex::new(BTreeSet::new()), Arc::clone(&self.shared));
        self.with(move |method, message| {
            if !is_metadata(method) {
                let mut answers = answers.lock().unwrap();
                let said = format!("{method} {}", said(message));
                let is_new = answers.insert(said);
                *shared.counted.lock().unwrap() = answers.len();
                if is_new && answers.len() == number + 1 {
                    *shared.changed.lock().unwrap() = Some(method.to_owned());
                    lie(message);
                }
            }
            true
        });
    }

    /// From now on, answers are counted, and none is changed.
    pub fn counting(&self) {
        self.changing(usize::MAX - 1, |_| {});
    }

    /// How many different answers there were since [`Proxy::changing`] or [`Proxy::counting`].
    pub fn counted(&self) -> usize {
        *self.shared.counted.lock().unwrap()
    }

    /// From now on, transactions do not reach the node: the client is told that the node cannot take them. So a command
    /// that sends can run again and again on the same chain.
    pub fn hold_transactions(&self) {
        *self.shared.held.lock().unwrap() = Some(Vec::new());
    }

    /// The transactions that were held back since the last call.
    pub fn held(&self) -> Vec<Vec<u8>> {
        let mut held = self.shared.held.lock().unwrap();
        held.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The method of the answer that was changed, if there was such an answer.
    pub fn changed(&self) -> Option<String> {
        self.shared.changed.lock().unwrap().clone()
    }
}

fn is_metadata(method: &str) -> bool {
    method == "state_getMetadata" || method.starts_with("Metadata_")
}

/// The message without the number of the request.
fn said(message: &Value) -> String {
    let parts = ["result", "error", "params"].iter().filter_map(|part| message.get(part));
    parts.map(Value::to_string).collect()
}

/// What a message says: the result of a request, or of a subscription.
pub fn result(message: &mut Value) -> Option<&mut Value> {
    match message.get("id").is_some() {
        true => message.get_mut("result"),
        false => message.get_mut("params")?.get_mut("result"),
    }
}

/// The methods of the requests that have no answer yet, by their ids.
type Asked = Arc<Mutex<HashMap<String, String>>>;

fn serve(
    client: TcpStream,
    here: SocketAddr,
    node: SocketAddr,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    let upstream = TcpStream::connect(node)?;
    // The node accepts its own address only as the name of the host.
    let asking = head(&client)?.replace(&here.to_string(), &node.to_string());
    (&upstream).write_all(asking.as_bytes())?;
    (&client).write_all(head(&upstream)?.as_bytes())?;
    let asked = Asked::default();
    let (from, to, noted) = (client.try_clone()?, upstream.try_clone()?, Arc::clone(&asked));
    let holding = Arc::clone(shared);
    thread::spawn(move || {
        let _ = pass_requests(&from, &to, &noted, &holding);
        let _ = to.shutdown(Shutdown::Both);
    });
    let ended = pass_answers(&upstream, &client, &asked, shared);
    let _ = client.shutdown(Shutdown::Both);
    ended
}

/// The head of an HTTP request or answer.
pub(super) fn head(mut from: &TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        head.extend(byte);
        if head.len() > MAX_HEAD_BYTES {
            return Err(io::Error::other("the head is too long"));
        }
    }
    String::from_utf8(head).map_err(io::Error::other)
}

fn pass_requests(
    from: &TcpStream,
    to: &TcpStream,
    asked: &Asked,
    shared: &Shared,
) -> io::Result<()> {
    loop {
        let mut frame = Frame::whole(from)?;
        if let Ok(mut request) = serde_json::from_slice::<Value>(&frame.payload) {
            let id = request["id"].to_string();
            asked.lock().unwrap().insert(id, method_of(&request));
            if let Some(held) = &mut *shared.held.lock().unwrap()
                && request["method"] == SUBMIT
            {
                let transaction = request["params"][0].as_str().unwrap_or_default();
                held.push(hex::decode(transaction.trim_start_matches("0x")).unwrap());
                request["method"] = Value::from(NOTHING);
                frame.payload = request.to_string().into_bytes();
            }
        }
        frame.write(to)?;
    }
}

/// The method of a request; the runtime's function if it is a call of the runtime.
fn method_of(request: &Value) -> String {
    let method = request["method"].as_str().unwrap_or_default();
    match request["params"][0].as_str() {
        Some(function) if method == "state_call" => function.to_owned(),
        _ => method.to_owned(),
    }
}

fn pass_answers(
    from: &TcpStream,
    to: &TcpStream,
    asked: &Asked,
    shared: &Shared,
) -> io::Result<()> {
    loop {
        let mut frame = Frame::whole(from)?;
        if let Ok(mut message) = serde_json::from_slice::<Value>(&frame.payload) {
            let known = asked.lock().unwrap().remove(&message["id"].to_string());
            let method = known.unwrap_or_else(|| method_of(&message));
            let rule = Arc::clone(&shared.rule.lock().unwrap());
            if !rule(&method, &mut message) {
                continue;
            }
            frame.payload = message.to_string().into_bytes();
        }
        frame.write(to)?;
    }
}

/// A WebSocket frame (RFC 6455, section 5.2), without extensions.
struct Frame {
    opcode: u8,
    is_last: bool,
    /// Of frames from the client.
    mask: Option<[u8; 4]>,
    /// Not masked.
    payload: Vec<u8>,
}

/// From this opcode on, frames are about the connection.
const CLOSE: u8 = 8;

impl Frame {
    /// A whole message, or a frame about the connection.
    fn whole(from: &TcpStream) -> io::Result<Self> {
        let mut message = Self::read(from)?;
        while !message.is_last {
            let next = Self::read(from)?;
            if next.opcode < CLOSE {
                message.payload.extend(next.payload);
                message.is_last = next.is_last;
            }
        }
        Ok(message)
    }

    fn read(mut from: &TcpStream) -> io::Result<Self> {
        let [first, second]: [u8; 2] = bytes(from)?;
        let length: u64 = match second & 0x7f {
            126 => u16::from_be_bytes(bytes(from)?).into(),
            127 => u64::from_be_bytes(bytes(from)?),
            short => short.into(),
        };
        if length > MAX_BYTES {
            return Err(io::Error::other("the frame is too long"));
        }
        let mask = if second & 0x80 == 0 { None } else { Some(bytes(from)?) };
        let mut payload = vec![0; length as usize];
        from.read_exact(&mut payload)?;
        apply(mask, &mut payload);
        Ok(Self { opcode: first & 0x0f, is_last: first & 0x80 != 0, mask, payload })
    }

    fn write(&self, mut to: &TcpStream) -> io::Result<()> {
        let last = if self.is_last { 0x80 } else { 0 };
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let mut frame = vec![last | self.opcode];
        match self.payload.len() {
            length @ ..126 => frame.push(masked | length as u8),
            length @ ..0x1_0000 => {
                frame.push(masked | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(masked | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(self.mask.into_iter().flatten());
        let mut payload = self.payload.clone();
        apply(self.mask, &mut payload);
        frame.extend(payload);
        to.write_all(&frame)
    }
}

fn bytes<const N: usize>(mut from: &TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn apply(mask: Option<[u8; 4]>, payload: &mut [u8]) {
    let Some(mask) = mask else { return };
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}
