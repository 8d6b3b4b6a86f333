//! `/admin/keys`: JSON Web Keys with their private parts, for operators.

use super::client_json::{read_json, read_object, segment, undecodable};
use crate::actors::key_manager::{CreateKey, DeleteKeys, KeyError, PutKeys};
use crate::crypto::jwk::{Alg, Jwk};
use crate::http::form::Json;
use crate::http::{ApiError, App, reply};
use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Most keys of one request.
const KEYS: usize = 100;
/// Longest name of a set and of a key, in characters: both stand in one index entry of the database.
const NAME: usize = 255;

/// Mounts the routes.
pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/admin/keys/{set}")
            .route(web::get().to(get_set))
            .route(web::post().to(create))
            .route(web::put().to(put_set))
            .route(web::delete().to(delete_set)),
    )
    .service(
        web::resource("/admin/keys/{set}/{kid}")
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

/// The keys of a set, newest first. What cannot be a name holds none, and the database is not asked.
async fn read(app: &App, set: &str) -> Result<Vec<Jwk>, ApiError> {
    if is_name(set) { Ok(app.key_vault.read(set).await?) } else { Ok(Vec::new()) }
}

/// `GET /admin/keys/{set}`, newest first.
///
/// # Errors
/// 404 for a set without keys.
pub async fn get_set(app: web::Data<App>, set: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let keys = read(&app, &set).await?;
    if keys.is_empty() { Err(ApiError::NotFoundNamed) } else { Ok(reply::json(200, &set_of(&keys))) }
}

/// `GET /admin/keys/{set}/{kid}`.
///
/// # Errors
/// 404.
pub async fn get_key(app: web::Data<App>, path: web::Path<(String, String)>) -> Result<HttpResponse, ApiError> {
    let (set, kid) = path.into_inner();
    let keys = read(&app, &set).await?;
    let key = keys.into_iter().find(|k| k.kid() == Some(&kid)).ok_or(ApiError::NotFound)?;
    Ok(reply::json(200, &set_of(&[key])))
}

/// `POST /admin/keys/{set}`: makes a key.
///
/// # Errors
/// 400 for an algorithm that is not supported, 409 when the set has that `kid` already.
pub async fn create(app: web::Data<App>, set: web::Path<String>, body: Json) -> Result<HttpResponse, ApiError> {
    let members = read_object(&body)?;
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(undecodable(&format!("{name} must be a text"))),
    };
    let Ok(alg) = text("alg")?.parse::<Alg>() else { return Ok(unsupported()) };
    let kid = match text("kid")? {
        kid if kid.is_empty() => app.entropy.uuid()?.to_string(),
        kid => kid,
    };
    check_kid(&kid)?;
    let use_ = Some(text("use")?).filter(|u| !u.is_empty()).unwrap_or_else(|| "sig".to_owned());
    let set = check_set(set.into_inner())?;
    let location = format!("{}/keys/{}", app.rules.public_url, segment(&set));
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

/// Whether a key set or a key can be called so. `kid` may hold blanks, slashes and any letters.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= NAME && !name.contains('\0')
}

fn check_set(set: String) -> Result<String, ApiError> {
    if is_name(&set) && !set.chars().any(char::is_control) {
        return Ok(set);
    }
    let rule = format!("The name of a key set has 1 to {NAME} characters and no control characters.");
    Err(ApiError::BadRequest(rule))
}

fn check_kid(kid: &str) -> Result<(), ApiError> {
    if is_name(kid) {
        return Ok(());
    }
    let rule = format!("Every key needs a 'kid' of 1 to {NAME} characters, without NUL.");
    Err(ApiError::BadRequest(rule))
}

/// A key of a request, checked; it must have a `kid` and belong to a known kind.
fn checked(key: Value) -> Result<Jwk, ApiError> {
    let Value::Object(members) = key else { return Err(undecodable(&"a JSON Web Key is a JSON object")) };
    let key = Jwk::from(members);
    check_kid(key.kid().unwrap_or_default())?;
    key.check().map_err(|e| {
        ApiError::BadRequest(format!("The key '{}' cannot be used: {e}", key.kid().unwrap_or_default()))
    })?;
    Ok(key)
}

/// `PUT /admin/keys/{set}`: replaces all keys.
///
/// # Errors
/// 400 for a key that is none, 409 for two of the same `kid`; nothing is changed then.
pub async fn put_set(app: web::Data<App>, set: web::Path<String>, body: Json) -> Result<HttpResponse, ApiError> {
    let mut members = read_object(&body)?;
    let Some(Value::Array(keys)) = members.remove("keys") else {
        return Err(undecodable(&"a JSON Web Key Set has a list 'keys'"));
    };
    if keys.len() > KEYS {
        return Err(ApiError::BadRequest(format!("A set has at most {KEYS} keys.")));
    }
    let keys = keys.into_iter().map(checked).collect::<Result<Vec<_>, _>>()?;
    let kids: HashSet<_> = keys.iter().map(Jwk::kid).collect();
    if kids.len() < keys.len() {
        return Err(ApiError::Conflict);
    }
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
    body: Json,
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
    if is_name(&set) {
        app.key_manager.ask(DeleteKeys { set: set.into_inner(), kid: None }).await??;
    }
    Ok(HttpResponse::NoContent().finish())
}

/// `DELETE /admin/keys/{set}/{kid}`: 204 also when there was none.
///
/// # Errors
/// 503.
pub async fn delete_key(app: web::Data<App>, path: web::Path<(String, String)>) -> Result<HttpResponse, ApiError> {
    let (set, kid) = path.into_inner();
    if is_name(&set) && is_name(&kid) {
        app.key_manager.ask(DeleteKeys { set, kid: Some(kid) }).await??;
    }
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use actix_web::{App as Site, http::header::CONTENT_TYPE, test as http};
    use proptest::prelude::*;

    #[actix_web::test]
    async fn an_odd_kid_in_a_path_is_read_as_it_was_meant() {
        let echo = |path: web::Path<(String, String)>| async move { path.into_inner().1 };
        let site = http::init_service(Site::new().route("/admin/keys/{set}/{kid}", web::get().to(echo))).await;
        let kids = ["plain", "with/slash", "with blank+plus%25", "größe", "https://key.example/1#a", "50%", "a?b"];
        for kid in kids {
            let request = http::TestRequest::with_uri(&format!("/admin/keys/set/{}", segment(kid))).to_request();
            assert_eq!(http::call_and_read_body(&site, request).await, kid.as_bytes());
        }
    }

    #[actix_web::test]
    async fn an_unsupported_algorithm_is_answered_in_hydras_words() {
        let answer = unsupported();
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.headers().get(CONTENT_TYPE).unwrap(), "application/json");
        let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap_or_default();
        let told: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(told, json!({"error": "Bad Request", "error_description": "Unsupported key algorithm"}));
    }

    #[actix_web::test]
    async fn keys_that_would_not_work_are_refused() {
        let good = crate::crypto::jwk::generate(Alg::ES256, 0, "k".to_owned(), "sig").unwrap().into_value();
        assert!(checked(good.clone()).is_ok());
        let with = |name: &str, value: Value| {
            let mut key = good.clone();
            key.as_object_mut().unwrap().insert(name.to_owned(), value);
            key
        };
        let odd = [
            json!("k"),
            json!({}),
            with("kid", json!("")),
            with("kid", json!(7)),
            with("kid", json!("a\0b")),
            with("kid", json!("k".repeat(NAME + 1))),
            with("x", json!("AAAA")),
            with("crv", json!("P-999")),
        ];
        for key in odd {
            assert!(matches!(checked(key.clone()), Err(ApiError::BadRequest(_))), "{key}");
        }
    }

    proptest! {
        /// A name is a text of a bounded length, whatever letters it has, and NUL never reaches the database.
        #[test]
        fn names_are_bounded_and_without_nul(name in "\\PC{0,300}") {
            let fits = (1..=NAME).contains(&name.chars().count());
            prop_assert_eq!(is_name(&name), fits);
            prop_assert_eq!(check_kid(&name).is_ok(), fits);
            let with_nul = name + "\0";
            prop_assert!(!is_name(&with_nul));
        }
    }
}
