//! Kyverno.
