//! The worker of this machine: whether it runs, what it says about itself, and its disks.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use epione_primitives::{HospitalId, Moment, consortium::CeremonyId};

use super::report::Finding;
use crate::{
    chain::Identity,
    config::Config,
    control,
    journal::{Journal, JournalError, consortium},
    maintenance::{Switch, moment},
    store::{Mark, OpenError, Store, StoreError},
    tasks::task_journal::{Fetching, TaskJournal},
};

/// For the worker's report to its operators.
const ANSWER: Duration = Duration::from_secs(20);
/// Bytes of this report, at most.
const MAX_REPORT: usize = 64 * 1024;
/// Free bytes of any disk below which it counts as nearly full: a journal and a node's database grow by less in a day.
const MIN_FREE: u64 = 1 << 30;
const GIB: u64 = 1 << 30;

/// The worker's journal, as far as it could be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// The hospital and the chain to which it belongs.
    pub identity: Option<Identity>,
    /// The ceremonies of which it has this hospital's share.
    pub shares: Vec<CeremonyId>,
    /// When agents of hospitals last sent a request to the worker that runs.
    pub heard: BTreeMap<HospitalId, Moment>,
    /// What the worker that runs still fetches.
    pub fetching: Option<Fetching>,
}

/// What the worker and its journal say, and whether the journal could be read.
pub(super) async fn worker(config: &Config, config_path: &Path) -> (Option<Memory>, Finding) {
    const CHECK: &str = "worker";
    let see_log = "read the worker's log: journalctl -u epione-worker -n 50";
    match control::status(&config.control_path()).await {
        Ok(Some(status)) => {
            let waiting = status.waiting_visits;
            let memory = Memory {
                identity: Some(Identity { genesis: status.genesis, hospital: status.hospital }),
                shares: status.shares,
                heard: status.heard.into_iter().collect(),
                fetching: Some(Fetching { blocks: status.fetching, persistent: status.persistent }),
            };
            let found = format!("it runs; visits that wait to be committed: {waiting}");
            return (Some(memory), Finding::ok(CHECK, found));
        }
        Ok(None) => {}
        Err(error) => return (None, Finding::problem(CHECK, error, see_log)),
    }
    let start = format!(
        "start it: systemctl start epione-worker, or epione-worker run --config {}",
        config_path.display()
    );
    match at_rest(&config.journal_path()).await {
        Ok(memory) => (Some(memory), Finding::problem(CHECK, "it does not run", start)),
        Err(JournalError::InUse) => {
            let found = "it runs, but has not begun its work: it waits for its node, for the chain to know its agent, \
                         or for its storage";
            (None, Finding::problem(CHECK, found, see_log))
        }
        Err(error @ JournalError::Older { .. }) => {
            (None, Finding::problem(CHECK, format!("it does not run; {error}"), start))
        }
        Err(error) => (None, Finding::problem(CHECK, error, see_log)),
    }
}

/// What the journal of a worker that does not run says. Makes no journal, and changes none: an older worker, to which
/// the operator may return, does not read what a newer one has converted.
async fn at_rest(path: &Path) -> Result<Memory, JournalError> {
    if !path.exists() {
        return Ok(Memory::default());
    }
    let journal = Journal::unchanged(path).await?;
    let shares = journal.read(consortium::held).await?.shares;
    let identity = TaskJournal::unchanged(journal).identity().await?;
    Ok(Memory { identity, shares, ..Memory::default() })
}

/// Maintenance mode.
pub(super) fn maintenance(config: &Config, config_path: &Path, now: Moment) -> Finding {
    const CHECK: &str = "maintenance";
    const DAY: Moment = 86_400_000;
    match Switch::of(&config.data_dir).since() {
        Ok(None) => Finding::ok(CHECK, "off"),
        Ok(Some(since)) if now.saturating_sub(since) > DAY => Finding::problem(
            CHECK,
            format!("on since {}, for more than a day: no new visits", moment(since)),
            format!(
                "when the work is done: epione-worker maintenance off --config {}",
                config_path.display()
            ),
        ),
        Ok(Some(since)) => Finding::ok(CHECK, format!("on since {}", moment(since))),
        Err(error) => Finding::problem(
            CHECK,
            format!("the switch cannot be read ({error}): the worker takes no new visits"),
            format!(
                "sudo epione-worker maintenance off --config {}; if the work goes on, then the same with on",
                config_path.display()
            ),
        ),
    }
}

/// The parts of the report of `/readyz` that have no checks of their own.
const PARTS: [&str; 4] = ["chain", "journal", "places", "store"];

/// What the running worker reports to its operators, one finding for each part.
pub(super) async fn readiness(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "readiness";
    match report(config.operators_listen).await {
        Ok(said) => PARTS.map(|part| of_part(part, said.get(part).map(String::as_str))).into(),
        Err(why) => {
            let address = config.operators_listen;
            let found = format!("the worker's report at http://{address}/readyz: {why}");
            vec![Finding::unchecked(CHECK, found)]
        }
    }
}

async fn report(listen: SocketAddr) -> Result<BTreeMap<String, String>, String> {
    if listen.port() == 0 {
        return Err("operators_listen has no fixed port".into());
    }
    let own: IpAddr = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let url = format!("http://{}/readyz", SocketAddr::new(own, listen.port()));
    let text = |error: reqwest::Error| error.without_url().to_string();
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER).build().map_err(text)?;
    let mut response = client.get(url).send().await.map_err(text)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(text)? {
        if body.len() + chunk.len() > MAX_REPORT {
            return Err("it is too long".into());
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| "it cannot be read: use the worker's version".into())
}

/// What the report says about a part. Another program may answer, or another version.
fn of_part(part: &str, said: Option<&str>) -> Finding {
    let check = format!("worker's {part}");
    match said {
        None => Finding::unchecked(check, "the worker's report does not have it"),
        Some("ok") => Finding::ok(check, "ok"),
        Some(said) => {
            Finding::problem(check, said, "see docs/operations.md, \"Monitoring\", \"What to do\"")
        }
    }
}

/// Whether the storage answers, and whose it is. Writes nothing. `was_used`: the worker's journal belongs to a hospital,
/// so that the worker has used a storage before.
pub(super) async fn storage(config: &Config, owner: Option<&str>, was_used: bool) -> Finding {
    const CHECK: &str = "storage";
    if config.store.s3.is_none() {
        return directory(&config.store_path(), was_used);
    }
    let store = match Store::open(config) {
        Ok(store) => store,
        // The service may have them in its environment.
        Err(error @ OpenError::NoCredentials) => return Finding::unchecked(CHECK, error),
        Err(error) => return Finding::problem(CHECK, error, "correct [store.s3]"),
    };
    of_owner(store.owner().await, owner, was_used)
}

/// Whether a directory can be read, and is the one that the worker has used.
fn directory(path: &Path, was_used: bool) -> Finding {
    const CHECK: &str = "storage";
    let shown = path.display();
    let todo = "mount its disk, or correct store.path and the permissions of the worker's account";
    match std::fs::read_dir(path) {
        // The worker makes it at its first start. An empty directory remains where a disk is not mounted.
        Ok(_) if was_used && !path.join("segments").is_dir() => Finding::problem(
            CHECK,
            format!(
                "the directory {shown} has no folder segments, although the worker has used its storage"
            ),
            todo,
        ),
        Ok(_) => Finding::ok(CHECK, format!("the directory {shown} can be read")),
        Err(error) => Finding::problem(CHECK, format!("the directory {shown}: {error}"), todo),
    }
}

fn of_owner(
    found: Result<Option<Mark>, StoreError>,
    owner: Option<&str>,
    was_used: bool,
) -> Finding {
    const CHECK: &str = "storage";
    match (found, owner) {
        (Ok(None), _) if was_used => Finding::problem(
            CHECK,
            "the bucket answers, but no worker has claimed it, although this one has used a storage: it is another \
             bucket or prefix, or it was emptied",
            "correct bucket and prefix of [store.s3]. If they are right, restart the worker: it claims the bucket. \
             Then run epione-worker scrub --config FILE, which fetches what is missing from other hospitals",
        ),
        (Ok(None), _) => Finding::ok(CHECK, "the bucket answers; no worker has claimed it yet"),
        (Ok(Some(mark)), Some(owner)) if mark.is_of(owner) => {
            Finding::ok(CHECK, format!("the bucket answers, and belongs to {mark}"))
        }
        (Ok(Some(mark)), Some(owner)) => Finding::problem(
            CHECK,
            format!("the bucket belongs to {mark}, and this worker is that of {owner}"),
            "set bucket and prefix of [store.s3] to those of this hospital. Each hospital needs its own; delete \
             nothing in this one",
        ),
        (Ok(Some(mark)), None) => Finding::unchecked(
            CHECK,
            format!(
                "the bucket answers, and belongs to {mark}; which hospital this worker is of is not known"
            ),
        ),
        (Err(error), _) => Finding::problem(
            CHECK,
            error,
            "correct [store.s3], or start the storage; docs/operations.md has the errors",
        ),
    }
}

/// The free space of the disks: of the storage, unless it is on S3, of the journal, and of the node's database.
pub(super) fn disks(config: &Config, node_data: Option<&Path>) -> Vec<Finding> {
    let reserve = config.store.own_visits_reserve_bytes;
    let mut found = Vec::new();
    if config.store.s3.is_none() {
        let todo = "free space or enlarge the disk. Below own_visits_reserve_bytes the worker fetches no announced \
                    segments of other hospitals";
        found.push(disk("store's disk", &config.store_path(), reserve.max(MIN_FREE), todo));
    }
    let todo =
        "free space or enlarge the disk: a worker whose journal cannot grow acknowledges no visit";
    found.push(disk("journal's disk", &config.data_dir, MIN_FREE, todo));
    match node_data {
        Some(path) => {
            let todo = "free space or enlarge the disk: a node that cannot write stops";
            found.push(disk("node's disk", path, MIN_FREE, todo));
        }
        None => found.push(Finding::unchecked(
            "node's disk",
            "give the node's --base-path as --node-data to check it",
        )),
    }
    found
}

fn disk(check: &str, path: &Path, least: u64, todo: &str) -> Finding {
    let shown = path.display();
    match rustix::fs::statvfs(path) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!("{} free at {shown}", gib(free));
            if free < least {
                return Finding::problem(check, format!("{found}, less than {}", gib(least)), todo);
            }
            Finding::ok(check, found)
        }
        Err(error) => Finding::unchecked(check, format!("{shown}: {error}")),
    }
}

fn gib(bytes: u64) -> String {
    format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB)
}

/// The session keys in a node's keystore: the type and the public half of each, of the types that a validator needs.
pub(super) fn node_keys(keystore: &Path) -> std::io::Result<Vec<(String, [u8; 32])>> {
    /// Files that are looked at, at most.
    const FILES: usize = 4_096;
    let mut keys = Vec::new();
    for file in std::fs::read_dir(keystore)?.take(FILES) {
        let name: PathBuf = file?.file_name().into();
        let Some(bytes) = name.to_str().and_then(|name| hex::decode(name).ok()) else { continue };
        let Some((kind, public)) = bytes.split_at_checked(4) else { continue };
        let (Ok(kind), Ok(public)) = (std::str::from_utf8(kind), <[u8; 32]>::try_from(public))
        else {
            continue;
        };
        keys.push((kind.to_owned(), public));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doctor::report::Verdict,
        store::{Claimant, Claimed, server::Server},
    };

    const OWN: &str = "hospital 1 of the chain 0x00";

    #[tokio::test]
    async fn a_bucket_of_another_hospital_is_found() {
        let server = Server::start();
        let store = server.store();
        assert_eq!(of_owner(store.owner().await, Some(OWN), false).verdict, Verdict::Ok);
        let other = Claimant::new("hospital 2 of the chain 0x00".into(), [2; 16]).unwrap();
        assert_eq!(store.claim(&other).await.unwrap(), Claimed::Ours);
        let found = of_owner(server.store().owner().await, Some(OWN), true);
        assert!(found.is_problem() && found.found.contains("belongs to hospital 2"), "{found:?}");
        let unknown = of_owner(server.store().owner().await, None, true);
        assert_eq!(unknown.verdict, Verdict::Unchecked);
        // The doctor has claimed nothing.
        let owner = Some("hospital 2 of the chain 0x00");
        let own = of_owner(server.store().owner().await, owner, true);
        assert_eq!(own.verdict, Verdict::Ok, "{own:?}");
    }

    #[tokio::test]
    async fn a_bucket_that_was_emptied_is_found() {
        let server = Server::start();
        let found = of_owner(server.store().owner().await, Some(OWN), true);
        assert!(found.is_problem() && found.found.contains("emptied"), "{found:?}");
    }

    #[test]
    fn a_directory_whose_disk_is_not_mounted_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(directory(folder.path(), false).verdict, Verdict::Ok);
        let unmounted = directory(folder.path(), true);
        assert!(unmounted.is_problem() && unmounted.todo.unwrap().starts_with("mount its disk"));
        Store::local(folder.path()).unwrap();
        assert_eq!(directory(folder.path(), true).verdict, Verdict::Ok);
        assert!(directory(&folder.path().join("none"), false).is_problem());
    }

    #[tokio::test]
    async fn a_bucket_that_does_not_answer_is_found() {
        let found = of_owner(Err(StoreError::Unreachable(None)), Some(OWN), true);
        assert!(found.is_problem(), "{found:?}");
    }

    #[test]
    fn a_disk_with_less_than_the_threshold_is_found_and_a_missing_one_is_not_ok() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(disk("d", folder.path(), 0, "x").verdict, Verdict::Ok);
        let full = disk("d", folder.path(), u64::MAX, "free space");
        assert!(full.is_problem() && full.todo.as_deref() == Some("free space"), "{full:?}");
        let missing = disk("d", &folder.path().join("none"), 0, "x");
        assert_eq!(missing.verdict, Verdict::Unchecked);
    }

    #[test]
    fn keys_of_a_node_are_read_from_the_names_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            format!("61757261{}", "01".repeat(32)),
            format!("6772616e{}", "02".repeat(32)),
            format!("6772616e{}", "02".repeat(31)),
            "network".into(),
            String::from("61"),
        ] {
            std::fs::write(folder.path().join(name), "\"secret\"").unwrap();
        }
        let mut keys = node_keys(folder.path()).unwrap();
        keys.sort();
        assert_eq!(keys, [("aura".to_owned(), [1; 32]), ("gran".to_owned(), [2; 32])]);
        assert!(node_keys(&folder.path().join("none")).is_err());
    }

    #[tokio::test]
    async fn a_worker_that_does_not_run_is_found_and_its_journal_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        assert_eq!(at_rest(&path).await.unwrap().identity, None);
        assert!(!path.exists());
        let held = TaskJournal::open(Journal::open(&path).await.unwrap()).await.unwrap();
        assert!(matches!(at_rest(&path).await, Err(JournalError::InUse)));
        drop(held);
        assert!(at_rest(&path).await.unwrap().shares.is_empty());
    }

    #[test]
    fn maintenance_of_more_than_a_day_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::parse(&format!(
            "public_url = \"http://127.0.0.1:1\"\ndata_dir = {:?}\nkeystore.development = \"//Alice\"",
            folder.path()
        ))
        .unwrap();
        let at = |now| maintenance(&config, Path::new("worker.toml"), now);
        assert_eq!(at(0).found, "off");
        Switch::of(folder.path()).on(1_000).unwrap();
        assert_eq!(at(86_400_000).verdict, Verdict::Ok);
        let late = at(86_402_000);
        assert!(late.is_problem(), "{late:?}");
        assert!(late.todo.unwrap().ends_with("maintenance off --config worker.toml"));
        let file = folder.path().join("maintenance");
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&file, &file).unwrap();
        let unreadable = at(86_402_000);
        assert!(unreadable.is_problem() && unreadable.found.contains("no new visits"));
    }

    #[test]
    fn parts_of_the_report_that_failed_are_problems() {
        assert_eq!(of_part("store", Some("ok")).verdict, Verdict::Ok);
        assert!(of_part("journal", Some("the journal is full")).is_problem());
        assert_eq!(of_part("places", None).verdict, Verdict::Unchecked);
    }

    #[tokio::test]
    async fn parts_that_the_report_does_not_have_are_not_ok() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let router = axum::Router::new().route(
            "/readyz",
            axum::routing::get(|| async { axum::Json(serde_json::json!({ "store": "ok" })) }),
        );
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut config = Config::parse(
            "public_url = \"http://127.0.0.1:1\"\ndata_dir = \"/nowhere\"\nkeystore.development = \"//Alice\"",
        )
        .unwrap();
        config.operators_listen = listen;
        let found = readiness(&config).await;
        let verdicts: Vec<_> = found.iter().map(|it| (&*it.check, it.verdict)).collect();
        let expected = [
            ("worker's chain", Verdict::Unchecked),
            ("worker's journal", Verdict::Unchecked),
            ("worker's places", Verdict::Unchecked),
            ("worker's store", Verdict::Ok),
        ];
        assert_eq!(verdicts, expected);
    }
}
