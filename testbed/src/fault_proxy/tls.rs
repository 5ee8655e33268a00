//! The proxy's certificates, and TLS on both of its sides. Nothing is left unverified.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// What the proxy shows to its clients.
#[derive(Clone)]
pub struct Identity {
    /// The certificate that clients must trust, PEM.
    pub ca_pem: String,
    /// The proxy's own certificate, PEM.
    pub certificate_pem: String,
    /// Its key, PEM.
    pub key_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("ca_pem", &self.ca_pem)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// A new authority and a certificate of it for this address and `localhost`.
    pub fn self_made(address: IpAddr) -> Result<Self> {
        let ca_key = KeyPair::generate().context("cannot make the fault proxy's CA key")?;
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name
            .push(DnType::CommonName, "fault-proxy-ca");
        let ca_certificate = ca
            .self_signed(&ca_key)
            .context("cannot sign the fault proxy's CA certificate")?;
        let issuer = Issuer::new(ca, ca_key);

        let key = KeyPair::generate().context("cannot make the fault proxy's key")?;
        let mut own = CertificateParams::new([address.to_string(), "localhost".to_owned()])
            .context("cannot name the fault proxy")?;
        own.distinguished_name
            .push(DnType::CommonName, "fault-proxy");
        own.use_authority_key_identifier_extension = true;
        let certificate = own
            .signed_by(&key, &issuer)
            .context("cannot sign the fault proxy's certificate")?;
        Ok(Self {
            ca_pem: ca_certificate.pem(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// The server side: HTTP/1.1 only.
    pub fn server(&self) -> Result<Arc<ServerConfig>> {
        let chain = certificates(&self.certificate_pem).context("the fault proxy's certificate")?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())
            .context("the fault proxy's key")?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .context("TLS versions")?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("the fault proxy's certificate does not fit its key")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The client side, which trusts this authority only.
pub(super) fn client(ca_pem: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_pem).context("the API server's CA certificate")? {
        roots
            .add(certificate)
            .context("the API server's CA certificate")?;
    }
    Ok(
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .context("TLS versions")?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .context("is not PEM")
}
