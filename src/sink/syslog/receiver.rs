//! Who takes the messages: how to reach it, and the connection to it.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Error, Tls};
use crate::sink::http::Reach;

/// How long to wait for the addresses of the host, for each of them to answer, and for TLS to begin.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the receiver may take to make room for [`PIECE_BYTES`].
const WRITE: Duration = Duration::from_secs(30);

/// How long a new connection is watched after the first delivery. A receiver that wants TLS, or a
/// certificate of ours, closes it only then, and so does a proxy whose receivers are down.
const PROBATION: Duration = Duration::from_secs(1);

/// How long to look whether a connection was closed. The system knows; it has to be asked.
const GLANCE: Duration = Duration::from_millis(5);

/// Bytes that are written at once.
const PIECE_BYTES: usize = 64 << 10;

/// The most characters of what others say in an error.
const MOST_SAID: usize = 300;

const UNREACHABLE: &str =
    "check `address`, and that it listens there and no firewall is in between";
const UNTRUSTED: &str =
    "check `tls` and `ca`, and that its certificate is valid for the host in `address`";
const ALLOW_PRIVATE: &str = "set `allow_private: true` if the receiver is yours";
const ENCRYPT: &str = "set `tls: true`, or write an address on your own network";
const CLOSED: &str = "check the log of the receiver, and whether it wants TLS or a certificate; \
                      what it may have missed is sent again";

/// How to reach a receiver.
pub(super) struct Receiver {
    /// Host and port, as the configuration has it.
    address: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    reach: Reach,
}

impl Receiver {
    pub fn new(address: String, tls: Option<Tls>, allow_private: bool) -> Result<Self, Error> {
        let reach = Reach::of(tls.is_some(), allow_private);
        let mut receiver = Self {
            address,
            tls: None,
            reach: reach.unwrap_or(Reach::Private),
        };
        if reach.is_none() {
            let remedy =
                "set `tls: true`, or `allow_private: true` for an address on your own network";
            return Err(receiver.error("it is not encrypted", remedy));
        }
        let Some(host) = host(&receiver.address) else {
            let remedy = "write `address` as host:port, an IPv6 address in brackets";
            return Err(receiver.error("there is no host and port in it", remedy));
        };
        if let Some(tls) = tls {
            let name = ServerName::try_from(host.to_owned()).map_err(|error| {
                receiver.error(error, "write the host of `address` as its certificate does")
            })?;
            let config = client_config(tls.ca.as_deref()).map_err(|reason| {
                receiver.error(reason, "check that `ca` is a file of certificates in PEM")
            })?;
            receiver.tls = Some((TlsConnector::from(Arc::new(config)), name));
        }
        Ok(receiver)
    }

    /// A new connection, on which nothing was written yet.
    pub async fn connect(&self) -> Result<Connection, Error> {
        let tcp = self.dial().await?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some((connector, name)) => {
                let begun = within(CONNECT, connector.connect(name.clone(), tcp)).await;
                Box::new(begun.map_err(|error| self.error(error, UNTRUSTED))?)
            }
        };
        Ok(Connection {
            stream,
            is_proven: false,
        })
    }

    /// Connects to the first of its addresses that answers.
    async fn dial(&self) -> Result<TcpStream, Error> {
        let mut last = "it has no address".to_owned();
        for address in self.addresses().await? {
            match within(CONNECT, TcpStream::connect(address)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error.to_string(),
            }
        }
        Err(self.error(last, UNREACHABLE))
    }

    /// The addresses that may be used. They are looked up for each connection, and what is checked is
    /// what is used: a name may stand for another address the next time.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, Error> {
        let found = within(CONNECT, lookup_host(self.address.as_str())).await;
        let found = found.map_err(|error| {
            self.error(error, "check the host in `address`, and the name server")
        })?;
        let mut addresses: Vec<SocketAddr> = found.collect();
        let known = addresses.len();
        addresses.retain(|address| self.reach.allows(address.ip()));
        if addresses.is_empty() && known > 0 {
            return Err(match self.reach {
                Reach::Private => {
                    self.error("its address is public, and it is not encrypted", ENCRYPT)
                }
                Reach::Public | Reach::Any => {
                    self.error("its address is not public", ALLOW_PRIVATE)
                }
            });
        }
        Ok(addresses)
    }

    /// That the connection was lost, for this reason.
    pub fn lost(&self, reason: &str) -> Error {
        self.error(reason, CLOSED)
    }

    /// What others say is cut short and written without control characters.
    fn error(&self, reason: impl Display, remedy: &'static str) -> Error {
        let reason = reason.to_string();
        let said = reason.chars().take(MOST_SAID);
        Error {
            place: self.address.clone(),
            reason: said.flat_map(char::escape_debug).collect(),
            remedy,
            retry_after: None,
        }
    }
}

/// The host in `host:port`.
fn host(address: &str) -> Option<&str> {
    let (host, port) = address.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let bracketed = host.strip_prefix('[');
    let host = match bracketed {
        Some(host) => host.strip_suffix(']')?,
        None => host,
    };
    let is_host = !host.is_empty() && (bracketed.is_some() || !host.contains(':'));
    (port > 0 && is_host).then_some(host)
}

/// Trusts the certificates in this file, or those that the platform trusts; gives the reason if it
/// cannot.
fn client_config(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match ca {
        None => builder
            .with_platform_verifier()
            .map_err(|error| error.to_string())?,
        Some(path) => builder.with_root_certificates(trusted(path)?),
    };
    Ok(builder.with_no_client_auth())
}

fn trusted(path: &Path) -> Result<RootCertStore, String> {
    let place = path.display();
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path);
    for certificate in certificates.map_err(|error| format!("cannot read {place}: {error}"))? {
        let certificate = certificate.map_err(|error| format!("cannot read {place}: {error}"))?;
        let added = roots.add(certificate);
        added.map_err(|error| format!("{place} holds what is no certificate: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("{place} holds no certificate"));
    }
    Ok(roots)
}

/// What it gives, or that it took longer than this.
async fn within<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(time, work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", time.as_secs()),
        )),
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open connection, with TLS or without.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// Whether it outlived a delivery.
    is_proven: bool,
}

impl Connection {
    /// Writes all of it. Gives why the connection is over if it fails or is closed by then; some of it
    /// may have arrived.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        for piece in bytes.chunks(PIECE_BYTES) {
            let written = within(WRITE, self.stream.write_all(piece)).await;
            written.map_err(|error| error.to_string())?;
        }
        let flushed = within(WRITE, self.stream.flush()).await;
        flushed.map_err(|error| error.to_string())?;
        let time = if self.is_proven { GLANCE } else { PROBATION };
        match self.watch(time).await {
            None => {
                self.is_proven = true;
                Ok(())
            }
            Some(reason) => Err(reason),
        }
    }

    /// Why the connection is over, if it is.
    pub async fn end(&mut self) -> Option<String> {
        self.watch(GLANCE).await
    }

    /// Why the connection is over, if that shows within this time. Receivers of syslog have nothing to
    /// say; if one does, nobody listens.
    async fn watch(&mut self, time: Duration) -> Option<String> {
        let end = async {
            let mut said = [0; 512];
            loop {
                match self.stream.read(&mut said).await {
                    Ok(0) => return "it closed the connection".to_owned(),
                    Ok(_) => (),
                    Err(error) => return error.to_string(),
                }
            }
        };
        timeout(time, end).await.ok()
    }

    /// Says goodbye, as RFC 5425 §4.4 wants it, to who may be gone already.
    pub async fn close(mut self) {
        let _ = timeout(GLANCE, self.stream.shutdown()).await;
    }
}
