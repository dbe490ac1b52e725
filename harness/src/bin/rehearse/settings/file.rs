//! The file itself: whose it is, and its text.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nomad_harness::settings::SettingsError;

/// Refuses a file that somebody else may have put above the user's folder.
pub fn trusted(path: PathBuf) -> Result<PathBuf, SettingsError> {
    let owner = std::fs::metadata(&path).map(|meta| meta.uid());
    let ours = [0, nix::unistd::geteuid().as_raw()];
    match owner {
        Ok(owner) if !ours.contains(&owner) => Err(SettingsError(vec![format!(
            "`{}` belongs to another user and is not read\n  hint: REHEARSE_CONFIG= rehearse ...    # without it",
            path.display()
        )])),
        _ => Ok(path),
    }
}

/// Reads the file's text.
pub fn text(path: &Path) -> Result<String, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        SettingsError(vec![format!(
            "`{}` cannot be read: {error}",
            path.display()
        )])
    })?;
    Ok(agent::without_mark(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use crate::Cli;
    use clap::CommandFactory as _;
    use nomad_harness::settings::{CLUSTER, SettingsError, read, top_level_text};

    fn problems(text: &str) -> Vec<String> {
        match read("rehearse.hcl", text, &Cli::command(), &|_| None) {
            Ok(settings) => panic!("{settings:?}"),
            Err(SettingsError(problems)) => problems,
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place_and_what_was_meant() {
        let text = "engin = \"simulator\"\nservers = [1, 3]\n\nup {\n  keep = 1\n  timeout = \"soon\"\n  \
                    plant = \"x\"\n}\nupp {\n}\njob {\n  run {\n    within = 5\n  }\n  run {\n    within = 6\n  }\n}\nformat = \"xml\"\nyes = true\n";
        let told = problems(text);
        let heads = [
            "rehearse.hcl:1:1: unknown option `engin`: no command has it (did you mean `engine`?)",
            "rehearse.hcl:2:11: `servers` takes one value and no list",
            "rehearse.hcl:5:10: `keep` takes `true` or `false`",
            "rehearse.hcl:6:13: `timeout` of `up` cannot be `soon`: `soon` is no duration (expected one as `15s`)",
            "rehearse.hcl:7:3: unknown option `plant`: `up` has not it",
            "rehearse.hcl:9:1: unknown command `upp` (did you mean `up`?)",
            "rehearse.hcl:16:5: `within` stands here twice",
            "rehearse.hcl:19:10: `format` cannot be `xml`: expected text, json",
            "rehearse.hcl:20:1: `yes` is a consent: whoever types a command gives it there",
        ];
        assert_eq!(told.len(), heads.len(), "{told:#?}");
        for (line, head) in told.iter().zip(heads) {
            assert!(line.starts_with(head), "{line}\n{head}");
        }
    }

    #[test]
    fn a_file_that_is_no_hcl_says_where() {
        assert!(problems("up {\n")[0].starts_with("rehearse.hcl:"));
    }

    #[test]
    fn a_cluster_without_an_option_is_taken_at_the_top() {
        let settings = read("f", "cluster = \"demo\"\n", &Cli::command(), &|_| None).unwrap();
        assert_eq!(settings[0].values, ["demo"]);
        assert_eq!(
            top_level_text("cluster = \"demo\"\n", CLUSTER).unwrap(),
            "demo"
        );
    }
}
