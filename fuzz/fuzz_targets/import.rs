#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| secretsyncd_fuzz::import::target(input));
