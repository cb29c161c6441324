//! The enforcement probe: a workload that tries to leave, so that a policy that stops nothing is noticed.
//!
//! In: namespace, canary, labels, image. Out: the YAML of a Job, plain or as a Helm test. The probe first reaches something that
//! is allowed; when it cannot, it says *cannot tell* and proves nothing. It never goes through a proxy and has no privilege.

use std::net::IpAddr;

/// The image used unless another is given: curl 8.11.1 on Alpine, whose user is 100 of group 101.
pub const PROBE_IMAGE: &str =
    "docker.io/curlimages/curl:8.11.1@sha256:c1fe1679c34d9784c1b0d1e5f62ac0a79fca01fb6377cdd33e90473c6f9f9a69";

/// The name of the Job and the prefix of its pods; the soak gate knows it.
pub const PROBE_NAME: &str = "egress-atlas-probe";

/// How the Job is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeForm {
    /// With `kubectl apply`.
    Job,
    /// With `helm test`, from a chart's templates.
    HelmTest,
}

/// What to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The namespace; `None` leaves it to `kubectl -n` or to Helm.
    pub namespace: Option<String>,
    /// Host that must not be reachable: an address, or a name.
    pub canary: String,
    /// Its port, spoken to in TLS.
    pub port: u16,
    /// A name that DNS must answer first.
    pub control_name: String,
    /// `host:port` that must accept a connection first; optional.
    pub control: Option<String>,
    /// Further labels, where policies select workloads one by one.
    pub labels: Vec<(String, String)>,
    /// Image with a digest.
    pub image: String,
    /// How it is run.
    pub form: ProbeForm,
}

/// Why a probe cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// No digest.
    #[error("`{0}`: an image without a digest may be another one tomorrow; give NAME@sha256:<64 hex digits>")]
    Image(String),
    /// Not a host.
    #[error("`{0}`: neither an address nor a DNS name")]
    Host(String),
    /// Not a host with a port.
    #[error("`{0}`: not HOST:PORT")]
    Control(String),
    /// Not a namespace.
    #[error("`{0}`: no Kubernetes namespace (lower case letters, digits and `-`, at most 63)")]
    Namespace(String),
    /// Not a label.
    #[error("`{0}`: no Kubernetes label; write KEY=VALUE")]
    Label(String),
}

impl Probe {
    /// The manifest.
    ///
    /// # Errors
    ///
    /// When a value has not the form that it must have: everything that ends in the YAML or the shell script is checked.
    pub fn manifest(&self) -> Result<String, ProbeError> {
        self.check()?;
        let mut yaml = Yaml(HEAD.to_owned() + "apiVersion: batch/v1\nkind: Job\nmetadata:\n");
        yaml.line(2, &format!("name: {PROBE_NAME}"));
        if let Some(namespace) = &self.namespace {
            yaml.line(2, &format!("namespace: {namespace}"));
        }
        if self.form == ProbeForm::HelmTest {
            yaml.line(2, "annotations:");
            yaml.line(4, "helm.sh/hook: test");
            yaml.line(4, "helm.sh/hook-delete-policy: before-hook-creation");
        }
        self.labels(&mut yaml, 2);
        yaml.0.push_str(JOB);
        self.labels(&mut yaml, 6);
        yaml.0.push_str(POD);
        yaml.line(10, &format!("image: {}", self.image));
        yaml.line(10, "env:");
        for (name, value) in [
            ("CANARY", self.url_host()),
            ("CANARY_PORT", self.port.to_string()),
            ("CONTROL_NAME", self.control_name.clone()),
            ("CONTROL", self.control.clone().unwrap_or_default()),
        ] {
            yaml.line(12, &format!("- {{name: {name}, value: \"{value}\"}}"));
        }
        yaml.line(10, "command:");
        for text in ["- /bin/sh", "- -c", "- |"] {
            yaml.line(12, text);
        }
        for text in SCRIPT.lines() {
            yaml.line(if text.is_empty() { 0 } else { 14 }, text);
        }
        Ok(yaml.0)
    }

    fn labels(&self, yaml: &mut Yaml, indent: usize) {
        yaml.line(indent, "labels:");
        // Each key once: what the user gives replaces ours, and the last of equals counts. `soak` goes by the name of the Job.
        let mut labels: Vec<(&str, &str)> = vec![("app.kubernetes.io/name", PROBE_NAME)];
        for (key, value) in &self.labels {
            match labels.iter_mut().find(|(known, _)| known == key) {
                Some(known) => known.1 = value,
                None => labels.push((key, value)),
            }
        }
        for (key, value) in labels {
            let value = if value == PROBE_NAME { value.to_owned() } else { format!("\"{value}\"") };
            yaml.line(indent + 2, &format!("{key}: {value}"));
        }
    }

    /// The canary as a URL spells it.
    fn url_host(&self) -> String {
        match self.canary.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.canary.clone(),
        }
    }

    fn check(&self) -> Result<(), ProbeError> {
        if !is_pinned(&self.image) {
            return Err(ProbeError::Image(self.image.clone()));
        }
        for host in [&self.canary, &self.control_name] {
            if !is_host(host) {
                return Err(ProbeError::Host(host.clone()));
            }
        }
        if let Some(control) = &self.control {
            let (host, port) = control.rsplit_once(':').ok_or_else(|| ProbeError::Control(control.clone()))?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            if !is_host(host) || port.parse::<u16>().map_or(true, |port| port == 0) {
                return Err(ProbeError::Control(control.clone()));
            }
        }
        if let Some(namespace) = &self.namespace
            && !is_label_name(namespace, |byte| byte.is_ascii_lowercase())
        {
            return Err(ProbeError::Namespace(namespace.clone()));
        }
        for (key, value) in &self.labels {
            let (prefix, name) =
                key.split_once('/').map_or((None, key.as_str()), |(prefix, name)| (Some(prefix), name));
            let good = prefix.is_none_or(is_host)
                && is_label_name(name, |byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'.')
                && (value.is_empty()
                    || is_label_name(value, |byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'.'));
            if !good {
                return Err(ProbeError::Label(format!("{key}={value}")));
            }
        }
        Ok(())
    }
}

/// A name of at most 63 characters of digits, `-` and what `also` admits, with a letter or digit at both ends.
fn is_label_name(text: &str, also: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-' || also(*byte))
        && ends.into_iter().flatten().all(u8::is_ascii_alphanumeric)
}

fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
        || ((1..=253).contains(&text.len())
            && text.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            }))
}

fn is_pinned(image: &str) -> bool {
    let Some((name, digest)) = image.split_once("@sha256:") else { return false };
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte))
        && digest.len() == 64
        && digest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Lines, each at its indent.
struct Yaml(String);

impl Yaml {
    fn line(&mut self, indent: usize, text: &str) {
        self.0.extend(std::iter::repeat_n(' ', indent));
        self.0.push_str(text);
        self.0.push('\n');
    }
}

const HEAD: &str = "\
# Does the policy of this namespace stop anything? Exit 0: blocked. Exit 1: the canary is reachable, so nothing is enforced.
# Exit 2: cannot tell, because something that is allowed could not be reached either, or something else answered.
";

const JOB: &str = "\
spec:
  backoffLimit: 0
  activeDeadlineSeconds: 120
  ttlSecondsAfterFinished: 3600
  template:
    metadata:
";

const POD: &str = r#"    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      enableServiceLinks: false
      securityContext:
        runAsNonRoot: true
        runAsUser: 100
        runAsGroup: 101
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: probe
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: ["ALL"]
          resources:
            requests: {cpu: 10m, memory: 16Mi}
            limits: {memory: 64Mi}
"#;

/// `time_connect` is zero until a TCP connection stands, whatever follows; the exit codes of curl tell the rest: 6 no such host,
/// 7 refused or no route, 28 timeout, 35 and 60 an answer that is not the canary's TLS (curl manual, "EXIT CODES").
const SCRIPT: &str = r#"set -u
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
say() { echo "egress-atlas-probe: $*"; }
connect() { curl --noproxy '*' --silent --output /dev/null --max-time 5 --write-out '%{exitcode} %{time_connect} %{errormsg}' "$1"; }

if ! nslookup "$CONTROL_NAME" >/dev/null 2>&1; then
  say "CANNOT TELL: DNS does not answer for $CONTROL_NAME, which must be allowed. A canary that cannot be reached proves nothing now."
  exit 2
fi
if [ -n "$CONTROL" ]; then
  set -- $(connect "http://$CONTROL/")
  case "${2:-0}" in
    0|0.000000) say "CANNOT TELL: $CONTROL, which must be allowed, does not accept a connection (curl exit ${1:-none})."; exit 2;;
  esac
fi
say "control passed: what must be allowed is reachable"

result=$(connect "https://$CANARY:$CANARY_PORT/")
set -- $result
code=${1:-none} connected=${2:-0}
case "$connected" in
  0|0.000000)
    case "$code" in
      28) say "BLOCKED: $CANARY:$CANARY_PORT timed out"; exit 0;;
      6) say "CANNOT TELL: DNS has no address for $CANARY; give an address as canary, or allow its name to be resolved"; exit 2;;
      7) case "$result" in
           *refused*) say "BLOCKED: $CANARY:$CANARY_PORT refused (a rejecting policy or a firewall on the way)"; exit 0;;
           *) say "CANNOT TELL: no way to $CANARY:$CANARY_PORT ($result). Without a route out, no policy is needed to stop it."; exit 2;;
         esac;;
      *) say "CANNOT TELL: curl ended with $result"; exit 2;;
    esac;;
esac
case "$code" in
  35|60) say "CANNOT TELL: something answered for $CANARY:$CANARY_PORT that is not the canary: a proxy or gateway on the way ($result)"; exit 2;;
esac
say "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!"
say "REACHABLE: $CANARY:$CANARY_PORT accepted a connection."
say "The policies of this namespace ARE NOT ENFORCED for this pod."
say "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!"
exit 1
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> Probe {
        Probe {
            namespace: Some("shop".to_owned()),
            canary: "1.1.1.1".to_owned(),
            port: 443,
            control_name: "kubernetes.default.svc.cluster.local".to_owned(),
            control: None,
            labels: vec![("app".to_owned(), "cart".to_owned())],
            image: PROBE_IMAGE.to_owned(),
            form: ProbeForm::Job,
        }
    }

    #[test]
    fn the_manifest_is_restricted_and_governed() {
        let text = probe().manifest().unwrap();
        let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let pod = &value["spec"]["template"];
        assert_eq!(pod["metadata"]["labels"]["app"], "cart");
        assert_eq!(pod["spec"]["securityContext"]["runAsUser"], 100);
        assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["spec"]["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
        assert_eq!(container["image"], PROBE_IMAGE);
        assert_eq!(container["env"][0]["value"], "1.1.1.1");
        assert!(container["command"][2].as_str().unwrap().contains("exit 1"));
    }

    #[test]
    fn a_label_of_the_user_stands_once() {
        let pairs = [("app.kubernetes.io/name", "cart"), ("team", "a"), ("team", "b")];
        let labels = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let text = Probe { labels, ..probe() }.manifest().unwrap();
        // A strict reader refuses a key that stands twice.
        let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(text.matches("app.kubernetes.io/name:").count(), 2, "once for the Job, once for its pods\n{text}");
        for labels in [&value["metadata"]["labels"], &value["spec"]["template"]["metadata"]["labels"]] {
            assert_eq!(*labels, serde_json::json!({"app.kubernetes.io/name": "cart", "team": "b"}));
        }
    }

    #[test]
    fn a_helm_test_is_a_hook() {
        let text = Probe { form: ProbeForm::HelmTest, namespace: None, ..probe() }.manifest().unwrap();
        let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(value["metadata"]["annotations"]["helm.sh/hook"], "test");
        assert_eq!(value["metadata"].get("namespace"), None);
    }

    #[test]
    fn an_address_of_version_six_is_bracketed() {
        let text = Probe { canary: "2606:4700:4700::1111".to_owned(), ..probe() }.manifest().unwrap();
        assert!(text.contains("value: \"[2606:4700:4700::1111]\""), "{text}");
    }

    #[test]
    fn what_could_reach_the_shell_is_refused() {
        let check = |probe: Probe, part: &str| {
            let error = probe.manifest().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        check(Probe { canary: "1.1.1.1\"; rm -rf /".to_owned(), ..probe() }, "neither an address nor a DNS name");
        check(Probe { control_name: "$(id)".to_owned(), ..probe() }, "neither an address nor a DNS name");
        check(Probe { control: Some("db.shop:0".to_owned()), ..probe() }, "not HOST:PORT");
        check(Probe { control: Some("db.shop".to_owned()), ..probe() }, "not HOST:PORT");
        check(Probe { image: "curl:latest".to_owned(), ..probe() }, "without a digest");
        check(Probe { namespace: Some("Shop".to_owned()), ..probe() }, "no Kubernetes namespace");
        check(Probe { labels: vec![("a\nb".to_owned(), "c".to_owned())], ..probe() }, "no Kubernetes label");
    }
}
