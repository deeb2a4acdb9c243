//! Services that keep keys, played by servers on this machine.

use aes_gcm::aead::generic_array::typenum::U32;
use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use overlay::sops::cloud::{AwsKeys, AzureAccount, GcpAccount, VaultToken};
use overlay::sops::{Format, Integrity, Keys, decrypt};
use serde_json::{Value as Json, json};

use super::file;
use super::server::{Answer, Request, serve};

/// The key that every service gives out.
const KEY: [u8; 32] = [7; 32];

/// What stands for the encrypted key in files.
const SEALED: &str = "c2VhbGVk";

/// A file with one value, for one recipient.
fn encrypted(kind: &str, recipient: &Json) -> Vec<u8> {
    let (nonce, mut data) = ([9; 32], b"secret".to_vec());
    let cipher = AesGcm::<Aes256, U32>::new((&KEY).into());
    let tag = cipher
        .encrypt_in_place_detached(Nonce::<U32>::from_slice(&nonce), b"a:", &mut data)
        .unwrap();
    let [data, nonce, tag] = [&data[..], &nonce, &tag].map(|bytes| STANDARD.encode(bytes));
    let value = format!("ENC[AES256_GCM,data:{data},iv:{nonce},tag:{tag},type:str]");
    let sops = json!({ kind: [recipient], "mac": "ENC[", "lastmodified": "2026-01-01T00:00:00Z" });
    json!({ "a": value, "sops": sops }).to_string().into_bytes()
}

fn opened(content: &[u8], keys: &Keys) -> overlay::Result<String> {
    let plain = decrypt(content, Format::Json, Format::Json, keys, Integrity::Ignored, &file())?;
    Ok(String::from_utf8(plain.to_vec()).unwrap())
}

/// Checks that the service opens the file, and that neither refusals nor strangers do.
fn check(content: &[u8], keys: &Keys, name: &str) {
    assert_eq!(opened(content, keys).unwrap(), "{\n\t\"a\": \"secret\"\n}\n");
    let error = opened(content, &Keys::default()).unwrap_err().to_string();
    assert!(error.contains("none of the keys at hand opens it") && error.contains(name), "{error}");
}

fn json_of(request: &Request) -> Json {
    serde_json::from_str(&request.body).unwrap_or_default()
}

#[test]
fn aws_is_asked_with_a_signature() {
    let address = serve(|request| {
        let signed = request.header("authorization").unwrap_or_default();
        let scope = "AWS4-HMAC-SHA256 Credential=AKID/";
        let parts = "/eu-west-1/kms/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=";
        let body = json_of(request);
        let good = signed.starts_with(scope)
            && signed.contains(parts)
            && request.header("x-amz-target") == Some("TrentService.Decrypt")
            && request.header("x-amz-security-token") == Some("session")
            && body["CiphertextBlob"] == SEALED
            && body["EncryptionContext"] == json!({ "app": "shop" });
        match good {
            true => Answer::ok(json!({ "Plaintext": STANDARD.encode(KEY) }).to_string()),
            false => {
                Answer { body: b"{\"message\": \"no\x1b[2J\"}".to_vec(), ..Answer::status(400) }
            }
        }
    });
    let key = |context: Json| json!({ "arn": "arn:aws:kms:eu-west-1:1:key/a", "context": context, "enc": SEALED, "created_at": "" });
    let mut keys = Keys::default();
    let entry =
        b"aws_access_key_id: AKID\naws_secret_access_key: s3cr3t\naws_session_token: session\n";
    keys.add_secret_entry("sops.aws-kms", entry, "keys").unwrap();
    keys.accounts.aws = keys.accounts.aws.take().map(|keys| keys.at(format!("http://{address}")));
    check(
        &encrypted("kms", &key(json!({ "app": "shop" }))),
        &keys,
        "arn:aws:kms:eu-west-1:1:key/a",
    );
    let error = opened(&encrypted("kms", &key(json!({}))), &keys).unwrap_err().to_string();
    assert!(error.contains("the service answers 400 Bad Request"), "{error}");
    assert!(!error.contains('\x1b') && !error.contains("s3cr3t"), "{error}");
    let role = json!({ "arn": "arn:aws:kms:eu-west-1:1:key/a", "role": "arn:aws:iam::1:role/r", "enc": SEALED });
    assert!(
        opened(&encrypted("kms", &role), &keys).unwrap_err().message().contains("takes a role")
    );
    let odd = json!({ "arn": "arn:aws:kms:evil.example/:1:key/a", "enc": SEALED });
    let mut far = Keys::default();
    far.accounts.aws = Some(AwsKeys::new("a".into(), "b".into(), None));
    assert!(
        opened(&encrypted("kms", &odd), &far).unwrap_err().message().contains("is no ARN of a key")
    );
}

#[test]
fn azure_is_asked_with_a_token_and_only_where_vaults_are() {
    let address = serve(|request| match request.path.as_str() {
        "/tenant/oauth2/v2.0/token" => {
            let good = request.body.contains("client_id=app&client_secret=pass%20word&scope=https%3A%2F%2Fvault.azure.net%2F.default");
            if good { Answer::ok(r#"{"access_token": "t0k3n"}"#) } else { Answer::status(400) }
        }
        "/keys/sops/v1/decrypt?api-version=7.4"
            if request.header("authorization") == Some("Bearer t0k3n") =>
        {
            let body = json_of(request);
            assert_eq!((&body["alg"], &body["value"]), (&json!("RSA-OAEP-256"), &json!(SEALED)));
            Answer::ok(json!({ "value": URL_SAFE_NO_PAD.encode(KEY) }).to_string())
        }
        _ => Answer::status(403),
    });
    let url = format!("http://{address}");
    let key =
        |vault: &str| json!({ "vault_url": vault, "name": "sops", "version": "v1", "enc": SEALED });
    let mut keys = Keys::default();
    let entry = b"tenantId: tenant\nclientId: app\nclientSecret: pass word\n";
    keys.add_secret_entry("sops.azure-kv", entry, "keys").unwrap();
    keys.accounts.azure =
        keys.accounts.azure.take().map(|account| account.at(url.clone(), url.clone()));
    check(&encrypted("azure_kv", &key(&url)), &keys, "/keys/sops");
    for evil in [
        "https://evil.example",
        "https://evil.example/x.vault.azure.net",
        "http://a.vault.azure.net",
        "https://u@a.vault.azure.net",
    ] {
        let error = opened(&encrypted("azure_kv", &key(evil)), &keys).unwrap_err();
        assert!(error.message().contains("no credentials are sent there"), "{error}");
    }
    let _ = AzureAccount::new("t".into(), "c".into(), "s".into());
}

#[test]
fn google_is_asked_with_a_token_that_the_account_signs_for() {
    use rsa::pkcs8::{EncodePrivateKey, LineEnding};
    let private = rsa::RsaPrivateKey::new(&mut rand::thread_rng(), 1024).unwrap();
    let pem = private.to_pkcs8_pem(LineEnding::LF).unwrap();
    let address = serve(|request| match request.path.as_str() {
        "/token" => {
            let assertion = request.body.split("assertion=").nth(1).unwrap_or_default();
            let claims =
                assertion.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
            let claims: Json =
                serde_json::from_slice(&claims.unwrap_or_default()).unwrap_or_default();
            let good = claims["iss"] == "me@example.com" && assertion.split('.').count() == 3;
            if good { Answer::ok(r#"{"access_token": "t0k3n"}"#) } else { Answer::status(400) }
        }
        "/v1/projects/p/locations/global/keyRings/r/cryptoKeys/k:decrypt" => {
            let good = request.header("authorization") == Some("Bearer t0k3n")
                && json_of(request)["ciphertext"] == SEALED;
            let key = json!({ "plaintext": STANDARD.encode(KEY) }).to_string();
            if good { Answer::ok(key) } else { Answer::status(403) }
        }
        _ => Answer::status(404),
    });
    let url = format!("http://{address}");
    let key = json!({ "resource_id": "projects/p/locations/global/keyRings/r/cryptoKeys/k", "enc": SEALED });
    let entry = json!({ "type": "service_account", "client_email": "me@example.com", "private_key": pem.as_str() });
    let mut keys = Keys::default();
    keys.add_secret_entry("sops.gcp-kms", entry.to_string().as_bytes(), "keys").unwrap();
    let there = |account: GcpAccount| account.at(format!("{url}/token"), url.clone());
    keys.accounts.gcp = keys.accounts.gcp.take().map(there);
    let content = encrypted("gcp_kms", &key);
    check(&content, &keys, "GCP KMS projects/p/");
    keys.accounts.gcp = Some(there(GcpAccount::with_token("t0k3n".into())));
    check(&content, &keys, "GCP KMS projects/p/");
    let odd = json!({ "resource_id": "projects/../../x?", "enc": SEALED });
    assert!(
        opened(&encrypted("gcp_kms", &odd), &keys)
            .unwrap_err()
            .message()
            .contains("is no name of a key")
    );
    let error = keys
        .add_secret_entry("sops.gcp-kms", b"{\"private_key\": \"CANARY\"}", "keys")
        .unwrap_err();
    assert!(!error.to_string().contains("CANARY"), "{error}");
}

/// The case `vault-transit` of the group `sops`, whose file is encrypted when the test runs.
#[test]
fn vault_is_asked_with_a_token_and_only_where_it_is_trusted() {
    let address = serve(|request| {
        let good = request.path == "/v1/sops/decrypt/key"
            && request.header("x-vault-token") == Some("t0k3n")
            && json_of(request)["ciphertext"] == "vault:v1:sealed";
        match good {
            true => {
                Answer::ok(json!({ "data": { "plaintext": STANDARD.encode(KEY) } }).to_string())
            }
            false => Answer {
                body: br#"{"errors": ["permission denied"]}"#.to_vec(),
                ..Answer::status(403)
            },
        }
    });
    let url = format!("http://{address}");
    let key = |engine: &str| json!({ "vault_address": url, "engine_path": engine, "key_name": "key", "enc": "vault:v1:sealed" });
    let mut keys = Keys::default();
    keys.add_secret_entry("sops.vault-token", b"t0k3n\n", "keys").unwrap();
    let content = encrypted("hc_vault", &key("sops"));
    let error = opened(&content, &keys).unwrap_err();
    assert!(error.message().contains("the token is not sent there"), "{error}");
    keys.accounts.vault = Some(VaultToken::new("t0k3n").at([url.clone()]));
    check(&content, &keys, &format!("Vault {url}/v1/sops/keys/key"));
    let error = opened(&encrypted("hc_vault", &key("other")), &keys).unwrap_err().to_string();
    assert!(error.contains("403 Forbidden: permission denied"), "{error}");
    let error = opened(&encrypted("hc_vault", &key("../sys")), &keys).unwrap_err().to_string();
    assert!(error.contains("is no key of a transit engine"), "{error}");
}
