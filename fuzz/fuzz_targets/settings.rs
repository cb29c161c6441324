//! `egress-atlas.toml`: settings, or an error that can be printed.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use egress_atlas::catalog::Settings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Settings::parse(text, "egress-atlas.toml") {
        Ok(settings) => {
            let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
            let _range = settings.network("east", address);
            for rule in &settings.categories {
                let _pattern = rule.reach.finds_all("shop", Some(443), Some("www.example.com"), &[address]);
            }
        }
        Err(error) => assert!(error.to_string().contains("egress-atlas.toml")),
    }
});
