//! `/admin/keys`: JSON Web Keys with their private parts, for operators.

use super::client_json::{read_json, read_object, undecodable};
use crate::actors::key_manager::{CreateKey, DeleteKeys, KeyError, PutKeys};
use crate::crypto::jwk::{Alg, Jwk};
use crate::http::{ApiError, App, reply};
use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

/// Largest body, in bytes.
const BODY: usize = 1 << 20;
/// Most keys of one request.
const KEYS: usize = 100;

/// Mounts the routes.
pub fn routes(cfg: &mut web::ServiceConfig) {
    let limit = || web::PayloadConfig::new(BODY);
    cfg.service(
        web::resource("/admin/keys/{set}")
            .app_data(limit())
            .route(web::get().to(get_set))
            .route(web::post().to(create))
            .route(web::put().to(put_set))
            .route(web::delete().to(delete_set)),
    )
    .service(
        web::resource("/admin/keys/{set}/{kid}")
            .app_data(limit())
            .route(web::get().to(get_key))
            .route(web::put().to(put_key))
            .route(web::delete().to(delete_key)),
    );
}

impl From<KeyError> for ApiError {
    fn from(e: KeyError) -> Self {
        match e {
            KeyError::Store(e) => e.into(),
            KeyError::Ask(e) => e.into(),
            KeyError::Entropy(e) => e.into(),
            KeyError::Key(e) => Self::BadRequest(e.to_string()),
            KeyError::Internal(why) => Self::Internal(why),
        }
    }
}

fn set_of(keys: &[Jwk]) -> Value {
    json!({"keys": keys})
}

/// `GET /admin/keys/{set}`, newest first.
///
/// # Errors
/// 404 for a set without keys.
pub async fn get_set(app: web::Data<App>, set: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let keys = app.key_vault.read(&set).await?;
    if keys.is_empty() { Err(ApiError::NotFoundNamed) } else { Ok(reply::json(200, &set_of(&keys))) }
}

/// `GET /admin/keys/{set}/{kid}`.
///
/// # Errors
/// 404.
pub async fn get_key(app: web::Data<App>, path: web::Path<(String, String)>) -> Result<HttpResponse, ApiError> {
    let (set, kid) = path.into_inner();
    let keys = app.key_vault.read(&set).await?;
    let key = keys.into_iter().find(|k| k.kid() == Some(&kid)).ok_or(ApiError::NotFound)?;
    Ok(reply::json(200, &set_of(&[key])))
}

/// `POST /admin/keys/{set}`: makes a key.
///
/// # Errors
/// 400 for an algorithm that is not supported.
pub async fn create(app: web::Data<App>, set: web::Path<String>, body: web::Bytes) -> Result<HttpResponse, ApiError> {
    let members = read_object(&body)?;
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) if !text.contains('\0') => Ok(text.clone()),
        Some(_) => Err(undecodable(&format!("{name} must be a text"))),
    };
    let Ok(alg) = text("alg")?.parse::<Alg>() else { return Ok(unsupported()) };
    let kid = match text("kid")? {
        kid if kid.is_empty() => app.entropy.uuid()?.to_string(),
        kid => kid,
    };
    let use_ = Some(text("use")?).filter(|u| !u.is_empty()).unwrap_or_else(|| "sig".to_owned());
    let set = check_set(set.into_inner())?;
    let location = format!("{}/keys/{}", app.rules.public_url, percent(&set));
    let key = app.key_manager.ask(CreateKey { set, alg, kid, use_ }).await??;
    let mut answer = reply::json(201, &set_of(&[key]));
    if let Ok(location) = location.parse() {
        answer.headers_mut().insert(LOCATION, location);
    }
    Ok(answer)
}

/// Hydra's words for an algorithm that it does not make keys for.
fn unsupported() -> HttpResponse {
    let body = json!({"error": "Bad Request", "error_description": "Unsupported key algorithm"});
    HttpResponse::BadRequest().insert_header(("content-type", "application/json")).body(body.to_string())
}

fn percent(segment: &str) -> String {
    url::form_urlencoded::byte_serialize(segment.as_bytes()).collect::<String>().replace('+', "%20")
}

fn check_set(set: String) -> Result<String, ApiError> {
    if set.is_empty() || set.len() > 255 || set.chars().any(char::is_control) {
        return Err(ApiError::BadRequest(
            "The name of a key set has 1 to 255 characters and no control characters.".to_owned(),
        ));
    }
    Ok(set)
}

/// A key of a request, checked; it must have a `kid` and belong to a known kind.
fn checked(key: Value) -> Result<Jwk, ApiError> {
    let Value::Object(members) = key else { return Err(undecodable(&"a JSON Web Key is a JSON object")) };
    let key = Jwk::from(members);
    if key.kid().is_none_or(|k| k.is_empty() || k.contains('\0')) {
        return Err(ApiError::BadRequest("A key has no 'kid'; every key needs one.".to_owned()));
    }
    key.check().map_err(|e| {
        ApiError::BadRequest(format!("The key '{}' cannot be used: {e}", key.kid().unwrap_or_default()))
    })?;
    Ok(key)
}

/// `PUT /admin/keys/{set}`: replaces all keys.
///
/// # Errors
/// 400 for a key that is none; nothing is changed then.
pub async fn put_set(app: web::Data<App>, set: web::Path<String>, body: web::Bytes) -> Result<HttpResponse, ApiError> {
    let mut members = read_object(&body)?;
    let Some(Value::Array(keys)) = members.remove("keys") else {
        return Err(undecodable(&"a JSON Web Key Set has a list 'keys'"));
    };
    if keys.len() > KEYS {
        return Err(ApiError::BadRequest(format!("A set has at most {KEYS} keys.")));
    }
    let keys = keys.into_iter().map(checked).collect::<Result<Vec<_>, _>>()?;
    let answer = reply::json(200, &set_of(&keys));
    app.key_manager.ask(PutKeys { set: check_set(set.into_inner())?, keys, replace: true }).await??;
    Ok(answer)
}

/// `PUT /admin/keys/{set}/{kid}`: the body's own `kid` counts, as with Hydra.
///
/// # Errors
/// 400 for a key that is none.
pub async fn put_key(
    app: web::Data<App>,
    path: web::Path<(String, String)>,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    let key = checked(read_json(&body)?)?;
    let answer = reply::json(200, &key);
    let set = check_set(path.into_inner().0)?;
    app.key_manager.ask(PutKeys { set, keys: vec![key], replace: false }).await??;
    Ok(answer)
}

/// `DELETE /admin/keys/{set}`: 204 also when there was none.
///
/// # Errors
/// 503.
pub async fn delete_set(app: web::Data<App>, set: web::Path<String>) -> Result<HttpResponse, ApiError> {
    app.key_manager.ask(DeleteKeys { set: set.into_inner(), kid: None }).await??;
    Ok(HttpResponse::NoContent().finish())
}

/// `DELETE /admin/keys/{set}/{kid}`: 204 also when there was none.
///
/// # Errors
/// 503.
pub async fn delete_key(app: web::Data<App>, path: web::Path<(String, String)>) -> Result<HttpResponse, ApiError> {
    let (set, kid) = path.into_inner();
    app.key_manager.ask(DeleteKeys { set, kid: Some(kid) }).await??;
    Ok(HttpResponse::NoContent().finish())
}
