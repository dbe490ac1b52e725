//! Evaluations, of which a job has at most one that is blocked.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::state::{State, Table};
use crate::types::{EvalStatus, Evaluation};

impl State {
    pub(super) fn upsert_evals(&mut self, index: u64, evals: &[Evaluation]) {
        if evals.is_empty() {
            return;
        }
        let mut jobs = BTreeSet::new();
        for eval in evals {
            self.put_eval(index, eval.clone());
            match eval.status {
                EvalStatus::Complete if eval.failed_tg_allocs.is_empty() => {
                    let why = format!("evaluation {:?} successful", eval.id);
                    self.cancel_blocked(index, eval, &why);
                }
                EvalStatus::Blocked => {
                    let why = format!(
                        "existing blocked evaluation exists for job {:?}",
                        eval.job_id
                    );
                    self.cancel_blocked(index, eval, &why);
                }
                _ => {}
            }
            jobs.insert((&eval.namespace, &eval.job_id));
        }
        self.touch(Table::Evals, index);
        for (namespace, id) in jobs {
            self.derive_job_status(index, namespace, id);
        }
    }

    fn put_eval(&mut self, index: u64, mut eval: Evaluation) {
        let old = self.evals.get(&eval.id);
        eval.create_index = old.map_or(index, |old| old.create_index);
        eval.modify_index = index;
        self.evals.insert(eval.id.clone(), Arc::new(eval));
    }

    /// Cancels every other blocked evaluation of the job of `by`.
    fn cancel_blocked(&mut self, index: u64, by: &Evaluation, why: &str) {
        let superseded: Vec<_> = self
            .evals_of_job(&by.namespace, &by.job_id, EvalStatus::Blocked)
            .filter(|eval| eval.id != by.id)
            .map(|eval| Evaluation::clone(eval))
            .collect();
        for mut eval in superseded {
            eval.status = EvalStatus::Canceled;
            why.clone_into(&mut eval.status_description);
            eval.modify_time = by.modify_time;
            self.put_eval(index, eval);
        }
    }
}
