//! Search-path expansions: external names with a cluster suffix that a resolver appended.
//!
//! With `ndots:5` a lookup of `api.github.com` is first tried as `api.github.com.<namespace>.svc.cluster.local`,
//! `api.github.com.svc.cluster.local` and `api.github.com.cluster.local`. In: a normalised name. Out: the name that was
//! meant, where no service or pod can have the long one.

/// The external name inside an expansion; `None` for names of the cluster, and where it could be either.
///
/// Below `svc` a cluster has at most three labels (`pod.service.namespace`) without a leading underscore.
pub fn strip_search_path<'a>(name: &'a str, cluster_domain: &str) -> Option<&'a str> {
    let inside = name.strip_suffix(cluster_domain)?.strip_suffix('.')?;
    let Some(before_svc) = inside.strip_suffix(".svc") else {
        let is_cluster_zone = matches!(inside.rsplit('.').next(), Some("svc" | "pod" | "node"));
        return (!is_cluster_zone && has_public_suffix(inside)).then_some(inside);
    };
    if before_svc.split('.').count() < 4 || before_svc.starts_with('_') {
        return None;
    }
    let without_namespace = before_svc.rsplit_once('.').map(|(rest, _)| rest);
    without_namespace
        .filter(|rest| has_public_suffix(rest))
        .or_else(|| Some(before_svc).filter(|rest| has_public_suffix(rest)))
}

/// Whether the name is below a suffix that the Public Suffix List knows.
fn has_public_suffix(name: &str) -> bool {
    psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix.as_bytes().len() < name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansions_are_told_from_names_of_the_cluster() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(strip_search_path(name, "cluster.local"), expected, "{name}");
        };
        check("api.github.com.shop.svc.cluster.local", Some("api.github.com"));
        check("api.github.com.dev.svc.cluster.local", Some("api.github.com"));
        check("a.api.github.com.svc.cluster.local", Some("a.api.github.com"));
        check("api.github.com.cluster.local", Some("api.github.com"));
        check("github.com.cluster.local", Some("github.com"));
        check("redis-0.redis.dev.svc.cluster.local", None);
        check("redis.dev.svc.cluster.local", None);
        check("_https._tcp.web.dev.svc.cluster.local", None);
        check("10-1-2-3.shop.pod.cluster.local", None);
        check("cluster.local", None);
        check("api.github.com", None);
        check("notcluster.local", None);
    }
}
