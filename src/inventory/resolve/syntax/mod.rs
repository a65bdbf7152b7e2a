//! The small languages within the file: names, durations, endpoints. Each function says
//! what is wrong with a value in words that follow the field's name, such as "is empty".

mod address;
mod duration;
mod image;
mod linux;
mod name;
mod problem;
mod token;

pub(super) use address::{check_host_name_or_ip, check_proxy_jump, check_url, parse_endpoint};
pub use duration::parse_duration;
pub(super) use image::{check_image_reference, check_image_repository, check_image_tag};
pub(super) use linux::{
    check_absolute_path, check_interface_name, check_sysctl_name, parse_mode, parse_owner,
};
pub(super) use name::{
    check_dns_label, check_dns_name_or_wildcard, check_dns_subdomain, check_label_value,
    check_qualified_name,
};
pub(super) use problem::Problem;
pub(super) use token::{check_bootstrap_group, check_bootstrap_token};
