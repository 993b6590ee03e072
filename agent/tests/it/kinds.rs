//! Every registered kind is held to the laws of injectors, by name, in a conformance test here or
//! in the one of the command line, where the worlds need more than the agents.

use std::path::Path;

/// Its suite is the user's own, `gameday injectors test`, tried on the example of the docs.
const BY_ITS_USERS: [&str; 1] = ["exec"];

fn conformance_tests() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directories = [here.join("tests/it"), here.join("../harness/cli/tests/it")];
    let files = directories.iter().flat_map(|directory| std::fs::read_dir(directory).unwrap());
    files
        .map(|file| file.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("conformance_"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn every_kind_has_its_conformance() {
    let tests = conformance_tests();
    let registry = injectors::registry();
    let systems = ["lab", injectors::containers::CONTAINERS];
    let kinds = systems.into_iter().flat_map(|system| registry.kinds_on(system));
    for kind in kinds.filter(|kind| !BY_ITS_USERS.contains(kind)) {
        assert!(tests.contains(&format!("\"{kind}\"")), "{kind} is not held to the laws");
    }
}
