//! The responder that answers for EC2 in a cluster here, and moto: the same requests, and the same answers in
//! what go-discover and people read.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use agent::cloud::{Asked, Cloud, Machine, Responder, sign};
use roxmltree::{Document, Node};

use crate::ground::Ground;

const HOST: &str = "ec2.us-east-2.amazonaws.com";

/// What is read of an instance.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    address: String,
    state: (String, String),
    kind: String,
    image: String,
    zone: String,
    architecture: String,
    tags: BTreeMap<String, String>,
}

fn child<'a>(node: Node<'a, 'a>, path: &str) -> Option<Node<'a, 'a>> {
    path.split('/').try_fold(node, |node, name| {
        node.children()
            .find(|child| child.tag_name().name() == name)
    })
}

fn text(node: Node<'_, '_>, path: &str) -> String {
    let found = child(node, path).and_then(|found| found.text());
    found.unwrap_or_default().to_owned()
}

fn items<'a>(node: Node<'a, 'a>, set: &str) -> Vec<Node<'a, 'a>> {
    let set = child(node, set).into_iter().flat_map(|set| set.children());
    set.filter(|item| item.tag_name().name() == "item")
        .collect()
}

fn seen(xml: &str) -> Vec<Seen> {
    let document = Document::parse(xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    let reservations = items(document.root_element(), "reservationSet");
    let all = reservations.iter().flat_map(|one| {
        assert!(text(*one, "reservationId").starts_with("r-"), "{xml}");
        items(*one, "instancesSet")
    });
    let one = |item: Node<'_, '_>| {
        assert!(text(item, "instanceId").starts_with("i-"), "{xml}");
        let tags = items(item, "tagSet");
        let tag = |tag: &Node<'_, '_>| (text(*tag, "key"), text(*tag, "value"));
        Seen {
            address: text(item, "privateIpAddress"),
            state: (
                text(item, "instanceState/code"),
                text(item, "instanceState/name"),
            ),
            kind: text(item, "instanceType"),
            image: text(item, "imageId"),
            zone: text(item, "placement/availabilityZone"),
            architecture: text(item, "architecture"),
            tags: tags.iter().map(tag).collect(),
        }
    };
    let mut seen: Vec<Seen> = all.map(one).collect();
    seen.sort();
    seen
}

/// Code and message of a refusal. (Its root is `Response` on AWS; moto calls it `ErrorResponse` where keys are
/// refused.)
fn refusal(xml: &str) -> (String, String) {
    let document = Document::parse(xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    let root = document.root_element();
    let (code, message) = ("Errors/Error/Code", "Errors/Error/Message");
    (text(root, code), text(root, message))
}

/// The responder over the machines that moto describes.
struct Ours {
    responder: Responder,
    from: Ipv4Addr,
    keys: serde_json::Value,
}

impl Ours {
    fn of(all: &[Seen]) -> Self {
        let machine = |(index, seen): (usize, &Seen)| Machine {
            name: format!("machine-{index}"),
            address: seen.address.parse().unwrap(),
            link_local: Ipv4Addr::LOCALHOST,
            instance_type: seen.kind.clone(),
            image: seen.image.clone(),
            zone: seen.zone.clone(),
            architecture: seen.architecture.clone(),
            tags: seen.tags.clone(),
            metadata: true,
            tokens: true,
            role: Some("nomad".to_owned()),
            may_describe: true,
        };
        let responder = Responder::new(Cloud {
            region: "us-east-2".to_owned(),
            machines: all.iter().enumerate().map(machine).collect(),
        });
        let from = all[0].address.parse().unwrap();
        let ask = |method: &str, path: &str, header: (&str, &str)| {
            let asked = Asked::new(Ipv4Addr::into(from), method, path, &[header], "").unwrap();
            responder.metadata(&asked).text
        };
        let life = ("x-aws-ec2-metadata-token-ttl-seconds", "60");
        let token = ask("PUT", "/latest/api/token", life);
        let path = "/latest/meta-data/iam/security-credentials/nomad";
        let keys = ask("GET", path, ("x-aws-ec2-metadata-token", &token));
        let keys = serde_json::from_str(&keys).unwrap();
        Self {
            responder,
            from,
            keys,
        }
    }

    fn post(&self, body: &str) -> (u16, String) {
        let key = |name: &str| self.keys[name].as_str().unwrap();
        let signed = sign::headers(
            &sign::Request {
                method: "POST",
                host: HOST,
                path: "/",
                query: "",
                headers: &[],
                body: body.as_bytes(),
            },
            &sign::Keys {
                id: key("AccessKeyId"),
                secret: key("SecretAccessKey"),
                token: Some(key("Token")),
            },
            "us-east-2",
            "ec2",
            "20260101T000000Z",
        );
        let mut headers = vec![("host", HOST)];
        headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
        self.send(&headers, body)
    }

    fn send(&self, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let asked = Asked::new(self.from.into(), "POST", "/", headers, body).unwrap();
        let answer = self.responder.ec2(&asked);
        (answer.status.as_u16(), answer.text)
    }
}

/// A filter's name and values.
type Filter<'a> = (&'a str, &'a [&'a str]);

/// The form of a request with these filters.
fn form(filters: &[Filter<'_>]) -> String {
    let mut body = "Action=DescribeInstances&Version=2016-11-15".to_owned();
    for (number, (name, values)) in filters.iter().enumerate() {
        let number = number + 1;
        body.push_str(&format!("&Filter.{number}.Name={}", sign::escaped(name)));
        for (index, value) in values.iter().enumerate() {
            let value = sign::escaped(value);
            body.push_str(&format!("&Filter.{number}.Value.{}={value}", index + 1));
        }
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn the_responder_answers_what_moto_answers() {
    let Some(ground) = Ground::set().await else {
        return;
    };
    for machine in 0..3 {
        ground.tag(machine, "join", "a%20b%20%26%20%3Cc%3E").await;
    }
    ground.tag(3, "join", "other").await;
    ground.tag(3, "Name", "client-1").await;
    let (_, xml) = ground.post(form(&[])).await;
    let all = seen(&xml);
    assert_eq!(all.len(), 6, "{xml}");
    let ours = Ours::of(&all);
    let running: Filter<'_> = ("instance-state-name", &["running"]);
    let (address, kind) = (all[1].address.as_str(), all[1].kind.as_str());
    // The number of machines, so that a request which finds nobody on both sides is seen, too.
    let cases: [(&[Filter<'_>], usize); 12] = [
        (&[], 6),
        // What go-discover sends.
        (&[("tag:join", &["a b & <c>"]), running], 3),
        (&[("tag:join", &["wrong"]), running], 0),
        (&[("tag:Join", &["a b & <c>"]), running], 0),
        (&[("tag:join", &["a b & <c>", "other"]), running], 4),
        (&[("tag:join", &["a*"]), running], 3),
        (&[("tag:join", &["A*"]), running], 0),
        (&[("tag-key", &["Name"])], 1),
        (&[("instance-state-name", &["stopped", "pending"])], 0),
        (&[("private-ip-address", &[address])], 1),
        (
            &[("instance-type", &[kind]), ("image-id", &[&all[0].image])],
            6,
        ),
        (&[("availability-zone", &[&all[0].zone])], 6),
    ];
    for (filters, number) in cases {
        let body = form(filters);
        let (status, theirs) = ground.post(body.clone()).await;
        let (own_status, own) = ours.post(&body);
        assert_eq!((own_status, status), (200, 200), "{body}: {own} {theirs}");
        assert_eq!(seen(&own), seen(&theirs), "{body}");
        assert_eq!(seen(&own).len(), number, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_responder_refuses_what_moto_refuses() {
    let Some(ground) = Ground::set().await else {
        return;
    };
    let (_, xml) = ground.post(form(&[])).await;
    let ours = Ours::of(&seen(&xml));
    let unknown = form(&[]) + "&InstanceId.1=i-0123456789abcdef0";
    let (status, theirs) = ground.post(unknown.clone()).await;
    let (own_status, own) = ours.post(&unknown);
    assert_eq!((own_status, refusal(&own)), (status, refusal(&theirs)));
    assert_eq!(refusal(&own).0, "InvalidInstanceID.NotFound");
    // Keys that nobody gave out, and none.
    let (status, theirs) = ground.post_as_stranger(form(&[])).await;
    let other = "AWS4-HMAC-SHA256 Credential=other/20260101/us-east-2/ec2/aws4_request, SignedHeaders=host, Signature=0";
    let strange = ours.send(&[("host", HOST), ("authorization", other)], &form(&[]));
    assert_eq!((strange.0, refusal(&strange.1)), (status, refusal(&theirs)));
    let none = ours.send(&[("host", HOST)], &form(&[]));
    assert_eq!((none.0, refusal(&none.1)), (status, refusal(&theirs)));
    // A filter that there is not: moto fails of it, EC2 says what is wrong.
    let odd = form(&[("colour", &["red"])]);
    assert_eq!(ground.post(odd.clone()).await.0, 500);
    let (status, own) = ours.post(&odd);
    let said = "The filter 'colour' is invalid".to_owned();
    assert_eq!(
        (status, refusal(&own)),
        (400, ("InvalidParameterValue".to_owned(), said))
    );
}
