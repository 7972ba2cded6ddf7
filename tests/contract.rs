//! The misuses of the mutator contract that must not compile, each beside a twin that does.
//!
//! Each file in `contract/` is one misuse, compiled four times: wrong and right, against each
//! collector. A wrong one must fail at the line that says so, for the reason it says; nothing else
//! of the compiler's output is compared, so that a new compiler's wording breaks nothing.

use ui_test::dependencies::DependencyBuilder;
use ui_test::{Args, Config, ignore_output_conflict};

fn main() -> ui_test::color_eyre::Result<()> {
    let mut config = Config::rustc("contract");
    config.output_conflict_handling = ignore_output_conflict;
    config.out_dir = concat!(env!("CARGO_TARGET_TMPDIR"), "/contract").into();
    config.skip_files.push("dependencies".into());
    let defaults = config.comment_defaults.base();
    defaults.set_custom(
        "dependencies",
        DependencyBuilder {
            crate_manifest_path: concat!(env!("CARGO_MANIFEST_DIR"), "/contract/Cargo.toml").into(),
            ..DependencyBuilder::default()
        },
    );
    config.with_args(&Args::test()?);
    ui_test::run_tests(config)
}
