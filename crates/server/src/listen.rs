//! Where the server may listen. Until access tokens exist: on loopback only.

use std::net::SocketAddr;

use crate::Error;

/// Refuses an address that another machine could reach.
///
/// # Errors
/// [`Error::ListenNotLoopback`].
pub fn check_listen_address(address: SocketAddr) -> Result<(), Error> {
    match address.ip().to_canonical().is_loopback() {
        true => Ok(()),
        false => Err(Error::ListenNotLoopback(address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        for good in ["127.0.0.1:7420", "127.9.9.9:1", "[::1]:7420", "[::ffff:127.0.0.1]:1"] {
            assert!(check_listen_address(good.parse().expect("an address")).is_ok(), "{good}");
        }
        for bad in ["0.0.0.0:7420", "[::]:7420", "192.168.1.2:7420", "[::ffff:10.0.0.1]:1"] {
            let error = check_listen_address(bad.parse().expect("an address")).expect_err(bad);
            assert_eq!(error.failure().kind, "listen_not_loopback");
            assert!(error.to_string().contains(bad), "{error}");
        }
    }
}
