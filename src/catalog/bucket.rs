//! Where a bucket is and how to get at it: the URL, the `[bucket]` table of the collector's settings, the `AWS_*` variables.
//!
//! In: texts, and variables that somebody else read. Out: checked values, or one error that names the key or the variable and the
//! remedy. Nothing here opens a connection. A secret is never part of a message.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::collect_settings::duration;
use super::document::{DocumentError, Table};

/// A place in an S3-compatible object store: `s3://BUCKET` or `s3://BUCKET/PREFIX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with, without slashes at its ends; empty for the whole bucket.
    pub prefix: String,
}

const SCHEME: &str = "s3://";

impl BucketUrl {
    /// Whether a store is meant that is no folder.
    pub fn is_meant(store: &Path) -> bool {
        store.to_str().is_some_and(|text| text.starts_with(SCHEME))
    }

    /// Reads a URL. Names of buckets are those that S3 has had since 2018, and the older ones with capitals and underscores.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || "write `s3://BUCKET` or `s3://BUCKET/PREFIX`, as in `s3://flow-logs/egress-atlas`".to_owned();
        let rest = text.strip_prefix(SCHEME).ok_or_else(form)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_bucket = (3..=255).contains(&bucket.len())
            && bucket.bytes().all(plain)
            && bucket.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !is_bucket {
            return Err(form());
        }
        let prefix = prefix.trim_end_matches('/');
        let is_part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(char::is_control);
        if !prefix.is_empty() && (prefix.len() > 512 || !prefix.split('/').all(is_part)) {
            return Err("the prefix has an empty part, `.`, `..`, or a control character; write it as `a/b`".to_owned());
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "{SCHEME}{}{slash}{}", self.bucket, self.prefix)
    }
}

/// Variables of the environment that begin with `AWS_`, and `SSL_CERT_FILE`.
pub type Variables = BTreeMap<String, String>;

/// How to get at a bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketAccess {
    /// Where it is.
    pub url: BucketUrl,
    /// `endpoint`, else `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `AWS_ENDPOINT`; that of Amazon when it is left out.
    pub endpoint: Option<String>,
    /// `region`, else `AWS_REGION`, `AWS_DEFAULT_REGION`. Default `us-east-1`, which is what most other stores want to hear.
    pub region: String,
    /// `virtual_hosted`, else `AWS_VIRTUAL_HOSTED_STYLE_REQUEST`: whether the bucket is part of the host's name, in place of the path.
    pub virtual_hosted: bool,
    /// `allow_http`, else `AWS_ALLOW_HTTP`: whether `http://` will do.
    pub allow_http: bool,
    /// `ca`, else `AWS_CA_BUNDLE`, `SSL_CERT_FILE`: who signs the server's certificate, in PEM; the system's own when it is left out.
    pub ca: Option<PathBuf>,
    /// Where credentials come from.
    pub credentials: Credentials,
}

/// Where credentials come from, in this order.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, with `AWS_SESSION_TOKEN` where it is temporary.
    Static {
        /// The name of the key.
        id: String,
        /// The key.
        secret: String,
        /// Of a temporary one.
        token: Option<String>,
    },
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`: a role for a service account (IRSA).
    WebIdentity {
        /// The file with the token.
        file: String,
        /// The role.
        role: String,
        /// `AWS_ROLE_SESSION_NAME`.
        session: Option<String>,
        /// `AWS_ENDPOINT_URL_STS`.
        sts: Option<String>,
    },
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI` and `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`: EKS Pod Identity.
    Pod {
        /// Where they are asked for.
        uri: String,
        /// The file with the token.
        file: String,
    },
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`: a task of ECS.
    Task {
        /// Where they are asked for.
        uri: String,
    },
    /// `AWS_EC2_METADATA_DISABLED=false`: the role of the instance. Never asked for unsaid: outside of EC2 it is a stranger's address.
    Instance,
}

// Settings are shown in messages and logs of tests; secrets are not.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static { .. } => "Static",
            Self::WebIdentity { .. } => "WebIdentity",
            Self::Pod { .. } => "Pod",
            Self::Task { .. } => "Task",
            Self::Instance => "Instance",
        })
    }
}

impl fmt::Debug for BucketAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketAccess")
            .field("url", &self.url)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

/// Why a bucket cannot be got at; nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{url}`: {reason}")]
pub struct AccessError {
    /// The store.
    pub url: String,
    /// What is wrong, and the remedy.
    pub reason: String,
}

/// The `[bucket]` table of the collector's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketSettings {
    /// `url`.
    pub url: BucketUrl,
    /// `endpoint`.
    pub endpoint: Option<String>,
    /// `region`.
    pub region: Option<String>,
    /// `virtual_hosted`.
    pub virtual_hosted: Option<bool>,
    /// `allow_http`.
    pub allow_http: Option<bool>,
    /// `ca`.
    pub ca: Option<PathBuf>,
    /// `every`: how often finished files are shipped. Default 30 s.
    pub every: Duration,
    /// `keep`: how long copies of what was shipped stay in the folder `shipped`. Default none.
    pub keep: Duration,
    /// `tidy`: how often small objects are merged and days past `retention` removed. Default 10 min.
    pub tidy: Duration,
}

const KEYS: [&str; 9] = ["url", "endpoint", "region", "virtual_hosted", "allow_http", "ca", "every", "keep", "tidy"];

fn endpoint(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') && !text.contains(char::is_whitespace) => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err("write `https://HOST` or `https://HOST:PORT`, without the bucket".to_owned()),
    }
}

impl BucketSettings {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, DocumentError> {
        table.expect_keys(&KEYS)?;
        let text = |key| table.get(key).map(|value| value.text().map(str::to_owned)).transpose();
        let flag = |key| table.get(key).map(|value| value.boolean()).transpose();
        let settings = Self {
            url: table.require("url")?.read(BucketUrl::parse)?,
            endpoint: table.get("endpoint").map(|value| value.read(endpoint)).transpose()?,
            region: text("region")?,
            virtual_hosted: flag("virtual_hosted")?,
            allow_http: flag("allow_http")?,
            ca: text("ca")?.map(PathBuf::from),
            every: duration(table, "every", Duration::from_secs(30))?,
            keep: table.get("keep").map_or(Ok(Duration::ZERO), |_| duration(table, "keep", Duration::ZERO))?,
            tidy: duration(table, "tidy", Duration::from_mins(10))?,
        };
        if let (Some(value), false) = (table.get("endpoint"), settings.allow_http == Some(true))
            && settings.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"))
        {
            return Err(value.refuse(value.text()?, PLAIN_SETTING));
        }
        Ok(settings)
    }

    /// Together with the variables: what the settings leave out, they say.
    pub fn access(&self, variables: &Variables) -> Result<BucketAccess, AccessError> {
        BucketAccess::new(self, variables)
    }
}

const PLAIN_SETTING: &str = "data would travel in the clear; write `https://`, or say `allow_http = true`";

impl BucketAccess {
    /// What `--store s3://…` means, with these variables.
    pub fn of_store(store: &Path, variables: &Variables) -> Result<Self, AccessError> {
        let text = store.to_str().unwrap_or_default();
        let url = BucketUrl::parse(text).map_err(|reason| AccessError { url: text.to_owned(), reason })?;
        let settings = BucketSettings {
            url,
            endpoint: None,
            region: None,
            virtual_hosted: None,
            allow_http: None,
            ca: None,
            every: Duration::ZERO,
            keep: Duration::ZERO,
            tidy: Duration::ZERO,
        };
        Self::new(&settings, variables)
    }

    fn new(settings: &BucketSettings, variables: &Variables) -> Result<Self, AccessError> {
        let refuse = |reason: String| AccessError { url: settings.url.to_string(), reason };
        let variable = |names: &[&str]| {
            names.iter().find_map(|name| variables.get(*name).filter(|value| !value.is_empty()).cloned())
        };
        let flag = |set: Option<bool>, name: &str| match (set, variable(&[name])) {
            (Some(set), _) => Ok(set),
            (None, None) => Ok(false),
            (None, Some(text)) => truth(&text).ok_or_else(|| refuse(format!("`{name}` is neither `true` nor `false`"))),
        };
        let allow_http = flag(settings.allow_http, "AWS_ALLOW_HTTP")?;
        let named = variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]);
        let told = match (&settings.endpoint, named) {
            (Some(own), _) => Some(own.clone()),
            (None, Some(text)) => {
                Some(endpoint(&text).map_err(|why| refuse(format!("`AWS_ENDPOINT_URL` cannot be `{text}`: {why}")))?)
            }
            (None, None) => None,
        };
        if !allow_http && told.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://")) {
            return Err(refuse(
                "its endpoint is `http://`: data would travel in the clear; use `https://`, or set AWS_ALLOW_HTTP=true (`allow_http = true` in the collector's settings)"
                    .to_owned(),
            ));
        }
        let region = settings.region.clone().or_else(|| variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
        Ok(Self {
            url: settings.url.clone(),
            endpoint: told,
            region: region.unwrap_or_else(|| "us-east-1".to_owned()),
            virtual_hosted: flag(settings.virtual_hosted, "AWS_VIRTUAL_HOSTED_STYLE_REQUEST")?,
            allow_http,
            ca: settings.ca.clone().or_else(|| variable(&["AWS_CA_BUNDLE", "SSL_CERT_FILE"]).map(PathBuf::from)),
            credentials: Credentials::of(variables).map_err(refuse)?,
        })
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

impl Credentials {
    fn of(variables: &Variables) -> Result<Self, String> {
        let get = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
        let both = |one: &str, two: &str| match (get(one), get(two)) {
            (Some(first), Some(second)) => Ok(Some((first, second))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(format!("{one} is set and {two} is not; set both")),
            (None, Some(_)) => Err(format!("{two} is set and {one} is not; set both")),
        };
        if let Some((id, secret)) = both("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")? {
            return Ok(Self::Static { id, secret, token: get("AWS_SESSION_TOKEN") });
        }
        if let (Some(file), Some(role)) = (get("AWS_WEB_IDENTITY_TOKEN_FILE"), get("AWS_ROLE_ARN")) {
            let (session, sts) = (get("AWS_ROLE_SESSION_NAME"), get("AWS_ENDPOINT_URL_STS"));
            return Ok(Self::WebIdentity { file, role, session, sts });
        }
        if let Some((uri, file)) = both("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")?
        {
            return Ok(Self::Pod { uri, file });
        }
        if let Some(uri) = get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            return Ok(Self::Task { uri });
        }
        if get("AWS_EC2_METADATA_DISABLED").and_then(|text| truth(&text)) == Some(false) {
            return Ok(Self::Instance);
        }
        Err("no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (of a profile: `aws configure export-credentials --format env`), or run as a service account with a role (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN); for the role of an EC2 instance set AWS_EC2_METADATA_DISABLED=false"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CollectSettings;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn urls() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let found = BucketUrl::parse(text).ok();
            let expected = expected.map(|(bucket, prefix)| (bucket.to_owned(), prefix.to_owned()));
            assert_eq!(found.map(|url| (url.bucket, url.prefix)), expected, "{text}");
        };
        check("s3://flow-logs", Some(("flow-logs", "")));
        check("s3://flow-logs/", Some(("flow-logs", "")));
        check("s3://flow-logs/a/b/", Some(("flow-logs", "a/b")));
        check("s3://Old_Bucket.eu/ü=1", Some(("Old_Bucket.eu", "ü=1")));
        for bad in [
            "s3://",
            "s3:///x",
            "s3://ab",
            "s3://-abc",
            "s3://a b c",
            "s3://abc//x",
            "s3://abc/../x",
            "S3://abc",
            "abc",
        ] {
            check(bad, None);
        }
        assert!(BucketUrl::is_meant(Path::new("s3://x")) && !BucketUrl::is_meant(Path::new("s3/x")));
        assert_eq!(BucketUrl::parse("s3://abc/x/").unwrap().to_string(), "s3://abc/x");
    }

    #[test]
    fn what_the_settings_leave_out_the_variables_say() {
        let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hidden")];
        let more = [("AWS_ENDPOINT_URL", "http://minio:9000/"), ("AWS_ALLOW_HTTP", "TRUE"), ("AWS_REGION", "eu-1")];
        let all = variables(&[keys.as_slice(), more.as_slice()].concat());
        let access = BucketAccess::of_store(Path::new("s3://abc/x"), &all).unwrap();
        assert_eq!((access.endpoint.as_deref(), access.region.as_str()), (Some("http://minio:9000"), "eu-1"));
        assert!(access.allow_http && !access.virtual_hosted);
        assert!(!format!("{access:?}").contains("hidden"));
        let text = "store = \"s\"\n[bucket]\nurl = \"s3://abc\"\nregion = \"own\"\nendpoint = \"https://own\"\n[[hubble]]\npath = \"x\"\n";
        let settings = CollectSettings::parse(text, "c.toml").unwrap().bucket.unwrap();
        let access = settings.access(&all).unwrap();
        assert_eq!((access.endpoint.as_deref(), access.region.as_str()), (Some("https://own"), "own"));
    }

    #[test]
    fn missing_credentials_are_told_with_the_remedy() {
        let check = |pairs: &[(&str, &str)], expected: Result<&str, &str>| {
            let found = BucketAccess::of_store(Path::new("s3://abc"), &variables(pairs));
            match (found, expected) {
                (Ok(access), Ok(kind)) => assert_eq!(format!("{:?}", access.credentials), kind),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, expected) => panic!("{found:?} is not {expected:?}"),
            }
        };
        check(&[], Err("`s3://abc`: no credentials; set AWS_ACCESS_KEY_ID"));
        check(&[("AWS_ACCESS_KEY_ID", "x")], Err("AWS_SECRET_ACCESS_KEY is not; set both"));
        check(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "f"), ("AWS_ROLE_ARN", "r")], Ok("WebIdentity"));
        check(&[("AWS_EC2_METADATA_DISABLED", "false")], Ok("Instance"));
        check(&[("AWS_EC2_METADATA_DISABLED", "true")], Err("no credentials"));
        check(&[("AWS_ALLOW_HTTP", "maybe")], Err("`AWS_ALLOW_HTTP` is neither"));
        check(&[("AWS_ENDPOINT_URL", "http://x")], Err("in the clear"));
        check(&[("AWS_ENDPOINT_URL", "minio:9000")], Err("cannot be `minio:9000`"));
    }

    #[test]
    fn mistakes_in_the_table_are_told_with_line_key_and_remedy() {
        let check = |lines: &str, told: &str| {
            let text = format!("store = \"s\"\n[bucket]\n{lines}\n[[hubble]]\npath = \"x\"\n");
            assert_eq!(CollectSettings::parse(&text, "c.toml").unwrap_err().to_string(), told);
        };
        check(
            "url = \"bucket\"",
            "c.toml line 3: `url` cannot be `bucket`: write `s3://BUCKET` or `s3://BUCKET/PREFIX`, as in `s3://flow-logs/egress-atlas`",
        );
        check(
            "url = \"s3://abc\"\nendpont = \"x\"",
            "c.toml line 4: unknown key `endpont` in `[bucket]`; did you mean `endpoint`?",
        );
        check(
            "url = \"s3://abc\"\nendpoint = \"http://minio:9000\"",
            "c.toml line 4: `endpoint` cannot be `http://minio:9000`: data would travel in the clear; write `https://`, or say `allow_http = true`",
        );
        check(
            "url = \"s3://abc\"\nevery = \"5\"",
            "c.toml line 4: `every` cannot be `5`: write a duration as `500ms`, `90s`, `10m` or `14d`",
        );
        check("region = \"x\"", "c.toml line 2: `[bucket]` needs the key `url`");
    }
}
