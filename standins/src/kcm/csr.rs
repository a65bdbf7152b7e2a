//! Certificate requests of kubelets: read, approved, signed.

use serde_json::{Value, json};

use super::{Context, lenient};
use crate::api::{Result as ApiResult, is_condition, items, name, set_condition, text, unbase64};

/// The only signer whose requests are approved and signed here.
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const PATH: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/// What a CSR asks for.
#[derive(Debug, PartialEq)]
pub struct Csr {
    name: String,
    organizations: Vec<String>,
    /// How many SANs, of any kind.
    sans: usize,
}

/// Parses a PEM certificate request and verifies its own signature.
pub fn parse(pem: &[u8]) -> Result<Csr, String> {
    use x509_parser::prelude::FromDer;
    let text = String::from_utf8_lossy(pem);
    if !text.contains("-----BEGIN CERTIFICATE REQUEST-----") {
        return Err("PEM block type must be CERTIFICATE REQUEST".to_owned());
    }
    let body: String = text.lines().filter(|l| !l.starts_with("-----")).collect();
    let der = unbase64(&body);
    let (_, csr) = x509_parser::certification_request::X509CertificationRequest::from_der(&der)
        .map_err(|e| format!("asn1: {e}"))?;
    csr.verify_signature().map_err(|e| format!("x509: {e}"))?;
    let info = &csr.certification_request_info;
    let text = |a: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        a.as_str().map(str::to_owned).unwrap_or_default()
    };
    let mut sans = 0;
    for extension in csr.requested_extensions().into_iter().flatten() {
        if let x509_parser::extensions::ParsedExtension::SubjectAlternativeName(san) = extension {
            sans += san.general_names.len();
        }
    }
    Ok(Csr {
        name: info
            .subject
            .iter_common_name()
            .next()
            .map(text)
            .unwrap_or_default(),
        organizations: info.subject.iter_organization().map(text).collect(),
        sans,
    })
}

/// The CA that signs.
pub struct Signing {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    until: time::OffsetDateTime,
    duration: std::time::Duration,
}

impl Signing {
    /// Loads certificate and key, which must belong together.
    pub fn load(cert: &str, key: &str, duration: &str) -> anyhow::Result<Self> {
        crate::tls::pair(cert, key)
            .map_err(|e| anyhow::anyhow!("error reading CA cert and key: {e:#}"))?;
        let pem = std::fs::read_to_string(cert)?;
        let roots = crate::tls::roots(pem.as_bytes())?;
        anyhow::ensure!(
            !roots.is_empty(),
            "error reading CA cert file {cert:?}: it is not a CA"
        );
        let signer = crate::tls::signing_key(&std::fs::read(key)?)?;
        let der = crate::tls::certs(pem.as_bytes())?.remove(0);
        let until = {
            use x509_parser::prelude::FromDer;
            let (_, parsed) = x509_parser::prelude::X509Certificate::from_der(&der)?;
            parsed.validity().not_after.to_datetime()
        };
        Ok(Self {
            issuer: rcgen::Issuer::from_ca_cert_der(&der, signer)?,
            until,
            duration: crate::flags::duration(duration)
                .unwrap_or(std::time::Duration::from_secs(8760 * 3600)),
        })
    }

    fn sign(&self, pem: &str) -> anyhow::Result<String> {
        let mut request = rcgen::CertificateSigningRequestParams::from_pem(pem)?;
        let now = time::OffsetDateTime::now_utc();
        let params = &mut request.params;
        params.not_before = now - time::Duration::minutes(5);
        params.not_after = (now + self.duration).min(self.until);
        params.is_ca = rcgen::IsCa::ExplicitNoCa;
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let mut serial: [u8; 16] = rand::random();
        serial[0] &= 0x7f;
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&serial));
        Ok(request.signed_by(&self.issuer)?.pem())
    }
}

fn request(csr: &Value) -> Vec<u8> {
    unbase64(text(&csr["spec"], "request"))
}

/// Whether this is what a kubelet may ask for as a client.
fn is_kubelet_client(csr: &Value) -> Result<Csr, String> {
    let parsed = parse(&request(csr))?;
    if parsed.organizations != ["system:nodes"] {
        return Err("organization needs to be system:nodes".to_owned());
    }
    let node = parsed.name.strip_prefix("system:node:").unwrap_or_default();
    if node.is_empty() {
        return Err("common name of node client CSR needs to start with system:node:".to_owned());
    }
    if parsed.sans > 0 {
        return Err("DNS, IP, Email and URI SANs are not allowed".to_owned());
    }
    let mut usages: Vec<&str> = items(csr, "/spec/usages")
        .filter_map(Value::as_str)
        .filter(|u| *u != "key encipherment")
        .collect();
    usages.sort_unstable();
    if usages != ["client auth", "digital signature"] {
        return Err(format!(
            "usages did not match [client auth digital signature]: {usages:?}"
        ));
    }
    Ok(parsed)
}

/// Approves kubelets' requests whose sender RBAC allows to make them.
pub(super) async fn approve(context: &Context) -> ApiResult<()> {
    for mut csr in context.all("csrs") {
        let decided = is_condition(&csr, "Approved") || is_condition(&csr, "Denied");
        if decided || csr["spec"]["signerName"] != KUBELET_CLIENT {
            continue;
        }
        let Ok(parsed) = is_kubelet_client(&csr) else {
            continue;
        };
        let client = context.client("certificate-controller").await?;
        // A node that renews its own may do so by either right.
        let own = csr["spec"]["username"] == parsed.name.as_str();
        let rights = ["selfnodeclient", "nodeclient"];
        for right in &rights[usize::from(!own)..] {
            let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
                "user": csr["spec"]["username"], "groups": csr["spec"]["groups"],
                "resourceAttributes": {"group": "certificates.k8s.io", "resource": "certificatesigningrequests", "verb": "create", "subresource": right}}});
            let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
            let answer = client.create(reviews, &review).await?;
            if answer["status"]["allowed"] == true {
                let message =
                    format!("Auto approving {right} certificate after SubjectAccessReview.");
                set_condition(&mut csr, "Approved", "True", "AutoApproved", &message);
                let path = format!("{PATH}/{}/approval", name(&csr));
                lenient(client.replace(&path, &csr).await)?;
                break;
            }
        }
    }
    Ok(())
}

/// Signs what is approved.
pub(super) async fn sign(context: &Context) -> ApiResult<()> {
    let Some(signing) = &context.signing else {
        return Ok(());
    };
    for mut csr in context.all("csrs") {
        let done = !csr["status"]["certificate"].is_null()
            || is_condition(&csr, "Failed")
            || is_condition(&csr, "Denied");
        if done || !is_condition(&csr, "Approved") || csr["spec"]["signerName"] != KUBELET_CLIENT {
            continue;
        }
        let client = context.client("certificate-controller").await?;
        let signed = is_kubelet_client(&csr).and_then(|_| {
            signing
                .sign(&String::from_utf8_lossy(&request(&csr)))
                .map_err(|e| e.to_string())
        });
        match signed {
            Ok(pem) => csr["status"]["certificate"] = crate::api::base64(pem.as_bytes()).into(),
            Err(e) => {
                set_condition(&mut csr, "Failed", "True", "SignerValidationFailure", &e);
            }
        }
        let path = format!("{PATH}/{}/status", name(&csr));
        lenient(client.replace(&path, &csr).await)?;
    }
    Ok(())
}
