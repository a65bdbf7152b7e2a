//! Rendering: what kubeadm wrote for the same configuration, and golden files.
#![allow(missing_docs, clippy::unwrap_used, unreachable_pub)]

mod render {
    mod bridge;
    mod fixture;
    mod golden;
    mod health;
    mod hosts;
    mod kubeadm;
    mod load_balancer;
    mod node;
    mod operator;
}
