//! How wide a table's columns are, and which are left out where there is no room for all. Pure.

/// Characters that a name keeps while there is another column to leave out.
const NAME: usize = 16;

/// A column of a table; the first is what tells one row from the other.
#[derive(Clone, Copy)]
pub struct Column {
    /// How wide it is where there is room.
    pub ease: usize,
    /// Whether it is left out, and when: the least first.
    pub left_out: Option<u8>,
}

/// The columns that are shown, with their widths.
pub fn fitted(columns: &[Column], rows: &[Vec<String>], room: usize) -> Vec<(usize, usize)> {
    let needs = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let mut shown: Vec<(usize, usize)> = (0..columns.len()).map(|at| (at, needs(at))).collect();
    let Some(name) = shown.first().map(|(_, needed)| *needed) else {
        return shown;
    };
    shown[0].1 = name.min(NAME);
    while taken(&shown) > room {
        let order = |(at, _): &&(usize, usize)| columns[*at].left_out;
        let next = shown
            .iter()
            .filter(|one| order(one).is_some())
            .min_by_key(order);
        let Some((next, _)) = next.copied() else {
            break;
        };
        shown.retain(|(at, _)| *at != next);
    }
    shown[0].1 += (name - shown[0].1).min(room.saturating_sub(taken(&shown)));
    for one in 0..shown.len() {
        let spare = room.saturating_sub(taken(&shown));
        let (at, width) = shown[one];
        shown[one].1 += columns[at].ease.saturating_sub(width).min(spare);
    }
    let over = taken(&shown).saturating_sub(room);
    shown[0].1 = shown[0].1.saturating_sub(over).max(1);
    shown
}

/// Characters of columns, and of the gaps between them.
fn taken(shown: &[(usize, usize)]) -> usize {
    shown
        .iter()
        .map(|(_, width)| width + 1)
        .sum::<usize>()
        .saturating_sub(1)
}

/// A name of at most so many characters: its beginning and its end tell one from the other, and the
/// end, where the numbers are, more of it.
pub fn shortened(name: &str, room: usize) -> String {
    let count = name.chars().count();
    if count <= room {
        return name.to_owned();
    }
    let kept = room.saturating_sub(1);
    let begin = kept / 3;
    let first: String = name.chars().take(begin).collect();
    let last: String = name.chars().skip(count - (kept - begin)).collect();
    format!("{first}…{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_column_goes_first_and_a_name_is_cut_in_its_middle() {
        let column = |left_out| Column { ease: 4, left_out };
        let columns = [column(None), column(Some(2)), column(Some(1)), column(None)];
        let row = ["a-name-of-20-letters", "second", "third", "last"];
        let rows = [row.map(str::to_owned).to_vec()];
        let at = |room| fitted(&columns, &rows, room);
        assert_eq!(at(38), [(0, 20), (1, 6), (2, 5), (3, 4)]);
        assert_eq!(at(34), [(0, 16), (1, 6), (2, 5), (3, 4)]);
        assert_eq!(at(33), [(0, 20), (1, 6), (3, 4)]);
        assert_eq!(at(27), [(0, 20), (3, 4)]);
        assert_eq!(at(15), [(0, 10), (3, 4)]);
        assert_eq!(shortened(row[0], 10), "a-n…etters");
        assert_eq!(shortened("a-name", 6), "a-name");
    }
}
