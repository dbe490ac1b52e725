//! EC2's `DescribeInstances` (API reference, version 2016-11-15): filters as go-discover and people send them,
//! signatures checked, one machine a reservation. What is not asked by discovery is not answered: every other
//! action, and every filter that is not in the table, is refused as EC2 refuses what it does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use axum::extract::Query;
use axum::http::{Method, StatusCode, Uri};

use super::serve::{Answer, Asked, Responder};
use super::sign::Carried;
use super::{ACCOUNT, Machine, made};

const VERSION: &str = "2016-11-15";

/// Code and name of a machine that runs; here all do.
const RUNNING: (u16, &str) = (16, "running");

/// Why a request is refused, in EC2's words.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// What the caller is not told.
    log: String,
}

impl Refusal {
    fn bad(code: &'static str, message: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            log: format!("{code}: {message}"),
            message,
        }
    }

    /// EC2 says the same of absent, unknown and wrong keys.
    fn unauthenticated(why: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            code: "AuthFailure",
            message: "AWS was not able to validate the provided access credentials".to_owned(),
            log: format!("AuthFailure: {}", why.into()),
        }
    }
}

pub(super) fn answer(responder: &Responder, asked: &Asked) -> Answer {
    let xml = |status, text| Answer {
        content_type: "text/xml;charset=UTF-8",
        ..Answer::text(status, text)
    };
    match describe(responder, asked) {
        Ok(found) => {
            let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
            let told = match names.is_empty() {
                true => asked_for(asked),
                false => format!("found {}", names.join(", ")),
            };
            xml(StatusCode::OK, set(&found)).with_log(told)
        }
        Err(refusal) => {
            let (code, message) = (refusal.code, escaped(&refusal.message));
            let text = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
                 <Message>{message}</Message></Error></Errors><RequestID>{}</RequestID></Response>",
                uuid::Uuid::new_v4()
            );
            xml(refusal.status, text).with_log(refusal.log)
        }
    }
}

/// The filters and the region in a form for people.
fn asked_for(asked: &Asked) -> String {
    let region = region(asked).unwrap_or_default();
    let fields = fields(asked).unwrap_or_default();
    let filters = filters(&fields).unwrap_or_default();
    let of = |filter: Filter| format!("{}={}", filter.name, filter.values.join(","));
    let texts: Vec<String> = filters.into_iter().map(of).collect();
    format!("no machine of {region} has {}", texts.join(" and "))
}

fn describe<'a>(responder: &'a Responder, asked: &Asked) -> Result<Vec<&'a Machine>, Refusal> {
    let region = region(asked)?;
    let caller = caller(responder, asked, &region)?;
    let fields = fields(asked)?;
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let action = field("Action");
    if action != "DescribeInstances" {
        let message = format!("The action {action} is not valid for this web service.");
        return Err(Refusal::bad("InvalidAction", message));
    }
    if field("Version") != VERSION {
        let message = format!(
            "The action {action} is not valid for version {}.",
            field("Version")
        );
        return Err(Refusal::bad("InvalidAction", message));
    }
    if !caller.may_describe {
        return Err(Refusal {
            status: StatusCode::FORBIDDEN,
            code: "UnauthorizedOperation",
            message: "You are not authorized to perform this operation.".to_owned(),
            log: format!(
                "UnauthorizedOperation: the role of `{}` does not allow ec2:DescribeInstances",
                caller.name
            ),
        });
    }
    let filters = filters(&fields)?;
    let ids: BTreeSet<&str> = numbered(&fields, "InstanceId").collect();
    let there = |machine: &&Machine| region == responder.cloud.region && fits(machine, &filters);
    let named = |machine: &&Machine| ids.is_empty() || ids.contains(machine.id().as_str());
    let machines = &responder.cloud.machines;
    if let Some(unknown) = ids
        .iter()
        .find(|id| !machines.iter().any(|machine| machine.id() == **id))
    {
        let message = format!("The instance ID '{unknown}' does not exist");
        return Err(Refusal::bad("InvalidInstanceID.NotFound", message));
    }
    Ok(machines.iter().filter(there).filter(named).collect())
}

/// The region whose EC2 was asked: `ec2.REGION.amazonaws.com`.
fn region(asked: &Asked) -> Result<String, Refusal> {
    let host = asked
        .headers
        .get("host")
        .and_then(|host| host.to_str().ok());
    let host = host
        .unwrap_or_default()
        .split(':')
        .next()
        .unwrap_or_default();
    let region = host
        .strip_prefix("ec2.")
        .and_then(|rest| rest.split_once('.'))
        .filter(|(_, domain)| domain.starts_with("amazonaws.com"));
    region.map(|(region, _)| region.to_owned()).ok_or_else(|| {
        let message = format!("`{host}` is no address of EC2's");
        Refusal::bad("InvalidRequest", message)
    })
}

/// Whose role asks.
fn caller<'a>(
    responder: &'a Responder,
    asked: &Asked,
    region: &str,
) -> Result<&'a Machine, Refusal> {
    let carried = Carried::read(&asked.headers)
        .ok_or_else(|| Refusal::unauthenticated("the request is not signed"))?;
    let known = responder.of_key(carried.id);
    let (machine, session) = known.ok_or_else(|| {
        Refusal::unauthenticated("the key is none that the metadata service gave out")
    })?;
    if !carried.is_for(region, "ec2") {
        let why = format!("it is not signed for `ec2` in `{region}`");
        return Err(Refusal::unauthenticated(why));
    }
    let (path, query) = (asked.uri.path(), asked.uri.query().unwrap_or_default());
    let keys = session.keys();
    let good = carried.is_of(
        &keys,
        asked.method.as_str(),
        path,
        query,
        &asked.headers,
        &asked.body,
    );
    if good {
        Ok(machine)
    } else {
        Err(Refusal::unauthenticated("the signature is wrong"))
    }
}

/// The form: names and values.
fn fields(asked: &Asked) -> Result<BTreeMap<String, String>, Refusal> {
    let broken = || Refusal::bad("MalformedQueryString", "The form cannot be read".to_owned());
    let text = match asked.method {
        Method::POST => std::str::from_utf8(&asked.body).map_err(|_| broken())?,
        _ => asked.uri.query().unwrap_or_default(),
    };
    let uri: Uri = format!("/?{text}").parse().map_err(|_| broken())?;
    let Query(fields) = Query::try_from_uri(&uri).map_err(|_| broken())?;
    Ok(fields)
}

/// The values of `NAME.1`, `NAME.2`, ...
fn numbered<'a>(fields: &'a BTreeMap<String, String>, name: &str) -> impl Iterator<Item = &'a str> {
    let number = |key: &str| {
        key.strip_prefix(name)?
            .strip_prefix('.')?
            .parse::<u32>()
            .ok()
    };
    let of = |(key, value): (&String, &'a String)| Some((number(key)?, value.as_str()));
    let sorted: BTreeMap<u32, &str> = fields.iter().filter_map(of).collect();
    sorted.into_values()
}

struct Filter {
    name: String,
    values: Vec<String>,
}

fn filters(fields: &BTreeMap<String, String>) -> Result<Vec<Filter>, Refusal> {
    let mut numbers = BTreeSet::new();
    for key in fields.keys() {
        let rest = key.strip_prefix("Filter.");
        numbers.extend(rest.and_then(|rest| rest.split('.').next()?.parse::<u32>().ok()));
    }
    let mut filters = Vec::new();
    for number in numbers {
        let name = fields.get(&format!("Filter.{number}.Name")).cloned();
        let name = name.unwrap_or_default();
        let known = ["tag-key", "instance-state-name"].contains(&name.as_str())
            || name.strip_prefix("tag:").is_some_and(|key| !key.is_empty())
            || PLAIN.iter().any(|(plain, _)| *plain == name);
        if !known {
            let message = format!("The filter '{name}' is invalid");
            return Err(Refusal::bad("InvalidParameterValue", message));
        }
        let each = format!("Filter.{number}.Value");
        let values: Vec<String> = numbered(fields, &each).map(str::to_owned).collect();
        if values.is_empty() {
            let message = format!("The filter '{name}' has no value");
            return Err(Refusal::bad("MissingParameter", message));
        }
        filters.push(Filter { name, values });
    }
    Ok(filters)
}

type Property = fn(&Machine) -> String;

/// Filters that look at one property.
const PLAIN: &[(&str, Property)] = &[
    ("availability-zone", |machine| machine.zone.clone()),
    ("image-id", |machine| machine.image.clone()),
    ("instance-id", Machine::id),
    ("instance-type", |machine| machine.instance_type.clone()),
    ("private-ip-address", |machine| machine.address.to_string()),
];

/// Whether every filter has a value that fits.
fn fits(machine: &Machine, filters: &[Filter]) -> bool {
    filters.iter().all(|filter| {
        let any = |text: &str| filter.values.iter().any(|value| matches(value, text));
        match filter.name.as_str() {
            "instance-state-name" => any(RUNNING.1),
            "tag-key" => machine.tags.keys().any(|key| any(key)),
            name => match name.strip_prefix("tag:") {
                Some(key) => machine.tags.get(key).is_some_and(|value| any(value)),
                None => {
                    let plain = PLAIN.iter().find(|(plain, _)| *plain == name);
                    plain.is_some_and(|(_, property)| any(&property(machine)))
                }
            },
        }
    })
}

/// Whether a filter's value fits: `*` is any number of characters, `?` one or none, `\` takes the next one as
/// it is (API reference, "Filter").
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    let mut one = text.chars();
    match (rest.next(), one.next()) {
        (None, end) => end.is_none(),
        (Some('*'), first) => {
            matches(rest.as_str(), text) || (first.is_some() && matches(pattern, one.as_str()))
        }
        (Some('?'), first) => {
            matches(rest.as_str(), text)
                || (first.is_some() && matches(rest.as_str(), one.as_str()))
        }
        (Some(wanted), first) => {
            let wanted = match wanted {
                '\\' => rest.next().unwrap_or('\\'),
                plain => plain,
            };
            first == Some(wanted) && matches(rest.as_str(), one.as_str())
        }
    }
}

fn set(machines: &[&Machine]) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeInstancesResponse \
         xmlns=\"http://ec2.amazonaws.com/doc/{VERSION}/\"><requestId>{}</requestId><reservationSet>",
        uuid::Uuid::new_v4()
    );
    for machine in machines {
        let reservation = made("r", &machine.name);
        let (id, (code, state)) = (machine.id(), RUNNING);
        let [image, kind, zone, architecture] = [
            &machine.image,
            &machine.instance_type,
            &machine.zone,
            &machine.architecture,
        ]
        .map(|text| escaped(text));
        write!(
            text,
            "<item><reservationId>{reservation}</reservationId><ownerId>{ACCOUNT}</ownerId><instancesSet><item>\
             <instanceId>{id}</instanceId><imageId>{image}</imageId><instanceState><code>{code}</code>\
             <name>{state}</name></instanceState><privateIpAddress>{}</privateIpAddress>\
             <instanceType>{kind}</instanceType><placement><availabilityZone>{zone}</availabilityZone></placement>\
             <architecture>{architecture}</architecture><tagSet>",
            machine.address
        )
        .expect("a string takes any text");
        for (key, value) in &machine.tags {
            let (key, value) = (escaped(key), escaped(value));
            write!(text, "<item><key>{key}</key><value>{value}</value></item>")
                .expect("a string takes any text");
        }
        text.push_str("</tagSet></item></instancesSet></item>");
    }
    text.push_str("</reservationSet></DescribeInstancesResponse>");
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
