//! A program between `epione` and a worker, which can change what the worker answers. Clients accept plain HTTP on
//! loopback, so this program needs no TLS key of the hospital. It connects to the worker as clients do.

use std::{
    error::Error,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use epione_client::Endpoint;
use epione_devnet::HospitalState;
use epione_envelope::development;
use url::Url;

use super::proxy;

/// Headers that are about one connection only.
const OF_CONNECTION: [&str; 4] = ["connection", "content-length", "host", "transfer-encoding"];
/// Headers of an answer that clients read.
const PASSED_ON: [&str; 2] = ["content-range", "content-type"];
/// Far more than a request of these tests.
const MAX_BODY: usize = 1024 * 1024;

/// Given the path of a request, changes the body of the answer.
type Rule = dyn Fn(&str, &mut Vec<u8>) + Send + Sync;

pub struct WorkerProxy {
    url: String,
    rule: Arc<Mutex<Arc<Rule>>>,
}

impl WorkerProxy {
    /// A proxy of this hospital's worker, which changes nothing yet. It ends with the test program.
    pub fn of(hospital: &HospitalState) -> Self {
        let key = development::tls_key(&hospital.governance).unwrap().public();
        let worker = Endpoint::new(Url::parse(&hospital.worker_url).unwrap(), key).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let honest: Arc<Rule> = Arc::new(|_: &str, _: &mut Vec<u8>| {});
        let rule = Arc::new(Mutex::new(honest));
        let (here, rules) = (url.clone(), Arc::clone(&rule));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (here, worker, rules) = (here.clone(), worker.clone(), Arc::clone(&rules));
                thread::spawn(move || {
                    // A connection that ends early is the client's matter.
                    let _ = serve(&client, &here, &worker, &rules);
                });
            }
        });
        Self { url, rule }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on, the bodies of answers are what this makes of them.
    pub fn with(&self, rule: impl Fn(&str, &mut Vec<u8>) + Send + Sync + 'static) {
        *self.rule.lock().unwrap() = Arc::new(rule);
    }
}

/// Passes one request on, and its answer back.
fn serve(
    mut client: &TcpStream,
    here: &str,
    worker: &Endpoint,
    rules: &Mutex<Arc<Rule>>,
) -> Result<(), Box<dyn Error>> {
    let request = Request::read(client)?;
    let there = worker.url().as_str().trim_end_matches('/');
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut answer = runtime.block_on(request.send(worker, there))?;
    // Links lead to the worker that the client knows: this program.
    if let Ok(text) = std::str::from_utf8(&answer.body)
        && text.starts_with('{')
    {
        answer.body = text.replace(there, here).into_bytes();
    }
    let rule = Arc::clone(&rules.lock().unwrap());
    rule(&request.path, &mut answer.body);
    client.write_all(&answer.bytes())?;
    Ok(())
}

struct Request {
    method: String,
    /// With the query.
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn read(mut from: &TcpStream) -> io::Result<Self> {
        let head = proxy::head(from)?;
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
        let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.and_then(|(_, length)| length.parse().ok()).unwrap_or(0);
        if length > MAX_BODY {
            return Err(io::Error::other("the request is too long"));
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        Ok(Self { method, path, headers, body })
    }

    async fn send(&self, worker: &Endpoint, there: &str) -> Result<Answer, Box<dyn Error>> {
        let http = worker.http().build()?;
        let url = format!("{there}{}", self.path);
        let mut request = match self.method.as_str() {
            "GET" => http.get(url),
            "POST" => http.post(url).body(self.body.clone()),
            other => return Err(format!("no test sends {other}").into()),
        };
        for (name, value) in &self.headers {
            if !OF_CONNECTION.contains(&name.as_str()) {
                request = request.header(name.as_str(), value.as_str());
            }
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let passed_on = PASSED_ON.iter().filter_map(|name| {
            let value = response.headers().get(*name)?.to_str().ok()?;
            Some(format!("{name}: {value}\r\n"))
        });
        let headers = passed_on.collect();
        let body = response.bytes().await?.to_vec();
        Ok(Answer { status, headers, body })
    }
}

struct Answer {
    status: u16,
    /// Lines.
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn bytes(&self) -> Vec<u8> {
        let Self { status, headers, body } = self;
        let length = body.len();
        let about = format!("content-length: {length}\r\nconnection: close\r\n\r\n");
        let head = format!("HTTP/1.1 {status} Answered\r\n{headers}{about}");
        [head.as_bytes(), body].concat()
    }
}
