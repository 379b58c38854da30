//! Where the hospitals of a network keep segments: in folders, or on one S3 server, in a bucket each.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::Serialize;

use super::{Binaries, DevnetError};

/// What kind of storage the workers of a network use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Storage {
    /// Folders
    #[default]
    Local,
    /// An S3 server of the network's own
    S3,
}

/// The S3 server of a network.
pub(super) struct Server {
    pub program: PathBuf,
    pub log: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
}

impl Server {
    pub const NAME: &str = "s3-server";

    pub fn new(binaries: &Binaries, directory: &Path, port: u16) -> Result<Self, DevnetError> {
        let missing = DevnetError::NoProgram { name: "epione-s3-server" };
        Ok(Self {
            program: binaries.s3_server.clone().ok_or(missing)?,
            log: directory.join("logs").join(format!("{}.log", Self::NAME)),
            folder: super::data(directory).join("s3"),
            address: (Ipv4Addr::LOCALHOST, port).into(),
        })
    }

    pub fn arguments(&self) -> Vec<String> {
        vec![
            format!("--root={}", self.folder.join("buckets").display()),
            format!("--credentials={}", self.credentials().display()),
            format!("--listen={}", self.address),
        ]
    }

    /// Makes the server's one key.
    pub fn prepare(&self) -> Result<(), DevnetError> {
        fs::create_dir_all(&self.folder)
            .and_then(|()| write_key(&self.credentials()))
            .map_err(|source| DevnetError::File { path: self.credentials(), source })
    }

    /// Makes a hospital's bucket, and tells its worker of it.
    pub fn bucket(&self, hospital: &str) -> Result<Bucket, DevnetError> {
        let folder = self.objects(hospital);
        fs::create_dir_all(&folder).map_err(|source| DevnetError::File { path: folder, source })?;
        Ok(Bucket {
            endpoint: format!("http://{}", self.address),
            bucket: bucket_name(hospital),
            credentials_file: self.credentials(),
        })
    }

    /// Where the objects of a hospital lie.
    pub fn objects(&self, hospital: &str) -> PathBuf {
        self.folder.join("buckets").join(bucket_name(hospital))
    }

    fn credentials(&self) -> PathBuf {
        self.folder.join("key.toml")
    }
}

/// `[store.s3]` of a worker.
#[derive(Serialize)]
pub(super) struct Bucket {
    endpoint: String,
    bucket: String,
    credentials_file: PathBuf,
}

fn bucket_name(hospital: &str) -> String {
    format!("hospital-{hospital}")
}

/// A key that nobody else may read: other users of this machine reach the server, too.
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

    fn server(directory: &Path) -> Server {
        let binaries = Binaries {
            node: "node".into(),
            worker: "worker".into(),
            s3_server: Some("server".into()),
        };
        Server::new(&binaries, directory, 20_000).unwrap()
    }

    #[test]
    fn the_key_is_drawn_anew_and_its_owner_s_alone() {
        let keys = [(); 2].map(|()| {
            let directory = tempfile::tempdir().unwrap();
            let server = server(directory.path());
            server.prepare().unwrap();
            let mode = fs::metadata(server.credentials()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            fs::read_to_string(server.credentials()).unwrap()
        });
        assert_ne!(keys[0], keys[1]);
        assert!(keys[0].parse::<toml::Table>().unwrap()["secret_access_key"].is_str());
    }

    #[test]
    fn every_hospital_gets_a_bucket_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let server = server(directory.path());
        let buckets = ["one", "two"].map(|label| server.bucket(label).unwrap().bucket);
        assert_eq!(buckets, ["hospital-one", "hospital-two"]);
        assert!(server.objects("one").is_dir() && server.objects("two").is_dir());
    }

    #[test]
    fn a_server_that_was_not_built_is_named() {
        let binaries = Binaries { node: "node".into(), worker: "worker".into(), s3_server: None };
        let refused = Server::new(&binaries, Path::new("/nowhere"), 1).err().unwrap();
        assert!(refused.to_string().contains("epione-s3-server"), "{refused}");
    }
}
