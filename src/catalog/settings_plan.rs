//! `[plan]` of `egress-atlas.toml`: what namespaces are for, and who answers for them.
//!
//! In: the table. Out: patterns as they are written (`*` stands for anything), in the order of the file.

use super::document::{DocumentError, Table};
use super::settings_rules::optional_list;

/// `[plan]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanSettings {
    /// `staging`, `production`, `system`: word and pattern of namespaces.
    pub environments: Vec<(&'static str, Box<str>)>,
    /// `contacts`: pattern of namespaces and who is called, written `PATTERN=WHO`.
    pub contacts: Vec<(Box<str>, Box<str>)>,
}

impl PlanSettings {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, DocumentError> {
        const WORDS: [&str; 3] = ["staging", "production", "system"];
        table.expect_keys(&["staging", "production", "system", "contacts"])?;
        let mut settings = Self::default();
        for word in WORDS {
            for value in optional_list(table, word)? {
                settings.environments.push((word, value.text()?.into()));
            }
        }
        let pair = |text: &str| match text.split_once('=') {
            Some((pattern, who)) if !pattern.is_empty() && !who.is_empty() => Ok((pattern.into(), who.into())),
            _ => Err("write PATTERN=WHO, such as `orders*=team orders, +49 30 1234`".to_owned()),
        };
        for value in optional_list(table, "contacts")? {
            settings.contacts.push(value.read(pair)?);
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog::Settings;

    #[test]
    fn environments_and_contacts_are_read() {
        let text = "[plan]\nstaging = [\"*-staging\"]\nsystem = [\"mesh\"]\ncontacts = [\"shop*=team shop, #shop\"]\n";
        let plan = Settings::parse(text, "egress-atlas.toml").unwrap().plan;
        assert_eq!(plan.environments, [("staging", "*-staging".into()), ("system", "mesh".into())]);
        assert_eq!(plan.contacts, [("shop*".into(), "team shop, #shop".into())]);
        let error = Settings::parse("[plan]\ncontacts = [\"nobody\"]\n", "egress-atlas.toml").unwrap_err().to_string();
        assert!(error.contains("PATTERN=WHO"), "{error}");
    }
}
