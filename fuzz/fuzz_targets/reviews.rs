//! `reviews.toml`: reviews, or an error that can be printed.
#![no_main]

use egress_atlas::catalog::{Date, Reviewed, Reviews};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Reviews::parse(text, "reviews.toml") {
        Ok(reviews) => {
            let Some(day) = Date::parse("2026-03-02") else { return };
            let state = reviews.state("shop", Reviewed::Name("www.example.com"), day);
            assert!(!state.to_string().is_empty());
            assert!(!reviews.all().is_empty() || state.to_string() == "pending");
        }
        Err(error) => assert!(error.to_string().contains("reviews.toml")),
    }
});
