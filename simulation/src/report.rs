//! Writes what was found: scale.json for programs, scale.md for people, and plots.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Serialize;

use crate::{
    assumptions::{DAY, LINK},
    check::Check,
    design::{DESIGNS, LIMITS},
    machine::Stamp,
    markdown::{Page, bytes, digits, seconds, share},
    plot::{Line, plot},
    study::{Edge, Network, Study, is_unlimited},
};

#[derive(Serialize)]
struct File<'a> {
    #[serde(flatten)]
    stamp: &'a Stamp,
    result: &'a Study,
}

/// Writes all files into a folder, and returns their paths.
pub fn write(folder: &Path, stamp: &Stamp, study: &Study) -> anyhow::Result<Vec<PathBuf>> {
    let json = serde_json::to_string_pretty(&File { stamp, result: study })? + "\n";
    let files = [
        ("scale.json", json),
        ("scale.md", page(stamp, study)),
        ("scale-stored.svg", stored(study)),
        ("scale-sent.svg", sent(study)),
        ("scale-commit.svg", commits(study)),
    ];
    let write = |(name, text): (&str, String)| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    files.into_iter().map(write).collect()
}

fn heads(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|&cell| cell.to_owned()).collect()
}

fn page(stamp: &Stamp, study: &Study) -> String {
    let mut page = Page::title("A simulation of 30 to 10,000 hospitals");
    page.text(
        "What it means is in [docs/scale.md](../../docs/scale.md). Sizes are decimal: 1 KB is 1,000 \
         bytes. Bold: a limit is exceeded.",
    );
    check_table(&mut page, &study.checks);
    networks(&mut page, study);
    limits(&mut page, study);
    sensitivity(&mut page, study);
    assumptions(&mut page, study);
    let Stamp { processor, cores, memory_bytes, kernel, date, commit, command } = stamp;
    let memory = *memory_bytes as f64 / f64::from(1 << 30);
    page.text(&format!(
        "Machine: {processor}, {cores} cores, {memory:.2} GiB of memory, Linux {kernel}. Date: {date}. \
         Commit: {commit}.\nCommand: `{command}`"
    ));
    page.finish()
}

/// What a hospital sends and stores, and how long commits take.
fn networks(page: &mut Page, study: &Study) {
    page.section("Bytes of a hospital, a day, on average");
    page.table(
        &heads(&[
            "design",
            "hospitals",
            "chains",
            "media received",
            "read elsewhere",
            "gossip sent",
            "finality sent",
            "media stored",
            "chain stored",
            "stored in a year",
            "a year over its link",
        ]),
        study.networks.iter().map(bytes_row),
    );
    page.section("Time to commit, simulated");
    page.table(
        &heads(&[
            "design",
            "hospitals",
            "visits",
            "median",
            "p95",
            "not committed",
            "keeps up",
            "to finality",
            "in the chain of heads after",
        ]),
        study.networks.iter().map(time_row),
    );
    page.section("Five hours at the end of what blocks carry");
    page.table(
        &heads(&[
            "design",
            "hospitals",
            "visits",
            "median",
            "p95",
            "not committed",
            "most that waited",
        ]),
        study.edges.iter().map(edge_row),
    );
    page.section("Votes of a chain, simulated");
    page.table(
        &heads(&[
            "design",
            "hospitals",
            "votes for an announcement",
            "not needed",
            "most in a block",
            "most weight",
            "most bytes",
            "most that waited",
            "fullest custodian",
        ]),
        study.networks.iter().map(vote_row),
    );
}

/// How full each limit is, and where it ends a design.
fn limits(page: &mut Page, study: &Study) {
    page.section("How much of each limit the working hours use");
    let mut head = heads(&["design", "hospitals"]);
    head.extend(LIMITS.map(str::to_owned));
    page.table(
        &head,
        study.networks.iter().map(|network| {
            let used = network.load.used.iter().map(|used| share(used.share));
            named(network).into_iter().chain(used).collect()
        }),
    );
    page.section("The largest network that each limit permits");
    page.table(
        &by_design("limit"),
        study.ends.iter().map(|end| row(end.limit.to_owned(), &end.largest)),
    );
}

fn check_table(page: &mut Page, checks: &[Check]) {
    page.section("Beside what was measured");
    let line = |check: &Check| {
        let Check { what, hospitals, measured, simulated, off } = check;
        let numbers = [digits(*measured), digits(*simulated), format!("{:+.0} %", 100.0 * off)];
        [what.clone(), hospitals.to_string()].into_iter().chain(numbers).collect()
    };
    let head = heads(&["what", "hospitals", "measured", "simulated", "off"]);
    page.table(&head, checks.iter().map(line));
    page.text("Measured: links.json and hostile.json in this folder.");
}

fn named(network: &Network) -> Vec<String> {
    vec![network.design.name.to_owned(), network.hospitals.to_string()]
}

fn bytes_row(network: &Network) -> Vec<String> {
    let load = &network.load;
    let year = load.stored_in_a_year();
    let copy = format!("{} days", digits(year * 8.0 / LINK / DAY));
    let cells = [
        load.media_received,
        load.read,
        load.gossip_sent,
        load.finality_sent,
        load.media_stored,
        load.chain_stored,
        year,
    ]
    .map(bytes);
    let chains = [load.chains.to_string()];
    named(network).into_iter().chain(chains).chain(cells).chain([copy]).collect()
}

fn time_row(network: &Network) -> Vec<String> {
    let times = &network.times;
    let cells = [
        times.visits.to_string(),
        seconds(times.median),
        seconds(times.p95),
        format!("{} %", digits(100.0 * times.lost)),
        if network.load.keeps_up() { "yes".into() } else { "**no**".into() },
        seconds(Some(network.load.finality_seconds)),
        network.anchored.map_or_else(|| "–".to_owned(), |after| seconds(Some(after))),
    ];
    named(network).into_iter().chain(cells).collect()
}

fn edge_row(edge: &Edge) -> Vec<String> {
    let times = &edge.times;
    vec![
        edge.design.name.to_owned(),
        edge.hospitals.to_string(),
        times.visits.to_string(),
        seconds(times.median),
        seconds(times.p95),
        format!("{} %", digits(100.0 * times.lost)),
        times.most_waiting.to_string(),
    ]
}

fn vote_row(network: &Network) -> Vec<String> {
    let times = &network.times;
    let per = |count: u64, of: u64| count as f64 / of.max(1) as f64;
    let cells = [
        digits(per(times.votes, times.announcements)),
        format!("{} %", digits(100.0 * per(times.late_votes, times.votes))),
        times.most_votes.to_string(),
        share(times.most_weight),
        share(times.most_bytes),
        times.most_waiting.to_string(),
        times.fullest.map_or_else(|| "–".to_owned(), |most| format!("{most:.2} of the mean")),
    ];
    named(network).into_iter().chain(cells).collect()
}

fn by_design(first: &str) -> Vec<String> {
    let names = DESIGNS.map(|design| design.name.to_owned());
    [first.to_owned()].into_iter().chain(names).collect()
}

fn row(first: String, largest: &[Option<usize>]) -> Vec<String> {
    [first].into_iter().chain(largest.iter().map(|most| hospitals(*most))).collect()
}

fn hospitals(most: Option<usize>) -> String {
    match most {
        None => "none".into(),
        Some(most) if is_unlimited(most) => "over a million".into(),
        Some(most) => most.to_string(),
    }
}

fn sensitivity(page: &mut Page, study: &Study) {
    page.section("If links have another width");
    let mut head = by_design("Mbit/s");
    head.extend(heads(&["100 flat: median", "p95", "1,000 with custody: median", "p95"]));
    page.table(
        &head,
        study.links.iter().map(|case| {
            let times = [case.flat.median, case.flat.p95, case.custody.median, case.custody.p95];
            row(digits(case.megabits), &case.largest)
                .into_iter()
                .chain(times.map(seconds))
                .collect()
        }),
    );
    page.text(
        "The first four columns: the largest network whose links have room in the working hours.",
    );
    page.section("If a vote of GRANDPA needs more or less");
    page.table(
        &heads(&[
            "times",
            "finality with 1,000 validators",
            "sent for it, a day",
            "most validators of one chain for finality within a slot",
        ]),
        study.finality.iter().map(|case| {
            vec![
                digits(case.factor),
                seconds(Some(case.seconds)),
                bytes(case.sent),
                hospitals(case.largest),
            ]
        }),
    );
    page.section("If others look at media more or less often");
    page.table(
        &heads(&[
            "looks per visit",
            "received for looks, a day",
            "received as custodian, a day",
            "largest network with custody for links",
        ]),
        study.reads.iter().map(|case| {
            vec![digits(case.reads), bytes(case.read), bytes(case.kept), hospitals(case.largest)]
        }),
    );
    page.section("If workers pack less often");
    let mut head = heads(&["seconds until a block is packed", "lite blocks of a hospital, a day"]);
    head.extend(DESIGNS.map(|design| design.name.to_owned()));
    page.table(
        &head,
        study.packing.iter().map(|case| {
            let cells = vec![digits(case.seconds), digits(case.batches)];
            cells.into_iter().chain(case.largest.iter().map(|most| hospitals(*most))).collect()
        }),
    );
    page.text("By design, the largest network whose votes and announcements have room in the weight of blocks.");
    page.section("How probable bad custodians are");
    let rate = |probability: f64| format!("{probability:.1e}");
    page.table(
        &heads(&[
            "custodians",
            "must approve",
            "these are bad, of 10 %",
            "of 20 %",
            "of a third",
            "all are bad, of 10 %",
            "of 20 %",
            "of a third",
        ]),
        study.custodians.iter().map(|case| {
            let counts = [case.custodians.to_string(), case.needed.to_string()];
            let rates = case.approved_by_bad.into_iter().chain(case.all_bad).map(rate);
            counts.into_iter().chain(rates).collect()
        }),
    );
    page.text(
        "For one draw of 1,000 hospitals, of which that many are malicious or fail for good. The draw is counted as \
         uniform: the choice by bytes is not.",
    );
}

fn assumptions(page: &mut Page, study: &Study) {
    page.section("Assumptions");
    page.table(
        &heads(&["what", "value", "source"]),
        study.assumptions.iter().map(|line| heads(&[line.what, line.value, line.source])),
    );
    let day = &study.mean_day;
    page.text(&format!(
        "The mean day of a hospital that seed {} draws: {} visits in {} lite blocks, {} of text, {} of media.",
        study.seed,
        digits(day.visits),
        digits(day.batches),
        bytes(day.text),
        bytes(day.media)
    ));
}

fn lines(study: &Study, of: impl Fn(&Network) -> f64) -> Vec<Line> {
    let line = |design: crate::design::Design| {
        let networks = study.networks.iter().filter(|network| network.design == design);
        let points = networks.map(|network| (network.hospitals as f64, of(network))).collect();
        Line { name: design.name, points }
    };
    DESIGNS.map(line).into()
}

fn stored(study: &Study) -> String {
    let of = |network: &Network| network.load.media_stored + network.load.chain_stored;
    plot("Stored by each hospital, a day", &lines(study, of), bytes)
}

fn sent(study: &Study) -> String {
    let of = |network: &Network| {
        let load = &network.load;
        load.media_sent + load.read + load.gossip_sent + load.finality_sent
    };
    plot("Sent by each hospital, a day", &lines(study, of), bytes)
}

fn commits(study: &Study) -> String {
    let of = |network: &Network| network.times.p95.unwrap_or(0.0);
    let label = |value: f64| format!("{value} s");
    plot("Visit to commit, p95 (a line ends where nothing commits)", &lines(study, of), label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_guide_is_in_the_results() {
        let guide = include_str!("../../docs/scale.md");
        let results = include_str!("../../benchmarks/results/scale.md");
        let rows: Vec<&str> = guide.lines().filter(|line| line.starts_with("| ")).collect();
        assert!(rows.len() > 30, "{}", rows.len());
        for row in rows {
            assert!(results.lines().any(|line| line == row), "not in scale.md: {row}");
        }
    }

    #[test]
    fn the_committed_assumptions_are_those_of_the_program() {
        let results = include_str!("../../benchmarks/results/scale.json");
        let results: serde_json::Value = serde_json::from_str(results).unwrap();
        let assumptions = serde_json::to_value(crate::assumptions::table()).unwrap();
        assert_eq!(results["result"]["assumptions"], assumptions);
    }

    #[test]
    fn files_are_for_programs_and_for_people() {
        let folder = std::env::temp_dir().join(format!("epione-scale-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let stamp = Stamp::take("epione-simulation --seed 1".into());
        let study = Study::run(&[8], 1, Vec::new(), &|_| ());
        let paths = write(&folder, &stamp, &study).unwrap();
        let texts: Vec<String> =
            paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(texts.len(), 5);
        let json: serde_json::Value = serde_json::from_str(&texts[0]).unwrap();
        assert_eq!(json["command"], "epione-simulation --seed 1");
        assert_eq!(json["result"]["networks"].as_array().unwrap().len(), DESIGNS.len());
        assert!(texts[1].contains("| flat | 8 | 1 | "), "{}", texts[1]);
        assert!(texts[2..].iter().all(|svg| svg.ends_with("</svg>\n")));
    }
}
