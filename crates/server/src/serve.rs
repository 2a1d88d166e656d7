//! The accept loop: a connection a task, with time limits on heads and an end that waits for answers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::{Extension, Router};
use database::Database;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::Layer as _;
use vault::Vault;

use crate::http::bare::Bare;
use crate::http::head;
use crate::tls::Tls;
use crate::{App, Config, Error, check_listen_address, duties, router};

/// Where a request's connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Answers on `listener` until `stop` is cancelled; then log streams end, requests under way are
/// answered, and the background duties stop.
///
/// # Errors
/// The listener's address is not loopback, or the listener fails.
pub async fn serve(
    config: Config,
    database: Database,
    vault: Vault,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), Error> {
    let address = listener.local_addr()?;
    check_listen_address(address, &config)?;
    let tls = config.tls.clone().map(|files| Tls::load(&files)).transpose()?;
    let app = App::new(config, address, database, vault, stop.clone());
    let duties = duties::start(&app);
    if let Some(tls) = tls.clone() {
        let stop = stop.clone();
        let look = app.config().tls_look;
        duties.spawn(async move { tls.reload_until(look, stop).await });
    }
    let router = router::router(app.clone());
    tracing::info!(%address, "answering");
    let connections = GracefulShutdown::new();
    let builder = builder(app.config());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => answer(stream, peer, tls.clone(), &builder, &router, &connections),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Out of descriptors, mostly: connections that end give some back.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            () = stop.cancelled() => break,
        }
    }
    drop(listener);
    if tokio::time::timeout(app.config().drain, connections.shutdown()).await.is_err() {
        tracing::warn!("connections that did not end in time are cut");
    }
    duties.wait().await;
    Ok(())
}

fn builder(config: &Config) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_timeout)
        .max_buf_size(head::BUFFER);
    // Above what `head` refuses in words: h2 itself answers a larger list without any.
    let list = u32::try_from(2 * head::BUFFER).unwrap_or(u32::MAX);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(config.ping).max_concurrent_streams(100);
    http2.max_header_list_size(list);
    builder
}

fn answer(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Tls>,
    builder: &Builder<TokioExecutor>,
    router: &Router,
    connections: &GracefulShutdown,
) {
    // A log line should not wait for the next one.
    let _ = stream.set_nodelay(true);
    let peer = Extension(Peer(peer.ip().to_canonical()));
    let service = TowerToHyperService::new(peer.layer(router.clone()));
    let Some(tls) = tls else {
        let connection = builder.serve_connection(TokioIo::new(Bare::new(stream)), service).into_owned();
        tokio::spawn(until_broken(connections.watch(connection)));
        return;
    };
    let (builder, watcher) = (builder.clone(), connections.watcher());
    tokio::spawn(async move {
        match tls.accept(stream).await {
            Ok(stream) => {
                let connection =
                    builder.serve_connection(TokioIo::new(Bare::new(stream)), service).into_owned();
                until_broken(watcher.watch(connection)).await;
            }
            Err(error) => tracing::debug!(%error, "a TLS connection was not made"),
        }
    });
}

async fn until_broken<E: std::fmt::Display>(connection: impl Future<Output = Result<(), E>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection broke");
    }
}
