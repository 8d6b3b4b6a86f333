//! A unix socket that a listener is bound to: its file, and whose it is. Called by `listen` alone.

use crate::config::settings::Socket;
use anyhow::{Context, anyhow, bail};
use std::fs::Permissions;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// Binds a socket file and gives it its owner, group and mode. The file of a process that is gone is in the way; one
/// that answers belongs to somebody.
///
/// # Errors
/// One line with the path and the fix.
pub fn bind(path: &str, socket: &Socket) -> anyhow::Result<UnixListener> {
    let owner = number(socket.owner.as_deref(), USERS, "owner")?;
    let group = number(socket.group.as_deref(), GROUPS, "group")?;
    if UnixStream::connect(path).is_ok() {
        bail!("cannot listen on unix:{path}: another process does; choose another path");
    }
    match std::fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => std::fs::remove_file(path).with_context(|| path.to_owned())?,
        Ok(_) => bail!("cannot listen on unix:{path}: a file of another kind is there; choose another path"),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen on unix:{path}"))?;
    if owner.is_some() || group.is_some() {
        chown(path, owner, group).with_context(|| {
            format!("cannot give unix:{path} its owner or group; only root, or a member of the group, can")
        })?;
    }
    std::fs::set_permissions(path, Permissions::from_mode(socket.mode)).with_context(|| format!("mode of {path}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The number of a user or group: itself, or the third field of its line in the database (passwd(5), group(5)).
fn number(name: Option<&str>, database: &str, what: &str) -> anyhow::Result<Option<u32>> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    let lines = std::fs::read_to_string(Path::new(database)).with_context(|| database.to_owned())?;
    let of = |line: &str| {
        let mut fields = line.split(':');
        if fields.next() == Some(name) { fields.nth(1)?.parse().ok() } else { None }
    };
    let found = lines.lines().find_map(of);
    found.map(Some).ok_or_else(|| {
        anyhow!("the socket's {what} {name:?} is not in {database}; write a name that is, or the number")
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_socket_has_the_owner_group_and_mode_it_was_given() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let me = std::fs::metadata(dir.path()).unwrap();
        // Only root may give a file away; to oneself anybody may.
        let (owner, group) = if me.uid() == 0 { (1, 1) } else { (me.uid(), me.gid()) };
        let socket = Socket { owner: Some(owner.to_string()), group: Some(group.to_string()), mode: 0o660 };
        for _ in 0..2 {
            let _listener = bind(path.to_str().unwrap(), &socket).unwrap();
            let made = std::fs::metadata(&path).unwrap();
            assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (owner, group, 0o660));
            assert!(bind(path.to_str().unwrap(), &socket).unwrap_err().to_string().contains("another process"));
        }
    }

    #[test]
    fn names_are_looked_up_and_unknown_ones_are_told_before_anything_is_bound() {
        assert_eq!(number(Some("root"), USERS, "owner").unwrap(), Some(0));
        assert_eq!(number(Some("root"), GROUPS, "group").unwrap(), Some(0));
        assert_eq!(number(None, USERS, "owner").unwrap(), None);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let socket = Socket { owner: None, group: Some("no-such-group".into()), mode: 0o600 };
        assert!(bind(path.to_str().unwrap(), &socket).unwrap_err().to_string().contains("no-such-group"));
        assert!(!path.exists());
    }
}
