//! What must hold for whatever comes from outside.
//!
//! Purpose: a function for each parser of foreign bytes, which panics where a promise is
//! broken. Owner: the fuzz targets call them with what libFuzzer makes up, the tests below
//! with the seeds. Invariant: what they do depends on the input alone.

mod configuration;
mod control;
mod framing;
mod proxy;

pub use configuration::configuration;
pub use control::control;
pub use framing::framing;
pub use proxy::proxy;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    fn every_seed(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        let seeds: Vec<_> = fs::read_dir(folder).expect("seeds").flatten().collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            let input = fs::read(seed.path()).expect("a seed");
            run(&input);
            // Cut short, it is an input like any other.
            for end in (0..input.len()).step_by(7) {
                run(&input[..end]);
            }
        }
    }

    #[test]
    fn every_seed_of_configuration() {
        every_seed("configuration", super::configuration);
    }

    #[test]
    fn every_seed_of_control() {
        every_seed("control", super::control);
    }

    #[test]
    fn every_seed_of_framing() {
        every_seed("framing", super::framing);
    }

    #[test]
    fn every_seed_of_proxy() {
        every_seed("proxy", super::proxy);
    }
}
