//! Websockets with a real library at both ends: providers that open streams, and
//! backends that take them or do not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

use super::lab::Edge;

pub(crate) type Provider = WebSocketStream<TcpStream>;

/// The target and the headers of each handshake that was taken.
pub(crate) type Heads = Arc<Mutex<Vec<(String, HeaderMap)>>>;

impl Edge {
    /// A provider opens a stream.
    pub(crate) async fn open(
        &self,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(Provider, HeaderMap), Error> {
        let mut request = format!("ws://voice.example.com{target}").into_client_request()?;
        for (name, value) in headers {
            let name = HeaderName::from_static(name);
            request
                .headers_mut()
                .insert(name, HeaderValue::from_str(value)?);
        }
        let stream = TcpStream::connect(self.at).await.unwrap();
        let (provider, answer) = client_async(request, stream).await?;
        Ok((provider, answer.into_parts().0.headers))
    }

    pub(crate) async fn stream(&self, target: &str) -> Provider {
        self.open(target, &[]).await.unwrap().0
    }

    /// The status a handshake is refused with, and the body.
    pub(crate) async fn refused(&self, target: &str) -> (u16, String) {
        match self.open(target, &[]).await {
            Err(Error::Http(answer)) => {
                let body = answer.body().clone().unwrap_or_default();
                (answer.status().as_u16(), String::from_utf8(body).unwrap())
            }
            other => panic!("not refused: {other:?}"),
        }
    }
}

pub(crate) async fn say(provider: &mut Provider, text: &str) {
    provider.send(Message::text(text)).await.unwrap();
}

pub(crate) async fn hear(provider: &mut Provider) -> String {
    match provider.next().await {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

/// The code the stream was closed with; None where it just ended.
pub(crate) async fn closed(provider: &mut Provider) -> Option<CloseCode> {
    while let Some(Ok(message)) = provider.next().await {
        if let Message::Close(close) = message {
            return close.map(|close| close.code);
        }
    }
    None
}

/// The message that names a call.
pub(crate) fn start(call: &str) -> String {
    format!(
        r#"{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"AC5","callSid":"{call}"}},"streamSid":"MZ5"}}"#
    )
}

/// and the handshakes it was sent.
pub(crate) async fn robot(name: &'static str) -> (SocketAddr, Heads) {
    let heads = Heads::default();
    let kept = heads.clone();
    let at = backend(move |stream| {
        let heads = kept.clone();
        async move {
            let Some(mut socket) = take(stream, &heads).await else {
                return;
            };
            while let Some(Ok(message)) = socket.next().await {
                let answer = match message {
                    Message::Text(text) => Message::text(format!("{name}: {text}")),
                    Message::Binary(bytes) => Message::Binary(bytes),
                    _ => continue,
                };
                if socket.send(answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (at, heads)
}

/// Takes a stream as a backend; of subprotocols the first, of extensions none.
pub(crate) async fn take(stream: TcpStream, heads: &Heads) -> Option<Provider> {
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let callback = |request: &server::Request, mut answer: server::Response| {
        let headers = request.headers().clone();
        if let Some(offered) = headers.get("sec-websocket-protocol") {
            let first = offered.to_str().unwrap().split(',').next().unwrap();
            let first = HeaderValue::from_str(first).unwrap();
            answer.headers_mut().insert("sec-websocket-protocol", first);
        }
        let kept = (request.uri().to_string(), headers);
        heads.lock().unwrap().push(kept);
        Ok(answer)
    };
    accept_hdr_async(stream, callback).await.ok()
}

/// A backend that answers the first bytes it hears with these, keeps what it hears
/// after them, and never hangs up.
pub(crate) async fn stubborn(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let kept = heard.clone();
    let at = backend(move |mut stream| {
        let heard = kept.clone();
        async move {
            let mut piece = [0; 4096];
            while let Ok(got @ 1..) = stream.read(&mut piece).await {
                heard.lock().unwrap().extend_from_slice(&piece[..got]);
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (at, heard)
}

/// A backend: `act` is given each connection.
pub(crate) async fn backend<F: Future<Output = ()> + Send + 'static>(
    act: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            tokio::spawn(act(stream));
        }
    });
    at
}
