//! The request that makes a container, from its plan.

use std::collections::HashMap;

use bollard::models;

use super::{Attachment, ContainerPlan, VolumePlan};

/// Log lines kept per container: enough for any error, bounded for a cluster that runs for weeks.
const LOG_SIZE_MAX: &str = "20m";

/// Returns the body of the request.
pub(super) fn body(plan: &ContainerPlan) -> models::ContainerCreateBody {
    let port = |container: u16| format!("{container}/tcp");
    let exposed = plan.ports.iter().map(|p| port(p.container)).collect();
    models::ContainerCreateBody {
        hostname: Some(plan.hostname.clone()).filter(|name| !name.is_empty()),
        user: Some(plan.user.clone()),
        env: Some(plan.env.clone()),
        image: Some(plan.image.clone()),
        // The command is the entry point, so that whatever the image has for one does not run.
        entrypoint: Some(plan.command.clone()),
        labels: Some(plan.labels.clone().into_iter().collect()),
        exposed_ports: Some(exposed),
        host_config: Some(host(plan)),
        networking_config: networking(plan),
        ..models::ContainerCreateBody::default()
    }
}

fn host(plan: &ContainerPlan) -> models::HostConfig {
    let bind = |host: u16| models::PortBinding {
        host_ip: Some("127.0.0.1".to_owned()),
        host_port: Some(host.to_string()),
    };
    let ports: HashMap<_, _> = plan
        .ports
        .iter()
        .map(|p| (format!("{}/tcp", p.container), Some(vec![bind(p.host)])))
        .collect();
    let host = |(name, address): &(String, std::net::Ipv4Addr)| format!("{name}:{address}");
    models::HostConfig {
        extra_hosts: Some(plan.hosts.iter().map(host).collect()),
        network_mode: plan.network.mode(),
        port_bindings: Some(ports),
        mounts: Some(plan.volumes.iter().map(mount).collect()),
        init: Some(plan.init),
        cap_add: Some(plan.capabilities.clone()),
        sysctls: Some(plan.sysctls.clone().into_iter().collect()),
        log_config: Some(models::HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), LOG_SIZE_MAX.to_owned()),
                ("max-file".to_owned(), "2".to_owned()),
            ])),
        }),
        ..models::HostConfig::default()
    }
}

fn mount(volume: &VolumePlan) -> models::Mount {
    models::Mount {
        target: Some(volume.path.clone()),
        source: Some(volume.name.clone()),
        typ: Some(models::MountType::VOLUME),
        volume_options: Some(models::MountVolumeOptions {
            labels: Some(volume.labels.clone().into_iter().collect()),
            driver_config: volume
                .size
                .map(|size| models::MountVolumeOptionsDriverConfig {
                    name: Some("local".to_owned()),
                    options: Some(in_memory(size)),
                }),
            ..models::MountVolumeOptions::default()
        }),
        ..models::Mount::default()
    }
}

/// The one kind of volume of a fixed size that every engine makes, whatever its disk.
pub(super) fn in_memory(size: u64) -> HashMap<String, String> {
    let options = [
        ("type", "tmpfs".to_owned()),
        ("device", "tmpfs".to_owned()),
        ("o", format!("size={size}")),
    ];
    let options = options.map(|(key, value)| (key.to_owned(), value));
    HashMap::from(options)
}

fn networking(plan: &ContainerPlan) -> Option<models::NetworkingConfig> {
    let Attachment::Network {
        id,
        address,
        link_local,
    } = &plan.network
    else {
        return None;
    };
    let endpoint = models::EndpointSettings {
        ipam_config: Some(models::EndpointIpamConfig {
            ipv4_address: Some(address.to_string()),
            link_local_ips: link_local.map(|address| vec![address.to_string()]),
            ..models::EndpointIpamConfig::default()
        }),
        ..models::EndpointSettings::default()
    };
    Some(models::NetworkingConfig {
        endpoints_config: Some(HashMap::from([(id.clone(), endpoint)])),
    })
}
