//! The cluster that is played on: a given one, or ones of our own, made when they are needed and
//! removed when they are not what they were or not what the next scenario needs.

use std::sync::Arc;

use nomad_harness::docker::Docker;
use nomad_harness::engine::EngineRequest;
use nomad_harness::spec::ClusterSpec;
use nomad_harness::target::Target as _;
use nomad_harness::target::docker::{DockerCluster, Options, UpError, bring_up, tear_down};

use super::crew::{Ground, Orders};
use crate::cluster_args::Size;
use crate::failure::Failure;
use crate::view::View;

pub struct Stage<'o> {
    orders: &'o Orders<'o>,
    docker: Arc<Docker>,
    /// Whether what is told comes mixed with what others tell.
    mixed: bool,
    cluster: Option<(Size, DockerCluster)>,
}

/// Why there is no cluster.
pub enum NoCluster {
    /// Somebody interrupted while it came up.
    Interrupted,
    /// It did not come up.
    Failed(Failure),
}

impl<'o> Stage<'o> {
    pub fn new(orders: &'o Orders<'o>, docker: Arc<Docker>, mixed: bool) -> Self {
        Self {
            orders,
            docker,
            mixed,
            cluster: None,
        }
    }

    /// The size of the cluster that stands now, if it is ours.
    pub fn size(&self) -> Option<&Size> {
        self.cluster.as_ref().map(|(size, _)| size)
    }

    /// Returns a cluster of this size (a given one is as it is); makes one where there is none.
    pub async fn cluster(&mut self, size: &Size) -> Result<&DockerCluster, NoCluster> {
        if self.size().is_some_and(|is| is != size) {
            self.give_up().await.map_err(NoCluster::Failed)?;
        }
        if self.cluster.is_none() {
            let mut made = match self.orders.ground {
                Ground::Given { name } => {
                    let opened = self.orders.context.open(name).await;
                    opened.map_err(NoCluster::Failed)?
                }
                Ground::Own { .. } => self.make(size).await?,
            };
            if let Some(command) = self.orders.restart_engine_with {
                made.allow_engine_restart(command.to_owned());
            }
            self.cluster = Some((size.clone(), made));
        }
        Ok(&self.cluster.as_ref().expect("it was just made").1)
    }

    /// Makes a cluster. Where it turns out that its engine knows one region, it has one: the scenario that
    /// wants more is then skipped, and says why.
    async fn make(&self, size: &Size) -> Result<DockerCluster, NoCluster> {
        let Ground::Own { args } = self.orders.ground else {
            unreachable!("a given cluster is not made");
        };
        let name = format!("run-{:08x}", rand::random::<u32>());
        let read = args.read_of_size(&name, size);
        let (mut spec, request) = read.map_err(NoCluster::Failed)?;
        let options = Options {
            timeout: args.timeout,
            keep: self.orders.keep_failed,
            // One that is to be kept is no garbage when this process ends.
            ephemeral: !self.orders.keep_failed,
        };
        let mut made = self.bring_up(&spec, &request, &options).await;
        if let Err(UpError::NoFederation { .. }) = made
            && !size.regions.is_empty()
        {
            spec.further_regions.clear();
            made = self.bring_up(&spec, &request, &options).await;
        }
        made.map_err(|error| match error {
            UpError::Interrupted { .. } => NoCluster::Interrupted,
            error => NoCluster::Failed(error.into()),
        })
    }

    async fn bring_up(
        &self,
        spec: &ClusterSpec,
        request: &EngineRequest,
        options: &Options,
    ) -> Result<DockerCluster, UpError> {
        let view = if self.mixed {
            View::lines()
        } else {
            View::new()
        };
        let interrupt = self.orders.interrupt.clone();
        bring_up(
            spec,
            request,
            options,
            &self.orders.context.environment,
            self.docker.clone(),
            view.progress(),
            Box::pin(async move { interrupt.raised().await }),
        )
        .await
    }

    /// Removes a cluster of our own; a given one stays as it is.
    pub async fn give_up(&mut self) -> Result<(), Failure> {
        if let Ground::Own { .. } = self.orders.ground
            && let Some((_, cluster)) = self.cluster.take()
        {
            let name = cluster.name().to_owned();
            drop(cluster);
            let view = if self.mixed {
                View::lines()
            } else {
                View::new()
            };
            let root = self.orders.context.root();
            tear_down(&name, self.docker.as_ref(), &root, view.progress()).await?;
        }
        Ok(())
    }

    /// Removes what is ours, unless it is to be kept.
    pub async fn clear(mut self, kept: bool) -> Result<(), Failure> {
        match &self.cluster {
            Some((_, cluster)) if kept => {
                let name = cluster.name();
                eprintln!("kept: cluster `{name}` (rehearse status {name}; rehearse down {name})");
                Ok(())
            }
            _ => self.give_up().await,
        }
    }
}
