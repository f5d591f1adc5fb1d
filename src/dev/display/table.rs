//! Tables of text: as wide as they need where lines may have any length, else as wide as the terminal.

/// What a column holds, and what becomes of it where the terminal is narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// A name; its middle is left out, since names tend to begin or to end alike.
    Name,
    /// A number, at the right; it stays.
    Number,
    /// Sentences; they go on in the next line. The last column alone.
    Prose,
}

/// The least that is left of a name or of a line of prose.
const LEAST: usize = 8;

/// Rows below a heading.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(columns: [(&str, Column); N]) -> Self {
        let heading = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        Self { columns: columns.iter().map(|(_, column)| *column).collect(), rows: vec![heading] }
    }

    /// Adds a row, which has as many cells as there are columns.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The lines, the heading first.
    pub(crate) fn lines(&self, width: Option<usize>) -> Vec<String> {
        let widths = self.widths(width);
        self.rows.iter().flat_map(|row| self.row_lines(row, &widths)).collect()
    }

    /// Cuts the widest columns down until all fit.
    fn widths(&self, width: Option<usize>) -> Vec<usize> {
        let widest =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let mut widths: Vec<usize> = (0..self.columns.len()).map(widest).collect();
        let room = width.unwrap_or(usize::MAX).saturating_sub(2 * (self.columns.len() - 1));
        // At first words stay whole; where that is not enough, nothing does.
        let columns = 0..self.columns.len();
        let words = columns.clone().map(|column| self.longest_word(column)).collect();
        for least in [words, vec![LEAST; self.columns.len()]] {
            while widths.iter().sum::<usize>() > room {
                let flexible = columns
                    .clone()
                    .filter(|&at| self.columns[at] != Column::Number && widths[at] > least[at]);
                let Some(at) = flexible.max_by_key(|&at| widths[at]) else { break };
                widths[at] -= 1;
            }
        }
        widths
    }

    /// The width below which a column would break a word; names are cut anywhere.
    fn longest_word(&self, column: usize) -> usize {
        if self.columns[column] == Column::Name {
            return LEAST;
        }
        let words = self.rows.iter().flat_map(|row| row[column].split(' '));
        words.map(|word| word.chars().count()).max().unwrap_or(0).max(LEAST)
    }

    fn row_lines(&self, row: &[String], widths: &[usize]) -> Vec<String> {
        let mut line = String::new();
        let mut more = Vec::new();
        for (at, cell) in row.iter().enumerate() {
            let width = widths[at];
            if at > 0 {
                line.push_str("  ");
            }
            let cell = match self.columns[at] {
                Column::Number => format!("{cell:>width$}"),
                Column::Name => format!("{:width$}", cut(cell, width)),
                Column::Prose => {
                    let indent = " ".repeat(line.chars().count());
                    let mut wrapped = wrap(cell, width).into_iter();
                    let first = wrapped.next().unwrap_or_default();
                    more = wrapped.map(|text| format!("{indent}{text}")).collect();
                    first
                }
            };
            line.push_str(&cell);
        }
        line.truncate(line.trim_end().len());
        std::iter::once(line).chain(more).collect()
    }
}

/// The beginning and the end of a text that has more than there is room for.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    let end = text.chars().count() - tail;
    format!("{}…{}", text.chars().take(head).collect::<String>(), text.chars().skip(end).collect::<String>())
}

/// Breaks between words, and where a word is too long, within it.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let longest = width.max(1);
    let words = text.split(' ').flat_map(|word| {
        let letters: Vec<char> = word.chars().collect();
        letters.chunks(longest).map(|piece| piece.iter().collect::<String>()).collect::<Vec<_>>()
    });
    for word in words {
        let last = lines.last_mut().expect("there is one from the start");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(word);
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(&word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table =
            Table::new([("STREAM", Column::Name), ("ROWS", Column::Number), ("WHAT", Column::Prose)]);
        let row = |name: &str, rows: &str, what: &str| [name, rows, what].map(str::to_owned);
        table.row(row("public/a_long_name_of_a_table", "12", "it is read from the beginning"));
        table.row(row("b", "1234567", "as before"));
        table
    }

    #[test]
    fn it_is_as_wide_as_it_needs() {
        insta::assert_snapshot!(table().lines(None).join("\n"), @r"
        STREAM                            ROWS  WHAT
        public/a_long_name_of_a_table       12  it is read from the beginning
        b                              1234567  as before
        ");
    }

    #[test]
    fn it_fits_a_narrow_terminal() {
        let lines = table().lines(Some(40));
        insta::assert_snapshot!(lines.join("\n"), @r"
        STREAM              ROWS  WHAT
        public/…a_table       12  it is read
                                  from the
                                  beginning
        b                1234567  as before
        ");
        assert!(lines.iter().all(|line| line.chars().count() <= 40));
    }
}
