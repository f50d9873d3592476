//! Has libFuzzer look for the PROXY protocol that break what `remuda_fuzz::proxy` checks.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| remuda_fuzz::proxy(input));
