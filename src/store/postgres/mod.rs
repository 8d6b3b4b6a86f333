//! The store in PostgreSQL.
use super::{Ask, Migration, OpenError, OpenOptions};
fn missing() -> OpenError {
    OpenError::new(
        "PostgreSQL is not in this build yet",
        "use sqlite:///path/to/file",
    )
}
pub(super) fn open(_: &OpenOptions) -> Result<std::sync::Arc<dyn super::Store>, OpenError> {
    Err(missing())
}
pub(super) async fn migrate(_: &str, _: &mut Ask<'_>) -> Result<Vec<Migration>, OpenError> {
    Err(missing())
}
pub(super) async fn migration_status(_: &str) -> Result<Vec<Migration>, OpenError> {
    Err(missing())
}
