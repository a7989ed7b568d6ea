//! A client of the API that keeps its connection, as real ones do.

use crate::gateway::Gateway;
use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body as it came.
    pub body: Bytes,
}

impl Answer {
    /// Whether the call was done.
    pub fn is_ok(&self) -> bool {
        self.status == 200
    }

    /// What the call answered; an error is one here, too.
    pub fn data(&self) -> Result<Value> {
        let text = String::from_utf8_lossy(&self.body);
        anyhow::ensure!(self.is_ok(), "status {}: {text}", self.status);
        let mut body: Value = serde_json::from_slice(&self.body)?;
        Ok(body["data"].take())
    }
}

/// One connection to a gateway, on which calls are made one after the other.
#[derive(Debug)]
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    login: Vec<(HeaderName, HeaderValue)>,
}

impl Client {
    /// Connects. `login` is headers as [`crate::ROOT`] has them, each with its end of line.
    pub async fn connect(gateway: &Gateway, login: &str) -> Result<Self> {
        let stream = gateway.connect(&["http/1.1"]).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // What breaks the connection fails the call that is on it.
        tokio::spawn(async move { connection.await.ok() });
        let lines = login.lines().filter_map(|line| line.split_once(": "));
        let header = |(name, value): (&str, &str)| -> Result<(HeaderName, HeaderValue)> {
            Ok((name.parse()?, value.parse()?))
        };
        let login = lines.map(header).collect::<Result<Vec<_>>>();
        Ok(Self {
            sender,
            login: login.context("a header of the login")?,
        })
    }

    /// Makes a call; `line` is verb and path below `/api2/json`, `form` the body.
    pub async fn call(&mut self, line: &str, form: &str) -> Result<Answer> {
        let response = self.send(line, form).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body })
    }

    /// Makes a call and answers its status, once the whole body came; nobody looks at it.
    pub async fn ask(&mut self, line: &str) -> Result<u16> {
        let response = self.send(line, "").await?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(status)
    }

    async fn send(&mut self, line: &str, form: &str) -> Result<Response<Incoming>> {
        let (verb, path) = line.split_once(' ').context("no verb")?;
        let body = Full::new(Bytes::copy_from_slice(form.as_bytes()));
        let mut request = Request::new(body);
        *request.method_mut() = verb.parse::<Method>()?;
        *request.uri_mut() = format!("/api2/json{path}").parse()?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, kind);
        headers.extend(self.login.iter().cloned());
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}
