//! Where Kubernetes keeps and calls its things: every port, path, label and
//! object name, once.
//!
//! Pure constants at the ground of the program: this module imports nothing of
//! it, so that everything else may read it. The values are kubeadm's
//! (`cmd/kubeadm/app/constants/constants.go`, v1.36) unless a doc comment names
//! another source. What depends on the inventory (a port that the operator
//! moved) is in [`crate::kubernetes::health`].

pub mod components;
pub mod health;
pub mod names;
pub mod paths;
pub mod places;
pub mod ports;
pub mod programs;
