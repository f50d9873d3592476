//! Has libFuzzer look for configurations that break what `remuda_fuzz::configuration` checks.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| remuda_fuzz::configuration(input));
