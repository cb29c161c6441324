//! A bucket as threads use it: list, get, put, copy, delete; several at a time where there are several.
//!
//! In: keys below the prefix. Out: bytes, or one error that names the URL, what the server said, and the remedy. Requests that fail for
//! reasons that pass are sent again, as often as the [`Patience`] says. Keys are those of the layout and are never encoded again.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as Key};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path as ObjectPath;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, PutMode, RetryConfig};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::transport::{Transports, trusted};
use crate::catalog::{BucketAccess, BucketUrl, Credentials};
use crate::lake::error::LakeError;

/// Requests at a time.
const AT_ONCE: usize = 16;
/// Pages of a listing, 1,000 objects each: more is no store, or a server that never ends.
const PAGES_MAX: usize = 10_000;

/// A failure of the bucket.
#[derive(Debug, thiserror::Error)]
#[error("`{url}`: {reason}")]
pub struct BucketError {
    url: String,
    reason: String,
    /// Whether there is no object of that key.
    pub is_missing: bool,
}

/// How often a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Whoever asks has patience of its own.
    None,
    /// Five times, which is some seconds.
    Seconds,
}

/// What a listing says of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Its key below the prefix.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written, by the server's clock.
    pub modified: SystemTime,
}

/// A bucket, or what lies below a prefix of it.
pub struct Bucket {
    reach: Reach,
    runtime: Runtime,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.reach.0.url)
    }
}

/// What requests need; cheap to clone into one that runs beside others.
#[derive(Clone)]
pub(super) struct Reach(Arc<Inner>);

struct Inner {
    store: AmazonS3,
    url: BucketUrl,
}

impl Bucket {
    /// Gets ready; nothing is sent yet.
    pub fn open(access: &BucketAccess, patience: Patience) -> Result<Self, BucketError> {
        let refuse = |reason: String| BucketError { url: access.url.to_string(), reason, is_missing: false };
        let trusted = trusted(access.ca.as_deref()).map_err(refuse)?;
        let retries = match patience {
            Patience::None => 0,
            Patience::Seconds => 5,
        };
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(200),
                max_backoff: Duration::from_secs(5),
                base: 2.0,
            },
            max_retries: retries,
            retry_timeout: Duration::from_mins(1),
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&access.url.bucket)
            .with_region(&access.region)
            .with_virtual_hosted_style_request(access.virtual_hosted)
            // Not every compatible server has deletion in bulk.
            .with_disable_bulk_delete(true)
            .with_retry(retry)
            .with_client_options(ClientOptions::new().with_allow_http(access.allow_http))
            .with_http_connector(Transports(trusted));
        if let Some(endpoint) = &access.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let store = with_credentials(builder, &access.credentials).build();
        let store = store.map_err(|error| refuse(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| refuse(error.to_string()))?;
        Ok(Self { reach: Reach(Arc::new(Inner { store, url: access.url.clone() })), runtime })
    }

    /// Where it is.
    pub fn url(&self) -> &BucketUrl {
        &self.reach.0.url
    }

    /// All objects below a folder (`""` for all), sorted by key.
    pub fn list(&self, folder: &str) -> Result<Vec<Object>, BucketError> {
        self.runtime.block_on(self.reach.list(folder))
    }

    /// An object.
    pub fn get(&self, key: &str) -> Result<Bytes, BucketError> {
        self.runtime.block_on(self.reach.get(key))
    }

    /// Writes an object; it is there when this returns, whole.
    pub fn put(&self, key: &str, content: impl Into<Bytes>) -> Result<(), BucketError> {
        self.runtime.block_on(self.reach.put(key, content.into()))
    }

    /// Writes an object if there is none of that key; whether it did.
    pub(super) fn put_new(&self, key: &str, content: impl Into<Bytes>) -> Result<bool, BucketError> {
        self.runtime.block_on(self.reach.put_new(key, content.into()))
    }

    /// Whether there is an object of that key.
    pub(super) fn has(&self, key: &str) -> Result<bool, BucketError> {
        match self.runtime.block_on(self.reach.size(key)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an object; one that is gone is no failure.
    pub fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.runtime.block_on(self.reach.delete(key))
    }

    /// Gives an object another key. In between it has both.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), BucketError> {
        self.runtime.block_on(async {
            self.reach.copy(from, to).await?;
            self.reach.delete(from).await
        })
    }

    /// Fetches the objects right below the prefix whose names `is_wanted` takes into a folder.
    pub fn fetch_into(&self, folder: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<(), LakeError> {
        let keys: Vec<String> = (self.list("")?.into_iter().map(|object| object.key))
            .filter(|key| !key.is_empty() && !key.contains('/') && is_wanted(key))
            .collect();
        let done = self.each(keys, |reach, key| {
            let path = folder.join(&key);
            async move {
                let content = reach.get(&key).await?;
                std::fs::write(&path, content).map_err(LakeError::io(&path))
            }
        });
        all(done).map(|_: Vec<()>| ())
    }

    /// Does the same with each, several at a time; what came of each, in their order. After a failure no more are begun, and
    /// have no result.
    pub(super) fn each<I, T, F>(&self, items: Vec<I>, work: impl Fn(Reach, I) -> F) -> Vec<(usize, T)>
    where
        T: Send + Outcome + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.runtime.block_on(async {
            let mut waiting = items.into_iter().enumerate();
            let (mut running, mut done) = (JoinSet::new(), Vec::new());
            let mut goes_on = true;
            loop {
                while goes_on && running.len() < AT_ONCE {
                    let Some((number, item)) = waiting.next() else { break };
                    let future = work(self.reach.clone(), item);
                    running.spawn(async move { (number, future.await) });
                }
                match running.join_next().await {
                    None => break,
                    Some(Ok((number, outcome))) => {
                        goes_on &= !outcome.is_failure();
                        done.push((number, outcome));
                    }
                    Some(Err(ended)) => std::panic::resume_unwind(ended.into_panic()),
                }
            }
            done.sort_by_key(|(number, _)| *number);
            done
        })
    }
}

/// Whether it is worth going on.
pub(super) trait Outcome {
    fn is_failure(&self) -> bool;
}

impl<T, E> Outcome for Result<T, E> {
    fn is_failure(&self) -> bool {
        self.is_err()
    }
}

/// All of them, or the first failure.
pub(super) fn all<T, E>(done: Vec<(usize, Result<T, E>)>) -> Result<Vec<T>, E> {
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn with_credentials(builder: AmazonS3Builder, credentials: &Credentials) -> AmazonS3Builder {
    let optional = |builder: AmazonS3Builder, key: Key, value: &Option<String>| match value {
        Some(value) => builder.with_config(key, value),
        None => builder,
    };
    match credentials {
        Credentials::Static { id, secret, token } => {
            let builder = builder.with_access_key_id(id).with_secret_access_key(secret);
            optional(builder, Key::Token, token)
        }
        Credentials::WebIdentity { file, role, session, sts } => {
            let builder = builder.with_config(Key::WebIdentityTokenFile, file).with_config(Key::RoleArn, role);
            optional(optional(builder, Key::RoleSessionName, session), Key::StsEndpoint, sts)
        }
        Credentials::Pod { uri, file } => builder
            .with_config(Key::ContainerCredentialsFullUri, uri)
            .with_config(Key::ContainerAuthorizationTokenFile, file),
        Credentials::Task { uri } => builder.with_config(Key::ContainerCredentialsRelativeUri, uri),
        Credentials::Instance => builder,
    }
}

impl Reach {
    fn failed(&self, error: &object_store::Error) -> BucketError {
        let (code, reason) = told(error);
        let is_missing = matches!(error, object_store::Error::NotFound { .. }) && code != "NoSuchBucket";
        BucketError { url: self.0.url.to_string(), reason, is_missing }
    }

    fn path(&self, key: &str) -> Result<ObjectPath, BucketError> {
        let prefix = &self.0.url.prefix;
        let whole = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}/{key}") };
        ObjectPath::parse(whole).map_err(|error| self.failed(&error.into()))
    }

    pub(super) async fn list(&self, folder: &str) -> Result<Vec<Object>, BucketError> {
        let prefix = &self.0.url.prefix;
        let parts: Vec<&str> = [prefix.as_str(), folder].into_iter().filter(|part| !part.is_empty()).collect();
        let whole = parts.into_iter().flat_map(|part| [part, "/"]).collect::<String>();
        let own = if prefix.is_empty() { 0 } else { prefix.len() + 1 };
        let (mut found, mut token) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let options = PaginatedListOptions { page_token: token, ..PaginatedListOptions::default() };
            let page = self
                .0
                .store
                .list_paginated(Some(&whole).filter(|whole| !whole.is_empty()).map(String::as_str), options);
            let page = page.await.map_err(|error| self.failed(&error))?;
            found.extend(page.result.objects.into_iter().filter_map(|object| {
                let key = object.location.as_ref().get(own..)?.to_owned();
                Some(Object { key, bytes: object.size, modified: object.last_modified.into() })
            }));
            token = page.page_token;
            if token.is_none() {
                found.sort();
                return Ok(found);
            }
        }
        let reason = format!("its list does not end after {PAGES_MAX} pages; is the prefix right?");
        Err(BucketError { url: self.0.url.to_string(), reason, is_missing: false })
    }

    pub(super) async fn get(&self, key: &str) -> Result<Bytes, BucketError> {
        let path = self.path(key)?;
        let found = self.0.store.get(&path).await.map_err(|error| self.failed(&error))?;
        found.bytes().await.map_err(|error| self.failed(&error))
    }

    pub(super) async fn get_range(&self, key: &str, range: std::ops::Range<u64>) -> Result<Bytes, BucketError> {
        let path = self.path(key)?;
        self.0.store.get_range(&path, range).await.map_err(|error| self.failed(&error))
    }

    /// The size of an object.
    pub(super) async fn size(&self, key: &str) -> Result<u64, BucketError> {
        let path = self.path(key)?;
        self.0.store.head(&path).await.map(|found| found.size).map_err(|error| self.failed(&error))
    }

    pub(super) async fn put(&self, key: &str, content: Bytes) -> Result<(), BucketError> {
        let path = self.path(key)?;
        self.0.store.put(&path, content.into()).await.map(|_| ()).map_err(|error| self.failed(&error))
    }

    async fn put_new(&self, key: &str, content: Bytes) -> Result<bool, BucketError> {
        let path = self.path(key)?;
        match self.0.store.put_opts(&path, content.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed(&error)),
        }
    }

    pub(super) async fn copy(&self, from: &str, to: &str) -> Result<(), BucketError> {
        let (from, to) = (self.path(from)?, self.path(to)?);
        self.0.store.copy(&from, &to).await.map_err(|error| self.failed(&error))
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), BucketError> {
        let path = self.path(key)?;
        match self.0.store.delete(&path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            deleted => deleted.map_err(|error| self.failed(&error)),
        }
    }
}

/// The server's code for what is wrong, if it gave one, and a reason with its remedy.
fn told(error: &object_store::Error) -> (String, String) {
    let mut texts = vec![error.to_string()];
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        texts.push(inner.to_string());
        source = inner.source();
    }
    let element = |name: &str| {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let inside = |text: &String| Some(text.split_once(&open)?.1.split_once(&close)?.0.trim().to_owned());
        texts.iter().find_map(inside).filter(|text| !text.is_empty())
    };
    let code = element("Code").unwrap_or_default();
    let last = texts.last().cloned().unwrap_or_default();
    let is_server = !code.is_empty() || texts.iter().any(|text| text.contains("non-2xx status code"));
    let said = match (code.is_empty(), element("Message")) {
        (false, Some(message)) => format!("{code}: {message}"),
        (false, None) => code.clone(),
        (true, _) => last.replace('\n', " ").chars().take(300).collect(),
    };
    let remedy = match code.as_str() {
        "NoSuchBucket" => "there is no such bucket: check the URL and the region, or make the bucket",
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken" => {
            "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
        }
        "AccessDenied" | "AllAccessDisabled" => {
            "allow this identity s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on its objects"
        }
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            "set AWS_REGION (`region`) to the bucket's own"
        }
        "RequestTimeTooSkewed" => "set this machine's clock",
        "NoSuchKey" => "the object is gone",
        _ if texts.iter().any(|text| text.contains("without LOCATION")) => {
            "set AWS_REGION (`region`) to the bucket's own"
        }
        _ if matches!(
            error,
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }
        ) =>
        {
            "check the credentials and what they are allowed"
        }
        _ if is_server => "the store is in trouble, or is no S3: try again, and check AWS_ENDPOINT_URL (`endpoint`)",
        _ => "it cannot be reached; check AWS_ENDPOINT_URL (`endpoint`), the network and the certificate's authority",
    };
    (code, format!("{said}; {remedy}"))
}
