//! The PKI against OpenSSL and against what kubeadm itself made.

#![allow(clippy::unwrap_used)]

mod common;
mod keys;
mod kubeadm;
mod own_ca;
mod store;
