//! Every number that the simulation assumes, with its source. Tests compare what comes from this repository with the
//! files that have it.

use serde::Serialize;

pub const DAY: f64 = 86_400.0;

// The workload.
pub const MIN_VISITS: u64 = 1;
pub const MAX_VISITS: u64 = 1_000;
/// Bytes of a visit's text, before it is sealed.
pub const TEXT_BYTES: (u64, u64) = (3_000, 7_000);
/// The share of the visits with images; and, independent of it, the share with videos.
pub const MEDIA_SHARE: f64 = 0.1;
pub const IMAGES: (u64, u64) = (1, 10);
pub const IMAGE_BYTES: (u64, u64) = (1_000_000, 4_000_000);
pub const VIDEOS: (u64, u64) = (1, 4);
pub const VIDEO_BYTES: (u64, u64) = (10_000_000, 50_000_000);
/// The visits of a day are spread over so many seconds.
pub const WORKDAY_SECONDS: f64 = 10.0 * 3_600.0;
/// Looks of other hospitals at a record's media, per visit.
pub const REMOTE_READS: f64 = 0.1;

// The chain.
pub const SLOT: f64 = 3.0;
pub const BLOCK_BYTES: f64 = 8.0 * 1_048_576.0;
pub const NORMAL_SHARE: f64 = 0.75;
/// Computation of a block, in seconds.
pub const BLOCK_SECONDS: f64 = 2.0;
pub const MAX_HOSPITALS: usize = 100;
pub const MAX_PENDING: usize = 8;
pub const BALLOT_BLOCKS: u64 = 200;
/// Seconds of weight of an extrinsic that does nothing, of a read and of a write.
pub const BASE_WEIGHT: f64 = 108.157e-6;
pub const READ_WEIGHT: f64 = 8e-6;
pub const WRITE_WEIGHT: f64 = 50e-6;
/// Seconds of computation of the transaction extension `CheckCaller`, which reads seven and writes two entries, and of
/// the other extensions, which read one and write one.
pub const CALLER_WEIGHT: f64 = 40e-6;
pub const EXTENSIONS_WEIGHT: f64 = 17.7e-6;
pub const APPROVE_WEIGHT: f64 = 40e-6;
pub const ANNOUNCE_WEIGHT: f64 = 172.942e-6;
pub const ANNOUNCE_ENTRY_WEIGHT: f64 = 7e-6;
/// Seconds for each byte of a body. The same price is assumed for each byte of a ballot that a vote decodes and stores
/// again.
pub const BYTE_WEIGHT: f64 = 2.818e-9;
/// Bytes of a signed vote.
pub const VOTE_BYTES: f64 = 146.0;
/// Bytes of a signed announcement: of itself, and for each byte of text.
pub const ANNOUNCEMENT_BYTES: f64 = 152.0;
pub const SEALED_TEXT: f64 = 0.905;
/// Bytes of a stored ballot: of itself, and for each hospital of the electorate, with its vote.
pub const BALLOT_BYTES: f64 = 50.0;
pub const BALLOT_MEMBER_BYTES: f64 = 12.0;
/// Bytes that an announcement and its record leave in the state, without the ballot's members.
pub const STATE_BYTES: f64 = 1_280.0;
/// Bytes of a header with its digest.
pub const HEADER_BYTES: f64 = 300.0;

// Nodes.
/// The period of GRANDPA's gossip, in seconds.
pub const GOSSIP_PERIOD: f64 = 0.333;
/// How many peers get a vote of GRANDPA at first.
pub const LUCKY_PEERS: f64 = 4.0;
/// Peers of a node: eight that it chose, and on average eight that chose it.
pub const PEERS: f64 = 16.0;
/// Bytes of a vote of GRANDPA on the wire, and of a signed precommit in a justification.
pub const FINALITY_VOTE_BYTES: f64 = 190.0;
pub const PRECOMMIT_BYTES: f64 = 132.0;
/// Seconds to verify one vote of GRANDPA.
pub const VERIFY_VOTE: f64 = 60e-6;
/// The part of finality that is neither GRANDPA's timers nor its network: authoring, import, notification.
pub const FINALITY_REST: f64 = 0.25;
/// Seconds of one way between two nodes.
pub const ONE_WAY: f64 = 0.03;
/// Transactions that wait in a node's pool at most, and those of one agent.
pub const POOL: f64 = 8_192.0;
pub const AGENT_WAITING: f64 = 65.0;

// Workers.
pub const PACK_SECONDS: f64 = 5.0;
pub const PACK_RECORDS: usize = 200;
pub const PACK_MEDIA: u64 = 1_073_741_824;
pub const PACK_BODY: u64 = 2_097_152;
pub const SEGMENT: f64 = 4_194_304.0;
/// Blocks with at least so many bytes are offered before they are announced.
pub const OFFER_FROM: u64 = 4_194_304;
/// After twice this time, and a second for each MiB, the worker announces an offered block anyway.
pub const OFFER_WAIT: f64 = 30.0;
/// Segments that a worker serves, and fetches, at once; and those that it asks of one hospital.
pub const PARALLEL: usize = 4;
pub const PER_PEER: usize = 2;
/// Seconds between two questions to a hospital, on average.
pub const ASK: f64 = 0.65;
/// Seconds to check an announcement and sign the vote, per record.
pub const CHECK_RECORD: f64 = 0.12e-3;
/// Bits per second of a hospital's link, in each direction.
pub const LINK: f64 = 1e9;

/// Bytes that a hospital can add to its storage in a year.
pub const STORAGE_YEAR: f64 = 100e12;

// Designs that are not built.
/// Hospitals that store a block, in addition to its announcer.
pub const CUSTODIANS: usize = 7;
/// Blocks of a region between two of its heads in the chain of heads.
pub const HEAD_BLOCKS: f64 = 20.0;

/// A line of the table of assumptions.
#[derive(Clone, Debug, Serialize)]
pub struct Assumption {
    pub what: &'static str,
    pub value: &'static str,
    pub source: &'static str,
}

/// All assumptions, as a reader needs them.
pub fn table() -> Vec<Assumption> {
    let line = |(what, value, source)| Assumption { what, value, source };
    TABLE.into_iter().map(line).collect()
}

const TABLE: [(&str, &str, &str); 37] = [
    ("visits of a hospital and day", "U[1, 1000]", "workload of the literature (benchmarks)"),
    ("text of a visit", "U[3, 7] KB", "workload of the literature"),
    (
        "images",
        "10 % of the visits, 1 to 10 of 1 to 4 MB",
        "workload: less than 10 %, so an upper bound",
    ),
    (
        "videos",
        "10 % of the visits, 1 to 4 of 10 to 50 MB",
        "workload: less than 10 %, so an upper bound",
    ),
    ("working day", "10 hours, visits evenly spread", "**guess**"),
    (
        "looks of other hospitals at a visit's media",
        "0.1 per visit, by hospitals anywhere",
        "**guess**; see sensitivity",
    ),
    ("slot", "3 s", "primitives/src/limits.rs"),
    (
        "block, ordinary transactions",
        "75 % of 8 MiB and of 2 s",
        "primitives/src/limits.rs, runtime/src/configs/system.rs",
    ),
    (
        "hospitals on a chain",
        "100",
        "primitives/src/limits.rs, ignored above 100 to see what else ends",
    ),
    ("open announcements of a hospital", "8", "primitives/src/limits.rs"),
    ("ballot", "200 blocks", "primitives/src/limits.rs"),
    ("approvals", "half of the electorate, rounded up", "primitives/src/approval.rs"),
    (
        "weight of an empty extrinsic; read; write",
        "108 µs; 8 µs; 50 µs",
        "frame-support 49, ParityDbWeight",
    ),
    (
        "weight of the extensions",
        "58 µs, 8 reads, 3 writes",
        "runtime/src/weights, CheckCaller and frame_system",
    ),
    (
        "weight of a vote",
        "40 µs, 3 reads, 1 write (estimated there)",
        "runtime/src/weights/pallet_approvals.rs",
    ),
    (
        "weight of an announcement",
        "173 µs + 7 µs per record + 2.8 ns per byte, 9 reads, 7 writes",
        "runtime/src/weights/pallet_lite_blocks.rs (estimated there)",
    ),
    (
        "weight of a ballot's bytes",
        "2.8 ns per byte, 12 bytes per member",
        "**guess**: the price of a body's byte; primitives/src/approval.rs",
    ),
    ("signed vote", "146 bytes", "measured: benchmarks/results/sharing.md"),
    (
        "signed announcement",
        "152 bytes + 0.905 of the text",
        "measured: benchmarks/results/sharing.md, 5,120 random characters",
    ),
    ("state of an announcement with a record", "1,280 bytes + ballot", "runtime/src/cost.rs"),
    (
        "votes that are not needed",
        "every hospital that is ready votes until it sees the ballot closed",
        "offchain-worker/src/tasks/announced.rs",
    ),
    (
        "GRANDPA's timers",
        "2 periods of 333 ms before precommits; first to 4 peers",
        "node/service/src/finality.rs; sc-consensus-grandpa 0.45",
    ),
    (
        "rest of finality",
        "0.25 s, so that 4 nodes need 0.95 s",
        "measured: shortest look of benchmarks/results/looks.md less its parts",
    ),
    (
        "vote of GRANDPA",
        "190 bytes, verified in 60 µs",
        "**guess**: fields of the SDK's message and framing; ed25519",
    ),
    ("peers of a node", "16", "sc-cli: 8 out, up to 32 in; each link carries a transaction once"),
    ("one way between nodes", "30 ms", "**guess**: a continent"),
    (
        "transactions that wait",
        "8,192 in a pool, 65 of an agent",
        "sc-cli, default of --pool-limit; primitives/src/limits.rs",
    ),
    ("packing", "5 s, 200 records, 1 GiB, 2 MiB", "offchain-worker/worker.example.toml"),
    (
        "segments",
        "4 MiB, 4 at once, 2 of one hospital, asked every 0.3 to 1 s",
        "worker.example.toml, transfer/plan/rules.rs",
    ),
    (
        "offers",
        "from 4 MiB, at most 60 s and 1 s per MiB",
        "offchain-worker/src/transfer/seeding.rs",
    ),
    ("check of a record before the vote", "0.12 ms", "measured: benchmarks/results/sharing.md"),
    (
        "link of a hospital",
        "1 Gbit/s in each direction, first come, first served",
        "**guess**; see sensitivity",
    ),
    (
        "storage that a hospital adds",
        "100 TB a year",
        "**guess**: what is bought, not what is possible",
    ),
    ("custodians", "7, of 14 drawn those with the fewest bytes; 4 approve", "design, not built"),
    ("custodians' votes", "only the drawn ones vote", "design, not built"),
    (
        "chain of heads",
        "one validator per region, a head every 20 blocks with its justification",
        "design, not built",
    ),
    (
        "everything works",
        "no faults, no attacks, equal links",
        "best case: all limits below are upper bounds",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = include_str!("../../primitives/src/limits.rs");
    const SYSTEM: &str = include_str!("../../runtime/src/configs/system.rs");
    const APPROVALS: &str = include_str!("../../runtime/src/weights/pallet_approvals.rs");
    const LITE_BLOCKS: &str = include_str!("../../runtime/src/weights/pallet_lite_blocks.rs");
    const CALLER: &str = include_str!("../../runtime/src/weights/epione_runtime_caller.rs");
    const COST: &str = include_str!("../../runtime/src/cost.rs");
    const WORKER: &str = include_str!("../../offchain-worker/worker.example.toml");
    const RULES: &str = include_str!("../../offchain-worker/src/transfer/plan/rules.rs");
    const FINALITY: &str = include_str!("../../node/service/src/finality.rs");
    const SHARING: &str = include_str!("../../benchmarks/results/sharing.md");

    #[test]
    fn the_chains_limits_are_those_of_the_chain() {
        let limits = [
            format!("SLOT_MILLIS: u64 = {};", thousands(SLOT * 1_000.0)),
            "BLOCK_BYTES: u32 = 8 * 1024 * 1024;".to_owned(),
            format!(
                "BLOCK_PICOSECONDS: u64 = {};",
                thousands(BLOCK_SECONDS * 1e12).replace(',', "_")
            ),
            format!("MAX_HOSPITALS: u32 = {MAX_HOSPITALS};"),
            format!("MAX_PENDING_ANNOUNCEMENTS: u32 = {MAX_PENDING};"),
            format!("BALLOT_BLOCKS: BlockNumber = {BALLOT_BLOCKS};"),
            format!("MAX_AGENT_NONCE_LEAD: Nonce = {};", AGENT_WAITING - 1.0),
            "SEGMENT_BYTES: u32 = 4 * 1024 * 1024;".to_owned(),
            "MAX_BODY_BYTES: u32 = 2 * 1024 * 1024;".to_owned(),
        ];
        limits.iter().for_each(|limit| assert!(LIMITS.contains(limit), "{limit}"));
        assert_eq!((BLOCK_BYTES, SEGMENT), (8.0 * 1_048_576.0, 4.0 * 1_048_576.0));
        assert!(SYSTEM.contains(&format!("from_percent({})", NORMAL_SHARE * 100.0)));
    }

    #[test]
    fn weights_are_those_of_the_runtime() {
        let picoseconds = |seconds: f64| thousands((seconds * 1e12).round()).replace(',', "_");
        let vote = format!(
            "from_parts({}, 0).saturating_add(T::DbWeight::get().reads_writes(3, 1))",
            picoseconds(APPROVE_WEIGHT)
        );
        assert!(APPROVALS.contains(&vote), "{vote}");
        let caller = format!(
            "from_parts({}, 0).saturating_add(T::DbWeight::get().reads_writes(7, 2))",
            picoseconds(CALLER_WEIGHT)
        );
        assert!(CALLER.contains(&caller), "{caller}");
        let entry = format!(
            "from_parts({}, 0).saturating_mul(e.into())",
            picoseconds(ANNOUNCE_ENTRY_WEIGHT)
        );
        assert!(LITE_BLOCKS.contains(&entry), "{entry}");
        let byte = format!("from_parts({}, 0).saturating_mul(b.into())", picoseconds(BYTE_WEIGHT));
        assert!(LITE_BLOCKS.contains(&byte), "{byte}");
        // 172_941_969 picoseconds.
        assert!(LITE_BLOCKS.contains("from_parts(172_941_969, 0)"));
        assert!((ANNOUNCE_WEIGHT - 172_941_969e-12).abs() < 1e-9);
    }

    #[test]
    fn state_and_transactions_have_the_bytes_that_are_debited_and_measured() {
        assert!(COST.contains("ANNOUNCEMENT_BYTES: u64 = 1024;"));
        assert!(COST.contains("RECORD_BYTES: u64 = 256;"));
        assert_eq!(STATE_BYTES, 1_024.0 + 256.0);
        // The rows of 1 and 50 visits: what the sealing hospital and each other hospital send.
        let row = |count: &str| {
            let begin = format!("| {count} | ");
            let row = SHARING.lines().find(|line| line.starts_with(&begin)).unwrap();
            let cells: Vec<&str> = row.split(" | ").collect();
            let bytes = |cell: &str| -> f64 {
                let word = cell.trim_end_matches(" |").split(", ").nth(1).unwrap();
                word.trim_end_matches(" B").parse().unwrap()
            };
            (bytes(cells[3]), bytes(cells[4]))
        };
        let ((one, vote), (fifty, _)) = (row("1"), row("50"));
        assert_eq!(vote, VOTE_BYTES);
        let each = (fifty - one) / 49.0;
        assert!((each / 5_120.0 - SEALED_TEXT).abs() < 0.001, "{each}");
        assert!((one - each - ANNOUNCEMENT_BYTES).abs() < 2.0, "{}", one - each);
    }

    #[test]
    fn workers_and_nodes_have_the_defaults_of_their_files() {
        let worker = [
            format!("# max_age = \"{PACK_SECONDS}s\""),
            format!("# max_records = {PACK_RECORDS}"),
            format!("# max_media_bytes = {PACK_MEDIA}"),
            format!("# max_body_bytes = {PACK_BODY}"),
            format!("# parallel = {PARALLEL}"),
            format!("# serve_parallel = {PARALLEL}"),
            format!("# offer_from_bytes = {OFFER_FROM}"),
            format!("# offer_wait = \"{OFFER_WAIT}s\""),
        ];
        worker.iter().for_each(|line| assert!(WORKER.contains(line), "{line}"));
        assert!(RULES.contains(&format!("per_peer: {PER_PEER},")));
        assert!(RULES.contains("(Duration::from_millis(300), Duration::from_secs(1))"));
        assert_eq!(ASK, f64::midpoint(0.3, 1.0));
        assert!(FINALITY.contains(&format!("from_millis({})", GOSSIP_PERIOD * 1_000.0)));
    }

    /// With underscores, as in the sources.
    fn thousands(number: f64) -> String {
        let digits = format!("{number:.0}");
        let mut text = String::new();
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                text.push('_');
            }
            text.push(digit);
        }
        text
    }
}
