//! The testbed's own certificate authority, the API server's certificate and the key pair that signs ServiceAccount
//! tokens. Every client verifies: nothing in the testbed turns verification off.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The admin's bearer token. It is no secret: it opens only an API server nobody outside the namespace can reach.
pub const ADMIN_TOKEN: &str = "admintoken";

/// The folder with the key material.
#[derive(Debug, Clone)]
pub struct Pki {
    folder: PathBuf,
}

impl Pki {
    /// Creates new key material in `folder`.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let pki = Self {
            folder: folder.to_owned(),
        };

        let ca_key = KeyPair::generate().context("cannot make the CA's key")?;
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        ca.distinguished_name.push(DnType::CommonName, "testbed-ca");
        let ca_certificate = ca
            .self_signed(&ca_key)
            .context("cannot sign the CA's certificate")?;
        let issuer = Issuer::new(ca, ca_key);

        let names = [
            "127.0.0.1",
            "10.96.0.1",
            "localhost",
            "kubernetes.default.svc",
        ]
        .map(str::to_owned);
        let server_key = KeyPair::generate().context("cannot make the API server's key")?;
        let mut server = CertificateParams::new(names).context("cannot name the API server")?;
        server
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let server_certificate = server
            .signed_by(&server_key, &issuer)
            .context("cannot sign the server certificate")?;

        let service_account_key =
            KeyPair::generate().context("cannot make the ServiceAccount key")?;

        pki.write("ca.crt", &ca_certificate.pem())?;
        pki.write("server.crt", &server_certificate.pem())?;
        pki.write("server.key", &server_key.serialize_pem())?;
        pki.write("service-account.key", &service_account_key.serialize_pem())?;
        pki.write("service-account.pub", &service_account_key.public_key_pem())?;
        pki.write(
            "tokens.csv",
            &format!("{ADMIN_TOKEN},admin,admin-uid,\"system:masters\"\n"),
        )?;
        pki.write("token", ADMIN_TOKEN)?;
        Ok(pki)
    }

    /// The CA's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The certificate of servers on 127.0.0.1.
    pub fn server_certificate(&self) -> PathBuf {
        self.folder.join("server.crt")
    }

    /// The key of [`Pki::server_certificate`].
    pub fn server_key(&self) -> PathBuf {
        self.folder.join("server.key")
    }

    /// The key that signs ServiceAccount tokens.
    pub fn service_account_key(&self) -> PathBuf {
        self.folder.join("service-account.key")
    }

    /// The key that verifies ServiceAccount tokens.
    pub fn service_account_public_key(&self) -> PathBuf {
        self.folder.join("service-account.pub")
    }

    /// The API server's table of static tokens.
    pub fn tokens(&self) -> PathBuf {
        self.folder.join("tokens.csv")
    }

    /// A file with nothing but the admin's token.
    pub fn admin_token(&self) -> PathBuf {
        self.folder.join("token")
    }

    /// The folder, for servers that want to put something there.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }
}
