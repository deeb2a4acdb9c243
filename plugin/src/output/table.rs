//! Columns, as kubectl prints them.

/// The rows under their headings, in columns three blanks apart.
#[must_use]
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([headings[at].len()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..headings.len()).map(width).collect();
    let mut text = row(headings.iter().copied(), &widths);
    for cells in rows {
        text.push_str(&row(cells.iter().map(String::as_str), &widths));
    }
    text
}

fn row<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.zip(widths) {
        let blanks = width - cell.chars().count() + 3;
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', blanks));
    }
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["nginx".into(), "x".into()], vec!["a".into(), String::new()]];
        assert_eq!(table(&["NAME", "B"], &rows), "NAME    B\nnginx   x\na\n");
    }
}
