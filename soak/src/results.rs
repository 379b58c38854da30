//! Writing the result of a run: `<run>.json` for programs, `<run>.md` for people.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use epione_devnet::write_atomically;
use serde::Serialize;

use crate::machine::Stamp;

/// A result with where it comes from.
#[derive(Clone, Debug, Serialize)]
struct ResultFile<'a, T> {
    #[serde(flatten)]
    stamp: &'a Stamp,
    result: &'a T,
}

/// The result as people read it.
#[derive(Clone, Debug, Default)]
pub struct Table {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
    /// Further tables of the same result.
    parts: Vec<Table>,
}

impl Table {
    pub fn new(title: &str, head: &[&str]) -> Self {
        let head = head.iter().map(|&word| word.to_owned()).collect();
        Self { title: title.into(), head, ..Self::default() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// A sentence below the table.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Another table of the same result, which follows under its own title.
    pub fn part(&mut self, table: Self) {
        self.parts.push(table);
    }

    /// The table and its notes, under a title of this level.
    fn body(&self, level: &str) -> String {
        let mut text = format!("{level} {}\n\n", self.title);
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        text += &line(&self.head);
        text += &line(&vec!["---".to_owned(); self.head.len()]);
        self.rows.iter().for_each(|row| text += &line(row));
        if !self.notes.is_empty() {
            text += "\n";
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    fn markdown(&self, stamp: &Stamp) -> String {
        let mut text = self.body("#");
        for part in &self.parts {
            text += "\n";
            text += &part.body("##");
        }
        let Stamp { processor, cores, memory_bytes, kernel, date, commit, command } = stamp;
        let memory = gib(*memory_bytes);
        let _ = write!(
            text,
            "\nMachine: {processor}, {cores} cores, {memory} of memory, Linux {kernel}. Date: {date}. \
             Commit: {commit}.\nCommand: `{command}`\n"
        );
        text
    }
}

/// Writes a run's result; returns the path of the table.
pub fn write<T: Serialize>(
    folder: &Path,
    run: &str,
    stamp: &Stamp,
    result: &T,
    table: &Table,
) -> anyhow::Result<PathBuf> {
    let json = serde_json::to_vec_pretty(&ResultFile { stamp, result })?;
    let path = folder.join(format!("{run}.md"));
    fs::create_dir_all(folder)
        .and_then(|()| {
            write_atomically(&folder.join(format!("{run}.json")), &[&json[..], b"\n"].concat())
        })
        .and_then(|()| write_atomically(&path, table.markdown(stamp).as_bytes()))
        .with_context(|| format!("cannot write results to {}", folder.display()))?;
    Ok(path)
}

pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

pub fn gib(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_written_for_programs_and_for_people() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = Stamp::take("epione-soak large --gib 1".into());
        let mut table = Table::new("Large", &["what", "much"]);
        table.row(["a".into(), "1".into()]);
        table.note("within bounds");
        let mut part = Table::new("Small", &["what"]);
        part.row(["b".into()]);
        table.part(part);
        let result = serde_json::json!({ "seconds": 3 });
        let results = folder.path().join("results");
        let path = write(&results, "large", &stamp, &result, &table).unwrap();
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains("| what | much |\n| --- | --- |\n| a | 1 |\n"), "{text}");
        assert!(
            text.contains("- within bounds\n\n## Small\n\n| what |\n| --- |\n| b |\n"),
            "{text}"
        );
        assert_eq!(text.matches("Machine: ").count(), 1, "{text}");
        assert!(text.contains("`epione-soak large --gib 1`"), "{text}");
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(results.join("large.json")).unwrap()).unwrap();
        assert_eq!(json["result"]["seconds"], 3);
        assert_eq!(json["command"], "epione-soak large --gib 1");
    }
}
