//! Lets cargo build the program anew when `make web` has built other browser parts, which it embeds.

fn main() {
    println!("cargo:rerun-if-changed=src/web/dist");
}
