//! Rules about what is written to files and sockets.

use super::sources;

/// Fields of struct variants follow their enum only when they are told to; without it a format
/// mixes `camelCase` with `snake_case`.
#[test]
fn fields_of_variants_are_named_like_their_variants() {
    let found: Vec<String> = sources()
        .iter()
        .flat_map(|(path, text)| {
            mixed(text)
                .map(move |line| format!("{}:{line}: add `rename_all_fields`", path.display()))
        })
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Lines of enums that rename their variants, have a variant with named fields, and do not rename
/// those.
fn mixed(text: &str) -> impl Iterator<Item = usize> + '_ {
    let lines: Vec<&str> = text.lines().collect();
    let renames = |line: &&str| line.contains("rename_all = ") && !line.contains("_fields");
    let places: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| renames(line)).map(|(at, _)| at).collect();
    places.into_iter().filter_map(move |at| {
        let is_attribute = |line: &&&str| {
            let line = line.trim_start();
            line.starts_with("#[") || line.starts_with("///")
        };
        let head = at + 1 + lines[at + 1..].iter().take_while(is_attribute).count();
        let declares = lines.get(head)?;
        let indent = &declares[..declares.len() - declares.trim_start().len()];
        if !declares.contains("enum ") {
            return None;
        }
        let (close, variant) = (format!("{indent}}}"), format!("{indent}    "));
        let mut body = lines[head + 1..].iter().take_while(|line| **line != close);
        let has_fields = |line: &&str| {
            line.strip_prefix(&variant)
                .is_some_and(|rest| rest.starts_with(char::is_uppercase) && rest.contains('{'))
        };
        // An empty variant, `Alerts {}`, has nothing to rename.
        body.any(|line| has_fields(line) && !line.contains("{}")).then_some(at + 1)
    })
}

#[test]
fn a_mixed_enum_is_found_and_others_are_not() {
    // Written in two parts, so that this file does not find itself.
    let attribute = ["#[serde(rename_", "all = \"camelCase\")]"].concat();
    let named = "pub enum One {\n    /// Doc.\n    First {\n        at_most: u8,\n    },\n}\n";
    let plain = "pub enum Two {\n    First(u8),\n    Second {},\n}\n";
    let text = format!("{attribute}\n{plain}{attribute}\n#[other]\n{named}");
    assert_eq!(mixed(&text).collect::<Vec<_>>(), [6]);
}
