//! Stores in buckets: `--store s3://BUCKET/PREFIX` and what the environment says about it.
//!
//! In: the flag and the `AWS_*` variables. Out: a bucket that can be asked, or a message that names the URL and the remedy.

use std::path::Path;

use crate::catalog::{BucketAccess, BucketUrl, Variables};
use crate::lake::{Bucket, Patience};

/// The variables that say where a bucket is and who asks.
pub(super) fn variables() -> Variables {
    let all =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    all.filter(|(name, _)| name.starts_with("AWS_") || name == "SSL_CERT_FILE").collect()
}

/// The bucket that a store is in; none for a folder.
pub(super) fn bucket_of(store: &Path) -> anyhow::Result<Option<Bucket>> {
    if !BucketUrl::is_meant(store) {
        return Ok(None);
    }
    let access = BucketAccess::of_store(store, &variables())?;
    Ok(Some(Bucket::open(&access, Patience::Seconds)?))
}
