//! Tables: every column is as wide as its widest cell.

/// The rows as lines, with two spaces between the columns and without trailing spaces.
pub fn lines<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> Vec<String> {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["who", "why"], ["größer", "it"]].map(|row| row.map(String::from));
        assert_eq!(lines(&rows), ["who     why", "größer  it"]);
        assert!(lines::<2>(&[]).is_empty());
    }
}
