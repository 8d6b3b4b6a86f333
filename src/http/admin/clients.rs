//! `/admin/clients`: parse, decide, store, show.
//!
//! The admin listener mounts [`routes`]. Invariant: a change is decided on the version that it replaces; whoever comes
//! second decides again.

use super::client_json::{Wanted, echo, put_into, read_json, read_object, segment, shown, stored, undecodable};
use super::client_secret::{generate, hash};
use super::paging::Paging;
use super::sector;
use crate::domain::client::{Client, Lifespans};
use crate::domain::client_patch::{ClientPatch, PatchError};
use crate::domain::token::opaque::TokenKind;
use crate::domain::world::{Entropy, NoEntropy};
use crate::http::form::Json;
use crate::http::{ApiError, App, audited, reply};
use crate::store::{ClientPage, ClientRecord, Replaced, StoreError};
use crate::telemetry::audit::{self, AuditEvent};
use actix_web::http::header::{HeaderValue, InvalidHeaderValue, LINK, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

/// How often a change is decided again when somebody else was faster.
const ATTEMPTS: usize = 3;
/// How many earlier secrets go on working.
const KEPT_SECRETS: usize = 5;

/// Mounts the routes.
pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(web::resource("/admin/clients").route(web::post().to(create)).route(web::get().to(list)))
        .service(
            web::resource("/admin/clients/{id}")
                .route(web::get().to(get))
                .route(web::put().to(put))
                .route(web::patch().to(patch))
                .route(web::delete().to(delete)),
        )
        .service(web::resource("/admin/clients/{id}/lifespans").route(web::put().to(lifespans)))
        .service(
            web::resource("/admin/clients/{id}/secrets/rotate")
                .route(web::post().to(rotate_secret))
                .route(web::delete().to(drop_rotated_secrets)),
        );
}

fn header(text: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(text).map_err(|e: InvalidHeaderValue| ApiError::Internal(e.to_string()))
}

/// `POST /admin/clients`.
pub async fn create(app: web::Data<App>, body: Json) -> Result<HttpResponse, ApiError> {
    let mut wanted = Wanted::read(read_object(&body)?)?;
    let generated = wanted.client.client_id.is_empty();
    if generated {
        wanted.client.client_id = app.entropy.uuid()?.to_string();
    }
    let registration = app.opaque.mint(TokenKind::Registration, &app.entropy.bytes()?);
    let mut record = blank(&app, wanted.client.client_id.clone())?;
    record.registration_token_hash = Some(registration.signature.to_vec());
    let client = put_into(&mut record, wanted.client, &app.rules.metadata)?;
    sector::check(&app, &client).await?;
    let secret = match wanted.secret {
        None if client.is_public() => None,
        None => Some(generate(&*app.entropy)?),
        given => given,
    };
    if let Some(secret) = &secret {
        record.secret_hash = hash(&app, secret).await?;
    }
    match app.store.create_client(&record).await {
        Err(StoreError::Conflict) => return Err(ApiError::Conflict),
        other => other?,
    }
    audit::tell(AuditEvent::ClientCreated, || audited::client(&record.id, Some(&record.name)));
    let mut answer = shown(&record, &client)?;
    echo(&mut answer, &wanted.members);
    show_secret(&mut answer, secret.filter(|_| !client.is_public()));
    answer.insert("registration_access_token".to_owned(), json!(registration.token));
    answer.insert("registration_client_uri".to_owned(), json!(registration_uri(&app, &record.id, generated)));
    let mut response = reply::json(201, &answer);
    response.headers_mut().insert(LOCATION, header(&format!("/admin/clients/{}", segment(&record.id)))?);
    Ok(response)
}

fn blank(app: &App, id: String) -> Result<ClientRecord, ApiError> {
    let now = app.clock.now();
    Ok(ClientRecord {
        id,
        name: String::new(),
        owner: String::new(),
        document: String::new(),
        secret_hash: String::new(),
        rotated_secret_hashes: Vec::new(),
        registration_token_hash: None,
        family_id: app.entropy.uuid()?,
        has_remembered_consent: false,
        version: first_version(&*app.entropy)?,
        created_at: now,
        updated_at: now,
    })
}

/// Versions begin at random: a client that is deleted and made again under its old id is never taken for the old one by
/// a decision that still knows that one's version, neither to issue nor to replace.
///
/// # Errors
/// Without random bytes.
pub fn first_version(entropy: &dyn Entropy) -> Result<i64, NoEntropy> {
    Ok(i64::from(u32::from_be_bytes(entropy.bytes()?)) << 16)
}

/// As Hydra does, without the id when the server chose it.
fn registration_uri(app: &App, id: &str, generated: bool) -> String {
    let base = app.rules.public_url.trim_end_matches('/');
    if generated { format!("{base}/oauth2/register") } else { format!("{base}/oauth2/register/{}", segment(id)) }
}

fn show_secret(answer: &mut Map<String, Value>, secret: Option<String>) {
    if let Some(secret) = secret {
        answer.insert("client_secret".to_owned(), json!(secret));
    }
}

/// `GET /admin/clients/{id}`.
pub async fn get(app: web::Data<App>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let record = app.store.client(&id).await?.ok_or(ApiError::NotFound)?;
    Ok(reply::json(200, &shown(&record, &stored(&record)?)?))
}

/// `DELETE /admin/clients/{id}`.
pub async fn delete(app: web::Data<App>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    if !app.store.delete_client(&id).await? {
        return Err(ApiError::NotFound);
    }
    audit::tell(AuditEvent::ClientDeleted, || audited::client(&id, None));
    Ok(HttpResponse::NoContent().finish())
}

/// Reads a client, decides, and replaces it unless somebody else did meanwhile; then decides again.
async fn change<F>(app: &App, id: &str, decide: F) -> Result<Map<String, Value>, ApiError>
where
    F: Fn(&mut ClientRecord, Client) -> Result<Client, ApiError>,
{
    for _ in 0..ATTEMPTS {
        let mut record = app.store.client(id).await?.ok_or(ApiError::NotFound)?;
        let expected = record.version;
        let before = stored(&record)?;
        let mut client = decide(&mut record, before.clone())?;
        client.client_id.clone_from(&record.id);
        let client = put_into(&mut record, client, &app.rules.metadata)?;
        // What was vouched for stays so: a secret must go even while that other server is away.
        if sector::differs(&before, &client) {
            sector::check(app, &client).await?;
        }
        record.updated_at = app.clock.now();
        match app.store.replace_client(&record, expected).await? {
            Replaced::Done => {
                audit::tell(AuditEvent::ClientUpdated, || audited::client(&record.id, Some(&record.name)));
                return shown(&record, &client);
            }
            Replaced::Missing => return Err(ApiError::NotFound),
            Replaced::Stale => {}
        }
    }
    Err(StoreError::Unavailable("the client is being changed by others".to_owned()).into())
}

/// A chosen secret ends every earlier one.
fn set_secret(record: &mut ClientRecord, hash: Option<&String>) {
    if let Some(hash) = hash {
        record.secret_hash.clone_from(hash);
        record.rotated_secret_hashes.clear();
    }
}

async fn hash_given(app: &App, secret: Option<&String>) -> Result<Option<String>, ApiError> {
    match secret {
        Some(secret) => hash(app, secret).await.map(Some),
        None => Ok(None),
    }
}

/// `PUT /admin/clients/{id}`: what is left out falls back to its default, but for the secret, which stays.
pub async fn put(app: web::Data<App>, id: web::Path<String>, body: Json) -> Result<HttpResponse, ApiError> {
    let wanted = Wanted::read(read_object(&body)?)?;
    let hashed = hash_given(&app, wanted.secret.as_ref()).await?;
    let decide = |record: &mut ClientRecord, _| {
        set_secret(record, hashed.as_ref());
        Ok(wanted.client.clone())
    };
    let mut answer = change(&app, &id, decide).await?;
    echo(&mut answer, &wanted.members);
    show_secret(&mut answer, wanted.secret);
    Ok(reply::json(200, &answer))
}

fn bad_patch(e: &PatchError) -> ApiError {
    ApiError::BadRequest(format!("Unable to apply the JSON Patch: {e}"))
}

/// `PATCH /admin/clients/{id}` with a JSON Patch (RFC 6902).
pub async fn patch(app: web::Data<App>, id: web::Path<String>, body: Json) -> Result<HttpResponse, ApiError> {
    let patch = ClientPatch::read(&read_json(&body)?).map_err(|e| bad_patch(&e))?;
    let secret = patch.secret().map_err(|e| bad_patch(&e))?.filter(|text| !text.is_empty());
    if let Some(secret) = &secret {
        crate::domain::client_metadata::check_secret(secret).map_err(crate::domain::error::OAuthError::from)?;
    }
    let hashed = hash_given(&app, secret.as_ref()).await?;
    let decide = |record: &mut ClientRecord, client: Client| {
        set_secret(record, hashed.as_ref());
        let patched = patch.apply(shown(record, &client)?).map_err(|e| bad_patch(&e))?;
        Client::from_members(patched).map_err(|e| undecodable(&e))
    };
    let mut answer = change(&app, &id, decide).await?;
    show_secret(&mut answer, secret);
    Ok(reply::json(200, &answer))
}

/// `PUT /admin/clients/{id}/lifespans`: replaces all of them.
pub async fn lifespans(app: web::Data<App>, id: web::Path<String>, body: Json) -> Result<HttpResponse, ApiError> {
    let members = Value::Object(read_object(&body)?);
    let lifespans: Lifespans = serde_json::from_value(members).map_err(|e| undecodable(&e))?;
    let decide = |_: &mut ClientRecord, client: Client| Ok(Client { lifespans: lifespans.clone(), ..client });
    Ok(reply::json(200, &change(&app, &id, decide).await?))
}

/// `POST /admin/clients/{id}/secrets/rotate`: a new secret; the last few go on working.
pub async fn rotate_secret(app: web::Data<App>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let secret = generate(&*app.entropy)?;
    let hashed = hash(&app, &secret).await?;
    let decide = |record: &mut ClientRecord, client: Client| {
        if !matches!(client.auth_method(), "client_secret_basic" | "client_secret_post") {
            return Err(ApiError::BadRequest(format!(
                "The client is configured to use the '{}' authentication method, which does not support client secret rotation.",
                client.auth_method()
            )));
        }
        let old = std::mem::replace(&mut record.secret_hash, hashed.clone());
        if !old.is_empty() {
            record.rotated_secret_hashes.insert(0, old);
        }
        record.rotated_secret_hashes.truncate(KEPT_SECRETS);
        Ok(client)
    };
    let mut answer = change(&app, &id, decide).await?;
    show_secret(&mut answer, Some(secret));
    Ok(reply::json(200, &answer))
}

/// `DELETE /admin/clients/{id}/secrets/rotate`: only the newest secret goes on working.
pub async fn drop_rotated_secrets(app: web::Data<App>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let decide = |record: &mut ClientRecord, client: Client| {
        record.rotated_secret_hashes.clear();
        Ok(client)
    };
    Ok(reply::json(200, &change(&app, &id, decide).await?))
}

/// `GET /admin/clients`: by id, never with secrets.
pub async fn list(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let paging = Paging::read("/admin/clients", "clients", ["client_name", "owner"], request.query_string())?;
    let filter = |name| paging.filter(name).map(str::to_owned);
    let page = ClientPage {
        after: paging.after(&app)?,
        limit: paging.size + 1,
        name: filter("client_name"),
        owner: filter("owner"),
    };
    let mut records = app.store.clients(&page).await?;
    let more = records.len() > paging.size;
    records.truncate(paging.size);
    let link = paging.links(&app, records.last().filter(|_| more).map(|last| last.id.as_str()))?;
    let clients = records.iter().map(|record| shown(record, &stored(record)?)).collect::<Result<Vec<_>, _>>()?;
    let mut response = reply::json(200, &clients);
    response.headers_mut().insert(LINK, link);
    Ok(response)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn c21_a_client_made_again_is_never_taken_for_the_old_one() {
        struct Bytes(std::sync::atomic::AtomicU8);
        impl Entropy for Bytes {
            fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
                out.fill(self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed));
                Ok(())
            }
        }
        let source = Bytes(u8::MAX.into());
        let (old, new) = (first_version(&source).unwrap(), first_version(&source).unwrap());
        assert!(new > 0 && old.abs_diff(new) > 1000 && i64::MAX - old > 1 << 60, "{old} {new}");
    }

    #[actix_web::test]
    async fn b07_ids_arrive_as_they_are() {
        async fn tell(id: web::Path<String>) -> String {
            id.into_inner()
        }
        let app = actix_web::App::new().route("/admin/clients/{id}", web::get().to(tell));
        let app = actix_web::test::init_service(app).await;
        for id in ["https://app.example/cb?x=1&y=2", "a b/c%d+e:f", "gr\u{f6}\u{df}e", "100%", "%2F", "a%20b"] {
            let request =
                actix_web::test::TestRequest::get().uri(&format!("/admin/clients/{}", segment(id))).to_request();
            let body = actix_web::test::call_and_read_body(&app, request).await;
            assert_eq!(std::str::from_utf8(&body), Ok(id));
        }
    }
}
