//! Byte offsets of a job file, shown as people count: lines and columns from 1.

/// A job file's text with the start of each of its lines.
pub(super) struct Source<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> Source<'a> {
    /// Indexes the lines of `text`.
    pub(super) fn new(text: &'a str) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self { text, line_starts }
    }

    /// Line and column (in characters) of a byte offset.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        let column = self
            .text
            .get(start..offset)
            .map_or(offset - start, |before| before.chars().count());
        (line, column + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines_and_columns_from_one() {
        let source = Source::new("job \"ä\" {\n  count = 1\n}\n");
        assert_eq!(source.position(0), (1, 1));
        // Two bytes of `ä` are one column.
        assert_eq!(source.position(7), (1, 7));
        assert_eq!(source.position(13), (2, 3));
    }
}
