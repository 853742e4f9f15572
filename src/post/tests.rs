use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

/// Answers one connection with these bytes; gives what was asked.
async fn answering(answer: &'static str) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, answer).await
    });
    (port, asked)
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &str) -> String {
    let mut asked = Vec::new();
    while !asked.ends_with(b"}") {
        if stream.read_buf(&mut asked).await.unwrap_or(0) == 0 {
            break;
        }
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    // A client that hangs up first has heard enough.
    drop(stream.shutdown().await);
    String::from_utf8(asked).unwrap()
}

async fn post(url: &str) -> Result<(), Untold> {
    let to = Address::new(url).unwrap();
    let json = Bytes::from_static(b"{\"a\":1}");
    Poster::default().post(&to, json, LIMIT).await
}

#[test]
fn an_address_is_http_or_https_and_shows_its_host_only() {
    for (url, shown) in [
        ("http://ops.example.com", Some("http://ops.example.com")),
        (
            "https://hooks.example.com:8443/T0/B0/s3cret?token=x",
            Some("https://hooks.example.com:8443/…"),
        ),
        ("http://[::1]:9/x", Some("http://[::1]:9/…")),
        ("https://me:s3cret@example.com/", None),
        ("ftp://example.com/", None),
        ("/only/a/path", None),
        ("", None),
    ] {
        let address = Address::new(url);
        let told = address.as_ref().map(ToString::to_string);
        assert_eq!(told.as_deref().ok(), shown, "{url}");
        assert!(!format!("{address:?}").contains("s3cret"), "{url}");
    }
}

#[tokio::test]
async fn a_2xx_is_a_success_and_anything_else_says_why() {
    for (answer, why, may_pass) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", None, false),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://else/\r\ncontent-length: 0\r\n\r\n",
            Some("answered 302; redirects are not followed"),
            false,
        ),
        (
            "HTTP/1.1 403 No\r\ncontent-length: 27\r\n\r\n\n no: +14155550142 is mine \n",
            Some("answered 403: no: +…42 is mine"),
            false,
        ),
        (
            "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
            Some("answered 503"),
            true,
        ),
        ("nonsense\r\n\r\n", Some("http://"), true),
    ] {
        let (port, asked) = answering(answer).await;
        let url = format!("http://127.0.0.1:{port}/s3cret?t=s3cret");
        let told = post(&url).await;
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("POST /s3cret?t=s3cret HTTP/1.1\r\n"));
        assert!(asked.ends_with("{\"a\":1}"), "{asked}");
        match why {
            None => assert_eq!(told, Ok(()), "{answer}"),
            Some(why) => {
                let untold = told.unwrap_err();
                assert!(untold.why.contains(why), "{untold}");
                assert!(!untold.why.contains("s3cret"), "{untold}");
                assert_eq!(untold.may_pass, may_pass, "{untold}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_there_and_nobody_who_answers_may_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = Address::new(&format!("http://127.0.0.1:{port}/x")).unwrap();
    let short = Duration::from_millis(50);
    let told = Poster::default().post(&to, Bytes::new(), short).await;
    let untold = told.unwrap_err();
    assert!(untold.why.contains("within 0.05 s") && untold.may_pass);
    drop(listener);
    assert!(
        post(&format!("http://127.0.0.1:{port}/x"))
            .await
            .unwrap_err()
            .may_pass
    );
}

#[tokio::test]
async fn https_is_told_only_to_whom_an_authority_vouches_for() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let cert = params.self_signed(&key).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    });
    let to = Address::new(&format!("https://localhost:{port}/x")).unwrap();
    let json = || Bytes::from_static(b"{}");
    let stranger = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap();
    for (authority, vouched) in [(&cert, true), (&stranger, false)] {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let poster = Poster {
            authorities: Some(Arc::new(roots)),
        };
        let told = poster.post(&to, json(), LIMIT).await;
        assert_eq!(told.is_ok(), vouched, "{told:?}");
    }
}
