//! What Spark is asked to do, and what it must have answered.
//!
//! In: a manifest and the command that runs a slice. Out: one SQL statement; and, of the lines that came back, whether every slice was
//! run. Nothing here starts a process.

use std::collections::BTreeMap;

use super::run::Outcome;

/// Why the lines that came back are not those of all slices.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Some did not come back.
    #[error("Spark ended without an error, and {missing} of {slices} slices did not come back, the first: {first}")]
    Missing {
        /// How many.
        missing: usize,
        /// Of how many.
        slices: u32,
        /// The first of them.
        first: u32,
    },
    /// A line is of no slice of this manifest.
    #[error("Spark returned a line that is of no slice of this manifest: `{0}`")]
    Foreign(String),
    /// A slice came back more than once.
    #[error("Spark returned slice {0} more than once")]
    Twice(u32),
}

/// One task for each slice: its number goes in, the line of its outcome comes out.
///
/// A single output column: between several, Spark's own separator is U+0001 and no tab.
pub fn transform_statement(slices: u32, command: &str) -> String {
    // Within a literal Spark reads backslashes as escapes.
    let command = command.replace('\\', "\\\\").replace('\'', "\\'");
    format!(
        "SELECT TRANSFORM(id) USING '{command}' AS (line STRING)\nFROM (SELECT id FROM range(0, {slices}, 1, {slices}));\n"
    )
}

/// Reads what Spark printed: every slice from 0 on once, and of this manifest. Lines that are no JSON are Spark's own.
pub fn finished_slices(printed: &str, manifest: &str, slices: u32) -> Result<BTreeMap<u32, Outcome>, SubmitError> {
    let mut found = BTreeMap::new();
    for line in printed.lines().map(str::trim).filter(|line| line.starts_with('{')) {
        let outcome: Option<Outcome> = serde_json::from_str(line).ok();
        let Some(outcome) = outcome.filter(|outcome| outcome.manifest == manifest && outcome.slice < slices) else {
            return Err(SubmitError::Foreign(line.chars().take(200).collect()));
        };
        let slice = outcome.slice;
        if found.insert(slice, outcome).is_some() {
            return Err(SubmitError::Twice(slice));
        }
    }
    let missing = || (0..slices).filter(|slice| !found.contains_key(slice));
    match missing().next() {
        Some(first) => Err(SubmitError::Missing { missing: missing().count(), slices, first }),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_task_for_each_slice() {
        let statement = transform_statement(3, "exec '/a b'/atlas task run");
        assert_eq!(
            statement,
            "SELECT TRANSFORM(id) USING 'exec \\'/a b\\'/atlas task run' AS (line STRING)\n\
             FROM (SELECT id FROM range(0, 3, 1, 3));\n"
        );
    }

    #[test]
    fn every_slice_must_come_back_once() {
        let line = |slice: u32, manifest: &str| {
            format!(
                "{{\"slice\":{slice},\"manifest\":\"{manifest}\",\"partial\":\"p\",\"bytes\":1,\"rows\":2,\"connections\":3,\"answers\":4,\"unreadable\":0}}\n"
            )
        };
        let check = |printed: &str, expected: Result<usize, SubmitError>| {
            assert_eq!(finished_slices(printed, "m", 2).map(|found| found.len()), expected, "{printed}");
        };
        check(&[line(1, "m"), "Time taken: 3 s\n".to_owned(), line(0, "m")].concat(), Ok(2));
        check(&line(1, "m"), Err(SubmitError::Missing { missing: 1, slices: 2, first: 0 }));
        check("", Err(SubmitError::Missing { missing: 2, slices: 2, first: 0 }));
        check(&[line(0, "m"), line(0, "m")].concat(), Err(SubmitError::Twice(0)));
        check(&line(0, "other"), Err(SubmitError::Foreign(line(0, "other").trim().to_owned())));
        check(&line(2, "m"), Err(SubmitError::Foreign(line(2, "m").trim().to_owned())));
        check("{\"slice\":0}", Err(SubmitError::Foreign("{\"slice\":0}".to_owned())));
    }
}
