//! A plain connection under the policy, for what is not HTTP: git over ssh.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::lookup::{Lookup, NameDenied, Resolver, System};
use crate::{Error, Origin, Policy};

/// For each address of a name.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

impl Policy {
    /// Connects to `host` (a name or an address, IPv6 with or without brackets). Of the origins those with
    /// `ssh` count. The address that is checked is the one that is connected to.
    ///
    /// # Errors
    /// [`Error::Denied`], before anything is connected; or the host is unknown or does not answer.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Error> {
        self.connect_as(host, port, Arc::new(System)).await
    }

    async fn connect_as(&self, host: &str, port: u16, lookup: Arc<dyn Lookup>) -> Result<TcpStream, Error> {
        let origin = Origin::ssh(host, port);
        let policy = (!self.is_named(&origin)).then(|| self.clone());
        let resolver = Resolver { lookup, policy };
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let addresses = resolver.addresses(bare).await.map_err(|error| match error.is::<NameDenied>() {
            true => Error::denial(origin, self.is_for_strangers()),
            false => match error.downcast::<Error>() {
                Ok(error) => *error,
                Err(error) => Error::Connect(std::io::Error::other(error)),
            },
        })?;
        let connection = first_of(addresses, port).await.map_err(Error::Connect)?;
        // Each of ssh's packets is somebody's whole question.
        let _ = connection.set_nodelay(true);
        Ok(connection)
    }
}

async fn first_of(addresses: Vec<IpAddr>, port: u16) -> std::io::Result<TcpStream> {
    let mut failed = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let connecting = TcpStream::connect(SocketAddr::new(address, port));
        match tokio::time::timeout(CONNECT_WITHIN, connecting).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test may panic")]
    use super::*;

    #[tokio::test]
    async fn a_plain_connection_goes_where_the_policy_lets_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let closed = Policy::default();
        for host in
            ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "::1", "[::1]", "0.0.0.0"]
        {
            let error = closed.connect(host, port).await.unwrap_err();
            assert!(error.denied().is_some(), "{host}: {error}");
        }
        let hint = closed.connect("127.0.0.1", port).await.unwrap_err().denied().unwrap().hint();
        assert!(hint.contains(&format!("--origin ssh://127.0.0.1:{port}")), "{hint}");
        let origin = format!("ssh://127.0.0.1:{port}").parse().unwrap();
        let open = closed.with_origin(origin);
        assert!(open.connect("127.0.0.1", port).await.is_ok());
        assert!(open.connect("localhost", port).await.unwrap_err().denied().is_some());
        let allowed = Policy::new(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
        assert!(allowed.connect("localhost", port).await.is_ok());
    }
}
