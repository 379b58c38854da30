//! Tables for people.

use std::fmt::Write as _;

/// A text with tables.
#[derive(Default)]
pub struct Page(String);

impl Page {
    pub fn title(title: &str) -> Self {
        Self(format!("# {title}\n"))
    }

    pub fn section(&mut self, title: &str) {
        let _ = write!(self.0, "\n## {title}\n");
    }

    pub fn text(&mut self, text: &str) {
        let _ = write!(self.0, "\n{text}\n");
    }

    pub fn table(&mut self, head: &[String], rows: impl IntoIterator<Item = Vec<String>>) {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        self.0 += "\n";
        self.0 += &line(head);
        self.0 += &line(&vec!["---".to_owned(); head.len()]);
        rows.into_iter().for_each(|row| self.0 += &line(&row));
    }

    pub fn finish(self) -> String {
        self.0
    }
}

/// Bytes with three digits and a unit.
pub fn bytes(bytes: f64) -> String {
    let units = ["B", "KB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1_000.0;
        unit += 1;
    }
    format!("{} {}", digits(value), units[unit])
}

/// Three digits.
pub fn digits(value: f64) -> String {
    let places = match value.abs() {
        0.0 => 0,
        small if small < 9.995 => 2,
        small if small < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.places$}")
}

pub fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "**never**".into(), |seconds| format!("{} s", digits(seconds)))
}

/// A share of a limit, as a percentage; bold if it is exceeded.
pub fn share(share: f64) -> String {
    let text = format!("{} %", digits(100.0 * share));
    if share > 1.0 { format!("**{text}**") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        let texts = [0.0, 12.0, 999.6, 4.44e9, 1.5e17].map(bytes);
        assert_eq!(texts, ["0 B", "12.0 B", "1.00 KB", "4.44 GB", "150 PB"]);
        assert_eq!(share(0.5), "50.0 %");
        assert_eq!(share(1.25), "**125 %**");
        assert_eq!((seconds(Some(11.0)), seconds(None)), ("11.0 s".into(), "**never**".into()));
    }

    #[test]
    fn a_table_has_its_head_and_its_rows() {
        let mut page = Page::title("A");
        page.table(&["x".into(), "y".into()], [vec!["1".into(), "2".into()]]);
        assert_eq!(page.finish(), "# A\n\n| x | y |\n| --- | --- |\n| 1 | 2 |\n");
    }
}
