//! How `object_store` reaches a store: over this project's own HTTP client, and no other.
//!
//! One exchange each; `object_store` signs, and repeats what may be repeated. Answers are bounded, redirects are not followed.
//! Threats: a store that hangs, floods, or sends its client elsewhere; credentials over a wire that others read; secrets in an
//! answer's text that ends in somebody's log.

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, StatusCode, Uri};
use kms_ledger::http::{Http, NoAnswer, Reach};
use kms_ledger::tree::MAX_BUNDLE_BYTES;
use object_store::ClientOptions;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService,
};

/// The largest answer: an entry bundle at its largest. A page of a list is smaller.
const MAX_ANSWER_BYTES: usize = MAX_BUNDLE_BYTES;
/// The longest code of an error that is repeated.
const MAX_CODE_CHARS: usize = 64;

/// Makes clients over one pool of connections.
#[derive(Debug)]
pub(super) struct Connector(pub(super) Http);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let anywhere = options.get_config_value(&ClientConfigKey::AllowHttp).as_deref() == Some("true");
        let plain = if anywhere { PlainHttp::Anywhere } else { PlainHttp::ThisMachine };
        Ok(HttpClient::new(Service { http: self.0.clone(), plain }))
    }
}

/// Where plain HTTP may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PlainHttp {
    ThisMachine,
    Anywhere,
}

#[derive(Debug)]
struct Service {
    http: Http,
    plain: PlainHttp,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if !self.plain.allows(request.uri()) {
            let found = "plain HTTP to another machine; use https, or set AWS_ALLOW_HTTP=true";
            return Err(HttpError::new_boxed(HttpErrorKind::Unknown, found.into()));
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let answer = self.http.exchange(Request::from_parts(head, Full::new(body)), MAX_ANSWER_BYTES).await;
        let (head, body) = answer.map_err(error)?.into_parts();
        let body = if head.status.is_success() { body.into() } else { told(head.status, &body) };
        Ok(Response::from_parts(head, body.into()))
    }
}

impl PlainHttp {
    fn allows(self, url: &Uri) -> bool {
        let local = || matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
        url.scheme_str() == Some("https") || self == Self::Anywhere || local()
    }
}

/// Of an error's text, its code alone: the rest repeats what was signed, a session's token with it.
fn told(status: StatusCode, body: &[u8]) -> Bytes {
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<Code>").and_then(|(_, rest)| Some(rest.split_once("</Code>")?.0));
    let plain = |code: &&str| {
        code.len() <= MAX_CODE_CHARS && code.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
    };
    code.filter(plain).unwrap_or(status.canonical_reason().unwrap_or_default()).to_owned().into()
}

fn error(none: NoAnswer) -> HttpError {
    let kind = match none.reach {
        Reach::Unconnected => HttpErrorKind::Connect,
        Reach::Cut => HttpErrorKind::Interrupted,
        Reach::Late => HttpErrorKind::Timeout,
        Reach::Flooded => HttpErrorKind::Decode,
    };
    HttpError::new(kind, none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http__should_stay_on_this_machine_unless_told() {
        let allows = |plain: PlainHttp, url: &str| plain.allows(&url.parse().unwrap());
        for local in
            ["http://127.0.0.1:9000/b", "http://localhost/b", "http://[::1]:1/b", "https://s3.example/b"]
        {
            assert!(allows(PlainHttp::ThisMachine, local), "{local}");
        }
        for other in ["http://s3.example/b", "http://127.0.0.1.example/b", "http://10.0.0.1/b", "/b"] {
            assert!(!allows(PlainHttp::ThisMachine, other), "{other}");
        }
        assert!(allows(PlainHttp::Anywhere, "http://s3.example/b"));
    }

    #[test]
    fn told__should_repeat_the_code_of_an_error_and_nothing_else() {
        let told =
            |body: &str| String::from_utf8(told(StatusCode::FORBIDDEN, body.as_bytes()).into()).unwrap();
        let body = "<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>x-amz-security-token:SECRET";
        assert_eq!(told(body), "SignatureDoesNotMatch");
        for other in ["", "SECRET", "<Code>SECRET SECRET</Code>", "<Code>SECRET", &"<Code>A</Code>".repeat(0)]
        {
            assert_eq!(told(other), "Forbidden", "{other}");
        }
        assert_eq!(told(&format!("<Code>{}</Code>", "A".repeat(65))), "Forbidden");
    }
}
