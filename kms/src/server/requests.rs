//! What holds of every request, whichever service answers it: it is counted, it is in hand while it lasts, and it ends in time.
//!
//! ```text
//! headers ─▶ in hand ─▶ the service, for as long as a request may take ─▶ an answer, or `request-timeout` ─▶ counted
//! ```
//!
//! A request that takes too long is dropped with all that it awaits: reads of the chain end, waiting for a worker ends. A
//! verification that runs is arithmetic of a millisecond and runs to its end; so does a fetch of collateral, for the
//! others who need it; so does a record that is being written. A release that was recorded and not handed over is
//! harmless: the record says more than was given. What is refused here, and what the gRPC library refuses by itself, goes
//! through the books like any other refusal. Threats: a caller that hangs on a slow dependency, a request that is
//! sent byte by byte.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use hyper::{HeaderMap, Request, Response};
use kms_attestation::refusal::StableCode as _;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic_types::StatusExt as _;
use tower::{Layer, Service};

use super::activity::InHand;
use super::connection::Connection;
use crate::metrics::Metrics;
use crate::record::{Books, UNCODED};
use crate::refusal::{Code, NodeCode, Refused, status};

/// The methods that are counted by name; any other is `other`, however many a caller invents.
const METHODS: [(&str, &str); 10] = [
    ("/onchainkms.v1.Boot/Challenge", "Challenge"),
    ("/onchainkms.v1.Boot/GetAppKeys", "GetAppKeys"),
    ("/onchainkms.v1.Boot/SignAppCertificate", "SignAppCertificate"),
    ("/onchainkms.v1.Public/GetAppEnvPublicKey", "GetAppEnvPublicKey"),
    ("/onchainkms.v1.Public/GetNodeInfo", "GetNodeInfo"),
    ("/onchainkms.v1.Audit/GetCheckpoint", "GetCheckpoint"),
    ("/onchainkms.v1.Audit/GetInclusionProof", "GetInclusionProof"),
    ("/onchainkms.v1.Audit/GetConsistencyProof", "GetConsistencyProof"),
    ("/grpc.health.v1.Health/Check", "Health/Check"),
    ("/grpc.health.v1.Health/Watch", "Health/Watch"),
];
const OTHER_METHOD: &str = "other";
/// The outcome of a request that was answered.
const OK: &str = "ok";
/// The outcome of a request whose caller went away before there was an answer.
const ABANDONED: &str = "abandoned";

/// Puts [`Attended`] around the services.
#[derive(Clone)]
pub(crate) struct Attend {
    longest: Duration,
    metrics: Arc<Metrics>,
    books: Arc<Books>,
}

impl Attend {
    /// For requests that may take so long, reading them included.
    pub(crate) const fn new(longest: Duration, metrics: Arc<Metrics>, books: Arc<Books>) -> Self {
        Self { longest, metrics, books }
    }
}

impl<S> Layer<S> for Attend {
    type Service = Attended<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Attended { inner, attend: self.clone() }
    }
}

/// The services, with what holds of every request.
#[derive(Clone)]
pub(crate) struct Attended<S> {
    inner: S,
    attend: Attend,
}

impl<S> Service<Request<Body>> for Attended<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let connection = request.extensions().get::<Arc<Connection>>();
        let in_hand = connection.map(|connection| connection.begin_request());
        let count = Count::begin(Arc::clone(&self.attend.metrics), request.uri().path());
        let (longest, books) = (self.attend.longest, Arc::clone(&self.attend.books));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = match timeout(longest, answer).await {
                Ok(response) => response?,
                Err(_) => status(&books.count(too_long(longest))).into_http(),
            };
            let outcome = outcome(response.headers());
            if outcome == UNCODED {
                books.count_uncoded();
            }
            count.end(outcome);
            Ok(response.map(|body| Body::new(UntilSent { body, _in_hand: in_hand })))
        })
    }
}

fn too_long(longest: Duration) -> Refused {
    let found = format!("a request that is not done after {} ms", longest.as_millis());
    Refused::new(NodeCode::RequestTimeout.into(), found, "an answer within that time")
}

/// A request that will be counted, also when nobody waits for it any more.
struct Count {
    metrics: Arc<Metrics>,
    method: &'static str,
    begin: Instant,
    outcome: &'static str,
}

impl Count {
    fn begin(metrics: Arc<Metrics>, path: &str) -> Self {
        let known = METHODS.iter().find(|(known, _)| *known == path);
        let method = known.map_or(OTHER_METHOD, |(_, name)| name);
        Self { metrics, method, begin: Instant::now(), outcome: ABANDONED }
    }

    fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.metrics.answered(self.method, self.outcome, self.begin.elapsed());
    }
}

/// The stable code of an answer. Only those that exist become a label.
fn outcome(headers: &HeaderMap) -> &'static str {
    let Some(status) = Status::from_header_map(headers).filter(|status| status.code() != tonic::Code::Ok)
    else {
        return OK;
    };
    let details = status.get_error_details();
    let code = details.error_info().and_then(|info| Code::named(&info.reason));
    code.map_or(UNCODED, Code::as_str)
}

/// An answer's body; its request is in hand until it is read, or dropped.
struct UntilSent {
    body: Body,
    _in_hand: Option<InHand>,
}

impl HttpBody for UntilSent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};

    use kms_proto::ERROR_DOMAIN;
    use tower::service_fn;

    use super::*;

    fn request(path: &str) -> Request<Body> {
        Request::post(path).body(Body::empty()).unwrap()
    }

    fn counted(metrics: &Metrics, method: &'static str, code: &'static str) -> u64 {
        metrics.requests_answered(method, code)
    }

    fn in_the_books(books: &Books) -> Vec<(String, u64)> {
        let counts = books.close(2).unwrap().refusals;
        counts.into_iter().map(|it| (it.code, it.count)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn request__should_be_refused_with_a_code_and_when_to_try_again_after_its_time() {
        let metrics = Arc::<Metrics>::default();
        let books = Arc::new(Books::new(1, Arc::clone(&metrics)));
        let hanging = service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>());
        let attend = Attend::new(Duration::from_secs(3), Arc::clone(&metrics), Arc::clone(&books));
        let mut service = attend.layer(hanging);
        let begin = tokio::time::Instant::now();
        let response = service.call(request("/onchainkms.v1.Boot/GetAppKeys")).await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), 3);
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), tonic::Code::Unavailable);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("request-timeout", ERROR_DOMAIN));
        assert!(details.retry_info().unwrap().retry_delay.is_some());
        assert_eq!(counted(&metrics, "GetAppKeys", "request-timeout"), 1);
        assert_eq!(in_the_books(&books), [("request-timeout".to_owned(), 1)]);
    }

    #[tokio::test]
    async fn request__should_be_counted_by_known_names_alone() {
        let metrics = Arc::<Metrics>::default();
        let books = Arc::new(Books::new(1, Arc::clone(&metrics)));
        let attend = Attend::new(Duration::from_secs(3), Arc::clone(&metrics), Arc::clone(&books));
        let unknown = |_: Request<Body>| {
            ready(Ok::<_, Infallible>(Status::unimplemented("no such method").into_http::<Body>()))
        };
        let fine = |_: Request<Body>| ready(Ok::<_, Infallible>(Response::new(Body::empty())));
        for number in 0..3 {
            let path = format!("/invented.v{number}/Method");
            attend.layer(service_fn(unknown)).call(request(&path)).await.unwrap();
        }
        attend.layer(service_fn(fine)).call(request("/onchainkms.v1.Public/GetNodeInfo")).await.unwrap();
        drop(attend.layer(service_fn(fine)).call(request("/grpc.health.v1.Health/Check")));
        assert_eq!(counted(&metrics, OTHER_METHOD, UNCODED), 3);
        assert_eq!(counted(&metrics, "GetNodeInfo", OK), 1);
        assert_eq!(counted(&metrics, "Health/Check", ABANDONED), 1);
        assert_eq!(in_the_books(&books), [(UNCODED.to_owned(), 3)]);
    }
}
