//! What a user points at: `[NAME=][FORMAT:]PATH`, where PATH is a file, a folder, a glob or `-`.
//!
//! In: the texts of `--flows`, `--dns`, `--kube`. Out: a sorted list of files, each with the cluster that its records belong to
//! when they name none. Nothing is opened here.

use std::fmt;
use std::path::{Path, PathBuf};

/// What an input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Hubble JSON: flows, and DNS answers seen at layer 7.
    Hubble,
    /// A dnstap capture in Frame Streams.
    Dnstap,
    /// Calico Enterprise and Cloud: `flows.log`.
    Calico,
    /// Calico Enterprise and Cloud: `dns.log`.
    CalicoDns,
    /// Kernel LOG lines and eBPF trace lines of any Calico.
    CalicoLog,
    /// Goldmane's flows as JSON.
    Goldmane,
    /// Antrea's flow log, JSON records, and the policy audit log.
    AntreaLog,
    /// Antrea's table exports: S3 objects, `ClickHouse`.
    AntreaCsv,
    /// IPFIX messages.
    Ipfix,
    /// Kubernetes objects.
    Kube,
}

/// All formats, in the order in which they are listed to users.
const ALL: [Format; 10] = [
    Format::Hubble,
    Format::Calico,
    Format::CalicoLog,
    Format::Goldmane,
    Format::AntreaLog,
    Format::AntreaCsv,
    Format::Ipfix,
    Format::Dnstap,
    Format::CalicoDns,
    Format::Kube,
];

impl Format {
    /// The word on the command line and in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hubble => "hubble",
            Self::Dnstap => "dnstap",
            Self::Calico => "calico",
            Self::CalicoDns => "calico-dns",
            Self::CalicoLog => "calico-log",
            Self::Goldmane => "goldmane",
            Self::AntreaLog => "antrea-log",
            Self::AntreaCsv => "antrea-csv",
            Self::Ipfix => "ipfix",
            Self::Kube => "kube",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        ALL.into_iter().find(|format| format.as_str() == word)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an input cannot be used at all. A broken record is never an error.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Nothing is there.
    #[error("`{path}`: no such file or folder; check the path (globs must be quoted from the shell)")]
    Missing {
        /// As the user wrote it.
        path: String,
    },
    /// A folder or glob without files.
    #[error("`{path}`: no files in it; point at the folder that holds the exporter's files, or at one file")]
    NoFiles {
        /// As the user wrote it.
        path: String,
    },
    /// A glob that is none.
    #[error("`{path}`: not a usable glob: {reason}")]
    Glob {
        /// As the user wrote it.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A format that nobody names.
    #[error(
        "`{path}`: unknown format `{format}`; formats are `hubble`, `calico`, `calico-log`, `goldmane`, `antrea-log`, `antrea-csv`, `ipfix`, `dnstap`, `calico-dns` and `kube`, or leave it out"
    )]
    UnknownFormat {
        /// As the user wrote it.
        path: String,
        /// The format as the user wrote it.
        format: String,
    },
    /// The content is of no known format.
    #[error(
        "`{path}`: the content is neither Hubble JSON nor a dnstap capture (Frame Streams), nor of another known format; if it is one all the same, name the format before the path, as in `hubble:PATH`, `antrea-csv:PATH` or `dnstap:PATH`"
    )]
    Unrecognised {
        /// The file.
        path: String,
    },
    /// A log of DNS questions, without the answers.
    #[error(
        "`{path}`: a log of DNS queries holds no answers, so it cannot name a destination; capture dnstap with `full` instead"
    )]
    QueryLog {
        /// The file.
        path: String,
    },
    /// Space-delimited flow logs of old Calico versions.
    #[error(
        "`{path}`: the space-delimited flow log of old Calico Enterprise versions is not read; export the flows as JSON (`flows.log`)"
    )]
    OldCalico {
        /// The file.
        path: String,
    },
    /// Kubernetes objects where traffic is asked for.
    #[error("`{path}`: Kubernetes objects hold neither flows nor DNS answers; give them with `--kube {path}`")]
    Objects {
        /// The file.
        path: String,
    },
    /// A packet capture.
    #[error(
        "`{path}`: a packet capture is not read; give flow records of the CNI, or the payload of an IPFIX session as `ipfix:PATH`"
    )]
    Packets {
        /// The file.
        path: String,
    },
    /// The table that a person reads.
    #[error("`{path}`: a table of `antctl` is not read; print the records with `antctl get flowrecords -o json`")]
    Table {
        /// The file.
        path: String,
    },
    /// The file cannot be read.
    #[error("`{path}`: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl InputError {
    /// Whether the content of one file is of a kind that is never read, so that its neighbours in a folder still are.
    pub const fn is_of_one_file(&self) -> bool {
        matches!(self, Self::OldCalico { .. } | Self::Packets { .. } | Self::Table { .. })
    }
}

/// One input as written on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSpec {
    /// The cluster that the user gave this input.
    pub cluster: Option<String>,
    /// The format that the user gave; else it is recognised from the content.
    pub format: Option<Format>,
    /// File, folder, glob, or `-`.
    pub path: String,
}

/// One file to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputFile {
    /// Where it is; `-` is standard input.
    pub path: PathBuf,
    /// The cluster of its records when they name none.
    pub cluster: Option<String>,
    /// The format that the user gave.
    pub format: Option<Format>,
    /// Whether the user named this very file, and not a folder or pattern that it is in.
    pub is_named: bool,
}

impl InputFile {
    /// What outputs call it: the file name without the folders above, so that documents do not depend on where it lay.
    pub fn name(&self) -> String {
        if self.is_stdin() {
            return "standard input".to_owned();
        }
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// Whether it is standard input.
    pub fn is_stdin(&self) -> bool {
        self.path.as_os_str() == "-"
    }
}

impl InputSpec {
    /// Reads `[NAME=][FORMAT:]PATH`. A text that names an existing file is always a path.
    pub fn parse(text: &str) -> Result<Self, InputError> {
        let plain = |path: &str| Self { cluster: None, format: None, path: path.to_owned() };
        if Path::new(text).exists() {
            return Ok(plain(text));
        }
        let mut spec = plain(text);
        if let Some((name, rest)) = text.split_once('=')
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        {
            spec = Self { cluster: Some(name.to_owned()), path: rest.to_owned(), ..spec };
        }
        if let Some((word, rest)) = spec.path.split_once(':') {
            if let Some(format) = Format::parse(word) {
                return Ok(Self { format: Some(format), path: rest.to_owned(), ..spec });
            }
            if word.len() > 1 && Path::new(rest).exists() {
                return Err(InputError::UnknownFormat { path: rest.to_owned(), format: word.to_owned() });
            }
        }
        Ok(spec)
    }

    /// The files it stands for, sorted by path. Folders are searched to the bottom; hidden files are passed over.
    pub fn files(&self) -> Result<Vec<InputFile>, InputError> {
        let file =
            |path: PathBuf, is_named| InputFile { path, cluster: self.cluster.clone(), format: self.format, is_named };
        let path = Path::new(&self.path);
        if self.path == "-" {
            return Ok(vec![file(path.to_owned(), true)]);
        }
        let mut found = Vec::new();
        if path.is_dir() {
            collect_files(path, &mut found)?;
        } else if path.exists() {
            return Ok(vec![file(path.to_owned(), true)]);
        } else if self.path.contains(['*', '?', '[']) {
            let entries = glob::glob(&self.path)
                .map_err(|error| InputError::Glob { path: self.path.clone(), reason: error.msg.to_owned() })?;
            for entry in entries {
                let entry = entry.map_err(|error| InputError::Io {
                    path: error.path().display().to_string(),
                    source: error.into(),
                })?;
                if entry.is_dir() {
                    collect_files(&entry, &mut found)?;
                } else {
                    found.push(entry);
                }
            }
        } else {
            return Err(InputError::Missing { path: self.path.clone() });
        }
        if found.is_empty() {
            return Err(InputError::NoFiles { path: self.path.clone() });
        }
        found.sort();
        found.dedup();
        Ok(found.into_iter().map(|path| file(path, false)).collect())
    }
}

/// All files below `folder`. Folders wait in a list, so that depth costs no stack; links to folders are not followed.
fn collect_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), InputError> {
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let failed = |source| InputError::Io { path: folder.display().to_string(), source };
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if entry.path().is_file() {
                found.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_and_format_may_stand_before_the_path() {
        let check = |text: &str, cluster: Option<&str>, format: Option<Format>, path: &str| {
            let spec = InputSpec::parse(text).unwrap();
            assert_eq!((spec.cluster.as_deref(), spec.format, spec.path.as_str()), (cluster, format, path), "{text}");
        };
        check("flows.log", None, None, "flows.log");
        check("hubble:flows.log", None, Some(Format::Hubble), "flows.log");
        check("prod-eu=hubble:a/*.log", Some("prod-eu"), Some(Format::Hubble), "a/*.log");
        check("prod=dns.fstrm", Some("prod"), None, "dns.fstrm");
        check("a/b=c.log", None, None, "a/b=c.log");
        check("c:/flows.log", None, None, "c:/flows.log");
        for format in ALL {
            check(&format!("{format}:x"), None, Some(format), "x");
        }
    }

    #[test]
    fn folders_are_searched_and_empty_ones_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("node-b")).unwrap();
        for name in ["node-b/events.log", "events.log", ".hidden"] {
            tempfile::NamedTempFile::new_in(folder.path()).unwrap().persist(folder.path().join(name)).unwrap();
        }
        let spec = InputSpec::parse(&folder.path().display().to_string()).unwrap();
        let names: Vec<_> =
            spec.files().unwrap().iter().map(|f| f.path.strip_prefix(folder.path()).unwrap().to_owned()).collect();
        assert_eq!(names, [PathBuf::from("events.log"), PathBuf::from("node-b/events.log")]);
        let empty = tempfile::tempdir().unwrap();
        let spec = InputSpec::parse(&empty.path().display().to_string()).unwrap();
        assert!(matches!(spec.files(), Err(InputError::NoFiles { .. })));
        let missing = InputSpec::parse("does/not/exist").unwrap();
        assert!(matches!(missing.files(), Err(InputError::Missing { .. })));
    }
}
