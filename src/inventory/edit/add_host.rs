//! Adds a host to `spec.hosts`.

use super::document::{EditError, change};
use super::host_entry::HostEntry;
use super::list;
use super::style::Style;

/// Appends a host to `spec.hosts`, in the style of the last one.
///
/// # Errors
/// [`EditError`] if the list is written in a way that can't be carried on.
pub fn add_host(text: &str, host: &HostEntry) -> Result<String, EditError> {
    let by_hand = format!("add to `hosts`: - {}", host.flow(Style::PLAIN));
    change(text, by_hand, |document, wanted| {
        let list = wanted.pointer_mut("/spec/hosts")?.as_array_mut()?;
        list.push(host.json());
        list::append_host(document, &document.spec()?.find_entry("hosts")?.value, host)
    })
}
