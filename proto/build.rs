//! Compiles the `.proto` files: to Rust, and to the descriptor set that reflection serves. Needs no protoc.

use std::path::PathBuf;

use prost::Message as _;

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(
        ["audit", "boot", "public"].map(|name| format!("onchainkms/v1/{name}.proto")),
        ["proto"],
    )?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    // Keys are in these messages: a Debug that prints them would put them in a log.
    tonic_prost_build::configure()
        .skip_debug([".onchainkms.v1.AppKeys", ".onchainkms.v1.GetAppKeysResponse"])
        .compile_fds(descriptors)?;
    Ok(())
}
