//! The Prometheus of the installation: where metrics come from that name no address, and what only it is asked with.
//!
//! Files are named by whoever runs the controller, never by a template: a template could send any file anywhere.

use std::path::{Path, PathBuf};

use reqwest::Url;
use tokio::io::AsyncReadExt;

use super::args::Secret;
use super::plan::MAX_CA_CERT;

/// The Prometheus of the installation.
#[derive(Clone, Debug, Default)]
pub struct Installation {
    /// Its address.
    pub address: Option<String>,
    /// A file with the bearer token it is asked with. Read again for each measurement: tokens are rotated.
    pub bearer_token_file: Option<PathBuf>,
    /// A file with the certificates of the authorities that may have signed its own.
    pub ca_file: Option<PathBuf>,
}

impl Installation {
    /// Whether it has this address. Anything else is another server, to which nothing of it is sent.
    pub fn is(&self, address: &Url) -> bool {
        let own = self.address.as_deref().map(|own| Url::parse(own.trim()));
        matches!(own, Some(Ok(own)) if own == *address)
    }

    /// The token, if there is to be one.
    pub async fn bearer_token(&self) -> Result<Option<Secret>, String> {
        Ok(read(self.bearer_token_file.as_deref(), "bearer token")
            .await?
            .map(|token| Secret::new(token.trim().to_owned())))
    }

    /// The certificates, if there are to be some.
    pub async fn ca_cert(&self) -> Result<Option<String>, String> {
        read(self.ca_file.as_deref(), "certificate authorities").await
    }
}

/// A file's text. The error says what is missing and not where: it is shown to whoever reads an AnalysisRun.
async fn read(path: Option<&Path>, what: &str) -> Result<Option<String>, String> {
    let Some(path) = path else { return Ok(None) };
    let mut text = String::new();
    let limit = u64::try_from(MAX_CA_CERT).unwrap_or(u64::MAX);
    let read = async {
        let file = tokio::fs::File::open(path).await?;
        file.take(limit).read_to_string(&mut text).await
    };
    match read.await {
        Ok(_) => Ok(Some(text)),
        Err(error) => {
            tracing::warn!(path = %path.display(), "the {what} of the installation's Prometheus cannot be read: {error}");
            Err(format!(
                "the {what} of the installation's Prometheus cannot be read; its administrator finds the reason in the controller's log"
            ))
        }
    }
}
