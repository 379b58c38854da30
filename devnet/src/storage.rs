//! Where the hospitals of a network store segments: in folders, or on one S3 server with a bucket for each hospital.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::Serialize;

use crate::{Binaries, DevnetError, Process, down, logs};

/// What kind of storage the workers of a network use: a value of the option `--store`, which several programs have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Storage {
    /// Folders
    #[default]
    Local,
    /// An S3 server that the network starts
    S3,
}

/// The S3 server of a network.
pub(crate) struct S3Server {
    program: PathBuf,
    log: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
}

impl S3Server {
    const NAME: &str = "s3-server";

    /// Makes the server's folder and its only key.
    pub fn prepare(binaries: &Binaries, directory: &Path, port: u16) -> Result<Self, DevnetError> {
        let missing = DevnetError::NoProgram { name: "epione-s3-server" };
        let server = Self {
            program: binaries.s3_server.clone().ok_or(missing)?,
            log: logs::folder(directory).join(format!("{}.log", Self::NAME)),
            folder: down::data(directory).join("s3"),
            address: (Ipv4Addr::LOCALHOST, port).into(),
        };
        fs::create_dir_all(&server.folder)
            .and_then(|()| write_key(&server.credentials()))
            .map_err(|source| DevnetError::File { path: server.credentials(), source })?;
        Ok(server)
    }

    /// The server's process, not started.
    pub fn process(&self) -> Process {
        let arguments = vec![
            format!("--root={}", self.folder.join("buckets").display()),
            format!("--credentials={}", self.credentials().display()),
            format!("--listen={}", self.address),
        ];
        Process::new(Self::NAME, &self.program, arguments, &self.log)
    }

    /// Makes a hospital's bucket; returns what the worker's configuration says of it.
    pub fn bucket(&self, hospital: &str) -> Result<Bucket, DevnetError> {
        let folder = self.objects(hospital);
        fs::create_dir_all(&folder).map_err(|source| DevnetError::File { path: folder, source })?;
        Ok(Bucket {
            endpoint: self.origin(),
            bucket: bucket_name(hospital),
            credentials_file: self.credentials(),
        })
    }

    /// The origin to which workers redirect readers.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the objects of a hospital are.
    pub fn objects(&self, hospital: &str) -> PathBuf {
        self.folder.join("buckets").join(bucket_name(hospital))
    }

    fn credentials(&self) -> PathBuf {
        self.folder.join("key.toml")
    }
}

/// `[store.s3]` of a worker.
#[derive(Serialize)]
pub(crate) struct Bucket {
    endpoint: String,
    bucket: String,
    credentials_file: PathBuf,
}

fn bucket_name(hospital: &str) -> String {
    format!("hospital-{hospital}")
}

/// Writes a random key that no other user may read: other users of this machine reach the server, too.
fn write_key(path: &Path) -> io::Result<()> {
    let mut secret = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    let secret = hex::encode(secret);
    write!(file, "access_key_id = \"devnet\"\nsecret_access_key = \"{secret}\"\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn server(directory: &Path) -> S3Server {
        let binaries = Binaries {
            node: "node".into(),
            worker: "worker".into(),
            s3_server: Some("server".into()),
        };
        S3Server::prepare(&binaries, directory, 20_000).unwrap()
    }

    #[test]
    fn each_network_has_a_random_key_that_only_its_owner_can_read() {
        let keys = [(); 2].map(|()| {
            let directory = tempfile::tempdir().unwrap();
            let server = server(directory.path());
            let mode = fs::metadata(server.credentials()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            fs::read_to_string(server.credentials()).unwrap()
        });
        assert_ne!(keys[0], keys[1]);
        assert!(keys[0].parse::<toml::Table>().unwrap()["secret_access_key"].is_str());
    }

    #[test]
    fn each_hospital_has_its_own_bucket() {
        let directory = tempfile::tempdir().unwrap();
        let server = server(directory.path());
        let buckets = ["one", "two"].map(|label| server.bucket(label).unwrap().bucket);
        assert_eq!(buckets, ["hospital-one", "hospital-two"]);
        assert!(server.objects("one").is_dir() && server.objects("two").is_dir());
    }

    #[test]
    fn a_missing_server_program_is_named() {
        let binaries = Binaries { node: "node".into(), worker: "worker".into(), s3_server: None };
        let refused = S3Server::prepare(&binaries, Path::new("/nowhere"), 1).err().unwrap();
        assert!(refused.to_string().contains("epione-s3-server"), "{refused}");
    }
}
