//! Writes the JavaScript module beside a WebAssembly module: `bindings MODULE.wasm FOLDER`. What `wasm-bindgen --target
//! web` does, by the library underneath it: `Cargo.lock` keeps it at the version that the module was built with, and
//! nothing needs to be installed.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [module, folder] = arguments.as_slice() else {
        eprintln!("bindings MODULE.wasm FOLDER");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    let written = bindgen.web(true).and_then(|bindgen| {
        bindgen.input_path(module).out_name("core").typescript(true).omit_default_module_path(false).generate(folder)
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bindings: {error:#}");
            ExitCode::FAILURE
        }
    }
}
