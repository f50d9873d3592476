//! Has libFuzzer look for control messages that break what `remuda_fuzz::control` checks.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| remuda_fuzz::control(input));
