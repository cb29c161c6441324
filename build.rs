//! Compiles the wire format definitions of `proto/` without an external compiler.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = ["dnstap.proto", "hubble.proto", "goldmane.proto", "antrea.proto"];
    let descriptors = protox::compile(files.map(|file| format!("proto/{file}")), ["proto"])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
