//! A server that answers as a test tells it, and remembers what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::watch::WITHIN;

/// One request: method, path with query, and body.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

/// What is answered: a status and a body, or nothing for ever.
pub(crate) enum Reply {
    Text(u16, String),
    Never,
}

type Answer = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

struct Inner {
    answer: Mutex<Answer>,
    asked: Mutex<Vec<Asked>>,
    changed: Notify,
}

/// The server; it ends when it is dropped.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
    tasks: JoinSet<()>,
}

impl Fake {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            answer: Mutex::new(Box::new(answer)),
            asked: Mutex::default(),
            changed: Notify::new(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&inner)));
        Self { address, inner, tasks }
    }

    /// Answers otherwise from now on.
    pub(crate) fn answer(&self, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        *self.inner.answer.lock().unwrap() = Box::new(answer);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.inner.asked.lock().unwrap().clone()
    }

    /// Waits until it was asked so, from the request with this index on; that request.
    pub(crate) async fn until_asked(&self, from: usize, method: &str) -> Asked {
        let waiting = async {
            loop {
                let asked = self.asked();
                if let Some(found) = asked.iter().skip(from).find(|one| one.method == method) {
                    return found.clone();
                }
                self.inner.changed.notified().await;
            }
        };
        let ended = tokio::time::timeout(WITHIN, waiting).await;
        ended.unwrap_or_else(|_| panic!("no {method}: {:?}", self.asked()))
    }

    /// Listens no more.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&inner)));
    }
}

async fn serve(stream: TcpStream, inner: Arc<Inner>) {
    let handler = service_fn(|request| reply(request, &inner));
    // A client that goes away is no matter.
    http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await.ok();
}

async fn reply(
    request: Request<Incoming>,
    inner: &Inner,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    inner.asked.lock().unwrap().push(asked.clone());
    inner.changed.notify_one();
    let reply = (inner.answer.lock().unwrap())(&asked);
    match reply {
        Reply::Text(status, text) => {
            let response = Response::builder().status(status);
            Ok(response.body(Full::new(Bytes::from(text))).unwrap())
        }
        Reply::Never => std::future::pending().await,
    }
}

/// Posts to a URL; the status of the answer.
pub(crate) async fn post(url: &str, body: impl Into<Bytes>) -> u16 {
    tokio::time::timeout(WITHIN, posted(url, body.into())).await.unwrap()
}

async fn posted(url: &str, body: Bytes) -> u16 {
    let rest = url.strip_prefix("http://").unwrap();
    let (address, path) = rest.split_once('/').unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let request =
        Request::post(format!("/{path}")).header("host", address).body(Full::new(body)).unwrap();
    let mut driving = JoinSet::new();
    driving.spawn(async move { connection.await.unwrap_or_default() });
    sender.send_request(request).await.unwrap().status().as_u16()
}
