//! Replaces the published `wasm-opt` crate, whose C++ (all of Binaryen) took a fifth of the time of a first build.
//!
//! `substrate-wasm-builder` uses three of its functions: to validate the runtime as WebAssembly 1.0, to remove the
//! DWARF sections, and to lower the sign extension operators. The target `wasm32v1-none` emits none of these operators,
//! so there is nothing to lower. A runtime that contains one anyway is rejected, with the position of the operator.
//! The interface has the same names as the published crate, as far as the builder uses them.

#![forbid(unsafe_code)]

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use wasm_encoder::{Module, RawSection};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

/// WebAssembly 1.0 with mutable globals, which `wasm32v1-none` emits, and every executor of the SDK runs.
const FEATURES: WasmFeatures = WasmFeatures::WASM1;

/// The passes to run.
#[derive(Debug, Default)]
pub struct OptimizationOptions {
    strips_debug_sections: bool,
}

/// A pass that the builder can request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Removes the custom sections whose names begin with `.debug_`.
    StripDwarf,
    /// Does nothing: a module with sign extension operators is rejected.
    SignextLowering,
}

/// Why the output module was not written.
#[derive(Debug, thiserror::Error)]
pub enum OptimizationError {
    /// The file could not be read.
    #[error("cannot read {path}: {error}")]
    Read { path: PathBuf, error: io::Error },
    /// The file could not be written.
    #[error("cannot write {path}: {error}")]
    Write { path: PathBuf, error: io::Error },
    /// The file is not a module, or uses a feature beyond WebAssembly 1.0.
    #[error("{path} is not a valid WebAssembly 1.0 module: {error}")]
    Invalid { path: PathBuf, error: wasmparser::BinaryReaderError },
}

impl OptimizationOptions {
    /// Does not optimize: the compiler has already done it.
    #[must_use]
    pub fn new_opt_level_0() -> Self {
        Self::default()
    }

    /// Does nothing: WebAssembly 1.0 is the only feature set that [`Self::run`] accepts.
    #[must_use]
    pub fn mvp_features_only(self) -> Self {
        self
    }

    /// Does nothing: the section with the names of functions, which traps print, is always kept.
    #[must_use]
    pub fn debug_info(self, _: bool) -> Self {
        self
    }

    #[must_use]
    pub fn add_pass(mut self, pass: Pass) -> Self {
        self.strips_debug_sections |= pass == Pass::StripDwarf;
        self
    }

    /// Reads the module at `from`, validates it, and writes it to `to`, which may be the same file.
    pub fn run(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
    ) -> Result<(), OptimizationError> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let bytes =
            fs::read(from).map_err(|error| OptimizationError::Read { path: from.into(), error })?;
        let kept = self
            .apply(&bytes)
            .map_err(|error| OptimizationError::Invalid { path: from.into(), error })?;
        fs::write(to, kept).map_err(|error| OptimizationError::Write { path: to.into(), error })
    }

    fn apply(&self, module: &[u8]) -> Result<Vec<u8>, wasmparser::BinaryReaderError> {
        Validator::new_with_features(FEATURES).validate_all(module)?;
        let mut kept = Module::new();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            let removed = matches!(&payload, Payload::CustomSection(section)
                if self.strips_debug_sections && section.name().starts_with(".debug_"));
            if let (Some((id, range)), false) = (payload.as_section(), removed) {
                kept.section(&RawSection { id, data: &module[range] });
            }
        }
        Ok(kept.finish())
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        CodeSection, CustomSection, Encode, Function, FunctionSection, Instruction, TypeSection,
        ValType,
    };

    use super::*;

    /// A module with one function with this body, and two custom sections.
    fn module(body: &[Instruction]) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32], [ValType::I32]);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut code = CodeSection::new();
        let mut function = Function::new([]);
        body.iter().for_each(|instruction| {
            function.instruction(instruction);
        });
        code.function(&function);
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&code);
        for name in [".debug_info", "runtime_version"] {
            module.section(&CustomSection { name: name.into(), data: b"content"[..].into() });
        }
        module.finish()
    }

    fn custom_sections(module: &[u8]) -> Vec<&str> {
        let payloads = Parser::new(0).parse_all(module);
        let names = payloads.filter_map(|payload| match payload.unwrap() {
            Payload::CustomSection(section) => Some(section.name()),
            _ => None,
        });
        names.collect()
    }

    fn optimized(
        module: &[u8],
        options: &OptimizationOptions,
    ) -> Result<Vec<u8>, OptimizationError> {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from.wasm"), folder.path().join("to.wasm"));
        fs::write(&from, module).unwrap();
        options.run(&from, &to)?;
        Ok(fs::read(&to).unwrap())
    }

    /// The options that the builder sets.
    fn compact() -> OptimizationOptions {
        OptimizationOptions::new_opt_level_0()
            .mvp_features_only()
            .debug_info(true)
            .add_pass(Pass::StripDwarf)
            .add_pass(Pass::SignextLowering)
    }

    const IDENTITY: [Instruction; 2] = [Instruction::LocalGet(0), Instruction::End];

    #[test]
    fn only_debug_sections_are_removed() {
        let with = module(&IDENTITY);
        let kept = optimized(&with, &compact()).unwrap();
        assert_eq!(custom_sections(&with), [".debug_info", "runtime_version"]);
        assert_eq!(custom_sections(&kept), ["runtime_version"]);
        let mut removed = Vec::new();
        CustomSection { name: ".debug_info".into(), data: b"content"[..].into() }
            .encode(&mut removed);
        let mut expected = with;
        let at = expected.windows(removed.len()).position(|part| part == removed).unwrap() - 1;
        expected.drain(at..=at + removed.len());
        assert_eq!(kept, expected);
    }

    #[test]
    fn without_the_pass_debug_sections_stay() {
        let with = module(&IDENTITY);
        let options = OptimizationOptions::new_opt_level_0().add_pass(Pass::SignextLowering);
        assert_eq!(optimized(&with, &options).unwrap(), with);
    }

    #[test]
    fn an_operator_beyond_webassembly_1_is_rejected() {
        let body = [Instruction::LocalGet(0), Instruction::I32Extend8S, Instruction::End];
        let error = optimized(&module(&body), &compact()).unwrap_err();
        assert!(error.to_string().contains("sign extension operations support is not enabled"));
    }

    #[test]
    fn bytes_that_are_not_a_module_are_rejected() {
        for bytes in [&b""[..], b"\0asm", b"no module at all"] {
            assert!(matches!(optimized(bytes, &compact()), Err(OptimizationError::Invalid { .. })));
        }
        let missing = compact().run("/nonexistent/module.wasm", "/nonexistent/out.wasm");
        assert!(matches!(missing, Err(OptimizationError::Read { .. })));
    }
}
