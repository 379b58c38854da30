//! What the doctor found, for people and for programs.

use std::fmt::Display;

use serde::Serialize;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Ok,
    Problem,
    /// It is not known. That never counts as ok.
    Unchecked,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable name for programs, such as `clock`, or `hospital 2` for another hospital's worker.
    pub check: String,
    pub verdict: Verdict,
    /// What was found, or why it could not be checked.
    pub found: String,
    /// What to do about a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

impl Finding {
    pub fn ok(check: impl Display, found: impl Display) -> Self {
        Self::new(check, Verdict::Ok, found, None)
    }

    pub fn problem(check: impl Display, found: impl Display, todo: impl Display) -> Self {
        Self::new(check, Verdict::Problem, found, Some(plain(todo)))
    }

    pub fn unchecked(check: impl Display, why: impl Display) -> Self {
        Self::new(check, Verdict::Unchecked, why, None)
    }

    fn new(
        check: impl Display,
        verdict: Verdict,
        found: impl Display,
        todo: Option<String>,
    ) -> Self {
        Self { check: plain(check), verdict, found: plain(found), todo }
    }

    pub fn is_problem(&self) -> bool {
        self.verdict == Verdict::Problem
    }
}

/// Texts of nodes, of other hospitals and of the chain may have lines and terminal controls.
fn plain(text: impl Display) -> String {
    text.to_string().chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

/// All checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether there is no problem. Checks that were not possible do not count as problems.
    pub healthy: bool,
    /// Whether every check was possible.
    pub complete: bool,
    pub findings: Vec<Finding>,
}

impl Report {
    pub fn new(findings: Vec<Finding>) -> Self {
        Self {
            healthy: !findings.iter().any(Finding::is_problem),
            complete: findings.iter().all(|it| it.verdict != Verdict::Unchecked),
            findings,
        }
    }

    /// The finding of a check.
    pub fn of(&self, check: &str) -> Option<&Finding> {
        self.findings.iter().find(|it| it.check == check)
    }

    /// The report as text.
    pub fn lines(&self) -> Vec<String> {
        let width = self.findings.iter().map(|it| it.check.len()).max().unwrap_or(0);
        let mut lines = Vec::new();
        for Finding { check, verdict, found, todo } in &self.findings {
            let verdict = match verdict {
                Verdict::Ok => "ok",
                Verdict::Problem => "PROBLEM",
                Verdict::Unchecked => "not checked",
            };
            lines.push(format!("{verdict:<11}  {check:<width$}  {found}"));
            lines.extend(todo.as_ref().map(|todo| format!("{:<11}  what to do: {todo}", "")));
        }
        let problems = self.findings.iter().filter(|it| it.is_problem()).count();
        let unknown = self.findings.iter().filter(|it| it.verdict == Verdict::Unchecked).count();
        lines.push(match (problems, unknown) {
            (0, 0) => "no problem found".into(),
            (0, unknown) => format!("no problem found; not checked: {unknown}"),
            (problems, 0) => format!("problems: {problems}"),
            (problems, unknown) => format!("problems: {problems}; not checked: {unknown}"),
        });
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_checked_is_never_shown_as_ok() {
        let report = Report::new(vec![
            Finding::ok("clock", "agrees"),
            Finding::unchecked("storage", "the worker is stopped"),
        ]);
        assert_eq!((report.healthy, report.complete), (true, false));
        let text = report.lines().join("\n");
        assert!(text.contains("not checked  storage"), "{text}");
        assert!(text.ends_with("no problem found; not checked: 1"), "{text}");
    }

    #[test]
    fn a_problem_says_what_to_do_and_shows_no_control_characters() {
        let problem = Finding::problem("node", "it said \u{1b}[2J\n", "restart it");
        let report = Report::new(vec![problem]);
        assert_eq!((report.healthy, report.complete), (false, true));
        let lines = report.lines();
        assert_eq!(lines[0], "PROBLEM      node  it said  [2J ");
        assert!(lines[1].ends_with("what to do: restart it"), "{lines:?}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["findings"][0]["verdict"], "problem");
        assert_eq!(json["findings"][0]["todo"], "restart it");
    }
}
