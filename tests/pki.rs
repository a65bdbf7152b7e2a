//! The PKI against OpenSSL and against what kubeadm itself made.

#![allow(clippy::unwrap_used)]

#[path = "pki/common.rs"]
mod common;
#[path = "pki/keys.rs"]
mod keys;
#[path = "pki/kubeadm.rs"]
mod kubeadm;
#[path = "pki/own_ca.rs"]
mod own_ca;
#[path = "pki/store.rs"]
mod store;
