use std::sync::Arc;

use axum::http::StatusCode;
use tokio::task::JoinSet;

use super::serve::{Answer, Asked, Responder};
use super::*;
use crate::rpc::trial::Authority;
use crate::rpc::{Kind, Listener, Tls};

fn machine(number: u8, tags: &[(&str, &str)]) -> Machine {
    let tags = tags
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Machine {
        name: format!("server-{number}"),
        address: Ipv4Addr::new(10, 20, 0, 10 + number),
        link_local: Ipv4Addr::new(169, 254, 10, 10 + number),
        instance_type: "t3.small".to_owned(),
        image: "ami-0862be96e41dcbf74".to_owned(),
        zone: "us-east-2a".to_owned(),
        architecture: "x86_64".to_owned(),
        tags: tags.collect(),
        metadata: true,
        tokens: true,
        role: Some("nomad-server".to_owned()),
        may_describe: true,
    }
}

/// Two servers with the join tag, a client without.
fn cloud() -> Cloud {
    let join = ("join", "a & b");
    Cloud {
        region: "us-east-2".to_owned(),
        machines: vec![
            machine(1, &[join, ("Name", "server-1")]),
            machine(2, &[join, ("Name", "server-2")]),
            machine(3, &[("Name", "client-1")]),
        ],
    }
}

fn asked(method: &str, path: &str, from: [u8; 4], headers: &[(&str, &str)]) -> Asked {
    Asked::new(from.into(), method, path, headers, "").unwrap()
}

const FIRST: [u8; 4] = [169, 254, 10, 11];
const LIFE: (&str, &str) = ("x-aws-ec2-metadata-token-ttl-seconds", "60");

fn told(responder: &Responder, path: &str, from: [u8; 4]) -> Answer {
    let token = responder.metadata(&asked("PUT", "/latest/api/token", from, &[LIFE]));
    assert_eq!(token.status, StatusCode::OK);
    let header = ("x-aws-ec2-metadata-token", token.text.as_str());
    responder.metadata(&asked("GET", path, from, &[header]))
}

#[test]
fn a_machine_is_told_of_itself_and_of_nobody_else() {
    let responder = Responder::new(cloud());
    let document = told(
        &responder,
        "/latest/dynamic/instance-identity/document",
        FIRST,
    );
    let document: serde_json::Value = serde_json::from_str(&document.text).unwrap();
    assert_eq!(document["region"], "us-east-2");
    assert_eq!(document["privateIp"], "10.20.0.11");
    let id = told(&responder, "/latest/meta-data/instance-id", FIRST).text;
    assert_eq!(document["instanceId"], id.as_str());
    assert!(id.starts_with("i-") && id.len() == 19, "{id}");
    // By either of its addresses.
    let again = told(&responder, "/latest/meta-data/instance-id", [10, 20, 0, 11]);
    assert_eq!(again.text, id);
    let other = told(
        &responder,
        "/latest/meta-data/instance-id",
        [169, 254, 10, 12],
    );
    assert_ne!(other.text, id);
    let nobody = asked("PUT", "/latest/api/token", [10, 20, 0, 1], &[LIFE]);
    assert_eq!(responder.metadata(&nobody).status, StatusCode::NOT_FOUND);
    let absent = told(&responder, "/latest/meta-data/spot/instance-action", FIRST);
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
}

#[test]
fn version_1_is_refused_where_tokens_are_required_and_a_wrong_token_everywhere() {
    let path = "/latest/meta-data/local-ipv4";
    let plain = asked("GET", path, FIRST, &[]);
    let wrong = [("x-aws-ec2-metadata-token", "mine")];
    let wrong = asked("GET", path, FIRST, &wrong);
    let strict = Responder::new(cloud());
    assert_eq!(strict.metadata(&plain).status, StatusCode::UNAUTHORIZED);
    assert_eq!(strict.metadata(&wrong).status, StatusCode::UNAUTHORIZED);
    let mut cloud = cloud();
    cloud.machines[0].tokens = false;
    cloud.machines[1].metadata = false;
    let lax = Responder::new(cloud);
    assert_eq!(lax.metadata(&plain).text, "10.20.0.11");
    assert_eq!(lax.metadata(&wrong).status, StatusCode::UNAUTHORIZED);
    let off = asked("PUT", "/latest/api/token", [169, 254, 10, 12], &[LIFE]);
    assert_eq!(lax.metadata(&off).status, StatusCode::FORBIDDEN);
    let endless = asked("PUT", "/latest/api/token", FIRST, &[]);
    assert_eq!(lax.metadata(&endless).status, StatusCode::BAD_REQUEST);
    let proxied = [LIFE, ("x-forwarded-for", "10.0.0.1")];
    let proxied = asked("PUT", "/latest/api/token", FIRST, &proxied);
    assert_eq!(lax.metadata(&proxied).status, StatusCode::FORBIDDEN);
}

/// The services on ports of their own, with an authority.
struct Site {
    discovery: Discovery,
    authority: Authority,
    _tasks: JoinSet<()>,
}

impl Site {
    async fn new(cloud: Cloud) -> Self {
        let authority = Authority::new();
        let names = ["ec2.us-east-2.amazonaws.com", "ec2.us-east-1.amazonaws.com"];
        let mut settings = authority.settings("ec2", &names);
        settings.verify_https_client = false;
        let tls = Some(Arc::new(Tls::load(settings).unwrap()));
        let local = "127.0.0.1:0".parse().unwrap();
        let metadata = Listener::bind(local, Kind::Http, None).await.unwrap();
        let ec2 = Listener::bind(local, Kind::Http, tls).await.unwrap();
        // The folder of trust has keys, too, as such folders have all kinds of files.
        let trust = authority.folder().to_owned();
        let discovery = Discovery::at(metadata.address().unwrap(), ec2.address().unwrap(), trust);
        let responder = Arc::new(Responder::new(cloud));
        let mut tasks = JoinSet::new();
        let [one, other] = serve::routers(&responder);
        tasks.spawn(metadata.serve(one));
        tasks.spawn(ec2.serve(other));
        Self {
            discovery,
            authority,
            _tasks: tasks,
        }
    }

    async fn found(&self, text: &str) -> Result<Vec<String>, String> {
        let found = self.discovery.addresses(text).await;
        found
            .map(|all| all.iter().map(ToString::to_string).collect())
            .map_err(|error| error.to_string())
    }
}

/// A cloud whose caller is the machine at 127.0.0.1, the last one.
fn seen_from_here() -> Cloud {
    let mut cloud = cloud();
    cloud.machines[2].link_local = Ipv4Addr::LOCALHOST;
    cloud
}

const JOIN: &str = "provider=aws region=us-east-2 tag_key=join tag_value=\"a & b\"";

#[tokio::test]
async fn servers_are_found_by_their_tag() {
    let site = Site::new(seen_from_here()).await;
    let both = Ok(vec!["10.20.0.11".to_owned(), "10.20.0.12".to_owned()]);
    assert_eq!(site.found(JOIN).await, both);
    // The region of the identity document.
    assert_eq!(
        site.found("provider=aws tag_key=join tag_value=a*").await,
        both
    );
    // The faults: another tag, another value, another region. Nobody is found, and that is no error.
    for text in [
        "provider=aws tag_key=joint tag_value=a*",
        "provider=aws tag_key=join tag_value=a",
        &JOIN.replace("us-east-2", "us-east-1"),
    ] {
        assert_eq!(site.found(text).await, Ok(vec![]), "{text}");
    }
    assert!(site.authority.folder().exists());
}

#[tokio::test]
async fn who_may_not_ask_is_told_so() {
    let mut denied = seen_from_here();
    denied.machines[2].may_describe = false;
    let site = Site::new(denied).await;
    let error = site.found(JOIN).await.unwrap_err();
    assert!(
        error.starts_with("discover-aws: DescribeInstancesInput failed: UnauthorizedOperation: "),
        "{error}"
    );
    assert!(error.ends_with("status code: 403"), "{error}");
    // Without a role there are no keys; keys of one's own are none of the role's.
    let mut bare = seen_from_here();
    bare.machines[2].role = None;
    let site = Site::new(bare).await;
    let error = site.found(JOIN).await.unwrap_err();
    assert!(error.contains("NoCredentialProviders"), "{error}");
    let text = format!("{JOIN} access_key_id=AKIDEXAMPLE secret_access_key=x");
    let error = site.found(&text).await.unwrap_err();
    assert!(error.contains("AuthFailure"), "{error}");
    let error = site.found("provider=gce tag_value=x").await.unwrap_err();
    assert_eq!(error, "discover: unknown provider gce");
    // A name that the certificate has not.
    let site = Site::new(seen_from_here()).await;
    let text = JOIN.replace("us-east-2", "eu-west-1");
    let error = site.found(&text).await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn what_ec2_would_refuse_is_refused() {
    let site = Site::new(seen_from_here()).await;
    let error = site.found("provider=aws tag_value=x").await.unwrap_err();
    assert!(
        error.contains("InvalidParameterValue: The filter 'tag:' is invalid"),
        "{error}"
    );
    let responder = Responder::new(cloud());
    let host = ("host", "ec2.us-east-2.amazonaws.com");
    let unsigned = responder.ec2(&asked("POST", "/", FIRST, &[host]));
    assert_eq!(unsigned.status, StatusCode::UNAUTHORIZED);
    assert!(unsigned.text.contains("<Code>AuthFailure</Code>"));
    let elsewhere = ("host", "sts.us-east-2.amazonaws.com");
    let elsewhere = responder.ec2(&asked("POST", "/", FIRST, &[elsewhere]));
    assert_eq!(elsewhere.status, StatusCode::BAD_REQUEST);
}

#[test]
fn join_texts_are_read_as_go_discover_reads_them() {
    let read = |text: &str| arguments(text).map(|found| found.into_iter().collect::<Vec<_>>());
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        read("provider=aws  tag_key=\"a b\" tag_value=\"say \\\"x=y\\\"\""),
        Ok(vec![
            pair("provider", "aws"),
            pair("tag_key", "a b"),
            pair("tag_value", "say \"x=y\""),
        ])
    );
    for (text, problem) in [
        ("provider", "`provider` has no `=`"),
        ("provider=", "`provider` has no value"),
        ("a=1 a=2", "`a` is there twice"),
        ("a=\"1", "a quote is not closed"),
        ("a=b=c", "belongs into quotes"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(problem), "{text}: {error}");
    }
}

#[test]
fn a_program_can_when_its_text_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    // Across the border of two pieces that are read.
    let mut whole = vec![b'd'; (1 << 20) - 5];
    let without = file("without", &whole);
    whole.extend(MARK.as_bytes());
    let with = file("nomad", &whole);
    let path = Some(folder.path().as_os_str());
    assert_eq!(can(without.to_str().unwrap(), None).unwrap(), "no\n");
    assert_eq!(can(with.to_str().unwrap(), None).unwrap(), "yes\n");
    assert_eq!(can("nomad", path).unwrap(), "yes\n");
    let error = can("consul", path).unwrap_err().to_string();
    assert_eq!(error, "there is no program `consul` on the path");
}
