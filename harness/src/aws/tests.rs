//! The client against a stand-in that says what it is told to: throttled, broken, expired.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

use super::*;

/// What is still to be answered, and what was asked.
#[derive(Default)]
struct Script {
    answers: VecDeque<(u16, String)>,
    asked: Vec<(HeaderMap, String)>,
}

type Shared = Arc<Mutex<Script>>;

async fn answer(
    State(script): State<Shared>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let mut script = script.lock().unwrap();
    script.asked.push((headers, body));
    let (status, text) = script
        .answers
        .pop_front()
        .expect("an answer to each question");
    (StatusCode::from_u16(status).unwrap(), text)
}

/// Serves these answers, one after the other; returns a client that asks there.
async fn stand_in(answers: &[(u16, &str)]) -> (Aws, Shared) {
    let script = Shared::default();
    let texts = answers
        .iter()
        .map(|(status, text)| (*status, (*text).to_owned()));
    script.lock().unwrap().answers = texts.collect();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(script.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (client(&format!("http://{address}")), script)
}

fn client(endpoint: &str) -> Aws {
    let environment = AwsEnvironment {
        access_key_id: Some("AKID".to_owned()),
        secret_access_key: Some("hush".to_owned()),
        session_token: Some("token".to_owned()),
        endpoint: Some(endpoint.to_owned()),
        ..AwsEnvironment::default()
    };
    let patience = Patience {
        attempts: 4,
        pause: Duration::from_millis(1),
        longest: Duration::from_millis(2),
    };
    Aws::new(&environment, "eu-central-1", patience).unwrap()
}

fn refusal(code: &str, message: &str) -> String {
    format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>1</RequestID></Response>"
    )
}

const PAGE: &str = r#"<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <reservationSet><item><instancesSet><item>
    <instanceId>i-1</instanceId><instanceState><code>16</code><name>running</name></instanceState>
    <privateIpAddress>10.0.0.4</privateIpAddress><ipAddress>203.0.113.9</ipAddress>
    <architecture>arm64</architecture><instanceType>t4g.small</instanceType>
    <placement><availabilityZone>eu-central-1b</availabilityZone></placement>
    <tagSet><item><key>Name</key><value>demo</value></item></tagSet>
    <networkInterfaceSet><item><status>in-use</status></item></networkInterfaceSet>
  </item></instancesSet></item></reservationSet>NEXT</DescribeInstancesResponse>"#;

#[tokio::test]
async fn pages_of_instances_are_read_to_the_end_and_requests_are_signed() {
    let first = PAGE.replace("NEXT", "<nextToken>more</nextToken>");
    let last = PAGE
        .replace("NEXT", "")
        .replace("i-1", "i-2")
        .replace("running", "stopped");
    let (aws, script) = stand_in(&[(200, &first), (200, &last)]).await;
    let found = aws
        .instances_with_tag("rehearse-cluster", "de mo")
        .await
        .unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].id.as_str(), found[0].state),
        ("i-1", InstanceState::Running)
    );
    assert_eq!(found[1].state, InstanceState::Stopped);
    assert_eq!(found[0].public_ip, Some([203, 0, 113, 9].into()));
    assert_eq!(
        (found[0].zone.as_str(), &found[0].tags["Name"]),
        ("eu-central-1b", &"demo".to_owned())
    );
    let asked = &script.lock().unwrap().asked;
    assert_eq!(
        asked[0].1,
        "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=tag%3Arehearse-cluster&Filter.1.Value.1=de%20mo"
    );
    assert!(asked[1].1.ends_with("&NextToken=more"));
    let signed = asked[0].0["authorization"].to_str().unwrap();
    assert!(
        signed.contains("/eu-central-1/ec2/aws4_request"),
        "{signed}"
    );
    assert!(
        signed.contains("host;x-amz-date;x-amz-security-token"),
        "{signed}"
    );
    assert_eq!(asked[0].0["x-amz-security-token"], "token");
}

#[tokio::test]
async fn what_is_throttled_or_broken_on_awss_side_is_tried_again_up_to_a_bound() {
    let slow = refusal("RequestLimitExceeded", "Request limit exceeded.");
    let (aws, script) = stand_in(&[(503, &slow), (500, "oops"), (200, "<ok/>")]).await;
    aws.stop_instance("i-1").await.unwrap();
    assert_eq!(script.lock().unwrap().asked.len(), 3);
    let (aws, script) = stand_in(&[(503, slow.as_str()); 5]).await;
    let error = aws.stop_instance("i-1").await.unwrap_err();
    assert_eq!(
        script.lock().unwrap().asked.len(),
        4,
        "no more than the bound"
    );
    assert_eq!(
        error.to_string(),
        "AWS refused `StopInstances` in `eu-central-1`: Request limit exceeded (RequestLimitExceeded, HTTP 503, after 4 attempts)"
    );
    assert_eq!(
        error.hint().unwrap(),
        "AWS is busy: run it again in a minute"
    );
}

#[tokio::test]
async fn what_the_reader_must_mend_is_told_at_once_with_what_to_do() {
    let long = "You are not authorized to perform this operation. Encoded authorization failure message: AbC";
    for (status, code, message, expected, hint) in [
        (
            400,
            "RequestExpired",
            "Request has expired.",
            "has expired",
            "clock",
        ),
        (
            400,
            "ExpiredToken",
            "The security token is expired",
            "is expired",
            "aws sso login",
        ),
        (
            401,
            "AuthFailure",
            "AWS was not able to validate",
            "validate",
            "turned on",
        ),
        (
            403,
            "UnauthorizedOperation",
            long,
            "operation (Unauth",
            "`ec2:RebootInstances`",
        ),
        (
            400,
            "InvalidInstanceID.NotFound",
            "The instance ID 'i-1' does not exist",
            "'i-1'",
            "not in `eu-central-1`",
        ),
        (
            400,
            "IncorrectInstanceState",
            "not in a state",
            "state",
            "in a minute",
        ),
    ] {
        let (aws, script) = stand_in(&[(status, &refusal(code, message))]).await;
        let error = aws.reboot_instance("i-1").await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(
            error.hint().unwrap().contains(hint),
            "{error}: {:?}",
            error.hint()
        );
        assert_eq!(
            script.lock().unwrap().asked.len(),
            1,
            "{code}: it was not tried again"
        );
        assert!(!format!("{error}{error:?}").contains("hush"));
    }
}

#[tokio::test]
async fn commands_are_sent_and_asked_after() {
    let sent = r#"{"Command":{"CommandId":"c-1"}}"#;
    let unknown = r#"{"__type":"InvocationDoesNotExist","message":""}"#;
    let over = r#"{"Status":"Failed","ResponseCode":3,"StandardOutputContent":"out","StandardErrorContent":"no"}"#;
    let denied =
        r#"{"__type":"com.amazonaws#AccessDeniedException","Message":"User is not authorized"}"#;
    let (aws, script) = stand_in(&[(200, sent), (400, unknown), (200, over), (400, denied)]).await;
    let id = aws.send_command("i-1", "set -e\nfalse", 60).await.unwrap();
    assert_eq!(aws.command(&id, "i-1").await.unwrap(), None);
    let ended = aws.command(&id, "i-1").await.unwrap().unwrap();
    assert!(ended.is_over() && ended.code == 3 && ended.errors == "no");
    let error = aws.send_command("i-1", "true", 60).await.unwrap_err();
    assert!(
        error.hint().unwrap().contains("`ssm:SendCommand`"),
        "{error}"
    );
    let asked = &script.lock().unwrap().asked;
    assert_eq!(asked[0].0["x-amz-target"], "AmazonSSM.SendCommand");
    let body: serde_json::Value = serde_json::from_str(&asked[0].1).unwrap();
    assert_eq!(
        body["Parameters"]["commands"],
        serde_json::json!(["set -e", "false"])
    );
}

#[tokio::test]
async fn nobody_at_the_address_is_told_with_the_address() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&endpoint).caller().await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&endpoint) && text.contains("after 4 attempts"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("AWS_ENDPOINT_URL"));
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error() {
    for text in [
        "<html>sign in to the hotel's network</html>",
        "not XML",
        "<a>",
    ] {
        let (aws, _) = stand_in(&[(200, text)]).await;
        let error = aws.instances_with_tag("a", "b").await.unwrap_err();
        assert!(matches!(error, AwsError::Unreadable { .. }), "{error}");
    }
}
