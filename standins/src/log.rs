//! Lines in klog's text format, so that whoever greps a component's log finds what is usual.

use jiff::Zoned;

/// Writes one line to stderr: severity (`I`, `W`, `E`, `F`), time, pid, message.
pub fn line(severity: char, message: &str) {
    let now = Zoned::now().strftime("%m%d %H:%M:%S%.6f").to_string();
    eprintln!(
        "{severity}{now} {:7} standin.go:1] {message}",
        std::process::id()
    );
}

/// Logs at the severity that its first word names.
#[macro_export]
macro_rules! klog {
    (info, $($arg:tt)*) => { $crate::log::line('I', &format!($($arg)*)) };
    (warn, $($arg:tt)*) => { $crate::log::line('W', &format!($($arg)*)) };
    (error, $($arg:tt)*) => { $crate::log::line('E', &format!($($arg)*)) };
}
