//! Health, version and metrics. Alive: the process answers. Ready: it should get traffic.

use super::{App, reply};
use crate::store::Migration;
use crate::telemetry::labels::ReadyCheck;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

/// What strangers hear of a failed check.
const HIDDEN: &str = "error may contain sensitive information and was obfuscated";

/// `GET /health/alive`.
pub async fn alive() -> HttpResponse {
    reply::json(200, &json!({"status": "ok"}))
}

/// `GET /health/ready` for everybody: which check failed, not why.
pub async fn ready_public(app: web::Data<App>) -> HttpResponse {
    answer(checks(&app).await.into_iter().map(|(name, _)| (name, HIDDEN.to_owned())).collect())
}

/// `GET /admin/health/ready`: with the reasons.
pub async fn ready_admin(app: web::Data<App>) -> HttpResponse {
    answer(checks(&app).await)
}

fn answer(errors: Vec<(ReadyCheck, String)>) -> HttpResponse {
    if errors.is_empty() {
        return reply::json(200, &json!({"status": "ok"}));
    }
    let errors: Map<String, Value> =
        errors.into_iter().map(|(name, why)| (name.as_str().to_owned(), json!(why))).collect();
    reply::json(503, &json!({"errors": errors}))
}

/// The checks that fail, with the reason of each; the metrics say the same.
pub async fn checks(app: &App) -> Vec<(ReadyCheck, String)> {
    let database = app.store.ping().await.map(drop).map_err(|e| e.to_string());
    let migrations = match &database {
        Ok(()) => schema(app).await,
        Err(_) => Ok(()),
    };
    let keys = if app.keys.borrow().is_empty() {
        Err("no signing key is there, or none opens under these system secrets".to_owned())
    } else {
        Ok(())
    };
    let actors = if app.rotation.dead.is_cancelled() {
        Err("a part of the process has died; it will end".to_owned())
    } else if app.rotation.is_draining() {
        Err("the process is stopping".to_owned())
    } else {
        Ok(())
    };
    let all = [
        (ReadyCheck::Database, database),
        (ReadyCheck::Migrations, migrations),
        (ReadyCheck::Keys, keys),
        (ReadyCheck::Actors, actors),
    ];
    all.into_iter()
        .filter_map(|(name, outcome)| {
            app.metrics.ready(name, outcome.is_ok());
            outcome.err().map(|why| (name, why))
        })
        .collect()
}

/// Every migration this binary needs is applied; a newer schema is fine.
async fn schema(app: &App) -> Result<(), String> {
    let known = app.store.migrations().await.map_err(|e| e.to_string())?;
    let newest =
        |is: fn(&Migration) -> bool| known.iter().filter(|m| is(m)).map(|m| m.version).max().unwrap_or_default();
    app.metrics.schema(newest(|m| m.applied), newest(|m| m.known));
    match Migration::pending(&known) {
        0 => Ok(()),
        n => Err(format!("{n} migrations are pending; run `signet migrate sql -e`")),
    }
}

/// `GET /version`.
pub async fn version(app: web::Data<App>) -> HttpResponse {
    reply::json(200, &json!({"version": app.rules.version}))
}

/// `GET /admin/metrics/prometheus`, and `GET /metrics` on the metrics listener. Asks no database; pool, cache and files
/// tell of themselves at this moment, so that a pool in which every call is stuck shows it.
pub async fn metrics(app: web::Data<App>) -> HttpResponse {
    if let Some(pool) = app.store.pool() {
        app.metrics.db_pool(pool.idle, pool.used, pool.max, pool.waiting);
    }
    if let Some(files) = app.store.files() {
        app.metrics.sqlite_files(files.database, files.wal);
    }
    if let Some(cache) = &app.introspections {
        app.metrics.cache_state(cache.is_bypassed(), cache.kept());
    }
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .body(app.metrics.render())
}
