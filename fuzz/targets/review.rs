#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| perpro_fuzz::review(bytes));
