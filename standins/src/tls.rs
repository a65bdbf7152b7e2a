//! Certificates: loading, verifying, and the TLS endpoints made of them. Chains,
//! dates, key usages and names are checked as Go's crypto/x509 checks them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, bail, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A chain, leaf first, and its key.
pub type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// How a server treats client certificates.
pub enum ClientAuth {
    /// Doesn't ask for one.
    None,
    /// Asks; whether it is any good is decided per request, as the API server does.
    Ask,
    /// The handshake fails without a good one, as etcd's does.
    Require(Arc<dyn ClientCertVerifier>),
}

fn read(path: &str) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => anyhow::anyhow!("open {path}: no such file or directory"),
        _ => anyhow::anyhow!("open {path}: {e}"),
    })
}

/// All certificates of a PEM text; none at all is an error.
pub fn certs(pem: &[u8]) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certs = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .context("data does not contain any valid RSA or ECDSA certificates")?;
    ensure!(
        !certs.is_empty(),
        "data does not contain any valid RSA or ECDSA certificates"
    );
    for cert in &certs {
        X509Certificate::from_der(cert)
            .map_err(|e| anyhow::anyhow!("x509: malformed certificate: {e}"))?;
    }
    Ok(certs)
}

/// The private key of a PEM text, in any of the three encodings.
pub fn key(pem: &[u8]) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|e| anyhow::anyhow!("data does not contain a valid private key: {e}"))
}

/// A certificate file and its key file, which must belong together.
pub fn pair(cert_file: &str, key_file: &str) -> anyhow::Result<Pair> {
    let certs = certs(&read(cert_file)?).with_context(|| format!("failed to load {cert_file}"))?;
    let key = key(&read(key_file)?).with_context(|| format!("failed to load {key_file}"))?;
    let pair = (certs, key);
    check_pair(&pair).with_context(|| format!("{cert_file}, {key_file}"))?;
    Ok(pair)
}

fn check_pair(pair: &Pair) -> anyhow::Result<()> {
    let key = rustls::crypto::ring::sign::any_supported_type(&pair.1)
        .map_err(|e| anyhow::anyhow!("tls: {e}"))?;
    CertifiedKey::new(pair.0.clone(), key)
        .keys_match()
        .map_err(|_| anyhow::anyhow!("tls: private key does not match public key"))
}

/// The trust anchors of a PEM bundle. Go refuses a chain whose root is no CA, may
/// not sign, or is out of date; webpki does not look, so such roots are left out.
pub fn roots(pem: &[u8]) -> anyhow::Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for der in certs(pem)? {
        let (_, cert) = X509Certificate::from_der(&der)?;
        let is_ca = cert
            .basic_constraints()
            .ok()
            .flatten()
            .is_some_and(|b| b.value.ca);
        let may_sign = cert
            .key_usage()
            .ok()
            .flatten()
            .is_none_or(|u| u.value.key_cert_sign());
        if is_ca && may_sign && cert.validity().is_valid() {
            store.add(der)?;
        } else {
            crate::klog!(
                warn,
                "x509: {} cannot sign certificates (CA: {is_ca}, keyCertSign: {may_sign}, valid: {})",
                cert.subject(),
                cert.validity().is_valid()
            );
        }
    }
    Ok(store)
}

/// The trust anchors of a file.
pub fn roots_file(path: &str) -> anyhow::Result<RootCertStore> {
    roots(&read(path)?).with_context(|| format!("unable to load client CA provider: {path}"))
}

/// Verifies client certificates against `roots`. With no usable root nothing verifies.
pub fn client_verifier(roots: RootCertStore) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    ensure!(!roots.is_empty(), "no usable certificate authority");
    Ok(WebPkiClientVerifier::builder(Arc::new(roots)).build()?)
}

/// Checks a chain that a client has shown; the error says why not.
pub fn verify_client(
    verifier: &dyn ClientCertVerifier,
    chain: &[CertificateDer<'_>],
) -> Result<(), String> {
    let Some((leaf, rest)) = chain.split_first() else {
        return Err("no certificate".to_owned());
    };
    verifier
        .verify_client_cert(leaf, rest, UnixTime::now())
        .map(|_| ())
        .map_err(|e| format!("x509: {e}"))
}

/// A server's configuration, offering HTTP/2 and HTTP/1.1.
pub fn server(pair: Pair, auth: ClientAuth) -> anyhow::Result<Arc<ServerConfig>> {
    let builder = ServerConfig::builder();
    let builder = match auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Ask => builder.with_client_cert_verifier(Arc::new(AnyClient)),
        ClientAuth::Require(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder.with_single_cert(pair.0, pair.1)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The same of two files. What is written to them later is what the next client sees,
/// as with the API server, which need not be restarted for a certificate.
pub fn server_of_files(
    cert: &str,
    key: &str,
    auth: ClientAuth,
) -> anyhow::Result<Arc<ServerConfig>> {
    let mut config = Arc::unwrap_or_clone(server(pair(cert, key)?, auth)?);
    config.cert_resolver = Arc::new(Files {
        paths: [cert.to_owned(), key.to_owned()],
        shown: Mutex::default(),
    });
    Ok(Arc::new(config))
}

/// A certificate and its key in two files.
#[derive(Debug)]
struct Files {
    paths: [String; 2],
    /// What was read last, and how old the files were.
    shown: Mutex<Option<([SystemTime; 2], Arc<CertifiedKey>)>>,
}

impl Files {
    /// What the files hold now. An error while one of them is replaced.
    fn read(&self) -> anyhow::Result<CertifiedKey> {
        let [cert, key] = &self.paths;
        let (certs, key) = pair(cert, key)?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key)?;
        Ok(CertifiedKey::new(certs, key))
    }

    fn times(&self) -> std::io::Result<[SystemTime; 2]> {
        let of = |path: &String| std::fs::metadata(path)?.modified();
        Ok([of(&self.paths[0])?, of(&self.paths[1])?])
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(now) = self.times()
            && shown.as_ref().is_none_or(|(then, _)| *then != now)
            && let Ok(key) = self.read()
        {
            *shown = Some((now, Arc::new(key)));
        }
        shown.as_ref().map(|(_, key)| Arc::clone(key))
    }
}

/// A client's configuration; `roots` of None takes any server, as probes do.
pub fn client(roots: Option<RootCertStore>, pair: Option<Pair>) -> anyhow::Result<ClientConfig> {
    let builder = match roots {
        Some(roots) => ClientConfig::builder().with_root_certificates(roots),
        None => ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer)),
    };
    Ok(match pair {
        Some((certs, key)) => builder.with_client_auth_cert(certs, key)?,
        None => builder.with_no_client_auth(),
    })
}

/// A self-signed serving certificate, as components make when they are given none.
pub fn self_signed(name: &str, alternatives: Vec<String>) -> anyhow::Result<Pair> {
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(alternatives)?;
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let cert = params.self_signed(&key)?;
    Ok((
        vec![cert.der().clone()],
        PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    ))
}

/// Common name and organisations: user and groups to Kubernetes.
pub fn subject(cert: &[u8]) -> anyhow::Result<(String, Vec<String>)> {
    let (_, cert) = X509Certificate::from_der(cert)?;
    let text = |a: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        a.as_str().map(str::to_owned).unwrap_or_default()
    };
    let name = cert
        .subject()
        .iter_common_name()
        .next()
        .map(text)
        .unwrap_or_default();
    Ok((name, cert.subject().iter_organization().map(text).collect()))
}

/// A signing key out of any PEM that kubeadm writes. ring takes PKCS#8 only, so
/// the two older encodings are wrapped.
pub fn signing_key(pem: &[u8]) -> anyhow::Result<rcgen::KeyPair> {
    let der = pkcs8(&key(pem)?)?;
    rcgen::KeyPair::try_from(der.as_slice()).context("unsupported private key")
}

/// The PKCS#8 form of a private key: version, algorithm, and the older form in a string.
pub fn pkcs8(key: &PrivateKeyDer<'_>) -> anyhow::Result<Vec<u8>> {
    const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    const P256: &[u8] =
        b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
    const P384: &[u8] = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
    let (algorithm, inner) = match key {
        PrivateKeyDer::Pkcs8(key) => return Ok(key.secret_pkcs8_der().to_vec()),
        PrivateKeyDer::Pkcs1(key) => (RSA, key.secret_pkcs1_der()),
        // The curve shows in the length: 121 bytes against 167.
        PrivateKeyDer::Sec1(key) if key.secret_sec1_der().len() < 140 => {
            (P256, key.secret_sec1_der())
        }
        PrivateKeyDer::Sec1(key) => (P384, key.secret_sec1_der()),
        _ => bail!("unsupported private key"),
    };
    let body = [b"\x02\x01\x00", algorithm, &der(0x04, inner)].concat();
    Ok(der(0x30, &body))
}

/// A DER element of up to 64 KiB.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = (content.len() as u16).to_be_bytes();
    let head: &[u8] = match content.len() {
        ..0x80 => &[tag, low],
        0x80..0x100 => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [head, content].concat()
}

fn algorithms() -> rustls::crypto::WebPkiSupportedAlgorithms {
    rustls::crypto::ring::default_provider().signature_verification_algorithms
}

/// Signatures are checked even where certificates are not.
macro_rules! check_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls12_signature(message, cert, dss, &algorithms())
        }
        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            algorithms().supported_schemes()
        }
    };
}

/// Takes any client certificate whose key the client holds.
#[derive(Debug)]
struct AnyClient;

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn client_auth_mandatory(&self) -> bool {
        false
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }
    check_signatures!();
}

/// Takes any server certificate.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    check_signatures!();
}
