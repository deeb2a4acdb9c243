//! The file that makes clients talk to the server.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::identity::User;

/// Writes a kubeconfig with a context for each user, named like the user; the first one is current.
pub(crate) fn write(server_url: &str, ca: &str, users: &[&User<'_>]) -> String {
    let ca = BASE64_STANDARD.encode(ca);
    let mut text = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: control-plane\n  cluster:\n    server: {server_url}\n    \
         certificate-authority-data: {ca}\nusers:\n"
    );
    for user in users {
        text += &format!("- name: {}\n  user:\n    token: {}\n", user.name, user.token);
    }
    text += "contexts:\n";
    for user in users {
        text += &format!(
            "- name: {0}\n  context:\n    cluster: control-plane\n    user: {0}\n",
            user.name
        );
    }
    text += &format!("current-context: {}\n", users[0].name);
    text
}
