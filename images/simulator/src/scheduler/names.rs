//! Allocation names `job.group[index]`: the lowest free indices are given first, and taken
//! back from the top.

use std::collections::BTreeSet;

/// The name of an allocation.
pub(super) fn name(job: &str, group: &str, index: usize) -> String {
    format!("{job}.{group}[{index}]")
}

/// The index in an allocation's name.
pub(super) fn index_of(name: &str) -> Option<usize> {
    let (_, rest) = name.rsplit_once('[')?;
    rest.strip_suffix(']')?.parse().ok()
}

/// Indices in use within one group.
pub(super) struct NameIndex<'a> {
    job: &'a str,
    group: &'a str,
    count: usize,
    used: BTreeSet<usize>,
}

impl<'a> NameIndex<'a> {
    /// Starts with the names of existing allocations.
    pub(super) fn new<'n>(
        job: &'a str,
        group: &'a str,
        count: usize,
        names: impl Iterator<Item = &'n str>,
    ) -> Self {
        Self {
            job,
            group,
            count,
            used: names.filter_map(index_of).collect(),
        }
    }

    /// Gives `n` free names, lowest indices first.
    pub(super) fn next(&mut self, n: usize) -> Vec<String> {
        let mut given = Vec::new();
        let mut index = 0;
        while given.len() < n {
            if self.used.insert(index) {
                given.push(name(self.job, self.group, index));
            }
            index += 1;
        }
        given
    }

    /// Gives `n` names for canaries: those of allocations that the update will replace, as far
    /// as no canary has them yet, then free ones.
    pub(super) fn next_canaries(
        &mut self,
        n: usize,
        canaries: &BTreeSet<usize>,
        replaced: &BTreeSet<usize>,
    ) -> Vec<String> {
        let mut given: Vec<String> = replaced
            .iter()
            .filter(|index| **index < self.count && !canaries.contains(index))
            .take(n)
            .map(|index| name(self.job, self.group, *index))
            .collect();
        let missing = n - given.len();
        given.extend(self.next(missing));
        given
    }

    /// Frees a name whose allocation ends.
    pub(super) fn release(&mut self, name: &str) {
        if let Some(index) = index_of(name) {
            self.used.remove(&index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_indices_are_given_first() {
        let taken = ["j.g[0]", "j.g[2]"];
        let mut names = NameIndex::new("j", "g", 4, taken.into_iter());
        assert_eq!(names.next(3), ["j.g[1]", "j.g[3]", "j.g[4]"]);
    }

    #[test]
    fn a_released_index_is_free_again() {
        let taken = ["j.g[0]", "j.g[1]"];
        let mut names = NameIndex::new("j", "g", 2, taken.into_iter());
        names.release("j.g[0]");
        assert_eq!(names.next(2), ["j.g[0]", "j.g[2]"]);
    }

    #[test]
    fn canaries_reuse_the_indices_that_they_will_replace() {
        let taken = ["j.g[0]", "j.g[1]"];
        let mut names = NameIndex::new("j", "g", 2, taken.into_iter());
        let canaries = BTreeSet::from([0]);
        let replaced = BTreeSet::from([0, 1]);
        let given = names.next_canaries(2, &canaries, &replaced);
        assert_eq!(given, ["j.g[1]", "j.g[2]"]);
    }
}
