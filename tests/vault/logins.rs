//! Each way to log in, at a real OpenBao: taken when it is right, and refused by name when it is not.

use std::fs;
use std::io::{Read as _, Write as _};

use base64ct::Encoding as _;
use demo::command::run;
use demo::vault::by_approle;
use serde_json::{Value, json};

use super::signs::{ROLE, Vaulted};

#[test]
fn every_way_to_log_in_ends_with_a_release() {
    let mut vaulted = Vaulted::pinned("vault-transit");
    let folder = vaulted.vault.ca().parent().unwrap().to_owned();
    let role = vaulted.vault.read(&format!("auth/approle/role/{ROLE}/role-id")).unwrap()["data"]["role_id"].clone();
    let role = role.as_str().unwrap().to_owned();
    let wrap = |vaulted: &Vaulted, path: &str, name: &str| {
        let mut command = vaulted.vault.command(&["write", "-f", "-format=json", "-wrap-ttl=5m", path]);
        let token = run(&mut command).unwrap().json().unwrap()["wrap_info"]["token"].as_str().unwrap().to_owned();
        let file = folder.join(name);
        fs::write(&file, token).unwrap();
        file
    };

    // A secret id in a wrapping token, which is good for one job.
    let file = wrap(&vaulted, &format!("auth/approle/role/{ROLE}/secret-id"), "wrapped");
    let login = format!("{}wrapped_for = \"{ROLE}\"\n", by_approle(&role, &file));
    vaulted.login(&login, &[&file]);
    vaulted.scene.green("wrapped");
    vaulted.scene.once(0);
    vaulted.scene.green("again");
    vaulted.said(3, &["wrapping-token-spent", "somebody else"]);
    // One that somebody put there, of another role.
    vaulted.vault.approle("other", ROLE).unwrap();
    let file = wrap(&vaulted, "auth/approle/role/other/secret-id", "foreign");
    vaulted.login(&format!("{}wrapped_for = \"{ROLE}\"\n", by_approle(&role, &file)), &[&file]);
    vaulted.said(3, &["wrapping-token-foreign", "auth/approle/role/other/secret-id"]);

    // A certificate.
    let key = folder.join("client.key");
    for line in [
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout client.key -out client.csr -subj /CN=signer",
        "x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san -out client.pem -days 2",
    ] {
        run(std::process::Command::new("openssl").args(line.split(' ')).current_dir(&folder)).unwrap();
    }
    vaulted.vault.write("sys/auth/cert", &json!({ "type": "cert" })).unwrap();
    let terms = json!({ "certificate": fs::read_to_string(vaulted.vault.ca()).unwrap(), "allowed_common_names": ["signer"],
        "token_policies": [ROLE], "token_no_default_policy": true, "token_ttl": "5m" });
    vaulted.vault.write("auth/cert/certs/signer", &terms).unwrap();
    let certificate = folder.join("client.pem");
    let login = format!("[vault.login.certificate]\nrole = \"signer\"\ncertificate = {certificate:?}\nkey = {key:?}\n");
    vaulted.login(&login, &[&certificate, &key]);
    vaulted.scene.once(0);

    // A token that an agent keeps in a file. It is the agent's, and not revoked.
    let mut command =
        vaulted.vault.command(&["token", "create", "-format=json", "-orphan", "-no-default-policy", "-ttl=10m"]);
    let made = run(command.arg(format!("-policy={ROLE}"))).unwrap().json().unwrap();
    let file = folder.join("token");
    fs::write(&file, made["auth"]["client_token"].as_str().unwrap()).unwrap();
    let tokens = vaulted.tokens();
    vaulted.login(&format!("[vault.login.agent]\ntoken_file = {file:?}\n"), &[&file]);
    vaulted.scene.green("agent");
    vaulted.scene.once(0);
    assert_eq!(vaulted.tokens(), tokens);
    // And it was measured: another one of a mightier policy is not used.
    fs::write(&file, vaulted.vault.root_token()).unwrap();
    vaulted.scene.green("root");
    vaulted.said(3, &["vault-token-too-mighty", "it is a root token"]);
    assert_eq!((vaulted.scene.count("release"), vaulted.attempts().len()), (3, 3));
}

/// A cluster's answer to the question whose token this is (Kubernetes API, `TokenReview` v1): all that OpenBao asks of it.
fn cluster() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut asked = vec![0; 64 << 10];
            let read = client.read(&mut asked).unwrap_or_default();
            let good = String::from_utf8_lossy(&asked[..read]).contains(&jwt("countersign"));
            let user = json!({ "username": "system:serviceaccount:prod:countersign", "uid": "1" });
            let status =
                if good { json!({ "authenticated": true, "user": user }) } else { json!({ "authenticated": false }) };
            let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status });
            let body = review.to_string();
            let head = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nconnection: close\r\n";
            let _ = write!(client, "{head}content-length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}

/// A service account's token, as a cluster writes it; whose it is, is the cluster's to say.
fn jwt(account: &str) -> String {
    let claims = json!({
        "iss": "kubernetes/serviceaccount",
        "sub": format!("system:serviceaccount:prod:{account}"),
        "kubernetes.io/serviceaccount/namespace": "prod",
        "kubernetes.io/serviceaccount/service-account.name": account,
        "kubernetes.io/serviceaccount/service-account.uid": "1",
    });
    let part = |value: &Value| base64ct::Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    format!("{}.{}.{}", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(&claims), part(&json!("signature")))
}

#[test]
fn a_pods_service_account_logs_in_where_the_cluster_says_that_it_is_one() {
    let mut vaulted = Vaulted::pinned("vault-transit");
    let folder = vaulted.vault.ca().parent().unwrap().to_owned();
    vaulted.vault.write("sys/auth/kubernetes", &json!({ "type": "kubernetes" })).unwrap();
    let cluster = json!({ "kubernetes_host": format!("http://{}", cluster()), "token_reviewer_jwt": jwt("reviewer"),
        "kubernetes_ca_cert": fs::read_to_string(vaulted.vault.ca()).unwrap(), "disable_local_ca_jwt": true });
    vaulted.vault.write("auth/kubernetes/config", &cluster).unwrap();
    let role = json!({ "bound_service_account_names": ["countersign", "other"], "bound_service_account_namespaces": ["prod"],
        "token_policies": [ROLE], "token_no_default_policy": true, "token_ttl": "5m" });
    vaulted.vault.write("auth/kubernetes/role/signer", &role).unwrap();
    let file = folder.join("jwt");
    fs::write(&file, jwt("other")).unwrap();
    vaulted.login(&format!("[vault.login.kubernetes]\nrole = \"signer\"\ntoken_file = {file:?}\n"), &[&file]);
    vaulted.scene.green("one");
    vaulted.said(3, &["logging in", "permission denied"]);
    fs::write(&file, jwt("countersign")).unwrap();
    vaulted.scene.once(0);
    vaulted.scene.verify(":latest", 0);
}
