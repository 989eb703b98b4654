//! An API server that answers as it is told, for what a real one does not say on demand.
//!
//! A request that no answer was laid out for is answered with 404, as by a server that has no such
//! object, and noted.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One answer to every request whose line begins with a text such as `GET /version`.
#[derive(Clone, Debug)]
pub struct Answer {
    start: String,
    code: u16,
    content_type: &'static str,
    body: String,
}

impl Answer {
    /// Answers with an object.
    pub fn object(start: &str, object: &serde_json::Value) -> Self {
        Self {
            start: start.to_owned(),
            code: 200,
            content_type: "application/json",
            body: object.to_string(),
        }
    }

    /// Refuses with a status, as API servers write it.
    pub fn refusal(start: &str, code: u16, reason: &str, message: &str) -> Self {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code,
        });
        Self {
            code,
            ..Self::object(start, &status)
        }
    }

    /// Answers as something else than an API server does: a proxy's page.
    pub fn page(start: &str, code: u16, body: &str) -> Self {
        Self {
            start: start.to_owned(),
            code,
            content_type: "text/html",
            body: body.to_owned(),
        }
    }
}

/// The server.
#[derive(Debug)]
pub struct FakeApi {
    /// Where it listens, without TLS.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl FakeApi {
    /// Starts one; the first answer that fits counts.
    pub async fn start(answers: Vec<Answer>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answers, noted) = (Arc::new(answers), requests.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, noted) = (answers.clone(), noted.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let line = format!("{} {}", request.method(), request.uri());
                    let response = respond(&answers, &line);
                    lock(&noted).push(line);
                    async move { Ok::<_, Infallible>(response) }
                });
                tokio::spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self {
            address,
            requests,
            task,
        })
    }

    /// The lines of all requests so far, such as `GET /version`.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.requests).clone()
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(requests: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

fn respond(answers: &[Answer], line: &str) -> Response<Full<Bytes>> {
    let missing = Answer::refusal(
        "",
        404,
        "NotFound",
        &format!("nothing is laid out for {line}"),
    );
    let answer = answers
        .iter()
        .find(|answer| line.starts_with(&answer.start))
        .unwrap_or(&missing);
    Response::builder()
        .status(answer.code)
        .header("content-type", answer.content_type)
        .body(Full::new(Bytes::from(answer.body.clone())))
        .expect("the parts are well-formed")
}
