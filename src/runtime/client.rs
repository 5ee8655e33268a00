//! The Kubernetes client: how it is built, how long a call may take, and what its errors mean.
//!
//! It retries nothing: who failed says so, and backs off per object (`backoff`).

use std::{path::PathBuf, time::Duration};

use http::{
    HeaderValue,
    header::{InvalidHeaderValue, USER_AGENT},
};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
    core::{Status, response::reason},
};

use super::instruments::Instruments;

/// How long connecting to the API server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the client finds its cluster, and as whom it speaks.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// A kubeconfig file; without one `KUBECONFIG`, `~/.kube/config` or the pod's service account, in this order.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig other than its current one.
    pub context: Option<String>,
    /// What calls: the controller or a subcommand. It becomes part of the user agent.
    pub component: &'static str,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig cannot be read, or does not have what is asked for.
    #[error("kubeconfig {}: {source}. Give --kubeconfig a readable file and --context one of its contexts", .path.as_ref().map_or_else(|| "from the environment".to_owned(), |path| path.display().to_string()))]
    Kubeconfig {
        /// The file, if one was named.
        path: Option<PathBuf>,
        /// What is wrong.
        source: KubeconfigError,
    },
    /// Neither a kubeconfig nor a service account was found.
    #[error(
        "no cluster found: {0}. Set KUBECONFIG, give --kubeconfig, or run in a pod with a service account"
    )]
    NoCluster(#[source] InferConfigError),
    /// The component's name does not fit into a header.
    #[error("user agent: {0}")]
    UserAgent(#[source] InvalidHeaderValue),
    /// The configuration was found but no client can be made from it.
    #[error("client for the cluster: {0}")]
    Build(#[source] Box<kube::Error>),
}

/// Chooses ring for TLS in this process. To be called first thing in `main`; harmless when repeated.
pub fn install_crypto_provider() {
    // The only error is that a provider is there already: ours from an earlier call, or the embedding test's choice.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Builds the client; its requests are counted in `instruments`.
pub async fn connect(
    options: &ClientOptions,
    instruments: &Instruments,
) -> Result<Client, ClientError> {
    let config = configure(options).await?;
    let builder =
        ClientBuilder::try_from(config).map_err(|error| ClientError::Build(Box::new(error)))?;
    Ok(builder
        .with_layer(&instruments.count_requests::<Body>())
        .build())
}

async fn configure(options: &ClientOptions) -> Result<Config, ClientError> {
    let choice = KubeConfigOptions {
        context: options.context.clone(),
        ..KubeConfigOptions::default()
    };
    let failed = |source| ClientError::Kubeconfig {
        path: options.kubeconfig.clone(),
        source,
    };
    let mut config = if let Some(path) = &options.kubeconfig {
        let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
        Config::from_custom_kubeconfig(kubeconfig, &choice)
            .await
            .map_err(failed)?
    } else if options.context.is_some() {
        Config::from_kubeconfig(&choice).await.map_err(failed)?
    } else {
        Config::infer().await.map_err(ClientError::NoCluster)?
    };
    let agent = format!(
        "tidegate-{}/{}",
        options.component,
        env!("CARGO_PKG_VERSION")
    );
    let agent = HeaderValue::try_from(agent).map_err(ClientError::UserAgent)?;
    config.headers.push((USER_AGENT, agent));
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // kube's own policy keeps one call going for minutes, far beyond any deadline of ours.
    config.default_retry = false;
    Ok(config)
}

/// Why a call to the API server did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer in time. A write may have been carried out nevertheless.
    #[error("no answer from the API server within {0:?}")]
    Deadline(Duration),
    /// The API server refused, or could not be talked to.
    #[error("{}", describe(.0))]
    Kube(#[source] Box<kube::Error>),
}

impl ApiError {
    /// What to do about it.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Deadline(_) => Failure::Transient(self.to_string()),
            Self::Kube(error) => classify(error),
        }
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        Self::Kube(Box::new(error))
    }
}

/// Waits for `call`, but no longer than `deadline`.
pub async fn with_deadline<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(answer) => answer.map_err(ApiError::from),
        Err(_elapsed) => Err(ApiError::Deadline(deadline)),
    }
}

/// What a failed call means for the caller. Messages are the server's, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The object is not at the resourceVersion the write was meant for: read it again and decide anew.
    Conflict,
    /// An object of this name exists already, perhaps from our own earlier attempt.
    AlreadyExists,
    /// There is no such object, or its kind is not served.
    NotFound,
    /// The object is refused as it is, and will be until somebody changes it.
    Invalid(String),
    /// Not allowed: by RBAC, by a quota, by an admission policy.
    Forbidden(String),
    /// May succeed when tried again later.
    Transient(String),
}

impl Failure {
    /// A word for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::AlreadyExists => "already_exists",
            Self::NotFound => "not_found",
            Self::Invalid(_) => "invalid",
            Self::Forbidden(_) => "forbidden",
            Self::Transient(_) => "transient",
        }
    }
}

/// What `error` means for the caller.
pub fn classify(error: &kube::Error) -> Failure {
    let message = describe(error);
    if let kube::Error::Api(status) = error {
        return classify_status(status, message);
    }
    if matches!(
        error,
        kube::Error::BuildRequest(_) | kube::Error::HttpError(_)
    ) {
        // We built a request that cannot be sent; sending it again changes nothing.
        return Failure::Invalid(message);
    }
    Failure::Transient(message)
}

fn classify_status(status: &Status, message: String) -> Failure {
    match code(status) {
        404 => Failure::NotFound,
        409 if status.reason == reason::ALREADY_EXISTS => Failure::AlreadyExists,
        409 => Failure::Conflict,
        403 => Failure::Forbidden(message),
        // 401: a token that is being rotated. 410: a list or watch that is to be started anew.
        401 | 408 | 410 | 429 => Failure::Transient(message),
        400..=499 => Failure::Invalid(message),
        _ => Failure::Transient(message),
    }
}

/// The status code; where the server gave only a reason, the code that goes with it.
fn code(status: &Status) -> u16 {
    match (status.code, status.reason.as_str()) {
        (0, reason::NOT_FOUND) => 404,
        (0, reason::ALREADY_EXISTS | reason::CONFLICT) => 409,
        (0, reason::FORBIDDEN) => 403,
        (0, reason::INVALID) => 422,
        (code, _) => code,
    }
}

/// kube prints API errors twice, the second time as Rust source.
fn describe(error: &kube::Error) -> String {
    let kube::Error::Api(status) = error else {
        return error.to_string();
    };
    if status.message.is_empty() {
        format!("{} ({})", status.reason, status.code)
    } else {
        status.message.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, reason: &str) -> kube::Error {
        kube::Error::Api(Status::failure("said so", reason).with_code(code).boxed())
    }

    #[test]
    fn every_answer_has_a_meaning() {
        let said = || "said so".to_owned();
        let table = [
            (400, "BadRequest", Failure::Invalid(said())),
            (401, "Unauthorized", Failure::Transient(said())),
            (403, "Forbidden", Failure::Forbidden(said())),
            (404, "NotFound", Failure::NotFound),
            (404, "", Failure::NotFound),
            (405, "MethodNotAllowed", Failure::Invalid(said())),
            (408, "", Failure::Transient(said())),
            (409, "AlreadyExists", Failure::AlreadyExists),
            (409, "Conflict", Failure::Conflict),
            (409, "", Failure::Conflict),
            (410, "Expired", Failure::Transient(said())),
            (413, "RequestEntityTooLarge", Failure::Invalid(said())),
            (422, "Invalid", Failure::Invalid(said())),
            (429, "TooManyRequests", Failure::Transient(said())),
            (500, "InternalError", Failure::Transient(said())),
            (503, "ServiceUnavailable", Failure::Transient(said())),
            (504, "Timeout", Failure::Transient(said())),
            (0, "AlreadyExists", Failure::AlreadyExists),
            (0, "Conflict", Failure::Conflict),
            (0, "Forbidden", Failure::Forbidden(said())),
            (0, "Invalid", Failure::Invalid(said())),
            (0, "NotFound", Failure::NotFound),
            (0, "", Failure::Transient(said())),
        ];
        for (code, reason, expected) in table {
            assert_eq!(classify(&api(code, reason)), expected, "{code} {reason}");
        }
    }

    #[test]
    fn a_lost_connection_is_transient() {
        let error = kube::Error::Service("connection refused".into());
        assert_eq!(
            classify(&error),
            Failure::Transient("ServiceError: connection refused".to_owned())
        );
    }

    #[test]
    fn an_error_is_told_in_the_servers_words() {
        let error = ApiError::from(api(422, "Invalid"));
        assert_eq!(error.to_string(), "said so");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_at_its_deadline() {
        let began = tokio::time::Instant::now();
        let deadline = Duration::from_secs(3);
        let result =
            with_deadline(deadline, std::future::pending::<Result<(), kube::Error>>()).await;
        let failure = result.expect_err("no answer").failure();
        assert_eq!(
            (failure, began.elapsed()),
            (
                Failure::Transient("no answer from the API server within 3s".to_owned()),
                deadline
            )
        );
    }

    #[tokio::test]
    async fn says_which_kubeconfig_cannot_be_read() {
        let options = ClientOptions {
            kubeconfig: Some("/nonexistent/config".into()),
            ..ClientOptions::default()
        };
        let error = configure(&options)
            .await
            .expect_err("no such file")
            .to_string();
        assert!(
            error.starts_with("kubeconfig /nonexistent/config: "),
            "{error}"
        );
    }

    #[tokio::test]
    async fn names_itself_and_leaves_retries_to_the_caller() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        let kubeconfig = "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, \
                          user: a}}], clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: a}]}";
        std::fs::write(&path, kubeconfig).expect("written");
        let options = ClientOptions {
            kubeconfig: Some(path),
            component: "controller",
            ..ClientOptions::default()
        };
        let config = configure(&options).await.expect("a config");
        let agent = config
            .headers
            .iter()
            .find(|(name, _)| name == USER_AGENT)
            .map(|(_, value)| value.to_str());
        let expected = format!("tidegate-controller/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            (agent.and_then(Result::ok), config.default_retry),
            (Some(expected.as_str()), false)
        );
    }
}
