//! Lists: order, `?filter=`, and pages (`per_page`, `next_token`, `reverse`).
//!
//! A page ends with the token of the first object that is not on it any more, in the header
//! `X-Nomad-NextToken`; the next page begins with that object, or with what has come after it.

use std::fmt;

use axum::http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::call::Call;
use super::filter::{Filter, FilterError};
use super::reply::{ApiError, Reply};

/// Place of an object in its list; its text is the page's token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// By name or ID, after the namespace where there is one.
    Named(String),
    /// By age: index of creation, then ID.
    Made(u64, String),
}

impl Place {
    /// Where the list is in the order of IDs if a prefix is asked for, and of age otherwise.
    pub fn by_age(call: &Call, create_index: u64, id: &str) -> Self {
        if call.prefix.is_empty() {
            Self::Made(create_index, id.to_owned())
        } else {
            Self::Named(id.to_owned())
        }
    }

    /// Reads a token of the same kind.
    fn of_token(&self, token: &str) -> Option<Self> {
        match self {
            Self::Named(_) => Some(Self::Named(token.to_owned())),
            Self::Made(..) => {
                let (index, id) = token.split_once('.').unwrap_or((token, ""));
                Some(Self::Made(index.parse().ok()?, id.to_owned()))
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Made(index, id) => write!(f, "{index}.{id}"),
        }
    }
}

/// How the objects of a list are placed, filtered and shown.
pub struct Listing<P, F, S> {
    /// Its place.
    pub place: P,
    /// Its fields, as filters name them.
    pub fields: F,
    /// What the reply shows of it.
    pub stub: S,
}

impl<P, F, S> Listing<P, F, S> {
    /// The reply: those of `objects` that the filter lets through, one page of them.
    pub fn reply<T>(self, call: &Call, index: u64, objects: Vec<T>) -> Reply
    where
        P: Fn(&T) -> Place,
        F: Fn(&T) -> Value,
        S: Fn(&T) -> Value,
    {
        let page = self.page(call, objects)?;
        let stubs: Vec<Value> = page.objects.iter().map(&self.stub).collect();
        let mut response = call.query(index, &Value::Array(stubs))?;
        if let Some(next) = page.next {
            let name = HeaderName::from_static("x-nomad-nexttoken");
            let token = HeaderValue::from_str(&next.to_string());
            let token = token.map_err(|error| ApiError::server(error.to_string()))?;
            response.headers_mut().insert(name, token);
        }
        Ok(response)
    }

    fn page<T>(&self, call: &Call, objects: Vec<T>) -> Result<Page<T>, ApiError>
    where
        P: Fn(&T) -> Place,
        F: Fn(&T) -> Value,
    {
        let wanted = filtered(call, objects, &self.fields)?.into_iter();
        let mut placed: Vec<_> = wanted
            .map(|object| ((self.place)(&object), object))
            .collect();
        placed.sort_by(|(a, _), (b, _)| a.cmp(b));
        let reverse = call.flag("reverse");
        if reverse {
            placed.reverse();
        }
        let token = call.parameter("next_token").unwrap_or_default();
        if let Some((first, _)) = placed.first().filter(|_| !token.is_empty()) {
            let from = first.of_token(token).ok_or_else(|| bad_token(token))?;
            placed.retain(|(place, _)| {
                if reverse {
                    *place <= from
                } else {
                    *place >= from
                }
            });
        }
        // As in Nomad, what is no number is no limit.
        let per_page = call.parameter("per_page").and_then(|n| n.parse().ok());
        let rest = match per_page.filter(|n| *n > 0) {
            Some(per_page) if per_page < placed.len() => placed.split_off(per_page),
            _ => Vec::new(),
        };
        Ok(Page {
            objects: placed.into_iter().map(|(_, object)| object).collect(),
            next: rest.into_iter().next().map(|(place, _)| place),
        })
    }
}

/// Those of `objects` that the request's filter lets through.
pub fn filtered<T>(
    call: &Call,
    objects: Vec<T>,
    fields: impl Fn(&T) -> Value,
) -> Result<Vec<T>, ApiError> {
    let Some(filter) = filter(call)? else {
        return Ok(objects);
    };
    let mut wanted = Vec::new();
    for object in objects {
        if filter.accepts(&fields(&object)).map_err(unread)? {
            wanted.push(object);
        }
    }
    Ok(wanted)
}

struct Page<T> {
    objects: Vec<T>,
    next: Option<Place>,
}

/// The filter of a request, if it has one.
fn filter(call: &Call) -> Result<Option<Filter>, ApiError> {
    let text = call.parameter("filter").unwrap_or_default();
    if text.trim().is_empty() {
        return Ok(None);
    }
    let refused = |error: FilterError| {
        let problem = format!("failed to read filter expression: {error}");
        ApiError::bad(format!("failed to create result paginator: {problem}"))
    };
    Filter::new(text).map(Some).map_err(refused)
}

fn unread(error: FilterError) -> ApiError {
    ApiError::bad(format!("failed to read result page: {error}"))
}

fn bad_token(token: &str) -> ApiError {
    let problem = format!("invalid page token {token:?}");
    ApiError::bad(format!("failed to create result paginator: {problem}"))
}
