//! A real S3 server for tests: `epione-s3-server`, as it was built with them.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpSocket;
use url::Url;

use crate::{config::S3Settings, store::Store};

pub const BUCKET: &str = "epione-test";
pub const PREFIX: &str = "hospitals/a";

pub struct Server {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
    /// Reserves the port while the server does not run. A bound socket that does not listen does not prevent the
    /// server, which sets the same option, from listening.
    _reserved: TcpSocket,
}

impl Server {
    /// A server with one bucket, at a free port.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("buckets").join(BUCKET)).unwrap();
        write_credentials(&folder.path().join("key.toml"), "tests", "only for tests");
        let reserved = TcpSocket::new_v4().unwrap();
        reserved.set_reuseaddr(true).unwrap();
        reserved.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let (child, address) = spawn(folder.path(), reserved.local_addr().unwrap());
        Self { child, address, folder, _reserved: reserved }
    }

    /// The settings of a user of the server, with shorter time limits.
    pub fn settings(&self) -> S3Settings {
        S3Settings {
            endpoint: Url::parse(&format!("http://{}", self.address)).unwrap(),
            bucket: BUCKET.into(),
            prefix: PREFIX.into(),
            region: "us-east-1".into(),
            path_style: true,
            credentials_file: Some(self.folder.path().join("key.toml")),
            root_certificate: None,
            allow_plain_http: false,
            links: true,
            public_endpoint: None,
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(20),
        }
    }

    pub fn store(&self) -> Store {
        Store::s3(&self.settings()).unwrap()
    }

    /// Credentials with another key than the server's.
    pub fn other_credentials(&self, key: &str, secret: &str) -> PathBuf {
        let path = self.folder.path().join("other.toml");
        write_credentials(&path, key, secret);
        path
    }

    /// The folder of the objects below the settings' prefix.
    pub fn objects(&self) -> PathBuf {
        self.folder.path().join("buckets").join(BUCKET).join(PREFIX)
    }

    /// Suspends the server process, so that it does not respond.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again at the same address.
    pub fn restart(&mut self) {
        (self.child, self.address) = spawn(self.folder.path(), self.address);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(folder: &Path, listen: SocketAddr) -> (Child, SocketAddr) {
    let mut child = Command::new(program())
        .arg("--root")
        .arg(folder.join("buckets"))
        .arg("--credentials")
        .arg(folder.join("key.toml"))
        .args(["--listen", &listen.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address =
        line.trim().strip_prefix("listening at http://").expect("it says where it listens");
    (child, address.parse().unwrap())
}

/// The program in EPIONE_BIN_DIR, or in the folder of the tests or the one above.
fn program() -> PathBuf {
    const NAME: &str = "epione-s3-server";
    let tests = env::current_exe().unwrap();
    let named = env::var_os("EPIONE_BIN_DIR").map(PathBuf::from);
    let folders = named.into_iter().chain(tests.ancestors().skip(1).take(2).map(Path::to_path_buf));
    folders
        .map(|folder| folder.join(NAME))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{NAME} is not built: cargo build --release --workspace --bins"))
}

fn write_credentials(path: &Path, key: &str, secret: &str) {
    let text = format!("access_key_id = \"{key}\"\nsecret_access_key = \"{secret}\"\n");
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
