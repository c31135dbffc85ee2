//! Lists of tags, whole or by pages (OCI distribution specification, "Listing Tags").

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};

use super::answers::query;
use super::error::RegistryError;

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a str,
    tags: &'a [String],
}

#[derive(Default, Deserialize)]
struct TagQuery {
    n: Option<String>,
    last: Option<String>,
}

/// Answers with the tags of `name` that the query asks for. `all` is in the order of the tags' bytes.
pub(super) fn answer(
    request: &HttpRequest,
    name: &str,
    all: &[String],
) -> Result<HttpResponse, RegistryError> {
    let TagQuery { n, last } = query(request);
    let limit = match &n {
        Some(text) => Some(text.parse::<usize>().map_err(|_| RegistryError::no_page(text))?),
        None => None,
    };
    let (tags, is_more) = page(all, limit, last.as_deref());
    let mut response = HttpResponse::Ok();
    if let (true, Some(limit), Some(last)) = (is_more, limit, tags.last()) {
        // Tags need no escaping.
        let next = format!("</v2/{name}/tags/list?n={limit}&last={last}>; rel=\"next\"");
        response.insert_header((header::LINK, next));
    }
    let body = serde_json::to_vec(&TagList { name, tags }).unwrap_or_default();
    Ok(response.content_type("application/json").body(body))
}

/// At most `limit` tags behind `last`, and whether there are more.
fn page<'a>(all: &'a [String], limit: Option<usize>, last: Option<&str>) -> (&'a [String], bool) {
    let start = last.map_or(0, |last| all.partition_point(|tag| tag.as_str() <= last));
    let rest = all.get(start..).unwrap_or_default();
    let taken = rest.get(..limit.unwrap_or(rest.len())).unwrap_or(rest);
    (taken, taken.len() < rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_and_end() {
        let all = ["latest", "v1.10.3", "v1.12.4", "v1.7.7"].map(str::to_owned);
        assert_eq!(page(&all, None, None), (&all[..], false));
        assert_eq!(page(&all, Some(2), None), (&all[..2], true));
        assert_eq!(page(&all, Some(2), Some("v1.10.3")), (&all[2..], false));
        assert_eq!(page(&all, Some(9), Some("v1.11.0")), (&all[2..], false));
        assert_eq!(page(&all, Some(0), None), (&all[..0], true));
        assert_eq!(page(&all, None, Some("v9")), (&all[..0], false));
    }
}
