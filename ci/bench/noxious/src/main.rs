//! The proxy core of noxious, a Toxiproxy in Rust that is published as a library, as a process:
//!
//!     bench-noxious CONTROL NAME=LISTEN=UPSTREAM...
//!
//! `CONTROL` is an address that takes one order a line and answers `ok`: `delay NAME MILLISECONDS`
//! on the way to the upstream, or `restore NAME`.

use std::collections::BTreeMap;
use std::error::Error;

use bmrng::RequestSender;
use noxious::proxy::{ProxyConfig, ProxyRunner, Runner, Toxics};
use noxious::signal::{Close, Stop};
use noxious::socket::TcpListener;
use noxious::toxic::{
    StreamDirection, Toxic, ToxicEvent, ToxicEventKind, ToxicEventResult, ToxicKind,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
type Orders = RequestSender<ToxicEvent, ToxicEventResult>;

/// The only toxic of a proxy.
const TOXIC: &str = "delay";

async fn start(name: &str, listen: &str, upstream: &str) -> Result<Orders> {
    let config = ProxyConfig {
        name: name.to_owned(),
        listen: listen.to_owned(),
        upstream: upstream.to_owned(),
        enabled: true,
        rand_seed: None,
    };
    let (listener, info) =
        ProxyRunner::initialize_proxy::<TcpListener>(config, Toxics::empty()).await?;
    let (orders, receiver) = bmrng::channel(1);
    tokio::spawn(async move {
        let ((stop, _stopper), (_close, closer)) = (Stop::new(), Close::new());
        ProxyRunner::run_proxy(listener, info, receiver, stop, closer).await
    });
    Ok(orders)
}

/// The proxy that an order names, and what it is told.
fn order(line: &str) -> Result<(String, ToxicEventKind)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["delay", name, latency] => {
            let kind = ToxicKind::Latency { latency: latency.parse()?, jitter: 0 };
            let direction = StreamDirection::Upstream;
            let toxic = Toxic { kind, name: TOXIC.to_owned(), toxicity: 1.0, direction };
            Ok((name.to_owned(), ToxicEventKind::AddToxic(toxic)))
        }
        ["restore", name] => Ok((name.to_owned(), ToxicEventKind::RemoveToxic(TOXIC.to_owned()))),
        _ => Err(format!("no such order: {line}").into()),
    }
}

async fn serve() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let control = arguments.next().ok_or("where is the control?")?;
    let mut proxies = BTreeMap::new();
    for route in arguments {
        let parts: Vec<&str> = route.split('=').collect();
        let [name, listen, upstream] = parts[..] else { return Err("a route has 3 parts".into()) };
        proxies.insert(name.to_owned(), start(name, listen, upstream).await?);
    }
    let control = tokio::net::TcpListener::bind(control).await?;
    loop {
        let (stream, _) = control.accept().await?;
        let mut lines = BufReader::new(stream).lines();
        while let Some(line) = lines.next_line().await? {
            let (name, kind) = order(&line)?;
            let orders = proxies.get(&name).ok_or("no such proxy")?;
            let event = ToxicEvent { proxy_name: name, kind };
            orders.send_receive(event).await.map_err(|_| "the proxy is gone")??;
            lines.get_mut().write_all(b"ok\n").await?;
        }
    }
}

fn main() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve())
}
