//! Asks each backend how it is, where the configuration says how to ask.
//!
//! On a thread of its own, so that a worker that has its hands full neither delays a
//! check nor is delayed by one. Every check opens a connection of its own, as the
//! first webhook of a call may have to. One check of a backend is under way at a
//! time; what it said goes into the tally, and the engine concludes.

use std::io;
use std::time::Duration;

use http::Method;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::health::{Answer, Settings};
use crate::measure::{Cause, Health, Observation};
use crate::model::{Backend, Tick};
use crate::proxy::Shared;
use crate::proxy::pool::Pool;
use crate::proxy::settings::{HostHeader, PublicUrl, Upstream};
use crate::proxy::upstream::{self, Failure, INPUT};
use crate::proxy::worker::Drain;

/// The routing is read again at least so often, so that a reload is obeyed soon.
const LOOK: Duration = Duration::from_secs(1);

/// Asks until it is told to stop. `index` is the tally's buffer that no worker has.
///
/// # Errors
///
/// The runtime could not be built: no descriptors are left.
pub fn run(index: usize, shared: Shared, mut drain: watch::Receiver<Drain>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let [legacy, new] = Backend::ALL.map(|backend| ask_on(&shared, index, backend));
        tokio::select! {
            // An error means that everybody else is gone, which is a stop too.
            _ = drain.wait_for(|drain| *drain != Drain::No) => {}
            () = legacy => {}
            () = new => {}
        }
    });
    Ok(())
}

/// Asks one backend, again and again, as the routing of the moment says.
async fn ask_on(shared: &Shared, index: usize, backend: Backend) {
    let pool = Pool::default();
    let mut asked: Option<(Settings, Tick)> = None;
    loop {
        let routing = shared.routing.load_full();
        let to = &routing.settings.backends[backend];
        let Some(health) = &to.health else {
            asked = None;
            sleep(LOOK).await;
            continue;
        };
        let now = clock::tick();
        let due = match &asked {
            Some((settings, due)) if settings == health => *due,
            // At some moment of the first interval: many proxies that start together do
            // not ask together.
            _ => now + health.every.min(LOOK).mul_f64(rand::random()),
        };
        asked = Some((health.clone(), due));
        if due > now {
            sleep(due.since(now).min(LOOK)).await;
            continue;
        }
        let public = routing.settings.public.as_ref();
        if let Some(answer) = ask(&pool, to, health, public).await {
            let at = clock::tick();
            let took_us = u32::try_from(at.since(now).as_micros()).unwrap_or(u32::MAX);
            let told = Health {
                at,
                backend,
                answer,
                took_us,
            };
            shared.tally.add(index, Observation::Health(told));
        }
        asked = Some((health.clone(), now + health.every));
    }
}

/// One check. None: it failed by our own doing, which says nothing about the backend.
async fn ask(
    pool: &Pool,
    to: &Upstream,
    health: &Settings,
    public: Option<&PublicUrl>,
) -> Option<Answer> {
    let asking = status(pool, to, request(to, health, public));
    match timeout(health.timeout, asking).await {
        Err(_) => Some(Answer::Missing(Cause::Timeout)),
        Ok(Ok(status)) if status == health.expect => Some(Answer::Well),
        Ok(Ok(status)) => Some(Answer::Status(status)),
        Ok(Err(Failure {
            cause: Cause::Internal,
            ..
        })) => None,
        Ok(Err(failure)) => Some(Answer::Missing(failure.cause)),
    }
}

/// The status that one request is answered with. What comes behind the head is not
/// read, and a redirect not followed.
async fn status(pool: &Pool, to: &Upstream, request: String) -> Result<u16, Failure> {
    let mut link = pool.connect(to).await.map_err(Failure::connect)?;
    upstream::send(&mut link, request.as_bytes(), &[]).await?;
    let mut input = vec![0; INPUT];
    let (head, _) = upstream::receive_head(&mut link, &mut input, &Method::GET, false).await?;
    Ok(head.status.as_u16())
}

fn request(to: &Upstream, health: &Settings, public: Option<&PublicUrl>) -> String {
    // A backend that goes by the Host is asked as its webhooks ask it.
    let host = match (to.host_header, public) {
        (HostHeader::Public, Some(public)) => &public.authority,
        (HostHeader::Public, None) | (HostHeader::Backend, _) => &to.authority,
    };
    let path = &health.path;
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: switchback-health\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn upstream(port: u16) -> Upstream {
        Upstream {
            host: "127.0.0.1".into(),
            port,
            authority: format!("127.0.0.1:{port}"),
            host_header: HostHeader::Public,
            names: Vec::new(),
            claim: None,
            cap: None,
            health: None,
            tls: None,
        }
    }

    /// What a check makes of a backend that says this and closes; and what it was asked.
    async fn check(says: &'static [u8], patience: Duration) -> (Option<Answer>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let backend = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = vec![0; 1024];
            let length = stream.read(&mut heard).await.unwrap();
            stream.write_all(says).await.unwrap();
            if says.is_empty() && patience < LOOK {
                // It says nothing, and does not close either.
                sleep(LOOK).await;
            }
            String::from_utf8_lossy(&heard[..length]).into_owned()
        });
        let health = Settings {
            timeout: patience,
            ..Settings::of("/healthz?deep=1".to_owned())
        };
        let public = PublicUrl {
            scheme: "https".to_owned(),
            authority: "voice.example.com".to_owned(),
        };
        let answer = ask(&Pool::default(), &upstream(port), &health, Some(&public)).await;
        (answer, backend.await.unwrap())
    }

    #[tokio::test]
    async fn the_expected_status_alone_is_well_and_no_redirect_is_followed() {
        for (says, answer) in [
            (
                &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..],
                Answer::Well,
            ),
            (b"HTTP/1.1 204 No Content\r\n\r\n", Answer::Status(204)),
            (
                b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
                Answer::Status(302),
            ),
            (
                b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
                Answer::Status(503),
            ),
            (
                b"220 mail.example.com ESMTP\r\n",
                Answer::Missing(Cause::Malformed),
            ),
            (b"", Answer::Missing(Cause::Reset)),
        ] {
            let (found, asked) = check(says, Duration::from_secs(10)).await;
            assert_eq!(found, Some(answer), "{}", String::from_utf8_lossy(says));
            assert!(
                asked.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n"),
                "{asked}"
            );
            assert!(asked.contains("\r\nHost: voice.example.com\r\n"), "{asked}");
            assert!(asked.contains("\r\nUser-Agent: switchback-health\r\n"));
        }
    }

    #[tokio::test]
    async fn a_backend_that_says_nothing_is_given_up_and_one_that_is_gone_too() {
        let (found, _) = check(b"", Duration::from_millis(50)).await;
        assert_eq!(found, Some(Answer::Missing(Cause::Timeout)));
        let port = {
            let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
            closed.local_addr().unwrap().port()
        };
        let health = Settings::of("/".to_owned());
        let found = ask(&Pool::default(), &upstream(port), &health, None).await;
        assert_eq!(found, Some(Answer::Missing(Cause::Connect)));
    }
}
