//! The listeners: TCP, TLS or a unix socket.

use super::certificate::Certificate;
use super::{probe, reach, rules, socket_file};
use crate::actors::client_registry::Clients;
use crate::config::settings::{Listener, Serve};
use crate::http::demo::{self, Demo};
use crate::http::front::{self, Front};
use crate::http::{App as Shared, admin, gateway, metrics, public};
use crate::telemetry::labels;
use actix_web::dev::Server;
use actix_web::{App, HttpServer, middleware, web};
use anyhow::anyhow;
use std::collections::HashSet;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A listener that is bound and not yet served.
pub struct Bound {
    /// Which one.
    pub which: labels::Listener,
    socket: Socket,
    settings: Listener,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The settings of a listener; `None` for one that is not served.
pub fn settings_of(serve: &Serve, which: labels::Listener) -> Option<&Listener> {
    match which {
        labels::Listener::Public => Some(&serve.public),
        labels::Listener::Admin => Some(&serve.admin),
        labels::Listener::Gateway => serve.gateway.as_ref(),
        labels::Listener::Metrics => serve.metrics.as_ref(),
    }
}

impl Bound {
    /// Binds.
    ///
    /// # Errors
    /// One line with the address and the fix.
    pub fn bind(which: labels::Listener, settings: &Listener) -> anyhow::Result<Self> {
        let socket = match settings.host.strip_prefix("unix:") {
            Some(path) => Socket::Unix(socket_file::bind(path, &settings.socket)?),
            None => Socket::Tcp(tcp(which, settings)?),
        };
        Ok(Self { which, socket, settings: settings.clone() })
    }

    /// Where a local client reaches it.
    pub fn url(&self) -> String {
        match &self.socket {
            Socket::Unix(_) => self.settings.host.clone(),
            Socket::Tcp(listener) => {
                let port = listener.local_addr().map_or(self.settings.port, |a| a.port());
                probe::address(&Listener { port, ..self.settings.clone() }).unwrap_or_default()
            }
        }
    }

    /// Who can come, in words.
    pub fn open_to(&self) -> String {
        reach::told(&self.settings)
    }

    /// Whether TLS ends here: not behind a proxy that ends it, nor on a unix socket, whose file says who may come.
    const fn ends_tls(&self) -> bool {
        self.settings.tls.enabled && self.settings.tls.cert.is_some() && matches!(self.socket, Socket::Tcp(_))
    }

    /// Its certificate, if TLS ends here.
    ///
    /// # Errors
    /// For one that cannot be read.
    pub fn certificate(&self) -> anyhow::Result<Option<Arc<Certificate>>> {
        self.ends_tls().then(|| Certificate::of(&self.settings.tls)).transpose()
    }

    /// Serves it. Each worker gets its own shelf of clients. The demo, where there is one, is a guest of the public
    /// listener.
    ///
    /// # Errors
    /// When the socket cannot be served.
    pub fn serve(
        self,
        app: Arc<Shared>,
        demo: Option<Arc<Demo>>,
        certificate: Option<Arc<Certificate>>,
        shutdown: Duration,
    ) -> anyhow::Result<Server> {
        let (which, settings) = (self.which, self.settings.clone());
        let demo = demo.filter(|_| which == labels::Listener::Public);
        let routes: &[(&str, &'static str)] = match which {
            labels::Listener::Public => &public::ROUTES,
            labels::Listener::Admin => &admin::ROUTES,
            labels::Listener::Gateway => &gateway::ROUTES,
            labels::Listener::Metrics => &metrics::ROUTES,
        };
        for (method, pattern) in routes.iter().chain(demo.iter().flat_map(|_| &demo::ROUTES)) {
            app.metrics.register_route(which, method, pattern);
        }
        let patterns: HashSet<&'static str> =
            routes.iter().chain(demo.iter().flat_map(|_| &demo::ROUTES)).map(|(_, pattern)| *pattern).collect();
        if let Some(ends) = certificate.as_ref().and_then(|shown| shown.ends()) {
            app.metrics.certificate_expires(which, ends);
        }
        let tls =
            certificate.map(|shown| rustls::ServerConfig::builder().with_no_client_auth().with_cert_resolver(shown));
        let guarded = settings.tls.enabled && matches!(self.socket, Socket::Tcp(_));
        let server = HttpServer::new(move || {
            app.metrics.watch_runtime(labels::Runtime::Http, tokio::runtime::Handle::current());
            let front = Front {
                listener: which,
                log_health: settings.log_health,
                cors: Rc::new(rules::cors(&settings.cors)),
                terminated_by: guarded.then(|| settings.tls.allow_termination_from.clone().into()),
                routes: Rc::new(patterns.clone()),
                ids: Rc::default(),
            };
            let clients = Clients::start(Arc::clone(&app.store), app.rotation.dead.clone(), Arc::clone(&app.metrics));
            App::new()
                .wrap(middleware::from_fn(front::pass))
                .app_data(web::Data::from(Arc::clone(&app)))
                .app_data(web::Data::new(clients))
                .app_data(front)
                .configure(|cfg| {
                    if let Some(demo) = &demo {
                        cfg.app_data(web::Data::from(Arc::clone(demo))).configure(demo::routes);
                    }
                })
                .configure(match which {
                    labels::Listener::Public => public::routes,
                    labels::Listener::Admin => admin::routes,
                    labels::Listener::Gateway => gateway::routes,
                    labels::Listener::Metrics => metrics::routes,
                })
        })
        .workers(if which == labels::Listener::Metrics { 1 } else { workers() })
        .disable_signals()
        .shutdown_timeout(shutdown.as_secs().max(1))
        .client_request_timeout(Duration::from_secs(5))
        .keep_alive(Duration::from_secs(75));
        let server = match (self.socket, tls) {
            (Socket::Unix(listener), _) => server.listen_uds(listener)?,
            (Socket::Tcp(listener), Some(tls)) => server.listen_rustls_0_23(listener, tls)?,
            (Socket::Tcp(listener), None) => server.listen(listener)?,
        };
        Ok(server.run())
    }
}

/// A worker for each core, as is usual.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn tcp(which: labels::Listener, settings: &Listener) -> anyhow::Result<TcpListener> {
    let host = if settings.host.is_empty() { "0.0.0.0" } else { &settings.host };
    let name = which.as_str();
    let listener = TcpListener::bind((host, settings.port)).map_err(|e| {
        anyhow!(
            "cannot listen on {host}:{} ({e}); stop what uses that port or set serve.{name}.port (SERVE_{}_PORT)",
            settings.port,
            name.to_uppercase()
        )
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
