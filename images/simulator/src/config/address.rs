//! Addresses: of interfaces, and the few go-sockaddr templates that configurations use.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// First IPv4 address of an interface.
pub(super) fn of_interface(name: &str) -> Option<Ipv4Addr> {
    addresses().find(|(of, _)| of == name).map(|(_, ip)| ip)
}

/// First private IPv4 address of an interface that is up and not the loopback.
pub(super) fn private() -> Option<Ipv4Addr> {
    addresses()
        .map(|(_, ip)| ip)
        .find(|ip| ip.is_private() && !ip.is_loopback())
}

fn addresses() -> impl Iterator<Item = (String, Ipv4Addr)> {
    getifaddrs().into_iter().flatten().filter_map(|interface| {
        let up = interface.flags.contains(InterfaceFlags::IFF_UP);
        let ip = interface.address?.as_sockaddr_in()?.ip();
        up.then_some((interface.interface_name, ip))
    })
}

/// An address as the files may write it: IP, or a template.
pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    if let Ok(ip) = text.parse() {
        return Ok(ip);
    }
    let inner = text
        .trim()
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
        .map(str::trim);
    let Some(inner) = inner else {
        return Err(format!("expected an IP address, found `{text}`"));
    };
    let words: Vec<&str> = inner.split_whitespace().collect();
    let found = match words.as_slice() {
        ["GetPrivateIP"] => private(),
        ["GetInterfaceIP", name] => of_interface(name.trim_matches('"')),
        _ => {
            return Err(format!(
                "template `{text}` is not simulated: use GetPrivateIP or GetInterfaceIP \"eth0\""
            ));
        }
    };
    found
        .map(IpAddr::V4)
        .ok_or_else(|| format!("no interface of this machine gives `{text}` an address"))
}

/// `IP`, `IP:port`, or a template with or without a port.
pub(super) fn socket(text: &str, port: u16) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    match text.rsplit_once(':') {
        Some((host, own)) if text.trim_start().starts_with("{{") && host.ends_with("}}") => {
            let port = own.parse().map_err(|_| format!("`{own}` is not a port"))?;
            Ok(SocketAddr::new(ip(host)?, port))
        }
        _ => Ok(SocketAddr::new(ip(text)?, port)),
    }
}

/// Addresses of `host` or `host:port`; none while a name does not resolve.
pub(crate) async fn resolve(text: &str, port: u16) -> Vec<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return vec![address];
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return vec![SocketAddr::new(ip, port)];
    }
    let found = if text.contains(':') {
        tokio::net::lookup_host(text).await.map(Vec::from_iter)
    } else {
        tokio::net::lookup_host((text, port))
            .await
            .map(Vec::from_iter)
    };
    found.unwrap_or_default()
}
