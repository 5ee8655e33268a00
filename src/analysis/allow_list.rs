//! Which addresses metrics may be asked from.
//!
//! Addresses stand in namespaced templates, and the controller reaches more than their authors do. Checked before any
//! connection is made; names are not resolved here.

use std::net::Ipv4Addr;
use std::str::FromStr;

use reqwest::Url;
use thiserror::Error;

/// Why an address may not be asked.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum AddressError {
    /// It is no URL.
    #[error("the address \"{0}\" is not a URL such as http://prometheus.monitoring.svc:9090")]
    Malformed(String),
    /// It is neither http nor https.
    #[error("the address \"{0}\" is neither http nor https")]
    Scheme(String),
    /// It has credentials, a query or a fragment.
    #[error(
        "the address of {0} has a user, a password, a query or a fragment; give the base address only"
    )]
    Surplus(String),
    /// It is not on the list.
    #[error(
        "the address {0} is not allowed; an administrator can allow it with --metric-address-allow"
    )]
    NotAllowed(String),
}

/// Why a pattern of the list cannot be used.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
#[error(
    "\"{0}\" is not a pattern for addresses; write scheme://host[:port], where the host may begin with \"*.\""
)]
pub struct PatternError(String);

/// `scheme://host[:port]`; without a port any port matches, and a host may begin with `*.`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddressPattern {
    scheme: String,
    host: HostPattern,
    port: Option<u16>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum HostPattern {
    Exactly(String),
    /// Below this domain, which begins with a dot.
    Below(String),
}

impl FromStr for AddressPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let wrong = || PatternError(text.to_owned());
        let (scheme, rest) = text.trim().split_once("://").ok_or_else(wrong)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(wrong());
        }
        let below = rest.strip_prefix("*.");
        let url =
            Url::parse(&format!("{scheme}://{}", below.unwrap_or(rest))).map_err(|_| wrong())?;
        if has_surplus(&url) || url.path() != "/" {
            return Err(wrong());
        }
        if rest.contains('*') && below.is_none_or(|rest| rest.contains('*')) {
            return Err(wrong());
        }
        let name = plain(url.host_str().ok_or_else(wrong)?);
        let host = match below {
            Some(_) if is_ip(&name) => return Err(wrong()),
            Some(_) => HostPattern::Below(format!(".{name}")),
            None => HostPattern::Exactly(name),
        };
        // The URL parser drops a port that is the scheme's own; here `:80` means that port only.
        let written = rest.trim_end_matches('/');
        let default = if scheme == "https" { 443 } else { 80 };
        let port = url
            .port()
            .or_else(|| written.ends_with(&format!(":{default}")).then_some(default));
        Ok(Self { scheme, host, port })
    }
}

impl AddressPattern {
    fn matches(&self, url: &Url, host: &str) -> bool {
        let host_matches = match &self.host {
            HostPattern::Exactly(exactly) => exactly == host,
            HostPattern::Below(domain) => host.len() > domain.len() && host.ends_with(domain),
        };
        host_matches
            && self.scheme == url.scheme()
            && self
                .port
                .is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

/// The addresses metrics may be asked from.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    patterns: Vec<AddressPattern>,
    cluster_local: bool,
}

impl AllowList {
    /// Exactly what the patterns match.
    pub fn new(patterns: Vec<AddressPattern>) -> Self {
        Self {
            patterns,
            cluster_local: false,
        }
    }

    /// What is allowed when nothing is said: Services of the cluster by name (`name.namespace.svc`, with or without
    /// `.cluster.local`), and the address of the installation.
    pub fn cluster_local(default_address: Option<&str>) -> Self {
        let pattern = default_address.and_then(|address| {
            let url = Url::parse(address).ok()?;
            Some(AddressPattern {
                scheme: url.scheme().to_owned(),
                host: HostPattern::Exactly(plain(url.host_str()?)),
                port: url.port_or_known_default(),
            })
        });
        Self {
            patterns: pattern.into_iter().collect(),
            cluster_local: true,
        }
    }

    /// The address as a URL, if it may be asked. It is a base: a query has no place in it.
    pub fn check(&self, address: &str) -> Result<Url, AddressError> {
        let url = self.check_with_query(address)?;
        if url.query().is_some() {
            return Err(AddressError::Surplus(plain(
                url.host_str().unwrap_or_default(),
            )));
        }
        Ok(url)
    }

    /// The URL, if it may be asked. It may have a query.
    pub fn check_with_query(&self, address: &str) -> Result<Url, AddressError> {
        let shown = || address.chars().take(128).collect::<String>();
        let url = Url::parse(address.trim()).map_err(|_| AddressError::Malformed(shown()))?;
        if url.scheme() != "http" && url.scheme() != "https" {
            return Err(AddressError::Scheme(shown()));
        }
        let name = plain(
            url.host_str()
                .ok_or_else(|| AddressError::Malformed(shown()))?,
        );
        let mut without_query = url.clone();
        without_query.set_query(None);
        if has_surplus(&without_query) {
            return Err(AddressError::Surplus(name));
        }
        let local = self.cluster_local && is_service(&name);
        if local
            || self
                .patterns
                .iter()
                .any(|pattern| pattern.matches(&url, &name))
        {
            Ok(url)
        } else {
            let port = url
                .port()
                .map(|port| format!(":{port}"))
                .unwrap_or_default();
            Err(AddressError::NotAllowed(format!(
                "{}://{name}{port}",
                url.scheme()
            )))
        }
    }
}

/// Lower case, without the dot that ends a full name.
fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether the host of a parsed URL is an address. The parser has brought every spelling of one into its normal form.
fn is_ip(host: &str) -> bool {
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

fn has_surplus(url: &Url) -> bool {
    !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
}

/// `name.namespace.svc`, `name.namespace.svc.cluster.local`. A single label would be looked up in the controller's own
/// namespace, and the API server's names are left out: nothing there is a metric.
fn is_service(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    match labels.as_slice() {
        [name, namespace, "svc"] | [name, namespace, "svc", "cluster", "local"] => {
            let api_server = *namespace == "default" && *name == "kubernetes";
            !api_server && !name.is_empty() && !namespace.is_empty()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_the_default_address_are_allowed_by_default() {
        let list = AllowList::cluster_local(Some("http://127.0.0.1:9090"));
        for (address, allowed) in [
            ("http://prometheus.monitoring.svc:9090", true),
            ("https://prometheus.monitoring.svc.cluster.local/prom", true),
            ("http://PROMETHEUS.monitoring.svc.:9090", true),
            ("http://127.0.0.1:9090", true),
            ("http://127.0.0.1:9091", false),
            ("https://127.0.0.1:9090", false),
            ("http://169.254.169.254/latest", false),
            ("http://[::1]:9090", false),
            ("http://2130706433:9090", true),
            ("http://0x7f.1:8080", false),
            ("http://kubernetes.default.svc", false),
            ("http://prometheus", false),
            ("http://prometheus.monitoring", false),
            ("http://evil.example.com", false),
            ("http://x.svc.evil.com", false),
            ("http://a.b.svc.cluster.local.evil.com", false),
            ("http://a.b.c.svc", false),
            ("ftp://prometheus.monitoring.svc", false),
            ("http://user:pw@prometheus.monitoring.svc", false),
            ("http://prometheus.monitoring.svc/?a=b", false),
            ("prometheus.monitoring.svc:9090", false),
            ("", false),
        ] {
            assert_eq!(
                list.check(address).is_ok(),
                allowed,
                "{address}: {:?}",
                list.check(address)
            );
        }
    }

    #[test]
    fn a_list_allows_what_it_says_and_nothing_else() {
        let patterns = [
            "http://*.example.com",
            "https://metrics.example.org:8443",
            "http://10.0.0.7:80",
        ];
        let list = AllowList::new(
            patterns
                .iter()
                .map(|pattern| pattern.parse().unwrap())
                .collect(),
        );
        for (address, allowed) in [
            ("http://a.example.com:1234", true),
            ("http://a.b.example.com", true),
            ("http://example.com", false),
            ("http://badexample.com", false),
            ("https://a.example.com", false),
            ("https://metrics.example.org:8443/base", true),
            ("https://metrics.example.org", false),
            ("http://10.0.0.7", true),
            ("http://10.0.0.7:8080", false),
            ("http://prometheus.monitoring.svc", false),
        ] {
            assert_eq!(list.check(address).is_ok(), allowed, "{address}");
        }
    }

    #[test]
    fn a_url_may_have_a_query_and_nothing_else_more_than_an_address() {
        let list = AllowList::cluster_local(None);
        for (url, allowed) in [
            ("http://gate.shop.svc:8080/check?version=2", true),
            ("http://gate.shop.svc/check#part", false),
            ("http://me:pw@gate.shop.svc/check", false),
            ("http://evil.example.com/?http://gate.shop.svc", false),
        ] {
            assert_eq!(list.check_with_query(url).is_ok(), allowed, "{url}");
        }
    }

    #[test]
    fn patterns_that_say_nothing_clear_are_refused() {
        for pattern in [
            "*",
            "example.com",
            "ftp://x",
            "http://",
            "http://a.*.b",
            "http://*",
            "http://*.1.2.3.4",
            "http://x/path",
            "http://u@x",
        ] {
            assert!(pattern.parse::<AddressPattern>().is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let error = AllowList::cluster_local(None)
            .check("http://evil.example.com:81/x")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the address http://evil.example.com:81 is not allowed; an administrator can allow it with --metric-address-allow"
        );
    }
}
