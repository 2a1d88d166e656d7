//! One bare connection, for what is not HTTP: ssh to a git host. In: a host and a port. Out: a connected socket,
//! or why there is none. Lists of what may be reached belong in here: whoever connects for ssh calls this.

use std::time::Duration;

use model::Failure;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For the name and the connection together.
const PATIENCE: Duration = Duration::from_secs(15);

/// Connects to a git host, trying each of its addresses in turn.
///
/// # Errors
/// `repository_unreachable`: there is no such name, or nobody answers there.
pub async fn connect(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let connected = timeout(PATIENCE, TcpStream::connect((host, port))).await;
    let connection = match connected {
        Ok(connection) => connection.map_err(|error| unreachable_host(host, port, &error))?,
        Err(_) => return Err(unreachable_host(host, port, &"it did not answer in time")),
    };
    // Each of ssh's packets is somebody's whole question.
    let _ = connection.set_nodelay(true);
    Ok(connection)
}

fn unreachable_host(host: &str, port: u16, why: &dyn std::fmt::Display) -> Failure {
    Failure::service(
        "repository_unreachable",
        format!("The git host {host}, port {port}, can't be reached: {why}."),
        "See that the host's name and port are spelt right, and that this worker may reach it.",
    )
}
