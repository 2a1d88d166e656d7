//! Where the server may listen: an access token that travels in the clear is anybody's.

use std::net::SocketAddr;

use crate::{Config, Error};

/// Refuses an address that another machine could reach, unless TLS is spoken there.
///
/// # Errors
/// [`Error::ListenNotLoopback`].
pub fn check_listen_address(address: SocketAddr, config: &Config) -> Result<(), Error> {
    let is_safe = address.ip().to_canonical().is_loopback() || config.tls.is_some() || config.behind_proxy;
    if is_safe { Ok(()) } else { Err(Error::ListenNotLoopback(address)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_reach_needs_tls() {
        let plain = Config::default();
        for good in ["127.0.0.1:7420", "127.9.9.9:1", "[::1]:7420", "[::ffff:127.0.0.1]:1"] {
            assert!(check_listen_address(good.parse().expect("an address"), &plain).is_ok(), "{good}");
        }
        let proxied = Config { behind_proxy: true, ..Config::default() };
        for bad in ["0.0.0.0:7420", "[::]:7420", "192.168.1.2:7420", "[::ffff:10.0.0.1]:1"] {
            let address = bad.parse().expect("an address");
            let error = check_listen_address(address, &plain).expect_err(bad);
            assert_eq!(error.failure().kind, "listen_not_loopback");
            assert!(error.to_string().contains(bad), "{error}");
            assert!(check_listen_address(address, &proxied).is_ok(), "{bad}");
        }
    }
}
