//! Tables of text.

use comfy_table::{ContentArrangement, Table, TableStyle};

/// A table without borders, columns two spaces apart.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(TableStyle::new())
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text = table.to_string();
    // Trailing blanks would show up in diffs and snapshots.
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = [
            vec!["cp1".into(), "ok".into()],
            vec!["worker01".into(), "2 errors".into()],
        ];
        insta::assert_snapshot!(super::table(&["HOST", "RESULT"], &rows), @r"
        HOST      RESULT
        cp1       ok
        worker01  2 errors
        ");
    }
}
