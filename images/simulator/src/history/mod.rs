//! What clients saw of three servers while these were killed, frozen and cut off at random, and
//! whether one order of their requests explains it.
//!
//! Each seed makes a schedule of faults and of requests; how they meet is the machine's, so a
//! seed that found something finds it again often, not always. Servers are whole ones, each on a
//! thread of its own: a kill drops its runtime wherever it is, a freeze stops its only thread,
//! timers and all, and a cut holds back what goes to it and comes from it, as a network does that
//! loses packets.
//!
//! Checked are three laws:
//! - Every request fits into one order, in which each read sees the newest write (`register`): so
//!   no acknowledged write is lost, no read marked consistent is stale, and of two check-and-sets
//!   on one index at most one is done. The registers are variables, written by check-and-set, and
//!   jobs, written without; an unanswered write may have been done at any time later, or never.
//! - No two servers serve as leader of one term.
//! - In the end every server has all of it.
//!
//! Not covered: allocations and deployments, changes of the set of servers, a disk that lies.

mod clients;
mod faults;
mod register;
mod site;

use futures::StreamExt as _;

use crate::plant::Plant;
use faults::Schedule;
use site::Site;

/// Runs this seed alone.
const SEED: &str = "REHEARSE_HISTORY_SEED";

/// Histories that are made at once: they wait most of the time.
const AT_ONCE: usize = 5;

/// What a history was made of.
struct Figures {
    seed: u64,
    calls: usize,
    unknown: usize,
    terms: usize,
}

/// Makes one history and judges it.
async fn judge(seed: u64, plant: Option<Plant>) -> Result<Figures, String> {
    let mut site = Site::start(seed, plant).await;
    let clients = clients::start(&site, seed);
    Schedule::new(seed).play(&mut site).await;
    let calls = clients.end(&site).await;
    let terms = site.one_leader_a_term()?;
    register::explain(&calls)?;
    site.agree().await?;
    Ok(Figures {
        seed,
        unknown: calls.iter().filter(|call| call.to.is_none()).count(),
        calls: calls.len(),
        terms,
    })
}

/// Judges the histories of these seeds, or of the one that the environment names.
async fn judge_all(seeds: std::ops::Range<u64>) {
    let named = std::env::var(SEED).ok().map(|text| {
        let seed: u64 = text.parse().expect("a seed is a number");
        seed..seed + 1
    });
    let histories = futures::stream::iter(named.unwrap_or(seeds))
        .map(|seed| async move { (seed, judge(seed, None).await) })
        .buffer_unordered(AT_ONCE);
    let judged: Vec<_> = histories.collect().await;
    let mut broken = Vec::new();
    for (seed, outcome) in judged {
        match outcome {
            Ok(figures) => figures.print(),
            Err(why) => broken.push(format!("{SEED}={seed}: {why}")),
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

impl Figures {
    fn print(&self) {
        let Self {
            seed,
            calls,
            unknown,
            terms,
        } = self;
        eprintln!("{SEED}={seed}: {calls} requests, {unknown} unanswered writes, {terms} terms");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_requests_fit_into_one_order() {
    judge_all(0..10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "nightly: half an hour"]
async fn acknowledged_requests_fit_into_one_order_in_200_histories() {
    judge_all(1000..1200).await;
}

/// Judges histories with a planted fault until one shows it: a single one may never ask at the moment at which
/// the fault would be seen, on a machine that is busy.
async fn assert_found(plant: Plant) {
    for seed in 1..=5 {
        if let Err(why) = judge(seed, Some(plant)).await {
            assert!(why.contains("no order"), "{why}");
            return;
        }
    }
    panic!("five histories fit into one order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_acknowledged_write_is_found() {
    assert_found(Plant::LostWrite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_read_that_is_served_as_consistent_is_found() {
    assert_found(Plant::StaleReads).await;
}
