//! The inventory: examples load, broken files give their exact messages, and
//! nothing makes the loader panic.

#[path = "inventory/broken.rs"]
mod broken;
#[path = "inventory/edit.rs"]
mod edit;
#[path = "inventory/examples.rs"]
mod examples;
#[path = "inventory/resolve.rs"]
mod resolve;
#[path = "inventory/robust.rs"]
mod robust;
