//! Reads one file of Kubernetes objects into the inventory and accounts for every object in it.
//!
//! In: bytes, JSON or YAML, recognised from the content. Out: objects in the inventory of the named cluster. Every object is one
//! record: kept, excluded by its kind, or rejected with its place. It never opens a file and never gives up on the rest.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cluster::Cluster;
use super::inventory::Inventory;
use super::kind::Kind;
use super::node::Node;
use super::object::{
    ControllerObject, EndpointSliceObject, EndpointsObject, Metadata, NamespaceObject, NodeObject, PodObject,
    ServiceObject,
};
use super::pod::Pod;
use super::service::{self, Service};
use super::workload::Controller;
use super::{json, yaml};
use crate::model::{Account, Place, Rejected};

/// Lists inside lists come from joining files by hand; deeper than this is no one's intention.
const MAX_LIST_DEPTH: usize = 4;

const NOT_JSON: Rejected = Rejected("not valid JSON");
const NOT_YAML: Rejected = Rejected("not valid YAML");
const NOT_OBJECT: Rejected = Rejected("not a Kubernetes object");
const NO_ITEMS: Rejected = Rejected("list without `items`");
const TOO_DEEP: Rejected = Rejected("lists inside lists, more than four deep");
const UTF_16: Rejected =
    Rejected("UTF-16 text; save the file as UTF-8 (Windows PowerShell: `| Out-File -Encoding utf8`)");
const BAD_NAME: Rejected = Rejected("object without a valid Kubernetes name");

/// One object as it was found.
enum Found<'a> {
    Json(&'a [u8]),
    Yaml(Value),
}

impl Found<'_> {
    fn parse<T: DeserializeOwned>(self) -> Option<T> {
        match self {
            Self::Json(bytes) => serde_json::from_slice(bytes).ok(),
            Self::Yaml(value) => serde_json::from_value(value).ok(),
        }
    }
}

impl Inventory {
    /// Adds the objects of one file to a cluster.
    ///
    /// Files may come in any order and overlap: two observations of an object become one. A file of another cluster never
    /// mixes with this one, even where the addresses are the same.
    pub fn add(&mut self, cluster: &str, bytes: &[u8], account: &mut Account) {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let before = account.read;
        let mut reader = Reader { cluster: Cluster::default(), account };
        if let Some(known) = self.clusters.get_mut(cluster) {
            reader.cluster = std::mem::take(known);
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            reader.account.reject(UTF_16, Place::Byte(0));
        } else if is_json(bytes) {
            reader.read_json(bytes);
        } else {
            reader.read_yaml(bytes);
        }
        let Reader { cluster: mut read, account } = reader;
        if account.read == before {
            account.note("file without Kubernetes objects");
        }
        read.settle();
        self.clusters.insert(cluster.into(), read);
    }
}

/// JSON objects begin with a quoted key; YAML in braces does not have to.
fn is_json(bytes: &[u8]) -> bool {
    let mut visible = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
    match visible.next() {
        Some(b'[') => matches!(visible.next(), Some(b'{' | b']') | None),
        Some(b'{') => matches!(visible.next(), Some(b'"' | b'}') | None),
        _ => false,
    }
}

struct Reader<'a> {
    cluster: Cluster,
    account: &'a mut Account,
}

impl Reader<'_> {
    fn read_json(&mut self, bytes: &[u8]) {
        let mut waiting: Vec<(Range<usize>, usize, Kindless)> = vec![(0..bytes.len(), 0, Kindless::default())];
        while let Some((range, depth, list)) = waiting.pop() {
            for document in json::documents(bytes, range) {
                let text = bytes.get(document.range.clone()).unwrap_or_default();
                let place = Place::Byte(document.range.start as u64);
                let is_list = document.items.is_some() && (document.kind.is_empty() || document.kind.ends_with("List"))
                    || document.kind == "List";
                if !is_list {
                    let broken = document.error.is_some();
                    let (api_version, kind) = list.complete(&document.api_version, &document.kind);
                    if broken {
                        self.account.reject(NOT_JSON, place);
                    } else {
                        self.take(&api_version, &kind, Found::Json(text), place);
                    }
                    continue;
                }
                if depth > MAX_LIST_DEPTH {
                    self.account.reject(TOO_DEEP, place);
                    continue;
                }
                if document.items.is_none() && document.error.is_none() {
                    self.account.reject(NO_ITEMS, place);
                }
                let inner = Kindless::of(&document.api_version, &document.kind);
                for item in document.items.into_iter().flatten().rev() {
                    waiting.push((item, depth + 1, inner.clone()));
                }
                if let Some(at) = document.error {
                    self.account.reject(NOT_JSON, Place::Byte(at as u64));
                }
            }
        }
    }

    fn read_yaml(&mut self, bytes: &[u8]) {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                self.account.reject(Rejected("not UTF-8 text"), Place::Byte(error.valid_up_to() as u64));
                let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
                std::str::from_utf8(good).unwrap_or_default()
            }
        };
        for (start, document) in yaml::documents(text) {
            let place = Place::Byte(start as u64);
            let mut top = yaml::Top::default();
            let good = yaml::read(document, &mut top, &mut |item| self.take_value(item, &Kindless::default(), place));
            let list = Kindless::of(&top.api_version, &top.kind);
            for item in top.kindless.into_iter().chain(top.single.filter(|_| good)) {
                self.take_value(item, &list, place);
            }
            if !good {
                self.account.reject(NOT_YAML, place);
            }
        }
    }

    /// Takes an object read from YAML, or the items of a list within a list.
    fn take_value(&mut self, value: Value, list: &Kindless, place: Place) {
        let mut waiting = vec![(value, 0, list.clone())];
        while let Some((mut value, depth, list)) = waiting.pop() {
            let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (api_version, kind) = list.complete(&text("apiVersion"), &text("kind"));
            if !kind.ends_with("List") {
                self.take(&api_version, &kind, Found::Yaml(value), place);
            } else if depth > MAX_LIST_DEPTH {
                self.account.reject(TOO_DEEP, place);
            } else {
                match value.get_mut("items").map(Value::take) {
                    Some(Value::Array(items)) => {
                        let inner = Kindless::of(&api_version, &kind);
                        waiting.extend(items.into_iter().rev().map(|item| (item, depth + 1, inner.clone())));
                    }
                    // What Go writes for a list of nothing.
                    Some(Value::Null) => {}
                    _ => self.account.reject(NO_ITEMS, place),
                }
            }
        }
    }

    fn take(&mut self, api_version: &str, kind: &str, found: Found<'_>, place: Place) {
        if kind.is_empty() {
            self.account.reject(NOT_OBJECT, place);
            return;
        }
        let kind = match Kind::of(api_version, kind) {
            Ok(kind) => kind,
            Err(reason) => {
                self.account.exclude(reason);
                return;
            }
        };
        match self.keep(kind, found) {
            Ok(()) => self.account.accept(),
            Err(reason) => self.account.reject(reason, place),
        }
    }

    fn keep(&mut self, kind: Kind, found: Found<'_>) -> Result<(), Rejected> {
        let broken = Rejected(kind.broken());
        match kind {
            Kind::Pod => {
                let object: PodObject = found.parse().ok_or(broken)?;
                let namespace = namespace_of(&object.metadata)?.to_owned();
                if object.status.start_time.is_empty() && object.metadata.creation_timestamp.is_empty() {
                    self.account.note("pod without a time: taken to hold its address from the beginning");
                }
                self.cluster.add_pod(Pod::from_object(object, &namespace));
            }
            Kind::Service => {
                let object: ServiceObject = found.parse().ok_or(broken)?;
                let namespace = namespace_of(&object.metadata)?.to_owned();
                self.cluster.add_service(Service::from_object(object, &namespace));
            }
            Kind::EndpointSlice => {
                let object: EndpointSliceObject = found.parse().ok_or(broken)?;
                let namespace = namespace_of(&object.metadata)?.to_owned();
                self.add_backends(service::of_slice(object, &namespace));
            }
            Kind::Endpoints => {
                let object: EndpointsObject = found.parse().ok_or(broken)?;
                let namespace = namespace_of(&object.metadata)?.to_owned();
                self.add_backends(service::of_endpoints(object, &namespace));
            }
            Kind::Node => {
                let object: NodeObject = found.parse().ok_or(broken)?;
                namespace_of(&object.metadata)?;
                self.cluster.add_node(Node::from_object(object));
            }
            Kind::Namespace => {
                let object: NamespaceObject = found.parse().ok_or(broken)?;
                namespace_of(&object.metadata)?;
                let seen = (object.metadata.resource_version.parse().unwrap_or(0), object.metadata.labels);
                let known = self.cluster.namespaces.entry(object.metadata.name.into()).or_default();
                if seen > *known {
                    *known = seen;
                }
            }
            Kind::Controller(kind) => {
                let object: ControllerObject = found.parse().ok_or(broken)?;
                let namespace = namespace_of(&object.metadata)?.to_owned();
                let controller = Controller::from_object(kind, object, &namespace);
                match self.cluster.controllers.get_mut(&controller.key()) {
                    Some(known) => known.absorb(controller),
                    None => {
                        self.cluster.controllers.insert(controller.key(), controller);
                    }
                }
            }
        }
        Ok(())
    }

    fn add_backends(&mut self, backends: Vec<service::Backend>) {
        for backend in backends {
            self.cluster.backends.entry(backend.address).or_default().insert(backend);
        }
    }
}

/// What the items of a typed list (`PodList`) are, when they do not say so themselves.
#[derive(Clone, Debug, Default)]
struct Kindless {
    api_version: String,
    kind: String,
}

impl Kindless {
    fn of(api_version: &str, list: &str) -> Self {
        let kind = list.strip_suffix("List").unwrap_or_default();
        let api_version = if kind.is_empty() { "" } else { api_version };
        Self { api_version: api_version.to_owned(), kind: kind.to_owned() }
    }

    fn complete(&self, api_version: &str, kind: &str) -> (String, String) {
        if kind.is_empty() {
            return (self.api_version.clone(), self.kind.clone());
        }
        (api_version.to_owned(), kind.to_owned())
    }
}

/// The object's namespace (`default` when it names none), once its names are checked: they become file names later on.
fn namespace_of(metadata: &Metadata) -> Result<&str, Rejected> {
    let namespace = if metadata.namespace.is_empty() { "default" } else { &metadata.namespace };
    let good = is_name(&metadata.name) && is_name(namespace) && !namespace.contains('.');
    if good { Ok(namespace) } else { Err(BAD_NAME) }
}

/// A DNS subdomain as Kubernetes demands of names (RFC 1123): lower case letters, digits, `-` and `.`, 253 at most.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    (1..=253).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
}
