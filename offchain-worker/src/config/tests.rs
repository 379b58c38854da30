use super::*;

const EXAMPLE: &str = include_str!("../../worker.example.toml");
const MINIMAL: &str = "public_url = \"http://127.0.0.1:8600\"\ndata_dir = \"data\"\n\
                       [keystore]\ndevelopment = \"//Alice\"\n";

fn with_line(line: &str) -> Result<Config, ConfigError> {
    Config::parse(&format!("{line}\n{MINIMAL}"))
}

fn with_table(table: &str) -> Result<Config, ConfigError> {
    Config::parse(&format!("{MINIMAL}\n{table}"))
}

#[test]
fn the_committed_example_is_current() {
    assert!(
        EXAMPLE == example(),
        "worker.example.toml is out of date: run `epione-worker example-config > \
         offchain-worker/worker.example.toml`"
    );
}

#[test]
fn the_example_is_valid_and_shows_the_defaults() {
    let example = Config::parse(EXAMPLE).unwrap();
    let minimal = Config::parse(MINIMAL).unwrap();
    let shown = |config: &Config| {
        format!(
            "{} {} {} {} {:?} {:?} {:?} {} {:?} {:?} {:?} {:?} {:?} {:?}",
            config.node_url,
            config.allow_plain_node,
            config.listen,
            config.operators_listen,
            config.renewal_delay,
            config.earlier_keystores,
            config.store.garbage_grace,
            config.store.own_visits_reserve_bytes,
            config.pack,
            config.transfer,
            config.scrub,
            config.discovery,
            config.notifications,
            config.limits
        )
    };
    assert_eq!(shown(&example), shown(&minimal));
}

#[test]
fn every_key_in_the_example_is_valid() {
    let is_key = |line: &str| {
        line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
    };
    let uncommented: Vec<_> = EXAMPLE
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|line| is_key(line)).unwrap_or(line))
        // These two keys cannot be combined with others.
        .filter(|line| !line.starts_with("development = ") && !line.starts_with("path = \"/srv"))
        .collect();
    let config = Config::parse(&uncommented.join("\n")).unwrap();
    assert_eq!(config.earlier_keystores.len(), 1);
    assert!(config.tls.is_some() && config.store.s3.is_some() && config.genesis.is_some());
    assert!(config.checkpoint.is_some());
}

#[test]
fn a_duration_has_a_unit() {
    for (value, shown) in [("5000", "5000"), ("\"5000\"", "5000"), ("\"soon\"", "soon")] {
        let error = with_table(&format!("[pack]\nmax_age = {value}")).unwrap_err().to_string();
        assert!(error.contains(shown) && error.contains("\"30s\""), "{error}");
    }
    let config = with_table("[pack]\nmax_age = \"1min 30s\"").unwrap();
    assert_eq!(config.pack.max_age, Duration::from_secs(90));
}

#[test]
fn a_key_of_an_earlier_version_names_the_new_one() {
    for (table, new) in [
        ("[pack]\nmax_age_ms = 5000", "write max_age = \"5s\""),
        ("[store]\ngarbage_grace_ms = 0", "write garbage_grace = \"0s\""),
        ("[scrub]\nevery_ms = 86400000", "scrub.every,"),
        (
            "[store.s3]\nendpoint = \"https://s3.example\"\nbucket = \"b-1\"\ndeadline_ms = 90000",
            "write deadline = \"1min 30s\"",
        ),
    ] {
        let error = with_table(table).unwrap_err().to_string();
        assert!(error.contains(new), "{error}");
    }
}

#[test]
fn an_unknown_key_is_rejected() {
    assert!(matches!(with_line("listne = \"127.0.0.1:1\""), Err(ConfigError::Syntax(_))));
    assert!(matches!(with_table("[pack]\nmax_record = 3"), Err(ConfigError::Syntax(_))));
}

#[test]
fn plain_http_beyond_loopback_must_be_allowed() {
    let error = with_line("listen = \"0.0.0.0:8600\"").unwrap_err().to_string();
    assert!(error.contains("allow_plain_http"), "{error}");
    with_line("listen = \"0.0.0.0:8600\"\nallow_plain_http = true").unwrap();
    with_line("listen = \"[::1]:8600\"").unwrap();
}

#[test]
fn an_https_public_url_means_tls_unless_something_in_front_ends_it() {
    let parse = |url: &str, more: &str| {
        Config::parse(&format!(
            "public_url = {url:?}\ndata_dir = \"d\"\n{more}\n[keystore]\ndevelopment = \"//Alice\""
        ))
    };
    let files = "tls = { certificate = \"c\", key = \"k\" }";
    let everywhere = "listen = \"0.0.0.0:8600\"";
    assert!(parse("https://w.example", everywhere).unwrap().serves_tls());
    assert!(parse("https://w.example", files).unwrap().serves_tls());
    assert!(!parse("https://w.example", "allow_plain_http = true").unwrap().serves_tls());
    assert!(!parse("http://127.0.0.1:1", "").unwrap().serves_tls());
    for (url, more, key) in [
        ("http://w.example", "", "public_url"),
        ("http://10.0.0.1:1", "allow_plain_http = true", "public_url"),
        ("https://ada:secret@w.example", "", "public_url"),
        ("https://ada@w.example", "", "public_url"),
        ("http://127.0.0.1:1", files, "tls"),
        ("https://w.example", &format!("{files}\nallow_plain_http = true"), "tls"),
        ("https://w.example", "operators_listen = \"127.0.0.1:8600\"", "operators_listen"),
    ] {
        let error = parse(url, more).unwrap_err().to_string();
        assert!(error.contains(&format!("{key} ")), "{error}");
    }
}

#[test]
fn keys_come_from_exactly_one_place() {
    let parse = |keystore: &str| {
        Config::parse(&format!(
            "public_url = \"http://127.0.0.1:1\"\ndata_dir = \"d\"\n[keystore]\n{keystore}"
        ))
    };
    assert!(parse("").is_err());
    assert!(parse("path = \"k.json\"").is_err());
    assert!(parse("path = \"k\"\npassword_file = \"p\"\ndevelopment = \"//Alice\"").is_err());
    assert!(parse("development = \"Alice\"").is_err());
    parse("path = \"k.json\"\npassword_file = \"p\"").unwrap();
}

#[test]
fn a_group_of_fewer_than_five_patients_is_never_counted() {
    for (line, key) in [
        ("floor = 4", "discovery.floor"),
        ("floor = 1001", "discovery.floor"),
        ("counts_per_day = 0", "discovery.counts_per_day"),
        ("counts_per_hospital = 0", "discovery.counts_per_hospital"),
        ("patients = 999", "discovery.patients"),
    ] {
        let error = with_table(&format!("[discovery]\n{line}")).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    assert_eq!(with_table("[discovery]\nfloor = 5").unwrap().discovery.floor, 5);
}

#[test]
fn the_webhook_is_told_over_https_or_on_this_machine() {
    let parse = |webhook: &str| with_table(&format!("[notifications]\nwebhook = {webhook:?}"));
    for webhook in ["https://portal.example/epione?key=1", "http://127.0.0.1:9000/"] {
        parse(webhook).unwrap();
    }
    for webhook in ["http://portal.example/", "ftp://127.0.0.1/"] {
        let error = parse(webhook).unwrap_err().to_string();
        assert!(error.contains("notifications.webhook"), "{error}");
    }
    assert!(with_table("[notifications]").is_err());
}

#[test]
fn the_store_is_in_one_place() {
    let bucket = "[store.s3]\nendpoint = \"https://s3.example\"\nbucket = \"epione\"";
    assert!(with_table(bucket).unwrap().store.s3.is_some());
    for (table, key) in [
        (format!("[store]\npath = \"s\"\n{bucket}"), "store "),
        ("[store.s3]\nbucket = \"epione\"".to_owned(), "endpoint"),
        ("[store.s3]\nendpoint = \"https://s3.example\"".to_owned(), "bucket"),
        (format!("{bucket}\nsecret_access_key = \"x\""), "secret_access_key"),
        (format!("{bucket}\nregion = \"\""), "store.s3.region"),
    ] {
        let error = with_table(&table).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn earlier_keystores_are_checked() {
    let earlier = "[[earlier_keystores]]\npath = \"k.json\"\npassword_file = \"p\"\n";
    let two = with_table(&format!("{earlier}[[earlier_keystores]]\ndevelopment = \"//Alice\""));
    assert_eq!(two.unwrap().earlier_keystores.len(), 2);
    for bad in [
        "[[earlier_keystores]]\npath = \"k.json\"".to_owned(),
        "[[earlier_keystores]]\ndevelopment = \"Alice\"".to_owned(),
        earlier.repeat(MAX_EARLIER_KEYSTORES + 1),
    ] {
        let error = with_table(&bad).unwrap_err().to_string();
        assert!(error.contains("earlier_keystores"), "{error}");
    }
}

#[test]
fn values_out_of_range_name_their_key() {
    for (table, key) in [
        ("[pack]\nmax_records = 0", "pack.max_records"),
        ("[pack]\nmax_body_bytes = 99999999", "pack.max_body_bytes"),
        ("[transfer]\nparallel = 0", "transfer.parallel"),
        ("[transfer]\nserve_parallel = 65", "transfer.serve_parallel"),
        ("[transfer]\nstall_timeout = \"0s\"", "transfer.stall_timeout"),
        ("[transfer]\noffer_lifetime = \"59s\"", "transfer.offer_lifetime"),
        ("[scrub]\nsegments_per_minute = 0", "scrub.segments_per_minute"),
        ("[scrub]\norphan_grace = \"59min\"", "scrub.orphan_grace"),
        ("[limits]\nlink_lifetime = \"1h 1ms\"", "limits.link_lifetime"),
        ("[limits]\ngrant_lifetime = \"59s\"", "limits.grant_lifetime"),
        ("[limits]\nuploads = 0", "limits.uploads"),
        ("[limits]\ntransactions = 0", "limits.transactions"),
    ] {
        let error = with_table(table).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn rotated_keys_wait_for_a_day_unless_the_operator_says_otherwise() {
    let delay = |line: &str| with_line(line).map(|config| config.renewal_delay);
    assert_eq!(delay("").unwrap(), DAY);
    assert_eq!(delay("renewal_delay = \"0s\"").unwrap(), Duration::ZERO);
    assert_eq!(delay("renewal_delay = \"30days\"").unwrap(), 30 * DAY);
    let error = delay("renewal_delay = \"30days 1s\"").unwrap_err().to_string();
    assert!(error.contains("renewal_delay must be at most 30days"), "{error}");
}

#[test]
fn an_error_does_not_show_the_password_in_a_url() {
    for line in [
        "node_url = \"ws://ada:secret@127.0.0.1:x\"",
        "node_url = 'http://ada:secret@127.0.0.1'",
        "node_url = [\"ws://ada:secret@127.0.0.1\"]",
        "node_url = \"ws://ada:secret@127.0.0.1\" nonsense",
        "node_url = \"wss://ada:secret@node.example\"",
    ] {
        let error = with_line(line).unwrap_err();
        // As the program prints it, with its causes.
        let said = error.to_string() + &format!("{:?}", anyhow::Error::new(error));
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn urls_of_another_scheme_are_rejected() {
    assert!(with_line("node_url = \"http://127.0.0.1:9944\"").is_err());
}

#[test]
fn a_node_on_another_machine_needs_tls_or_a_key_that_says_otherwise() {
    for host in ["10.0.0.7", "node", "127.0.0.1.example"] {
        let line = format!("node_url = \"ws://{host}:9944\"");
        let error = with_line(&line).unwrap_err().to_string();
        assert!(error.contains("wss://") && error.contains("allow_plain_node"), "{error}");
        with_line(&format!("{line}\nallow_plain_node = true\n{}", genesis())).unwrap();
        with_line(&format!("{}\n{}", line.replace("ws://", "wss://"), genesis())).unwrap();
    }
    with_line("node_url = \"ws://[::1]:9944\"").unwrap();
}

fn genesis() -> String {
    format!("genesis = \"0x{}\"", "07".repeat(32))
}

#[test]
fn a_node_on_another_machine_is_not_believed_without_proof() {
    for node in [
        "node_url = \"wss://node.hospital.example\"",
        "node_url = \"wss://10.0.0.7:9944\"",
        "node_url = \"ws://10.0.0.7:9944\"\nallow_plain_node = true",
    ] {
        let error = with_line(node).unwrap_err().to_string();
        assert!(error.contains("genesis is missing") && error.contains("hospitals"), "{error}");
        let config = with_line(&format!("{node}\n{}", genesis())).unwrap();
        let pinned = Pinned::new(Hash::repeat_byte(7)).remembering(config.head_path());
        assert_eq!(config.trust().unwrap(), Trust::Verified(pinned));
    }
    assert_eq!(with_line("").unwrap().trust().unwrap(), Trust::Node);
    assert_ne!(with_line(&genesis()).unwrap().trust().unwrap(), Trust::Node);
    assert!(matches!(with_line("genesis = \"0x07\""), Err(ConfigError::Syntax(_))));
}

/// A checkpoint of the chain with this genesis block, as `epione chain checkpoint` writes it, and its SHA-256.
fn checkpoint(genesis: Hash) -> (String, Hash) {
    let (hash, key) = (Hash::repeat_byte(2), Hash::repeat_byte(3));
    let text = format!(
        "{{\n  \"format\": \"epione-checkpoint-1\",\n  \"genesis\": \"{genesis:?}\",\n  \"block\": 1200,\n  \
         \"hash\": \"{hash:?}\",\n  \"set\": 3,\n  \"ahead\": 1,\n  \"authorities\": [\n    {{\n      \
         \"key\": \"{key:?}\",\n      \"weight\": 1\n    }}\n  ]\n}}\n"
    );
    match Checkpoint::accept(text.as_bytes(), Hash::zero()) {
        Err(CheckpointFault::OtherHash { found, .. }) => (text, found),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_checkpoint_is_used_only_by_its_hash_and_with_genesis() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoint.json");
    let (text, sha256) = checkpoint(Hash::repeat_byte(7));
    fs::write(&file, &text).unwrap();
    let table = |sha256: Hash| {
        format!("[checkpoint]\nfile = \"{}\"\nsha256 = \"{sha256:?}\"", file.display())
    };
    let with = |more: &str| Config::parse(&format!("{}\n{MINIMAL}\n{more}", genesis()));

    let expected = Checkpoint::accept(text.as_bytes(), sha256).unwrap();
    let config = with(&table(sha256)).unwrap();
    let pinned = Pinned::new(Hash::repeat_byte(7)).beginning_at(expected);
    assert_eq!(config.pinned().unwrap(), Some(pinned.clone()));
    let pinned = pinned.remembering(config.head_path());
    assert_eq!(config.trust().unwrap(), Trust::Verified(pinned));

    let other = with(&table(Hash::repeat_byte(9))).unwrap();
    let error = other.trust().unwrap_err().to_string();
    assert!(error.contains("[checkpoint]") && error.contains("SHA-256"), "{error}");
    fs::write(&file, text.replace("1200", "1201")).unwrap();
    config.trust().unwrap_err();
    fs::remove_file(&file).unwrap();
    let error = config.trust().unwrap_err().to_string();
    assert!(error.contains("checkpoint.json"), "{error}");

    let error = with_table(&table(sha256)).unwrap_err().to_string();
    assert!(error.contains("checkpoint needs genesis"), "{error}");
}
