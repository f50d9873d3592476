//! Has libFuzzer look for HTTP/1 framing that break what `remuda_fuzz::framing` checks.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| remuda_fuzz::framing(input));
