//! Every form of key, to and fro between OpenSSL and us.

use std::fs;

use pki::{Algorithm, PrivateKey};

use crate::common::openssl;

#[test]
fn openssl_reads_what_we_write() {
    let dir = tempfile::tempdir().unwrap();
    for (algorithm, command, label) in [
        (Algorithm::EcdsaP256, "ec", "EC PRIVATE KEY"),
        (Algorithm::EcdsaP384, "ec", "EC PRIVATE KEY"),
        (Algorithm::Rsa2048, "rsa", "RSA PRIVATE KEY"),
    ] {
        let key = PrivateKey::generate(algorithm).unwrap();
        fs::write(dir.path().join("key"), key.to_pem().as_bytes()).unwrap();
        assert!(
            key.to_pem()
                .starts_with(&format!("-----BEGIN {label}-----\n"))
        );
        openssl(dir.path(), &format!("{command} -in key -check -noout"));
        assert_eq!(
            openssl(dir.path(), "pkey -in key -pubout"),
            key.public_pem().unwrap()
        );
        // OpenSSL writes the same bytes, the curve's name included.
        openssl(dir.path(), "pkey -in key -traditional -out again");
        let again = fs::read_to_string(dir.path().join("again")).unwrap();
        assert_eq!(again, *key.to_pem(), "{algorithm}");
    }
}

#[test]
fn we_read_what_openssl_writes() {
    let dir = tempfile::tempdir().unwrap();
    for make in [
        // EC PARAMETERS, then SEC1
        "ecparam -genkey -name prime256v1 -out key",
        "ecparam -genkey -name secp384r1 -out key",
        // PKCS#8
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key",
        // PKCS#1
        "genrsa -traditional -out key 3072",
    ] {
        openssl(dir.path(), make);
        let pem = fs::read_to_string(dir.path().join("key")).unwrap();
        let key = PrivateKey::from_pem(&pem).unwrap_or_else(|e| panic!("{make}: {e}"));
        let public = openssl(dir.path(), "pkey -in key -pubout");
        assert_eq!(key.public_pem().unwrap(), public, "{make}");
    }
}

#[test]
fn what_kubernetes_cannot_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (make, why) in [
        (
            "genpkey -algorithm ed25519 -out key",
            "neither an RSA nor an ECDSA key",
        ),
        (
            "ecparam -genkey -name secp256k1 -noout -out key",
            "uses a curve other than P-256 and P-384",
        ),
        (
            "ecparam -genkey -name prime256v1 -param_enc explicit -noout -out key",
            "uses a curve other than P-256 and P-384",
        ),
        (
            "genrsa -out key 1024",
            "is not an RSA key of 2048 to 4096 bits",
        ),
        (
            "genrsa -aes128 -passout pass:x -out key 2048",
            "is encrypted",
        ),
    ] {
        openssl(dir.path(), make);
        let pem = fs::read_to_string(dir.path().join("key")).unwrap();
        let error = PrivateKey::from_pem(&pem).unwrap_err().to_string();
        assert!(error.contains(why), "{make}: {error}");
    }
}
