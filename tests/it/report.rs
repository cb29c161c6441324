//! What the report module writes.

mod build;
mod documents;
mod hostile;
mod machine;
