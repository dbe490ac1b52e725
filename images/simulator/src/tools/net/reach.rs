//! Whether ports are open to this network: what `nc -z` would tell, where there is none.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// After how long nobody answers: containers on one machine answer within milliseconds.
const WITHIN: Duration = Duration::from_secs(1);

/// Tries each address, and says of each what came of it.
pub(super) fn reach(addresses: &[SocketAddr]) -> String {
    let mut text = String::new();
    for address in addresses {
        let outcome = match TcpStream::connect_timeout(address, WITHIN) {
            Ok(_) => "open".to_owned(),
            Err(error) => match error.kind() {
                ErrorKind::ConnectionRefused => "refused: nobody listens".to_owned(),
                ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                    "silent: what is sent there is lost".to_owned()
                }
                _ => error.to_string(),
            },
        };
        writeln!(text, "{address} {outcome}").expect("a string takes any text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_port_is_told_from_one_where_nobody_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(reach(&[address]), format!("{address} open\n"));
        drop(listener);
        let refused = format!("{address} refused: nobody listens\n");
        assert_eq!(reach(&[address]), refused);
    }
}
