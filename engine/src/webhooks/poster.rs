//! One POST over HTTP/1.1, with TLS or without: the only place of a webhook that has a socket.

use core::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Error, Timeout};
use wire::time::WallMs;

use super::Webhook;
use super::limits::{
    ANSWER_BYTES_MAX, ANSWER_HEAD_BYTES_MAX, ANSWER_WAIT, BUFFER_BYTES, CONNECT_WAIT, CONNECTION_IDLE_MAX,
    POST_WAIT, WEBHOOKS_MAX,
};
use super::outbox::Letter;
use super::outcome::{Kind, Outcome};
use super::secret::sign;

const USER_AGENT: &str = concat!("switchyard/", env!("CARGO_PKG_VERSION"));

/// Connections to servers whose certificates have been signed by one of the same roots. Clones share them.
#[derive(Clone)]
pub(crate) struct Poster {
    agent: Agent,
    roots: Arc<[CertificateDer<'static>]>,
}

impl Poster {
    /// One that trusts these roots, and no others.
    pub(crate) fn new(roots: Vec<CertificateDer<'static>>) -> Self {
        let certificates = roots.iter().map(|root| Certificate::from_der(root).to_owned());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(RootCerts::from(certificates))
            .build();
        // A proxy of the environment is not asked: the URL says where posts go.
        let agent = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(USER_AGENT)
            .timeout_global(Some(POST_WAIT))
            .timeout_resolve(Some(CONNECT_WAIT))
            .timeout_connect(Some(CONNECT_WAIT))
            .timeout_recv_body(Some(ANSWER_WAIT))
            .max_response_header_size(ANSWER_HEAD_BYTES_MAX)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .max_idle_connections(WEBHOOKS_MAX)
            .max_idle_connections_per_host(WEBHOOKS_MAX)
            .max_idle_age(CONNECTION_IDLE_MAX)
            .build();
        Self { agent: agent.into(), roots: roots.into() }
    }

    /// Whether another one trusts the same roots.
    pub(super) fn trusts_as(&self, other: &Self) -> bool {
        self.roots == other.roots
    }

    /// Posts a letter, signed at this time. Blocks for [`POST_WAIT`] at most.
    pub(super) fn post(&self, webhook: &Webhook, letter: &Letter, now: WallMs) -> Outcome {
        let timestamp_s = now.0 / 1000;
        let signature = sign(&webhook.secrets, &letter.id, timestamp_s, &letter.body);
        let request = self.agent.post(webhook.url.expose());
        let request = request
            .header("content-type", "application/json")
            .header("webhook-id", &letter.id)
            .header("webhook-timestamp", timestamp_s.to_string())
            .header("webhook-signature", signature);
        match request.send(&letter.body[..]) {
            Ok(mut response) => {
                let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
                let outcome = Outcome::of_status(response.status().as_u16(), retry_after, now);
                // What it says beyond that is read so that the connection can be used again, and for nothing else.
                let _ = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
                outcome
            }
            Err(error) => unanswered(&error),
        }
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}

/// What a post came to that was not answered. No URL is told.
fn unanswered(error: &Error) -> Outcome {
    let (kind, words) = match error {
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            (Kind::Unreachable, format!("no connection within {} s", CONNECT_WAIT.as_secs()))
        }
        Error::Timeout(_) => (Kind::TimedOut, format!("no answer within {} s", POST_WAIT.as_secs())),
        Error::HostNotFound => (Kind::Unreachable, "its name has no address".to_owned()),
        Error::Rustls(error) => (Kind::Tls, error.to_string()),
        Error::Tls(what) => (Kind::Tls, (*what).to_owned()),
        Error::Io(error) => match within(error) {
            Some(tls) => (Kind::Tls, tls.to_string()),
            None => (Kind::Unreachable, error.to_string()),
        },
        Error::ConnectionFailed => (Kind::Unreachable, "no connection could be made".to_owned()),
        Error::BadUri(_) => (Kind::Broken, "the URL cannot be used".to_owned()),
        other => (Kind::Broken, other.to_string()),
    };
    Outcome::unanswered(kind, words)
}

/// What TLS has to say, which comes in the clothes of a socket's error.
fn within(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};
    use std::thread;

    use super::super::{Secret, Url};
    use super::*;

    /// Answers one connection with this, whatever it asks, and says what it was asked.
    fn server(answer: &'static str) -> (SocketAddr, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut asked, mut bytes) = (String::new(), [0; 4096]);
            while !asked.ends_with("{}") {
                let count = stream.read(&mut bytes).unwrap();
                assert!(count > 0, "the whole request comes");
                asked += std::str::from_utf8(&bytes[..count]).unwrap();
            }
            stream.write_all(answer.as_bytes()).unwrap();
            asked
        });
        (address, served)
    }

    fn post(url: &str) -> Outcome {
        let webhook = Webhook {
            url: Url::parse(url).unwrap(),
            secrets: vec![Secret::parse(&Secret::text_of(&[7; 24])).unwrap()],
            ca: None,
        };
        let letter = Letter::test("evt_1", b"{}");
        Poster::new(Vec::new()).post(&webhook, &letter, WallMs(1_614_265_330_999))
    }

    #[test]
    fn a_post_is_signed_and_its_answer_is_heard() {
        let (address, served) = server("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(post(&format!("http://{address}/in?token=1")), Outcome::Taken);
        let asked = served.join().unwrap().to_ascii_lowercase();
        assert!(asked.starts_with("post /in?token=1 http/1.1\r\n"), "{asked}");
        for line in [
            "content-type: application/json\r\n",
            "content-length: 2\r\n",
            "webhook-id: evt_1\r\n",
            "webhook-timestamp: 1614265330\r\n",
            "webhook-signature: v1,",
            "user-agent: switchyard/",
        ] {
            assert!(asked.contains(line), "no {line:?} in {asked}");
        }
    }

    #[test]
    fn a_redirect_is_not_followed_and_nonsense_is_no_answer() {
        let (address, served) = server(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        );
        let Outcome::NotTaken(trouble) = post(&format!("http://{address}/")) else { panic!("307") };
        assert_eq!(trouble.kind, Kind::Redirected);
        served.join().unwrap();
        let (address, served) = server("SSH-2.0-OpenSSH_9.2\r\n\r\n");
        let Outcome::NotTaken(trouble) = post(&format!("http://{address}/")) else { panic!("SSH") };
        assert_eq!(trouble.kind, Kind::Broken, "{trouble:?}");
        served.join().unwrap();
    }

    #[test]
    fn where_nobody_listens_nothing_is_told_of_the_url() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let Outcome::NotTaken(trouble) = post(&format!("http://{free}/?token=hunter2")) else {
            panic!("nobody")
        };
        assert_eq!(trouble.kind, Kind::Unreachable, "{trouble:?}");
        assert!(!trouble.words.contains("hunter2"), "{trouble:?}");
    }
}
