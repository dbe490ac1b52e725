use std::fs;

use http_body_util::BodyExt as _;

use super::*;

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for sub in ["alloc/logs", "web/local", "web/secrets"] {
        fs::create_dir_all(dir.path().join(sub)).expect("directories");
    }
    fs::write(dir.path().join("web/local/a.txt"), "hello").expect("write");
    fs::write(dir.path().join("web/secrets/key"), "hidden").expect("write");
    dir
}

fn logs(dir: &Path) -> Logs {
    Logs {
        dir: dir.join("alloc/logs"),
        task: "web".to_owned(),
        kind: "stdout".to_owned(),
    }
}

fn write(dir: &Path, index: u64, text: &str) {
    fs::write(dir.join(format!("alloc/logs/web.stdout.{index}")), text).expect("write");
}

async fn text(streamed: Streamed) -> String {
    let body = plain(streamed).collect().await.expect("a body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

#[test]
fn a_directory_is_listed_and_a_file_described() {
    let dir = tree();
    let names: Vec<_> = list(dir.path(), "/web").expect("a list");
    let names: Vec<_> = names.iter().map(|f| (f.name.as_str(), f.is_dir)).collect();
    assert_eq!(names, [("local", true), ("secrets", true)]);
    let file = stat(dir.path(), "web/local/a.txt").expect("a file");
    assert_eq!((file.name.as_str(), file.size), ("a.txt", 5));
    assert_eq!(file.content_type, "text/plain; charset=utf-8");
    assert!(file.file_mode.starts_with("-rw"), "{}", file.file_mode);
    let error = stat(dir.path(), "web/none").expect_err("it is not there");
    assert_eq!(
        error.to_string(),
        "stat web/none: no such file or directory"
    );
}

#[test]
fn nothing_outside_and_no_secret_is_shown() {
    let dir = tree();
    std::os::unix::fs::symlink("/etc", dir.path().join("web/local/out")).expect("a link");
    std::os::unix::fs::symlink("../secrets", dir.path().join("web/local/in")).expect("a link");
    for path in ["../x", "web/../../x", "web/local/out/passwd"] {
        let error = locate(dir.path(), path).expect_err(path);
        assert_eq!(
            error.to_string(),
            "Path escapes the alloc directory",
            "{path}"
        );
    }
    for path in [
        "web/secrets/key",
        "/web/local/../secrets",
        "web/local/in/key",
    ] {
        let error = locate(dir.path(), path).expect_err(path).to_string();
        assert!(
            error.starts_with("Reading secret file prohibited"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn logs_are_one_stream_over_their_rotation() {
    let dir = tree();
    for (index, part) in [(3, "aaa"), (4, "bbb"), (5, "cc")] {
        write(dir.path(), index, part);
    }
    for (offset, origin, expected) in [
        (0, Origin::Start, "aaabbbcc"),
        (4, Origin::Start, "bbcc"),
        (99, Origin::Start, ""),
        (0, Origin::End, ""),
        (3, Origin::End, "bcc"),
        (99, Origin::End, "aaabbbcc"),
    ] {
        let source = Source::Logs(logs(dir.path()));
        let streamed = follow(source, offset, origin, false, None).expect("logs");
        assert_eq!(text(streamed).await, expected, "{offset} {origin:?}");
    }
}

#[tokio::test]
async fn a_task_without_output_has_no_logs() {
    let dir = tree();
    let source = Source::Logs(logs(dir.path()));
    let error = follow(source, 0, Origin::Start, true, None).expect_err("no logs");
    let expected = "log entry for task \"web\" and log type \"stdout\" not found";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn following_goes_on_over_a_rotation_and_ends_with_the_listener() {
    let dir = tree();
    write(dir.path(), 0, "one ");
    let source = Source::Logs(logs(dir.path()));
    let mut streamed = follow(source, 0, Origin::Start, true, None).expect("logs");
    let mut seen = String::new();
    for (index, part) in [(0, "one two "), (1, "three "), (2, "four")] {
        write(dir.path(), index, part);
        while !seen.ends_with(part) {
            match streamed.recv().await.expect("it goes on") {
                Piece::Data { data, .. } => {
                    seen.push_str(std::str::from_utf8(&data).expect("text"))
                }
                other @ Piece::Event { .. } => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(seen, "one two three four");
}

#[tokio::test]
async fn a_limit_and_an_offset_cut_a_file() {
    let dir = tree();
    let path = dir.path().join("web/local/a.txt");
    let source = Source::File(path, "web/local/a.txt".to_owned());
    let streamed = follow(source, 1, Origin::Start, false, Some(3)).expect("a file");
    assert_eq!(text(streamed).await, "ell");
}

#[tokio::test(start_paused = true)]
async fn frames_carry_base64_and_say_that_the_stream_lives() {
    let dir = tree();
    write(dir.path(), 0, "hi");
    let source = Source::Logs(logs(dir.path()));
    let streamed = follow(source, 0, Origin::Start, true, None).expect("logs");
    let mut body = framed(streamed);
    let mut frames = Vec::new();
    for _ in 0..2 {
        let frame = body.frame().await.expect("a frame").expect("no error");
        frames.push(String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text"));
    }
    let first: serde_json::Value = serde_json::from_str(&frames[0]).expect("JSON");
    let expected = serde_json::json!({ "Offset": 2, "Data": "aGk=", "File": "web.stdout.0" });
    assert_eq!((first, frames[1].as_str()), (expected, "{}"));
}
