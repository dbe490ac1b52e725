//! Whether one order explains what clients saw of registers: the search of Wing and Gong, with
//! the states that were tried already remembered (Lowe).

use std::collections::{BTreeMap, HashSet};

/// What was asked, and answered. Every value is written once only, so it names its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Read this; `None` is a register that was never written.
    Read(Option<u64>),
    /// Wrote this.
    Write(u64),
    /// Wrote `new` provided that `old` was there.
    Swap { old: Option<u64>, new: u64 },
}

/// One request, with moments before and after it; without the latter nobody knows whether and
/// when it was done.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) key: usize,
    pub(super) asked: Asked,
    pub(super) from: u64,
    pub(super) to: Option<u64>,
}

impl Asked {
    /// What the register holds afterwards; `None` where this cannot have been.
    fn after(self, value: Option<u64>) -> Option<Option<u64>> {
        match self {
            Self::Read(seen) => (seen == value).then_some(value),
            Self::Write(new) => Some(Some(new)),
            Self::Swap { old, new } => (old == value).then_some(Some(new)),
        }
    }

    fn written(self) -> Option<u64> {
        match self {
            Self::Read(_) => None,
            Self::Write(new) | Self::Swap { new, .. } => Some(new),
        }
    }

    fn found(self) -> Option<u64> {
        match self {
            Self::Read(value) | Self::Swap { old: value, .. } => value,
            Self::Write(_) => None,
        }
    }
}

/// Looks for an order of the calls of each register.
pub(super) fn explain(calls: &[Call]) -> Result<(), String> {
    let mut registers: BTreeMap<usize, Vec<Call>> = BTreeMap::new();
    for call in calls {
        registers.entry(call.key).or_default().push(call.clone());
    }
    for (key, mut calls) in registers {
        // An unanswered write that nobody found again is done in no order or in any: without it
        // the search does not branch at each.
        let found: HashSet<u64> = calls.iter().filter_map(|call| call.asked.found()).collect();
        let was_found = |call: &Call| call.asked.written().is_none_or(|new| found.contains(&new));
        calls.retain(|call| call.to.is_some() || was_found(call));
        calls.sort_by_key(|call| call.from);
        explain_one(&calls).map_err(|why| format!("register {key}: {why}"))?;
    }
    Ok(())
}

/// Which calls are in the order already.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Done(Vec<u64>);

impl Done {
    fn none(calls: usize) -> Self {
        Self(vec![0; calls.div_ceil(64)])
    }

    fn has(&self, call: usize) -> bool {
        self.0[call / 64] & (1 << (call % 64)) != 0
    }

    fn with(&self, call: usize) -> Self {
        let mut more = self.clone();
        more.0[call / 64] |= 1 << (call % 64);
        more
    }
}

fn explain_one(calls: &[Call]) -> Result<(), String> {
    let start = (Done::none(calls.len()), None);
    let mut seen = HashSet::from([start.clone()]);
    let mut open = vec![start];
    let mut best = (0, String::new());
    while let Some((done, value)) = open.pop() {
        let left: Vec<usize> = (0..calls.len()).filter(|call| !done.has(*call)).collect();
        // The next in the order began before any that is left had ended.
        let end = left.iter().filter_map(|call| calls[*call].to).min();
        let Some(end) = end else { return Ok(()) };
        let answered = calls.len() - left.len();
        if answered >= best.0 {
            let next: Vec<_> = left.iter().take(4).map(|call| &calls[*call]).collect();
            best = (answered, format!("holding {value:?}, next are {next:?}"));
        }
        // Backwards, so that the oldest is tried first.
        for call in left
            .into_iter()
            .rev()
            .filter(|call| calls[*call].from < end)
        {
            if let Some(after) = calls[call].asked.after(value) {
                let state = (done.with(call), after);
                if seen.insert(state.clone()) {
                    open.push(state);
                }
            }
        }
    }
    Err(format!(
        "no order explains its {} requests: {} at most fit, then, {}",
        calls.len(),
        best.0,
        best.1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(asked: Asked, from: u64, to: u64) -> Call {
        Call {
            key: 0,
            asked,
            from,
            to: Some(to),
        }
    }

    fn unanswered(asked: Asked, from: u64) -> Call {
        Call {
            to: None,
            ..call(asked, from, 0)
        }
    }

    const fn swap(old: u64, new: u64) -> Asked {
        Asked::Swap {
            old: Some(old),
            new,
        }
    }

    #[test]
    fn what_overlaps_may_be_in_any_order() {
        for seen in [1, 2] {
            let calls = [
                call(Asked::Write(1), 0, 5),
                call(Asked::Write(2), 1, 6),
                call(Asked::Read(Some(seen)), 7, 8),
            ];
            assert_eq!(explain(&calls), Ok(()));
        }
        let calls = [
            call(Asked::Write(1), 0, 5),
            call(Asked::Read(None), 2, 3),
            call(Asked::Read(Some(1)), 3, 4),
        ];
        assert_eq!(explain(&calls), Ok(()));
    }

    #[test]
    fn a_lost_write_and_a_stale_read_have_no_order() {
        let lost = [
            call(Asked::Write(1), 0, 1),
            call(Asked::Write(2), 2, 3),
            call(Asked::Read(Some(1)), 4, 5),
        ];
        assert!(explain(&lost).unwrap_err().contains("no order"));
        let back = [
            call(Asked::Write(1), 0, 9),
            call(Asked::Read(Some(1)), 1, 2),
            call(Asked::Read(None), 3, 4),
        ];
        explain(&back).unwrap_err();
    }

    #[test]
    fn an_unanswered_write_may_come_late_or_never() {
        for seen in [Some(1), Some(2)] {
            let calls = [
                call(Asked::Write(1), 0, 1),
                unanswered(Asked::Write(2), 2),
                call(Asked::Read(Some(1)), 3, 4),
                call(Asked::Read(seen), 5, 6),
            ];
            assert_eq!(explain(&calls), Ok(()));
        }
        let undone = [
            unanswered(Asked::Write(2), 0),
            call(Asked::Read(Some(2)), 1, 2),
            call(Asked::Read(None), 3, 4),
        ];
        explain(&undone).unwrap_err();
    }

    #[test]
    fn of_two_swaps_of_one_value_one_is_done() {
        let both = |second| {
            [
                call(Asked::Write(1), 0, 1),
                call(swap(1, 2), 2, 5),
                call(second, 3, 6),
            ]
        };
        explain(&both(swap(1, 3))).unwrap_err();
        assert_eq!(explain(&both(swap(2, 3))), Ok(()));
    }

    #[test]
    fn unanswered_writes_do_not_make_the_search_endless() {
        let mut calls: Vec<_> = (0..60)
            .map(|n| unanswered(Asked::Write(n + 100), n))
            .collect();
        calls.push(call(Asked::Write(1), 60, 61));
        calls.push(call(Asked::Read(None), 62, 63));
        explain(&calls).unwrap_err();
    }
}
