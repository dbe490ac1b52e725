//! Services with `provider = "nomad"`: an instance is registered while its allocation runs.
//!
//! In Nomad the client registers and deregisters. Here the entry that tells of an allocation
//! does it on the servers, so both always agree; an instance goes as soon as its allocation
//! is to stop. Missing: `check` blocks.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Refusal;
use crate::plant::{self, Plant};
use crate::state::{State, Table};
use crate::types::{AllocClientStatus, AllocDesiredStatus, Allocation, Service, ServiceInstance};

impl State {
    pub(super) fn delete_services(&mut self, index: u64, ids: &[String]) -> Result<(), Refusal> {
        let before = self.services.len();
        self.services.retain(|id, _| !ids.contains(id));
        if self.services.len() == before {
            return Err("service registration not found".to_owned());
        }
        self.touch(Table::Services, index);
        Ok(())
    }

    /// Brings the instances in line with the allocations that changed at `index`.
    pub(super) fn follow_services(&mut self, index: u64) {
        if self.index_of(Table::Allocs) != index {
            return;
        }
        let changed = self.allocs.values().filter(|a| a.modify_index == index);
        let mut gone = BTreeSet::new();
        let mut wanted = Vec::new();
        for alloc in changed {
            let runs = alloc.client_status == AllocClientStatus::Running;
            if runs && alloc.desired_status == AllocDesiredStatus::Run {
                wanted.extend(self.instances(alloc));
            } else {
                gone.insert(alloc.id.clone());
            }
        }
        let before = self.services.len();
        if !plant::is(Plant::ServiceKept) {
            self.services
                .retain(|_, service| !gone.contains(&service.alloc_id));
        }
        let mut touched = self.services.len() != before;
        for mut service in wanted {
            service.create_index = index;
            if let Some(old) = self.services.get(&service.id) {
                service.create_index = old.create_index;
                service.modify_index = old.modify_index;
                if **old == service {
                    continue;
                }
            }
            service.modify_index = index;
            self.services.insert(service.id.clone(), Arc::new(service));
            touched = true;
        }
        if touched {
            self.touch(Table::Services, index);
        }
    }

    /// What an allocation registers.
    fn instances(&self, alloc: &Allocation) -> Vec<ServiceInstance> {
        let groups = alloc.job.iter().flat_map(|job| &job.task_groups);
        let Some(group) = groups.into_iter().find(|g| g.name == alloc.task_group) else {
            return Vec::new();
        };
        let of_group = group.services.iter().flatten();
        let of_group = of_group.map(|service| (format!("group-{}", group.name), service));
        let of_tasks = group.tasks.iter().flat_map(|task| {
            let services = task.services.iter().flatten();
            services.map(|service| (task.name.clone(), service))
        });
        of_group
            .chain(of_tasks)
            .filter(|(_, service)| service.provider == "nomad")
            .map(|(owner, service)| self.instance(alloc, &owner, service))
            .collect()
    }

    fn instance(&self, alloc: &Allocation, owner: &str, service: &Service) -> ServiceInstance {
        let label = &service.port_label;
        let port = alloc.ports.iter().find(|port| port.label == *label);
        let node = self.nodes.get(&alloc.node_id);
        let address = match (port, node) {
            (Some(port), _) => port.host_ip.clone(),
            (None, Some(node)) => node.node_resources.ip.clone(),
            (None, None) => String::new(),
        };
        ServiceInstance {
            id: format!("_nomad-task-{}-{owner}-{}-{label}", alloc.id, service.name),
            service_name: service.name.clone(),
            namespace: alloc.namespace.clone(),
            node_id: alloc.node_id.clone(),
            datacenter: node.map(|node| node.datacenter.clone()).unwrap_or_default(),
            job_id: alloc.job_id.clone(),
            alloc_id: alloc.id.clone(),
            tags: service.tags.clone(),
            address,
            port: port.map_or(0, |port| u64::from(port.value)),
            create_index: 0,
            modify_index: 0,
        }
    }
}
