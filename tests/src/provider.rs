//! An RPC provider: an address of this machine that passes on to a chain, to another chain, or to none, or never answers.
//!
//! A node counts hosts, and a host is what stands in a URL: 127.0.0.2 and 127.0.0.3 are two of them.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where a provider's answers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// From what listens there.
    To(SocketAddr),
    /// Nowhere: it is down.
    Nowhere,
    /// To somebody who takes every question and answers none.
    Silence,
}

/// A provider. Ends when it is dropped.
pub struct Provider {
    address: SocketAddr,
    route: watch::Sender<Route>,
    work: JoinHandle<()>,
}

impl Provider {
    /// Starts a provider at 127.0.0.`host`.
    pub async fn start(host: u8, route: Route) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (route, routes) = watch::channel(route);
        let work = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass_on(stream, routes.clone()));
            }
        });
        Self { address, route, work }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Leads it elsewhere; connections that are open end.
    pub fn lead(&self, route: Route) {
        self.route.send_replace(route);
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn pass_on(mut stream: TcpStream, mut routes: watch::Receiver<Route>) {
    let route = *routes.borrow_and_update();
    let address = match route {
        Route::To(address) => address,
        Route::Nowhere => return,
        Route::Silence => return drop(routes.changed().await),
    };
    let Ok(mut chain) = TcpStream::connect(address).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut stream, &mut chain) => {}
        _ = routes.changed() => {}
    }
}
