//! What somebody meant who wrote a name that is not known.

/// Returns the known word that differs least from a misspelt one, if by little.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|known| (edits(&word, &known.to_lowercase()), known))
        .filter(|(distance, known)| {
            let length = known.chars().count();
            // A third of the letters, or a half where the first one is right, which is seldom missed:
            // `logs` is no slip for `bogus`.
            let most = match known.to_lowercase().chars().next() == word.chars().next() {
                true => length / 2,
                false => length.max(word.chars().count()) / 3,
            };
            *distance <= most.clamp(1, 3) && *distance < length
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Returns the Levenshtein distance, where two neighbours that changed places count once.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j - 1] + same)
                .min(rows[i - 1][j] + 1)
                .min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
