//! Checks that `monitoring/` and `docs/operations.md` name the metrics that exist.

use std::collections::BTreeSet;

use super::*;

const DASHBOARD: &str = include_str!("../../../monitoring/grafana-dashboard.json");
const ALERTS: &str = include_str!("../../../monitoring/alerts.yml");
const LEFT_OUT: &str = include_str!("../../../monitoring/left-out.txt");
const GUIDE: &str = include_str!("../../../docs/operations.md");

fn exported() -> BTreeSet<String> {
    Metrics::NAMES.iter().map(|name| (*name).to_owned()).collect()
}

/// The metrics that a text names. Parts of a histogram count as the histogram.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.match_indices("epione_worker_")
        .map(|(at, _)| {
            let name: String = text[at..].chars().take_while(|c| is_part(*c)).collect();
            let whole = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            whole.unwrap_or(&name).to_owned()
        })
        .collect()
}

fn left_out() -> BTreeSet<String> {
    let lines = LEFT_OUT.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, why) = line.split_once(' ').expect("a name, then why");
            assert!(!why.trim().is_empty(), "{name}");
            name.to_owned()
        })
        .collect()
}

fn alerts() -> Vec<&'static str> {
    ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
}

#[test]
fn dashboard_and_alerts_name_only_existing_metrics() {
    let exported = exported();
    for (what, text) in [("dashboard", DASHBOARD), ("alerts", ALERTS), ("guide", GUIDE)] {
        let unknown: Vec<_> = named(text).difference(&exported).cloned().collect();
        assert!(unknown.is_empty(), "{what}: {unknown:?}");
    }
}

#[test]
fn every_metric_is_on_the_dashboard_or_listed_as_left_out() {
    let (exported, shown, left_out) = (exported(), named(DASHBOARD), left_out());
    let forgotten: Vec<_> = exported
        .iter()
        .filter(|name| !shown.contains(*name) && !left_out.contains(*name))
        .collect();
    assert!(forgotten.is_empty(), "neither shown nor listed in left-out.txt: {forgotten:?}");
    let idle: Vec<_> =
        left_out.iter().filter(|name| shown.contains(*name) || !exported.contains(*name)).collect();
    assert!(idle.is_empty(), "listed in left-out.txt without need: {idle:?}");
}

#[test]
fn the_dashboard_can_be_imported() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(panel["title"].is_string() && panel["gridPos"].is_object(), "{panel}");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            assert!(expression.contains("epione_worker_"), "{expression}");
            assert_eq!(expression.matches('(').count(), expression.matches(')').count());
        }
    }
    assert!(panels.len() > 20 && dashboard["title"].is_string());
}

#[test]
fn the_guide_explains_every_alert() {
    let alerts = alerts();
    assert!(alerts.len() > 10);
    for alert in &alerts {
        assert!(GUIDE.contains(&format!("| `{alert}` |")), "{alert} is not in docs/operations.md");
    }
    for line in GUIDE.lines().filter_map(|line| line.strip_prefix("| `Epione")) {
        let alert = format!("Epione{}", line.split('`').next().unwrap());
        assert!(alerts.contains(&alert.as_str()), "{alert} is no alarm any more");
    }
}
