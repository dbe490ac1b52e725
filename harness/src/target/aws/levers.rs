//! The levers on machines: EC2's power switch, and scripts by Systems Manager. Each fault is in the
//! heal journal before it is in the machine; its line goes when it is seen to be undone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::attachment::Attachment;
use super::discovery::{Discovery, Refused, refusal};
use super::journal::{Done, Entry, Journal, JournalError};
use super::scripts;
use crate::aws::{Aws, AwsError, Instance, InstanceState, Invocation};
use crate::poll::{self, Look, PollError};
use crate::spec::AgentName;

/// How long things may take on AWS.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// Until a machine is in another state: a stop takes a minute, one of a machine that hangs ten.
    pub power: Duration,
    /// Until a script has run.
    pub script: Duration,
    /// Until an agent that was started answers at its API.
    pub agent: Duration,
    /// Between two looks.
    pub interval: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            power: Duration::from_secs(15 * 60),
            script: Duration::from_secs(120),
            agent: Duration::from_secs(5 * 60),
            interval: Duration::from_secs(3),
        }
    }
}

/// A lever could not be pulled, or did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum LeverError {
    /// Nothing may be done.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no such agent.
    #[error("there is no agent `{agent}` (there are {known})")]
    NoAgent {
        /// Its name.
        agent: AgentName,
        /// Those that there are.
        known: String,
    },
    /// The journal cannot be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// AWS said no.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// It was waited for in vain.
    #[error(transparent)]
    Waited(#[from] PollError),
    /// The script on the machine failed.
    #[error("the script on `{instance_id}` ended as `{status}`, exit code {code}: {said}")]
    Script {
        /// The machine.
        instance_id: String,
        /// Systems Manager's word.
        status: String,
        /// The exit code.
        code: i64,
        /// What it complained of.
        said: String,
    },
    /// A terminated machine does not come back.
    #[error("`{agent}` was terminated, which nothing here undoes")]
    Terminated {
        /// The agent.
        agent: AgentName,
    },
}

impl LeverError {
    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(error) => Some(error.hint()),
            Self::Aws(error) => error.hint(),
            Self::Terminated { .. } => Some("terraform apply    # makes a new machine".to_owned()),
            _ => None,
        }
    }
}

/// The machines of an attached cluster.
pub struct Machines {
    attachment: Attachment,
    aws: Arc<Aws>,
    waits: Waits,
    journal: Mutex<Journal>,
}

impl std::fmt::Debug for Machines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machines")
            .field("name", &self.attachment.name)
            .finish_non_exhaustive()
    }
}

impl Machines {
    /// Takes the right to act: the journal is opened, and nobody else may act meanwhile.
    ///
    /// # Errors
    /// [`LeverError::Journal`].
    pub fn new(attachment: Attachment, aws: Arc<Aws>, waits: Waits, journal: Journal) -> Self {
        Self {
            attachment,
            aws,
            waits,
            journal: Mutex::new(journal),
        }
    }

    /// Returns what is attached to.
    #[must_use]
    pub fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// Returns how long things may take.
    #[must_use]
    pub fn waits(&self) -> &Waits {
        &self.waits
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is not yet undone, the newest first.
    #[must_use]
    pub fn unhealed(&self) -> Vec<Entry> {
        self.journal().unhealed()
    }

    fn id(&self, agent: &AgentName) -> Result<String, LeverError> {
        let found = self
            .attachment
            .agent(agent)
            .map(|one| one.instance_id.clone());
        found.ok_or_else(|| LeverError::NoAgent {
            agent: agent.clone(),
            known: self
                .attachment
                .agents
                .iter()
                .map(|one| format!("`{}`", one.name))
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// Refuses if one of the machines may not be touched.
    ///
    /// # Errors
    /// [`LeverError::Refused`].
    pub fn permit(&self, discovery: &Discovery) -> Result<(), LeverError> {
        self.refuse(discovery.refusals())
    }

    fn refuse(&self, reasons: Vec<String>) -> Result<(), LeverError> {
        if reasons.is_empty() {
            return Ok(());
        }
        Err(LeverError::Refused(Refused {
            name: self.attachment.name.clone(),
            reasons,
        }))
    }

    /// Returns every machine that AWS still has, by its ID.
    ///
    /// # Errors
    /// AWS's own.
    pub async fn look(&self) -> Result<BTreeMap<String, Instance>, AwsError> {
        let (key, value) = &self.attachment.tag;
        let found = self.aws.instances_with_tag(key, value).await?;
        Ok(found.into_iter().map(|one| (one.id.clone(), one)).collect())
    }

    /// Returns an agent's machine as it is now, if it may be touched: what was true when the cluster
    /// was attached to may be so no more.
    async fn machine(&self, agent: &AgentName) -> Result<Instance, LeverError> {
        let id = self.id(agent)?;
        let found = self.look().await?.remove(&id);
        let why = match &found {
            None => Some(format!("`{id}` is gone, or lost the cluster's tag")),
            Some(one) => refusal(one, &self.attachment),
        };
        self.refuse(
            why.map(|why| format!("`{agent}`: {why}"))
                .into_iter()
                .collect(),
        )?;
        Ok(found.expect("else it is refused"))
    }

    /// Writes down what is about to be done to an agent that is there.
    fn about_to(&self, agent: &AgentName, done: Done) -> Result<u64, LeverError> {
        let id = self.id(agent)?;
        Ok(self.journal().about_to(agent, &id, done)?)
    }

    /// Closes the journal's lines of an agent that are undone now.
    fn undone(&self, agent: &AgentName, which: impl Fn(&Done) -> bool) -> Result<(), LeverError> {
        let mut journal = self.journal();
        for entry in journal.unhealed() {
            if entry.agent == *agent && which(&entry.done) {
                journal.healed(entry.number)?;
            }
        }
        Ok(())
    }

    /// Waits until a machine is in a state.
    async fn until(&self, agent: &AgentName, state: InstanceState) -> Result<Instance, LeverError> {
        let id = self.id(agent)?;
        let what = format!("`{agent}` (`{id}`) is {state}");
        let found = poll::eventually(self.waits.power, self.waits.interval, &what, || async {
            match self.look().await {
                Ok(mut found) => match found.remove(&id) {
                    Some(one) if one.state == state => Look::Done(one),
                    Some(one) if one.state == InstanceState::Terminated => {
                        Look::Never("it is terminated".to_owned())
                    }
                    Some(one) => Look::NotYet(format!("it is {}", one.state)),
                    None => Look::Never("it is gone, or lost the cluster's tag".to_owned()),
                },
                Err(error) if error.is_passing() => Look::NotYet(error.to_string()),
                Err(error) => Look::Never(error.to_string()),
            }
        });
        Ok(found.await?)
    }

    /// Stops an agent's machine: the agent is ended by SIGTERM, the disk stays.
    ///
    /// # Errors
    /// [`LeverError`].
    pub async fn stop(&self, agent: &AgentName) -> Result<(), LeverError> {
        let machine = self.machine(agent).await?;
        self.about_to(agent, Done::Stop)?;
        self.aws.stop_instance(&machine.id).await?;
        self.until(agent, InstanceState::Stopped).await.map(drop)
    }

    /// Starts an agent's machine where it is stopped (one that is still stopping is waited for), else
    /// the service on it; returns the machine with its new public address.
    ///
    /// # Errors
    /// [`LeverError`].
    pub async fn start(&self, agent: &AgentName) -> Result<Instance, LeverError> {
        let mut machine = self.machine(agent).await?;
        if machine.state == InstanceState::Stopping {
            machine = self.until(agent, InstanceState::Stopped).await?;
        }
        let killed = self
            .unhealed()
            .iter()
            .any(|entry| entry.agent == *agent && entry.done == Done::Kill);
        if machine.state != InstanceState::Running {
            // One that is `pending` was started already, and EC2 takes no second start.
            if machine.state == InstanceState::Stopped {
                self.aws.start_instance(&machine.id).await?;
            }
            machine = self.until(agent, InstanceState::Running).await?;
        } else if killed {
            self.script(&machine.id, scripts::START).await?;
        }
        self.undone(agent, |done| {
            matches!(done, Done::Stop | Done::Kill | Done::Reboot)
        })?;
        Ok(machine)
    }

    /// Reboots an agent's machine, and waits until EC2 says that it runs (it says so all the while).
    ///
    /// # Errors
    /// [`LeverError`].
    pub async fn reboot(&self, agent: &AgentName) -> Result<(), LeverError> {
        let machine = self.machine(agent).await?;
        self.about_to(agent, Done::Reboot)?;
        self.aws.reboot_instance(&machine.id).await?;
        self.until(agent, InstanceState::Running).await?;
        self.undone(agent, |done| *done == Done::Reboot)
    }

    /// Ends an agent's machine for good; only Terraform makes another.
    ///
    /// # Errors
    /// [`LeverError`].
    pub async fn terminate(&self, agent: &AgentName) -> Result<(), LeverError> {
        let machine = self.machine(agent).await?;
        self.about_to(agent, Done::Terminate)?;
        Ok(self.aws.terminate_instance(&machine.id).await?)
    }

    /// Kills an agent's process, which stays dead until it is started.
    ///
    /// # Errors
    /// [`LeverError`].
    pub async fn kill(&self, agent: &AgentName) -> Result<(), LeverError> {
        let machine = self.machine(agent).await?;
        self.about_to(agent, Done::Kill)?;
        self.script(&machine.id, scripts::KILL).await.map(drop)
    }

    /// Freezes an agent's process.
    ///
    /// # Errors
    /// [`LeverError`].
    pub async fn pause(&self, agent: &AgentName) -> Result<(), LeverError> {
        let machine = self.machine(agent).await?;
        self.about_to(agent, Done::Pause)?;
        self.script(&machine.id, scripts::PAUSE).await.map(drop)
    }

    /// Thaws it.
    ///
    /// # Errors
    /// [`LeverError`].
    pub async fn resume(&self, agent: &AgentName) -> Result<(), LeverError> {
        let machine = self.machine(agent).await?;
        self.script(&machine.id, scripts::RESUME).await?;
        self.undone(agent, |done| *done == Done::Pause)
    }

    /// Drops what goes between an agent's machine and these addresses, beside those that it is already
    /// cut off from.
    ///
    /// # Errors
    /// [`LeverError`].
    pub async fn isolate(&self, agent: &AgentName, peers: &[Ipv4Addr]) -> Result<(), LeverError> {
        let machine = self.machine(agent).await?;
        let peers = with_those_cut_off(self.unhealed(), agent, peers);
        let script = scripts::isolate(&peers);
        self.about_to(agent, Done::Isolate { peers })?;
        self.script(&machine.id, &script).await.map(drop)
    }

    /// Undoes [`Machines::isolate`] whole.
    ///
    /// # Errors
    /// [`LeverError`].
    pub async fn rejoin(&self, agent: &AgentName) -> Result<(), LeverError> {
        let machine = self.machine(agent).await?;
        self.script(&machine.id, scripts::HEAL).await?;
        self.undone(agent, |done| matches!(done, Done::Isolate { .. }))
    }

    /// Undoes one line of the journal.
    ///
    /// # Errors
    /// [`LeverError`]; the line stays.
    pub async fn undo(&self, entry: &Entry) -> Result<(), LeverError> {
        match &entry.done {
            Done::Stop | Done::Kill => self.start(&entry.agent).await.map(drop),
            Done::Reboot => {
                self.until(&entry.agent, InstanceState::Running).await?;
                self.undone(&entry.agent, |done| *done == Done::Reboot)
            }
            Done::Pause => self.resume(&entry.agent).await,
            Done::Isolate { .. } => self.rejoin(&entry.agent).await,
            Done::Terminate => Err(LeverError::Terminated {
                agent: entry.agent.clone(),
            }),
        }
    }

    /// Takes a line out of the journal that nothing here undoes.
    ///
    /// # Errors
    /// [`LeverError::Journal`].
    pub fn forget(&self, entry: &Entry) -> Result<(), LeverError> {
        Ok(self.journal().healed(entry.number)?)
    }

    /// Runs a script on an agent's machine; one that fails is an error.
    ///
    /// # Errors
    /// [`LeverError`].
    pub async fn run(&self, agent: &AgentName, script: &str) -> Result<Invocation, LeverError> {
        let machine = self.machine(agent).await?;
        self.script(&machine.id, script).await
    }

    /// Runs a script on an agent's machine, however it ends.
    ///
    /// # Errors
    /// [`LeverError`].
    pub async fn exec(&self, agent: &AgentName, script: &str) -> Result<Invocation, LeverError> {
        let machine = self.machine(agent).await?;
        self.ended(&machine.id, script).await
    }

    async fn script(&self, id: &str, script: &str) -> Result<Invocation, LeverError> {
        let ended = self.ended(id, script).await?;
        if ended.status == "Success" {
            return Ok(ended);
        }
        let said = [&ended.errors, &ended.output]
            .into_iter()
            .find_map(|text| text.lines().next_back())
            .unwrap_or("it said nothing");
        Err(LeverError::Script {
            instance_id: id.to_owned(),
            status: ended.status.clone(),
            code: ended.code,
            said: said.to_owned(),
        })
    }

    async fn ended(&self, id: &str, script: &str) -> Result<Invocation, LeverError> {
        let seconds = self.waits.script.as_secs().max(1);
        let command = self.aws.send_command(id, script, seconds).await?;
        let what = format!("the script on `{id}` has run");
        let interval = self.waits.interval.min(Duration::from_secs(1));
        let ended = poll::eventually(self.waits.script, interval, &what, || async {
            match self.aws.command(&command, id).await {
                Ok(Some(one)) if one.is_over() => Look::Done(one),
                Ok(Some(one)) => Look::NotYet(format!("Systems Manager says `{}`", one.status)),
                Ok(None) => Look::NotYet("Systems Manager does not know it yet".to_owned()),
                Err(error) if error.is_passing() => Look::NotYet(error.to_string()),
                Err(error) => Look::Never(error.to_string()),
            }
        });
        Ok(ended.await?)
    }
}

/// Adds the addresses that an agent is already cut off from: the script makes the filter anew, and what
/// an earlier fault cut off is to stay so.
fn with_those_cut_off(
    unhealed: Vec<Entry>,
    agent: &AgentName,
    peers: &[Ipv4Addr],
) -> Vec<Ipv4Addr> {
    let mut all: BTreeSet<Ipv4Addr> = peers.iter().copied().collect();
    for entry in unhealed {
        if let Done::Isolate { peers } = entry.done
            && entry.agent == *agent
        {
            all.extend(peers);
        }
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Role;

    #[test]
    fn a_second_isolation_keeps_the_first_ones_and_takes_nobody_elses() {
        let name = |number| AgentName::new(Role::Server, number);
        let ip = |last| Ipv4Addr::new(10, 0, 0, last);
        let entry = |number: u16, done| Entry {
            number: number.into(),
            at: String::new(),
            agent: name(number),
            instance_id: format!("i-{number}"),
            done,
        };
        let peers = |last| Done::Isolate {
            peers: vec![ip(last)],
        };
        let unhealed = vec![entry(1, peers(4)), entry(2, peers(5)), entry(1, Done::Kill)];
        let cut = with_those_cut_off(unhealed, &name(1), &[ip(6), ip(4)]);
        assert_eq!(cut, [ip(4), ip(6)]);
    }
}
