//! Where the document of a namespace lies below the output folder.
//!
//! Namespaces and clusters may be named by hostile records, so a name becomes one file name component that cannot leave
//! its folder, and different names become different components, also where file names ignore case.

use crate::model::fnv1a;

/// Longest component before a hash replaces its end, in bytes. File systems allow 255.
const COMPONENT_BYTES_MAX: usize = 150;

/// Names that mean something else: the index, and devices of Windows.
const RESERVED: [&str; 7] = ["index", "con", "prn", "aux", "nul", "com", "lpt"];

/// The document's path below the output folder, with `/` between folders: `<namespace>.md` when there is one cluster,
/// else `<cluster>/<namespace>.md`. Clients without a namespace get `_no-namespace.md`.
pub fn document_path(clusters: usize, cluster: &str, namespace: &str) -> String {
    let file = if namespace.is_empty() { "_no-namespace".to_owned() } else { component(namespace) };
    match (clusters, cluster) {
        (0 | 1, _) => format!("{file}.md"),
        (_, "") => format!("_no-cluster/{file}.md"),
        (_, cluster) => format!("{}/{file}.md", component(cluster)),
    }
}

/// The folder of a cluster, the same as for documents.
pub fn cluster_folder(cluster: &str) -> String {
    if cluster.is_empty() { "_no-cluster".to_owned() } else { component(cluster) }
}

/// Lower-case letters, digits, hyphens and inner dots stay; every other byte becomes `_` and two hexadecimal digits.
fn component(name: &str) -> String {
    let stem = name.split('.').next().unwrap_or_default();
    let reserved = RESERVED.contains(&stem.trim_end_matches(|last: char| last.is_ascii_digit()));
    let last = name.len().saturating_sub(1);
    let mut out = String::new();
    for (index, byte) in name.bytes().enumerate() {
        let plain = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-') || (byte == b'.' && index > 0 && index < last);
        if plain && !(reserved && index == 0) {
            out.push(char::from(byte));
        } else {
            let escaped = format!("_{byte:02x}");
            out.push_str(&escaped);
        }
    }
    if out.len() > COMPONENT_BYTES_MAX {
        out.truncate(COMPONENT_BYTES_MAX);
        return format!("{out}_h{:016x}", fnv1a(name.as_bytes()));
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_become_one_safe_component() {
        let check = |namespace: &str, expected: &str| assert_eq!(document_path(1, "any", namespace), expected);
        check("kube-system", "kube-system.md");
        check("", "_no-namespace.md");
        check("../x", "_2e._2fx.md");
        check("..", "_2e_2e.md");
        check("a/b", "a_2fb.md");
        check("a\\b", "a_5cb.md");
        check("Shop", "_53hop.md");
        check("_no-namespace", "_5fno-namespace.md");
        check("index", "_69ndex.md");
        check("com1", "_63om1.md");
        check("x\0\n", "x_00_0a.md");
        assert_eq!(document_path(2, "arn:aws:eks", "shop"), "arn_3aaws_3aeks/shop.md");
        assert_eq!(document_path(2, "", "shop"), "_no-cluster/shop.md");
        assert_eq!(document_path(2, "..", "shop"), "_2e_2e/shop.md");
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_folder_and_no_two_meet(one in "(?s).{0,80}", two in "(?s).{0,80}") {
            let path = document_path(2, &one, &two);
            prop_assert_eq!(path.matches('/').count(), 1);
            prop_assert!(path.split('/').all(|part| !part.starts_with('.') && part.len() < 200));
            prop_assert!(path.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/')));
            prop_assert_eq!(one == two, document_path(1, "", &one) == document_path(1, "", &two));
            prop_assert_ne!(document_path(1, "", &one), "index.md");
        }
    }
}
