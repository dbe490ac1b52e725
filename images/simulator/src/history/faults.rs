//! What is done to the servers, from a seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::site::Site;
use crate::clock;

/// Faults in a history.
const FAULTS: usize = 4;

/// The faults of a seed, one after the other.
pub(super) struct Schedule(StdRng);

impl Schedule {
    pub(super) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Does them all; every server runs and is reached in the end.
    pub(super) async fn play(mut self, site: &mut Site) {
        self.pass(400, 900).await;
        for _ in 0..FAULTS {
            let victim = self.victim(site);
            match self.0.random_range(0..7) {
                0 | 1 => {
                    site.kill(victim).await;
                    self.pass(200, 2000).await;
                    site.start_again(victim).await;
                }
                2 | 3 => {
                    site.freeze(victim);
                    self.pass(500, 2500).await;
                    site.thaw(victim);
                }
                4 | 5 => {
                    site.cut_off(victim);
                    self.pass(500, 2500).await;
                    site.join(victim);
                }
                _ => {
                    for server in 0..site.size() {
                        site.kill(server).await;
                    }
                    for server in 0..site.size() {
                        site.start_again(server).await;
                    }
                }
            }
            self.pass(100, 1500).await;
        }
    }

    /// The leader every other time, else anyone.
    fn victim(&mut self, site: &Site) -> usize {
        let anyone = self.0.random_range(0..site.size());
        if self.0.random_bool(0.5) {
            site.leader().unwrap_or(anyone)
        } else {
            anyone
        }
    }

    async fn pass(&mut self, least: u64, most: u64) {
        let millis = self.0.random_range(least..most);
        clock::sleep(Duration::from_millis(millis)).await;
    }
}
